"""Listening to a camera: events, unknown things, dark frames and surprises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecl import Learner
from edgecl.cli.commands.listen import print_summary
from edgecl.live.events import Summary
from edgecl.live.fanout import Fanout
from edgecl.live.inputs.chunks import Arrival
from edgecl.live.novelty import Noticer

from ..support.commands import edgecl
from ..support.pictures import SIZE, colours_extractor, encoded

RED, BLUE, GREEN = (200, 30, 30), (30, 40, 200), (20, 180, 60)


def door(colour: tuple[int, int, int], seed: int) -> np.ndarray:
    """Return a picture (32, 32, 3) of a coloured door in a grey wall."""
    rng = np.random.default_rng(seed)
    picture = np.full((SIZE, SIZE, 3), 120 + rng.integers(-20, 20), float)
    left = rng.integers(6, 12)
    picture[6:, left : left + 14] = np.array(colour) + rng.integers(-15, 15, 3)
    return (picture + rng.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Learner:
    folder = tmp_path_factory.mktemp("doors")
    made = Learner.create(folder / "store", extractor=colours_extractor(folder / "colours.onnx"))
    lesson = {name: [door(colour, seed) for seed in range(20)] for name, colour in (("red", RED), ("blue", BLUE))}
    assert made.learn(lesson).is_accepted
    return made


def frames(*runs: tuple[tuple[int, int, int] | None, int]) -> list[np.ndarray]:
    """Return frames of doors; None is darkness."""
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    return [
        black if colour is None else door(colour, 100 * index + step)
        for index, (colour, count) in enumerate(runs)
        for step in range(count)
    ]


def test_arrays_of_height_and_width_are_answered(learner: Learner) -> None:
    [one] = learner.predict(door(BLUE, 50))
    assert one.label == "blue"
    assert [each.label for each in learner.predict(np.stack([door(BLUE, 51), door(RED, 52)]))] == ["blue", "red"]


def test_each_thing_that_stays_is_one_event(learner: Learner) -> None:
    summary = Summary()
    events = list(learner.listen(frames((RED, 12), (None, 14), (BLUE, 12)), summary=summary))
    assert [one.label for one in events] == ["red", "blue"]
    assert (summary.frames, summary.dark_frames) == (38, 14)
    assert all(one.revision == 2 and one.id for one in events)


def test_one_stray_frame_is_no_event(learner: Learner) -> None:
    assert not list(learner.listen(frames((None, 3), (RED, 1), (None, 6))))


def test_what_was_never_taught_goes_to_the_inbox_as_a_picture(learner: Learner) -> None:
    inbox = learner.inbox()
    noticer = Noticer(inbox, learner.extractor)
    events = list(learner.listen(frames((RED, 6), (GREEN, 14)), noticer=noticer))
    assert [one.label for one in events] == ["red"]
    [surprise] = inbox.items("surprise")
    assert surprise.file.endswith(".png")
    kept = inbox.signal(surprise).reshape(SIZE, SIZE, 3)
    assert kept[20, 14, 1] > kept[20, 14, 0] + 50
    assert surprise.seconds == 0


def test_the_command_line_follows_a_camera_and_refuses_what_does_not_fit(learner: Learner, tmp_path: Path) -> None:
    store = learner.store.path
    for arguments, message in (
        ((store,), "give --camera"),
        ((store, "--camera", "-", "--microphone"), "--camera is the input"),
        ((store, "--frame", "64x64"), "add --camera -"),
        ((store, "--camera", tmp_path, "--refractory", "3"), "no fixed rate"),
        ((store, "--camera", tmp_path / "none"), "give a folder"),
    ):
        done = edgecl("listen", *arguments)
        assert done.code != 0
        assert message in done.err


def test_places_that_gave_a_class_are_not_called_people(learner: Learner, tmp_path: Path) -> None:
    for seed in range(12):
        photo = tmp_path / "green" / ("yard", "hall")[seed % 2] / f"{seed}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(encoded(door(GREEN, seed)))
    done = edgecl("learn", learner.store.path, tmp_path, "--distinct", "--dry-run")
    assert (done.code, "12 of 2 groups" in done.out) == (0, True), done.out


def test_a_camera_without_frames_is_not_said_to_be_heard(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(Summary(seconds=3.0), Arrival(), Fanout(), is_camera=True)
    assert capsys.readouterr().err.startswith("saw 0 frames in 3.0 s, 0 events;")
