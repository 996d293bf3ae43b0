"""Movement: rest between exercises, and the times of events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import ContractError
from edgecl.extractors.opening import builtin_extractor
from edgecl.learner import Learner
from edgecl.live.events import Event, Summary
from edgecl.live.inputs.chunks import Piece
from edgecl.live.listener import listen

from ..support.commands import edgecl

pytestmark = pytest.mark.native("follows minutes of movement")

RATE = 50


def exercise(seconds: float, *, hz: float, axis: int, seed: int = 0) -> NDArray[np.float32]:
    """A wrist that swings along one axis."""
    draw, t = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    signal = still(seconds, seed=seed + 1)
    signal[:, axis] += 6 * np.sin(2 * np.pi * hz * t + draw.uniform(0, 6))
    signal[:, 3 + axis] += 2 * np.cos(2 * np.pi * hz * t)
    return signal + draw.normal(0, 0.3, signal.shape).astype(np.float32)


def still(seconds: float, *, seed: int = 0) -> NDArray[np.float32]:
    """A device on a table, or nearly."""
    signal = np.random.default_rng(seed).normal(0, 0.02, (round(seconds * RATE), 6)).astype(np.float32)
    signal[:, 2] += 9.81
    return signal


def windows(signal: NDArray[np.float32], learner: Learner) -> list[NDArray[np.float32]]:
    length = learner.contract.clip_samples
    return [signal[start : start + length] for start in range(0, len(signal) - length + 1, length // 2)]


@pytest.fixture
def wrist(tmp_path: Path) -> Learner:
    try:
        learner = Learner.create(tmp_path / "wrist", extractor=builtin_extractor("imu"))
    except ContractError as error:
        pytest.skip(str(error))
    learner.learn(
        {
            "curl": windows(exercise(40, hz=0.8, axis=0), learner),
            "press": windows(exercise(40, hz=1.7, axis=1, seed=5), learner),
        }
    )
    return learner


def heard(learner: Learner, signal: NDArray[np.float32], summary: Summary | None = None) -> list[Event]:
    return list(listen(learner.opened, [Piece(signal, 0.0)], summary=summary))


def test_a_still_device_ends_an_exercise_and_is_none(wrist: Learner) -> None:
    signal = np.concatenate([still(20), exercise(20, hz=0.8, axis=0, seed=9), still(40, seed=3)])
    summary = Summary()
    (event,) = heard(wrist, signal, summary)
    assert event.label == "curl"
    assert event.span[0] == pytest.approx(20, abs=2.1)
    assert event.span[1] == pytest.approx(40, abs=2.1)
    assert summary.idle_s > 40


def test_rest_that_was_taught_is_answered(wrist: Learner) -> None:
    wrist.learn({"table": windows(still(60, seed=8), wrist)})
    signal = np.concatenate([exercise(20, hz=0.8, axis=0, seed=9), still(40, seed=3)])
    assert [one.label for one in heard(wrist, signal)] == ["curl", "table"]


def test_movement_that_is_background_makes_no_events(wrist: Learner, tmp_path: Path) -> None:
    shaking = exercise(60, hz=4, axis=2, seed=20)
    names = list(wrist.contract.channels)
    rows = [",".join(["timestamp", *names])]
    rows += [",".join([f"{index / RATE:.3f}", *(f"{one:.4f}" for one in row)]) for index, row in enumerate(shaking)]
    recording = tmp_path / "shaking.csv"
    recording.write_text("\n".join(rows))
    done = edgecl("learn", wrist.path, recording, "--background", "--json")
    assert done.code == 0, done.err
    told: dict[str, Any] = json.loads(done.out)
    assert told["new_classes"] == ["_background_"]
    learner = Learner.open(wrist.path)
    assert heard(learner, exercise(20, hz=4, axis=2, seed=33)) == []
    assert [one.label for one in heard(learner, exercise(20, hz=1.7, axis=1, seed=33))] == ["press"]


def test_a_store_of_one_exercise_does_not_take_all_movement_for_it(tmp_path: Path) -> None:
    try:
        learner = Learner.create(tmp_path / "one", extractor=builtin_extractor("imu"))
    except ContractError as error:
        pytest.skip(str(error))
    learner.learn({"curl": windows(exercise(60, hz=0.8, axis=0), learner)})
    assert [one.label for one in heard(learner, exercise(20, hz=0.8, axis=0, seed=9))] == ["curl"]
    assert heard(learner, exercise(20, hz=4, axis=2, seed=9)) == []


def test_times_have_two_decimals_and_no_sign_at_zero() -> None:
    told = Event(8.56449, "yes", 1.0, 0.0, (-0.0004, 9.123)).as_dict()
    assert json.dumps([told["time"], told["span"]]) == "[8.56, [0.0, 9.12]]"
