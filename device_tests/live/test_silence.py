"""Silence is withheld from the extractor, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.extractors.onnx import OnnxExtractor
from edgecl.live.events import Event, Look, Summary
from edgecl.live.inputs.chunks import Piece
from edgecl.live.listener import listen
from edgecl.live.options import Listening
from edgecl.live.silence import WithheldFrames
from edgecl.operations.open_store import OpenStore
from edgecl.sources.samples import SILENCE

from ..support.commands import noise
from ..support.listening import said

HOP = 1280
pytestmark = pytest.mark.native("hops of a minute of sound, which the host's tests compare")


def quiet(seconds: float) -> NDArray[np.float32]:
    """The noise of a good microphone, -75 dBFS."""
    return (10 ** (-75 / 20) * noise(seconds, seed=4)).astype(np.float32)


@pytest.fixture(scope="module")
def evening() -> NDArray[np.float32]:
    """Words, silences between them, and one that ends in the middle of a hop; (samples, 1)."""
    parts = [quiet(3), said("yes", pause_s=0.3), quiet(2.5), said("stop", pause_s=0.0), quiet(4.01), said("yes")]
    return np.concatenate(parts)[:, None]


def heard(device: OpenStore, sound: NDArray[np.float32], *, silence: float) -> tuple[list[Event], list[Look]]:
    """The events and looks of a stream of which clips below a level are withheld."""
    looks: list[Look] = []
    pieces = (Piece(sound[at : at + HOP]) for at in range(0, len(sound), HOP))
    with mock.patch("edgecl.live.silence.SILENCE", silence):
        events = list(listen(device, pieces, how=Listening(look=looks.append)))
    return events, looks


def test_all_but_silent_hops_are_answered_as_if_nothing_were_withheld(
    kitchen: Path, evening: NDArray[np.float32]
) -> None:
    device = OpenStore.open(kitchen)
    (events, whole), (same, withheld) = (heard(device, evening, silence=one) for one in (0.0, SILENCE))
    assert events == same != []
    differ = [new for old, new in zip(whole, withheld, strict=True) if old != new]
    assert 20 < len(differ) < len(whole) / 2
    assert {one.reason for one in differ} == {"silence: nothing is above -60 dBFS"}


def test_the_extractor_does_not_run_in_silence(kitchen: Path) -> None:
    device, runs = OpenStore.open(kitchen), 0
    run = OnnxExtractor._run

    def counted(self: OnnxExtractor, *arguments: NDArray[np.float32]) -> object:
        nonlocal runs
        runs += 1
        return run(self, *arguments)

    summary = Summary()
    with mock.patch.object(OnnxExtractor, "_run", counted):
        list(listen(device, [Piece(quiet(60)[:, None])], summary=summary))
    assert runs < 20
    assert summary.quiet_s > 55


@pytest.mark.parametrize("length", [100, 1700, 40_000])
def test_what_is_withheld_does_not_depend_on_how_the_sound_is_cut(
    kitchen: Path, evening: NDArray[np.float32], length: int
) -> None:
    device, summaries, found = OpenStore.open(kitchen), [], []
    for cut in (HOP, length):
        summary = Summary()
        pieces: Iterator[Piece] = (Piece(evening[at : at + cut]) for at in range(0, len(evening), cut))
        found.append(list(listen(device, pieces, summary=summary)))
        summaries.append(round(summary.quiet_s, 6))
    assert found[0] == found[1] != []
    assert summaries[0] == summaries[1] > 3


def test_frames_after_silence_have_the_bits_of_the_whole(kitchen: Path, evening: NDArray[np.float32]) -> None:
    extractor = OpenStore.open(kitchen).extractor
    whole, frames = extractor.frames(evening), WithheldFrames(extractor)
    at = seen = 0
    while at < len(evening):
        piece = evening[at : at + frames.room]
        at += len(piece)
        before = frames.completed
        missed, made = frames.push(piece)
        assert np.array_equal(missed, whole[before - len(missed) : before])
        assert np.array_equal(made, whole[before : before + len(made)])
        seen += len(missed) + len(made)
    assert frames.completed == len(whole)
    assert len(whole) / 2 < seen < len(whole)


def test_a_number_that_is_none_is_refused_in_silence_too(kitchen: Path) -> None:
    frames = WithheldFrames(OpenStore.open(kitchen).extractor)
    for _ in range(40):
        frames.push(np.zeros((frames.room, 1), np.float32))
    assert frames.is_silent
    with pytest.raises(DataError, match="NaN"):
        frames.push(np.full((frames.room, 1), np.nan, np.float32))
