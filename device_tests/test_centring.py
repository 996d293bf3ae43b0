"""Centring: what a person adds to every latent is taken off; what the person did is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.centring import FEWEST, PRIOR, centred
from edgecl.errors import StoreDamagedError
from edgecl.model import Centre, MemoryObjects, Model, load_head

from .learning import DIMENSION, Words, accuracy, settings, taught, teach

OWN = np.where(np.arange(DIMENSION) % 3 == 0, 0.45, 0.0).astype(np.float32)  # what this person adds to every latent


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(6, apart=1.6)


@pytest.fixture(scope="module")
def model(words: Words) -> Model:
    return taught(Model(settings()), words.lesson(60))


def of_the_person(words: Words, count: int, labels: list[str] | None = None) -> NDArray[np.float32]:
    latents = np.concatenate([*words.lesson(count, labels).values()]) + OWN
    return np.random.default_rng(1).permutation(latents)


def asked(words: Words) -> dict[str, NDArray[np.float32]]:
    return {label: rows + OWN for label, rows in words.lesson(200).items()}


def test_a_shift_of_everything_is_found_and_taken_off(words: Words, model: Model) -> None:
    found = centred(model, of_the_person(words, 50))
    assert found.verdict.accepted
    assert found.nearer > 0
    np.testing.assert_allclose(found.centre.shift, OWN * 300 / (300 + PRIOR), atol=0.12)
    after = replace(model, centre=found.centre)
    assert accuracy(after, asked(words)) > accuracy(model, asked(words)) + 0.03


def test_samples_of_one_class_are_refused_and_the_class_is_named(words: Words, model: Model) -> None:
    found = centred(model, words.say(words.labels[2], 60))
    assert not found.verdict.accepted
    assert found.verdict.is_final
    assert f"samples are answered as {words.labels[2]!r}" in found.verdict.reasons[0]


def test_too_few_samples_are_refused(words: Words, model: Model) -> None:
    found = centred(model, of_the_person(words, 50)[: FEWEST - 1])
    assert "19 samples are too few" in found.verdict.reasons[0]


def test_people_like_those_who_taught_are_left_as_they_are(words: Words, model: Model) -> None:
    found = centred(model, np.random.default_rng(1).permutation(np.concatenate([*words.lesson(50).values()])))
    assert not found.verdict.accepted
    assert np.abs(found.centre.shift).max() < 0.25


def test_the_mean_runs_on_where_samples_come_in_parts(words: Words, model: Model) -> None:
    latents = of_the_person(words, 60)
    whole = centred(model, latents).centre
    first = centred(model, latents[:150]).centre
    both = centred(replace(model, centre=first), latents[150:]).centre
    assert both.count == whole.count == 360
    np.testing.assert_allclose(both.shift, whole.shift, atol=1e-6)


def test_what_is_taught_later_is_centred_like_what_is_asked(words: Words, model: Model) -> None:
    centre = centred(model, of_the_person(words, 50)).centre
    shifted = replace(model, centre=centre)
    new = words.say(words.labels[0], 30)[:, ::-1].copy()
    outcome = teach(shifted, {"new": shifted.centred(new + OWN)}, objects=MemoryObjects())
    assert outcome.model is not None
    assert outcome.model.centre is centre
    assert accuracy(outcome.model, {"new": words.say(words.labels[0], 99)[:, ::-1] + OWN}) > 0.9


def test_a_stored_centre_comes_back_and_one_that_does_not_fit_is_damage() -> None:
    centre = Centre(7, OWN)
    back = Centre.from_arrays(centre.arrays(), dimension=DIMENSION)
    assert back.count == 7
    np.testing.assert_array_equal(back.shift, OWN)
    with pytest.raises(StoreDamagedError, match="centre has shape"):
        Centre.from_arrays(centre.arrays(), dimension=3)
    with pytest.raises(StoreDamagedError, match="centre lacks"):
        load_head(settings(), {}, Model(settings()).body(), {"centre": {"shift": OWN}})


def test_a_centre_is_counted_in_the_memory(words: Words, model: Model) -> None:
    shifted = replace(model, centre=Centre(7, OWN))
    assert shifted.bytes()["total"] - model.bytes()["total"] == OWN.nbytes + 8
