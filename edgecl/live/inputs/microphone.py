"""A microphone as a stream of pieces."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.live.inputs.chunks import POLL_S, Arrival, Halt, Piece

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


MICROPHONE_HOPS = 64  # that wait while a hop takes long, before samples are lost


def microphone(contract: Contract, *, halt: Halt, arrival: Arrival) -> Iterator[Piece]:
    """The default microphone; samples that the system lost break the stream.

    Raises
    ------
    DataError
        The extra [mic] is missing, or there is no microphone that can be used.
    """
    sounddevice = _sounddevice()
    waiting: queue.Queue[tuple[NDArray[np.float32], bool]] = queue.Queue(MICROPHONE_HOPS)
    lost = [True]  # so that the first piece begins

    def take(block: NDArray[np.float32], _frames: int, _time: object, status: Any) -> None:
        is_torn = lost[0] or bool(status.input_overflow)
        try:
            waiting.put_nowait((block.copy(), is_torn))
            lost[0] = False
        except queue.Full:
            lost[0] = True

    taken = 0
    try:
        with sounddevice.InputStream(
            samplerate=contract.sample_rate_hz,
            channels=1,
            dtype="float32",
            blocksize=contract.hop_samples,
            callback=take,
        ):
            while not halt.is_asked:
                try:
                    block, is_torn = waiting.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                yield Piece(block, taken / contract.sample_rate_hz if is_torn else None)
                taken += len(block)
    except sounddevice.PortAudioError as error:
        raise DataError(f"the microphone cannot be used: {error}: `arecord -l` lists what there is") from error


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise DataError("a microphone needs the package sounddevice: pip install 'edgecl[mic]'") from error
    except OSError as error:  # the library below it
        raise DataError(f"a microphone needs PortAudio ({error}): apt install libportaudio2") from error
    return sounddevice
