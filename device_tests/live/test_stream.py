"""Pieces of sound to hops: what is lost, counted, kept."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgecl.live.events import Summary
from edgecl.live.inputs.chunks import Piece
from edgecl.live.listener import listen, spotter_for
from edgecl.live.options import Listening
from edgecl.live.silence import Recent
from edgecl.live.stream import Stream
from edgecl.operations.open_store import OpenStore

from ..support.commands import RATE, edgecl, noise, write_wav
from ..support.listening import said


def test_digital_silence_and_clipping_are_counted_and_no_event(kitchen: Path, tmp_path: Path) -> None:
    sound = np.concatenate([np.zeros(3 * RATE, np.float32), said("yes"), 20 * noise(2, seed=5)])
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", sound), "--json")
    assert [one["label"] for one in done.lines] == ["yes"]
    assert "digital silence" in done.err
    assert "clipped" in done.err


def test_an_offset_is_told_and_changes_nothing(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes", "stop") * 0.8 + 0.1), "--json")
    assert [one["label"] for one in done.lines] == ["yes", "stop"]
    assert "offset" in done.err


def test_what_was_lost_breaks_the_stream_and_times_go_on_from_there(kitchen: Path) -> None:
    sound = said("yes")[:, None]
    summary = Summary()
    events = list(listen(OpenStore.open(kitchen), [Piece(sound, 0.0), Piece(sound, 60.0)], summary=summary))
    assert [one.label for one in events] == ["yes", "yes"]
    assert events[1].time - events[0].time == pytest.approx(60)
    assert (summary.breaks, summary.events) == (1, 2)
    assert summary.seconds == pytest.approx(2 * len(sound) / RATE)


@pytest.mark.parametrize("length", [100, 1280, 5000])
def test_events_do_not_depend_on_how_the_sound_is_cut(kitchen: Path, length: int) -> None:
    device, sound = OpenStore.open(kitchen), said("yes", pause_s=0.5)[:, None]
    whole = list(listen(device, [Piece(sound, 0.0)]))
    buffer = np.empty((length, 1), np.float32)  # used again, as a recorder's is

    def pieces() -> Iterator[Piece]:
        for start in range(0, len(sound), length):
            piece = sound[start : start + length]
            buffer[: len(piece)] = piece
            yield Piece(buffer[: len(piece)], 0.0 if start == 0 else None)

    assert list(listen(device, pieces())) == whole != []


def test_the_latest_samples_are_found_by_their_numbers(rng: np.random.Generator) -> None:
    recent, signal, added = Recent(1000, 2), rng.random((5000, 2)).astype(np.float32), 0
    while added < 5000:
        count = int(rng.integers(1, 400))
        recent.add(signal[added : added + count])
        added = min(added + count, 5000)
        np.testing.assert_array_equal(
            recent.between(added - 900, added - 100), signal[max(added - 900, 0) : max(added - 100, 0)]
        )


def test_a_stream_goes_with_the_last_that_holds_it(kitchen: Path) -> None:
    opened = OpenStore.open(kitchen)
    spotter = spotter_for(opened.extractor.contract, Listening())
    stream = Stream(opened.extractor, spotter, Summary())
    stream.push(Piece(np.zeros((3 * RATE, 1), np.float32)))
    held = weakref.ref(stream)
    gc.disable()
    try:
        del stream
        assert held() is None
    finally:
        gc.enable()
