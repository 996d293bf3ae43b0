"""What is unknown: how far samples are from what was taught."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.model.model import Model
from edgecl.model.unknown import DistanceMeasure, limited

from ..support.learning import Words, settings, taught


@pytest.mark.parametrize("known", [1, 2, 6])
def test_words_that_were_never_taught_are_above_the_threshold_and_others_below(known: int) -> None:
    words = Words(9, apart=3.0)
    model = taught(Model(settings()), words.lesson(30, words.labels[:known]))
    measure = DistanceMeasure(model)

    def novelty(label: str) -> list[float]:
        assert model.head is not None
        features = model.features(words.say(label, 100))
        return measure.novelty(features, model.head.logits(features).argmax(axis=1)).tolist()

    for label in words.labels[:known]:
        assert np.mean(np.array(novelty(label)) > measure.threshold) <= 0.05
    for label in words.labels[known:]:
        assert np.mean(np.array(novelty(label)) > measure.threshold) > 0.9


def test_what_lies_far_out_in_the_direction_of_a_class_is_novel_though_its_logit_is_high() -> None:
    words = Words(3)
    model = taught(Model(settings()), words.lesson(30))
    assert model.head is not None
    beyond = 5 * words.say(words.labels[0], 20)
    logits = model.head.logits(model.features(beyond))
    assert (model.head.novelty(logits) < 0.1).all()
    novelty = DistanceMeasure(model).novelty(model.features(beyond), logits.argmax(axis=1))
    assert (novelty > 0.5).all()


def test_a_single_sample_says_nothing_about_distances() -> None:
    words = Words(1)
    model = taught(Model(settings()), words.lesson(1))
    measure = DistanceMeasure(model)
    assert measure.novelty(words.say(words.labels[0], 3), np.zeros(3, np.intp)).tolist() == [0, 0, 0]


def test_a_threshold_is_never_so_high_that_nothing_is_unknown() -> None:
    assert limited(0.5, np.zeros(0, np.float32)) == 0.5
    assert limited(0.5, np.full(20, 0.7, np.float32)) == pytest.approx(0.7)
    assert limited(0.5, np.ones(20, np.float32)) == 0.95
