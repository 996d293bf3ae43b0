"""Which samples of a lesson fit their names: against the formula in loops, and what is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.gate.set_aside import EXPECTED_WRONG, MOST_GROUPS, SESSION_WEIGHT, Fit, fits, folds_of, kept_sum, sift
from edgecl.model.head import Factor, whiten
from edgecl.model.model import Lesson, Model, factor_of

from ..support.learning import Words, as_lesson, settings, taught

Rows = Mapping[str, Sequence[NDArray[np.float64]]]


def naive(
    factor: Factor, rows: Rows, groups: Mapping[str, Sequence[object]], *, rounds: int
) -> dict[str, list[tuple[float, str]]]:
    """P(own name) and the likeliest other name of every sample, as the formula says it."""
    known, new = list(factor.labels), sorted(set(rows) - set(factor.labels))
    names = known + new
    kept = {label: [1.0] * len(rows[label]) for label in rows}
    wrong = EXPECTED_WRONG

    def logit(sample: NDArray[np.float64], name: str, skip: tuple[str, object]) -> float:
        prior = min(SESSION_WEIGHT, float(factor.counts[known.index(name)])) if name in known else 0.0
        total = prior * factor.whitened[known.index(name)] if name in known else np.zeros_like(sample)
        size = 0.0
        for index, other in enumerate(rows.get(name, ())):
            if (name, groups[name][index]) != skip:
                total = total + kept[name][index] * other
                size += kept[name][index]
        if prior + size < 1e-9:
            return 0.0
        mean = total / (prior + size)
        trusted = float(factor.counts[known.index(name)]) if name in known else size
        squared = float(mean @ mean)
        return float(sample @ mean) / math.sqrt(max(squared - factor.effective_dimension / trusted, squared / 2))

    found: dict[str, list[tuple[float, str]]] = {}
    for _ in range(rounds):
        for label in rows:
            found[label] = []
            for index, sample in enumerate(rows[label]):
                weights = {}
                for name in names:
                    score = logit(sample, name, (label, groups[label][index]) if name == label else ("", None))
                    weights[name] = math.exp(score) * (1 - wrong if name == label else wrong / (len(names) - 1))
                own = weights.pop(label)
                found[label].append((own / (own + sum(weights.values())), max(weights, key=lambda one: weights[one])))
        kept = {label: [probability for probability, _ in ones] for label, ones in found.items()}
        every = [one for ones in kept.values() for one in ones]
        wrong = min(max((sum(1 - one for one in every) + 2 * EXPECTED_WRONG) / (len(every) + 2), 0.01), 0.5)
    return found


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(7, seed=3)


@pytest.fixture(scope="module")
def model(words: Words) -> Model:
    return taught(
        Model(settings()), words.lesson(30, words.labels[:4]), {words.labels[4]: words.say(words.labels[4], 3)}
    )


def mixed(words: Words, model: Model, *, stray: int = 1) -> Lesson:
    """Two known names and a new one, each with samples of another word among its own."""
    known, other, new = words.labels[0], words.labels[1], words.labels[5]
    return as_lesson(
        model,
        {
            known: np.concatenate([words.say(known, 6), words.say(other, stray)]),
            words.labels[4]: words.say(words.labels[4], 4),
            new: np.concatenate([words.say(new, 5), words.say(other, stray)]),
        },
    )


def whitened(factor: Factor, model: Model, lesson: Lesson) -> dict[str, list[NDArray[np.float64]]]:
    return {
        label: [
            row.astype(np.float64) for block in model.settings.features.blocks(one) for row in whiten(factor, block)
        ]
        for label, one in lesson.rows.items()
    }


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("paired", [False, True])
def test_probabilities_are_those_of_the_formula(words: Words, model: Model, rounds: int, paired: bool) -> None:
    lesson, factor = mixed(words, model, stray=2), factor_of(model)
    groups = {
        label: [str(row // 2 if paired else row) for row in range(len(one))] for label, one in lesson.rows.items()
    }
    names, found = fits(factor, model.settings.features, lesson.rows, groups=groups, rounds=rounds)
    expected = naive(factor, whitened(factor, model, lesson), groups, rounds=rounds)
    for label, one in found.items():
        np.testing.assert_allclose(one.probability, [pair[0] for pair in expected[label]], atol=1e-6)
        assert [names.labels[index] for index in one.like] == [pair[1] for pair in expected[label]]


def test_a_long_lesson_gives_what_a_short_one_does(words: Words, model: Model) -> None:
    lesson, factor = mixed(words, model), factor_of(model)
    short = settings(memory_bytes=64 << 10).features  # blocks of eight rows: what is whitened is not kept
    _, whole = fits(factor, model.settings.features, lesson.rows)
    _, pieces = fits(factor, short, lesson.rows)
    for label, one in whole.items():
        np.testing.assert_allclose(pieces[label].probability, one.probability, atol=1e-9)


def test_a_stray_sample_is_doubted_and_its_right_name_is_found(words: Words, model: Model) -> None:
    lesson = mixed(words, model)
    names, found = fits(factor_of(model), model.settings.features, lesson.rows)
    for label in (words.labels[0], words.labels[5]):
        assert found[label].probability[:-1].min() > 0.5
        assert found[label].probability[-1] < 0.5
        assert names.labels[found[label].like[-1]] == words.labels[1]


def test_twins_of_one_group_do_not_vouch_for_each_other(words: Words, model: Model) -> None:
    new, stray = words.labels[5], words.say(words.labels[1], 1)
    lesson = as_lesson(model, {new: np.concatenate([words.say(new, 4), stray, stray, stray, stray])})
    apart = {new: ["a", "b", "c", "d", "e", "e", "e", "e"]}
    _, alone = fits(factor_of(model), model.settings.features, lesson.rows)
    _, grouped = fits(factor_of(model), model.settings.features, lesson.rows, groups=apart)
    assert (grouped[new].probability[4:] < alone[new].probability[4:]).all()
    assert grouped[new].probability[4:].max() < 0.5


def test_more_groups_than_are_told_apart_share_a_number() -> None:
    assert folds_of(None, 3) is None
    assert folds_of(["a", "b", "c"], 3) is None
    assert folds_of(["a", "b", "a"], 3) is not None
    many = folds_of([str(index // 2) for index in range(4 * MOST_GROUPS)], 4 * MOST_GROUPS)
    assert many is not None
    assert sorted(set(many.tolist())) == list(range(MOST_GROUPS))


def test_the_sum_of_what_is_kept_is_that_of_its_rows(words: Words, model: Model) -> None:
    lesson, factor = mixed(words, model), factor_of(model)
    label = words.labels[5]
    names, _ = fits(factor, model.settings.features, lesson.rows)
    keep = np.array([True, False, True, True, True, False])
    total = names.sums[names.lesson[label]]
    left = kept_sum(factor, model.settings.features, lesson.rows[label], total, keep)
    np.testing.assert_allclose(left, np.sum(np.array(whitened(factor, model, lesson)[label])[keep], axis=0), atol=1e-6)


def said(*probabilities: float) -> Fit:
    return Fit(np.array(probabilities), np.zeros(len(probabilities), int))


def test_a_known_name_that_is_mostly_doubted_goes_and_a_new_one_stays_whole() -> None:
    found = {"yes": said(0.1, 0.2, 0.9), "new": said(0.1, 0.2, 0.9), "no": said(0.1, 0.9, 0.9, 0.9)}
    sifted = sift(found, frozenset({"yes", "no"}))
    assert sifted.keep["yes"].tolist() == [False] * 3
    assert sifted.keep["new"].tolist() == [True] * 3
    assert sifted.keep["no"].tolist() == [False, True, True, True]
    assert (sifted.doubted, sifted.of) == (3, 7)


def test_a_lesson_is_refused_where_more_than_two_in_five_of_known_names_are_doubted() -> None:
    known = frozenset({"yes"})
    assert not sift({"yes": said(0.1, 0.1, 0.9, 0.9, 0.9)}, known).is_refused
    assert sift({"yes": said(0.1, 0.1, 0.9, 0.9)}, known).is_refused
    assert not sift({"yes": said(0.1, 0.1)}, known).is_refused  # two samples refuse nothing
    assert not sift({"new": said(0.1, 0.1, 0.1, 0.9)}, known).is_refused


def test_nothing_is_doubted_below_zero() -> None:
    sifted = sift({"yes": said(0.0, 0.1)}, frozenset({"yes"}), doubted_below=0.0)
    assert sifted.keep["yes"].all()
    assert sifted.doubted == 0
