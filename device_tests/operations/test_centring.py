"""Centring: what a person adds to every latent is taken off; what the person did is not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.demo import movement
from edgecl.errors import StoreDamagedError
from edgecl.learner import Learner
from edgecl.learning.centring import FEWEST, PRIOR, fit_centre
from edgecl.model.loading import load_head
from edgecl.model.model import Centre, MemoryObjects, Model
from edgecl.operations.open_store import OpenStore
from edgecl.sources.reading import read_samples

from ..support.commands import edgecl, tree
from ..support.learning import DIMENSION, Words, accuracy, settings, taught, teach

pytestmark = pytest.mark.native("teaches a store for each wearer")


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(6, apart=0.5)


@pytest.fixture(scope="module")
def own(words: Words) -> NDArray[np.float32]:
    """What this person adds to every latent: it makes one class look like another."""
    means = [words.say(label, 999).mean(axis=0) for label in words.labels[:2]]
    return 0.4 * (means[1] - means[0])


@pytest.fixture(scope="module")
def model(words: Words) -> Model:
    return taught(Model(settings()), words.lesson(60))


def mixed(words: Words, count: int) -> NDArray[np.float32]:
    """`count` latents of each class, in no order."""
    return np.random.default_rng(1).permutation(np.concatenate([*words.lesson(count).values()]))


def test_a_shift_of_everything_is_found_and_taken_off(words: Words, model: Model, own: NDArray[np.float32]) -> None:
    found = fit_centre(model, mixed(words, 50) + own)
    assert found.verdict.accepted
    assert found.nearer > 0
    np.testing.assert_allclose(found.centre.shift, own * 300 / (300 + PRIOR), atol=0.06)
    asked = {label: rows + own for label, rows in words.lesson(200).items()}
    assert accuracy(replace(model, centre=found.centre), asked) > accuracy(model, asked) + 0.03


def test_samples_of_one_class_are_refused_and_the_class_is_named(words: Words, model: Model) -> None:
    found = fit_centre(model, words.say(words.labels[2], 60))
    assert not found.verdict.accepted
    assert found.verdict.is_final
    assert f"samples are answered as {words.labels[2]!r}" in found.verdict.reasons[0]


def test_too_few_samples_are_refused(words: Words, model: Model) -> None:
    found = fit_centre(model, mixed(words, 50)[: FEWEST - 1])
    assert "19 samples are too few" in found.verdict.reasons[0]


def test_people_like_those_who_taught_are_left_as_they_are(words: Words, model: Model) -> None:
    found = fit_centre(model, mixed(words, 50))
    assert not found.verdict.accepted
    assert "no nearer" in found.verdict.reasons[0]


def test_the_mean_runs_on_where_samples_come_in_parts(words: Words, model: Model) -> None:
    latents = mixed(words, 60)
    whole = fit_centre(model, latents).centre
    first = fit_centre(model, latents[:150]).centre
    both = fit_centre(replace(model, centre=first), latents[150:]).centre
    assert both.count == whole.count == 360
    np.testing.assert_allclose(both.shift, whole.shift, atol=1e-6)


def test_a_lesson_keeps_the_centre(words: Words, model: Model, own: NDArray[np.float32]) -> None:
    shifted = replace(model, centre=fit_centre(model, mixed(words, 50) + own).centre)
    outcome = teach(shifted, {"new": -2 * words.say(words.labels[0], 30)}, objects=MemoryObjects())
    assert outcome.model is not None
    assert outcome.model.centre is shifted.centre


def test_a_stored_centre_comes_back_and_one_that_does_not_fit_is_damage() -> None:
    shift = np.arange(DIMENSION, dtype=np.float32)
    centre = Centre(7, shift)
    back = Centre.from_arrays(centre.arrays(), dimension=DIMENSION)
    assert back.count == 7
    np.testing.assert_array_equal(back.shift, shift)
    with pytest.raises(ValueError, match="centre has shape"):
        Centre.from_arrays(centre.arrays(), dimension=3)
    with pytest.raises(StoreDamagedError, match="centre lacks"):
        load_head(settings(), {}, Model(settings()).body(), {"centre": {"shift": shift}})


def test_a_centre_is_counted_in_the_memory(words: Words, model: Model) -> None:
    shifted = replace(model, centre=Centre(7, np.zeros(DIMENSION, np.float32)))
    assert shifted.bytes()["total"] - model.bytes()["total"] == 4 * DIMENSION + 8


# The command


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that many bodies taught, windows of one who wears the sensor turned round, and of one exercise alone."""
    folder = tmp_path_factory.mktemp("bodies")
    names = tuple(movement.EXERCISES)[:4]
    taught = movement.windows(names, movement.TEACHING_SUBJECTS[:6], seconds=8)
    worn = movement.windows(names, movement.TESTING_SUBJECTS[:1], seconds=24)
    for name, samples in {"teach": taught, "worn": worn, "one": [one for one in worn if one.label == names[0]]}.items():
        signals = np.stack([one.signal for one in samples])
        labels = {"y": [one.label for one in samples]} if name == "teach" else {}
        np.savez(folder / f"{name}.npz", X=signals, rate_hz=movement.RATE_HZ, channels=movement.CHANNELS, **labels)
    assert edgecl("init", folder / "wrist", "--extractor", "imu").code == 0
    assert edgecl("learn", folder / "wrist", folder / "teach.npz", "--force").code == 0
    return folder


@pytest.fixture
def wrist(bodies: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bodies / "wrist", tmp_path / "wrist"))


def test_centring_is_a_revision_that_can_be_switched_off(bodies: Path, wrist: Path) -> None:
    before = edgecl("predict", wrist, bodies / "worn.npz", "--json").out
    done = edgecl("centre", wrist, bodies / "worn.npz", "--force", "--json")
    assert done.code == 0
    assert done.value["revision"] == 3
    assert done.value["samples_in_all"] == edgecl("status", wrist, "--json").value["centred_on"] > 0
    assert edgecl("predict", wrist, bodies / "worn.npz", "--json").out != before
    assert "centred" in edgecl("history", wrist).out
    assert edgecl("centre", wrist, "--off").code == 0
    assert edgecl("predict", wrist, bodies / "worn.npz", "--json").out == before
    assert "is not centred" in edgecl("centre", wrist, "--off").err
    assert "no longer centred" in edgecl("history", wrist).out


def test_one_exercise_alone_is_refused_and_noted(bodies: Path, wrist: Path) -> None:
    done = edgecl("centre", wrist, bodies / "one.npz")
    assert done.code == 3
    assert "REJECTED, revision 2 stays live" in done.out
    assert "REJECTED" in edgecl("history", wrist).out
    assert edgecl("status", wrist, "--json").value["centred_on"] == 0


def test_a_dry_run_writes_nothing(bodies: Path, wrist: Path) -> None:
    before = tree(wrist)
    assert "DRY RUN" in edgecl("centre", wrist, bodies / "worn.npz", "--dry-run", "--force").out
    assert tree(wrist) == before


def test_a_lesson_after_centring_is_centred_too(bodies: Path, wrist: Path) -> None:
    assert edgecl("centre", wrist, bodies / "worn.npz", "--force").code == 0
    learner = Learner.open(wrist)
    samples = [replace(one, label="worn") for one in read_samples(bodies / "one.npz", learner.contract, labelled=False)]
    learner.learn(samples, force=True)
    raw = learner.extractor.latents([one.signal for one in samples]).mean(axis=0)
    opened = OpenStore(learner.store)
    centre, taught = opened.head().centre, opened.model()[1].statistics["worn"].mean
    assert centre is not None
    np.testing.assert_allclose(taught, raw - centre.shift, atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "give samples to centre on, or --off"),
        (("missing.npz",), 4, "missing.npz"),
        (("missing.npz", "--off"), 2, "--off takes neither"),
    ],
)
def test_what_cannot_be_done_is_said(wrist: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = edgecl("centre", wrist, *arguments)
    assert done.code == code
    assert said in done.err


def test_words_are_not_centred_and_an_empty_store_neither(bodies: Path, tmp_path: Path) -> None:
    for extractor, said in (("voice", "detects words"), ("imu", "has learnt nothing yet")):
        assert edgecl("init", tmp_path / extractor, "--extractor", extractor).code == 0
        done = edgecl("centre", tmp_path / extractor, bodies / "worn.npz")
        assert done.code == 2
        assert said in done.err
