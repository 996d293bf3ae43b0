"""A microphone that is not there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.live.events import Summary
from edgecl.live.inputs.chunks import Arrival, Halt, Piece
from edgecl.live.inputs.microphone import MICROPHONE_HOPS, microphone
from edgecl.live.listener import listen
from edgecl.operations.open_store import OpenStore

from ...support.commands import edgecl
from ...support.listening import said


class FakeMicrophone:
    """What is used of sounddevice: gives a sound a block at a time, and says of the middle one that some was lost."""

    PortAudioError = OSError

    def __init__(self, sound: NDArray[np.float32]) -> None:
        self._sound = sound

    def InputStream(  # noqa: N802
        self, *, blocksize: int, callback: Callable[..., None], **asked: object
    ) -> AbstractContextManager[None]:
        assert asked == {"samplerate": 16_000, "channels": 1, "dtype": "float32"}

        def play() -> None:
            for start in range(0, len(self._sound), blocksize):
                is_middle = start <= len(self._sound) // 2 < start + blocksize
                block = self._sound[start : start + blocksize]
                callback(block, len(block), None, SimpleNamespace(input_overflow=is_middle))

        threading.Thread(target=play, daemon=True).start()
        return nullcontext()


def until_heard(pieces: Iterator[Piece], samples: int, halt: Halt) -> Iterator[Piece]:
    """Pieces that ask for an end, like a signal would, once so many samples were given."""
    for piece in pieces:
        yield piece
        samples -= len(piece.signal)
        if samples <= 0:
            halt.ask()


def test_a_microphone_that_loses_samples_breaks_the_stream(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound, halt = np.concatenate([said("yes", pause_s=0.5), said("stop", pause_s=0.5)])[:, None], Halt()
    monkeypatch.setitem(sys.modules, "sounddevice", FakeMicrophone(sound))
    device, summary = OpenStore.open(kitchen), Summary()
    pieces = until_heard(microphone(device.extractor.contract, halt=halt, arrival=Arrival()), len(sound), halt)
    assert len(sound) / device.extractor.contract.hop_samples < MICROPHONE_HOPS  # all of it can wait
    assert [one.label for one in listen(device, pieces, summary=summary)] == ["yes", "stop"]
    assert summary.breaks == 1


def test_a_microphone_without_its_extra_is_told_what_to_install(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = edgecl("listen", kitchen, "--microphone")
    assert done.code == 4
    assert "edgecl[mic]" in done.err
