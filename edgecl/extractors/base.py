"""Frozen feature extractors: the contract that a file carries, and what runs it.

An extractor is one file: an ONNX graph (or a TFLite one, see `edgecl.extractors.tflite`) from a signal (batch, samples,
channels) to frames (batch, n, D), and a contract of its inputs and outputs. In ONNX the contract
is `metadata_props` under `edgecl.*`, one text each: `edgecl.modality`, `edgecl.sample_rate_hz`, and so on through
the fields of `Contract`; tuples and `mean` are JSON lists.

A graph may slide: given `window_samples + n * hop_samples` it returns n + 1 frames. It may also have a second
input `state` (1, rows, S) with a default, and a second output `next_state`: fed back, these let a stream go on
from where it was, with `hop_samples` in and one frame out.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import DataError
from edgecl.extractors.contract import Contract, join_names

Step = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
# Frames of one run at most, whatever the length of the signal: memory is bounded.
_FRAMES_AT_ONCE = 16
_LONG_RUN_S, _LONG_S = 0.001, 1.0  # of a signal, and of all that take as long: more cores than one are worth taking
# Sound is placed by its loudest stretch: speech between silences of unknown length.
_LOUD_S, _LOUD_STEP_S = 0.5, 0.01


class Extractor(Protocol):
    """What the rest of edgecl needs of an extractor.

    Examples
    --------
    >>> class Passing:
    ...     digest = ""
    ...
    ...     def __init__(self, contract):
    ...         self.contract = contract
    ...
    ...     def frames(self, signal):
    ...         return signal
    ...
    ...     def latents(self, signals):
    ...         return np.concatenate([signal.mean(axis=0, keepdims=True) for signal in signals])
    >>> Passing(contract=None).latents([np.ones((4, 2), np.float32)]).shape
    (1, 2)
    """

    contract: Contract
    digest: str
    """Sha256 of the file."""

    def frames(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return frames (n, D) of a signal (samples, channels), neither pooled nor normalised."""

    def latents(self, signals: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return one latent for each signal (samples, channels): (len(signals), D)."""


class FileExtractor(ABC):
    """An extractor read from a file, without the call of its runtime.

    Attributes
    ----------
    contract
    digest
        sha256 of the file.
    """

    contract: Contract
    digest: str
    _slides: bool
    """Whether one run gives all frames of a longer signal."""
    _each: Callable[..., Iterable[NDArray[np.float32]]] = map
    """What runs many signals."""
    _takes_threads = True
    """Whether runs may go side by side."""
    _spent_s = 0.0  # on signals that took long

    @abstractmethod
    def _run(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return frames (batch, n, D) of a batch (batch, samples, channels), and the next state if there is one."""

    def frames(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return every frame that fits into a signal.

        Parameters
        ----------
        signal
            (samples, channels) float32, as in the contract; a signal of one channel may be (samples,).

        Returns
        -------
        NDArray[np.float32]
            (n, D), neither pooled nor normalised; n is 0 below `window_samples`. Frame i has the same bits as
            the only one of `signal[i * hop_samples :][:window_samples]`.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity.
        """
        return self.stream().push(signal)

    def stream(self) -> FrameStream:
        """Start a stream of frames of a signal that arrives in pieces."""
        return FrameStream(self)

    def latents(
        self, signals: Sequence[NDArray[np.float32]], *, frames: list[NDArray[np.float32]] | None = None
    ) -> NDArray[np.float32]:
        """Return one latent for each signal.

        `fit` chooses the stretch of a longer or shorter signal.

        Parameters
        ----------
        signals
            Each (samples, channels) float32, as in the contract.
        frames
            Is extended by the frames (pool_frames, D) that each latent is made of.

        Returns
        -------
        NDArray[np.float32]
            (len(signals), D). A signal has the same bits in any company.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity; other than sound: fewer samples than `clip_samples`.
        """
        started = time.perf_counter()
        found = list(self._each(self._clip_frames, signals))
        self._count(len(signals), time.perf_counter() - started)
        if frames is not None:
            frames.extend(one[0] for one in found)
        return np.concatenate([np.empty((0, self.contract.dimension), np.float32), *map(self.pool, found)])

    def _count(self, signals: int, spent_s: float) -> None:
        """Take all cores from now on if this has become long work; the bits do not depend on it."""
        self._spent_s += spent_s if self._takes_threads and spent_s > _LONG_RUN_S * signals else 0
        if self._spent_s > _LONG_S and self._each is map:
            from edgecl.extractors.side_by_side import on_all_cores

            self._each = on_all_cores

    def one_by_one(self) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Return what computes the latent (1, D) of one signal after the other, as `latents` does, in one thread."""
        return lambda signal: self.latents([signal])

    def hop_latents(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one latent for each hop of a signal (samples, channels): (n, D), n is 0 below a clip.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity.
        """
        frames, pool = self.frames(signal), self.contract.pool_frames
        if len(frames) < pool:
            return np.empty((0, self.contract.dimension), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(frames, pool, axis=0)  # (n, D, pool)
        return self.pool(windows.transpose(0, 2, 1))

    def pool(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return latents: the mean of frames, centred and normalised.

        Parameters
        ----------
        frames
            (n, pool_frames, D).

        Returns
        -------
        NDArray[np.float32]
            (n, D), minus `contract.mean`, normalised as in the contract.
        """
        if len(frames) == 1:
            return self._pooled(frames[0])[None]
        total: NDArray[np.float32] = np.add.reduce(frames, axis=1)  # frame after frame, however many rows there are
        latents = total / np.float32(self.contract.pool_frames) - self.contract.mean
        if self.contract.normalisation == "l2":
            length = np.sqrt(np.square(latents, dtype=np.float64).sum(axis=1, keepdims=True))
            latents /= np.maximum(length, 1e-12).astype(np.float32)
        return latents

    def _pooled(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the latent (D,) of frames (pool_frames, D), with the same bits: a stream has one at a time."""
        latent: NDArray[np.float32] = np.add.reduce(frames, axis=0)
        latent /= np.float32(self.contract.pool_frames)
        latent -= self.contract.mean
        if self.contract.normalisation == "l2":
            squares = latent.astype(np.float64)
            squares *= squares
            latent /= np.float32(max(math.sqrt(np.add.reduce(squares)), 1e-12))
        return latent

    def checked(self, signal: ArrayLike) -> NDArray[np.float32]:
        """Return a signal as (samples, channels) float32.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity.
        """
        if isinstance(signal, np.ndarray) and signal.dtype == np.float32:
            array = signal
        else:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, and is refused as such
                array = np.asarray(signal, np.float32)
        channels = self.contract.channels
        if array.ndim == 1 and len(channels) == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != len(channels):
            raise DataError(
                f"the signal has shape {array.shape}, the extractor takes (samples, {len(channels)}): "
                f"{join_names(channels)}"
            )
        if not is_finite(array):
            raise DataError("the signal holds NaN or infinity: correct or leave out those samples")
        return array

    def _clip_frames(self, signal: ArrayLike) -> NDArray[np.float32]:
        """Return the frames of one signal (1, pool_frames, D), by a run of its own.

        Sixteen windows of movement in one run take 0.09 ms each instead of 0.14, but in a custom graph the
        company might change the bits.
        """
        clip = fit(self.checked(signal), self.contract)
        is_one_run = self._slides or len(clip) == self.contract.window_samples
        return self._run_checked(clip[None])[0] if is_one_run else self.frames(clip)[None]

    def hop_by_hop(self, state: NDArray[np.float32]) -> Step:
        """Return what makes frames (1, D) and the next state of a hop (hop_samples, channels), hop after hop.

        A state that it returns holds until the next but one call. It raises DataError at NaN and infinity, and the
        next call goes on from the state before.
        """

        def step(signal: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            nonlocal state
            frames, after = self._run_checked(self.checked(signal)[None], state)
            assert after is not None
            state = after
            return frames[0], state

        return step

    def _run_checked(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        frames, state = self._run(batch, state)
        return finite(frames), state


class FrameStream:
    """Frames of a signal that arrives in pieces of any length, with the same bits as the whole.

    A graph with a `state` does the work of one hop for each frame; any other runs on its whole window again.
    """

    def __init__(self, extractor: FileExtractor) -> None:
        self._extractor = extractor
        self._contract = extractor.contract
        self._waiting = np.empty((0, len(self._contract.channels)), np.float32)
        self._state: NDArray[np.float32] | None = None
        self._step: Step | None = None  # from that state on
        self._hop_shape = (self._contract.hop_samples, len(self._contract.channels))

    def push(self, signal: ArrayLike) -> NDArray[np.float32]:
        """Return the frames (n, D) that a piece (samples, channels) completes.

        Raises
        ------
        DataError
            Wrong number of channels; NaN or infinity. The stream is as it was.
        """
        if (
            self._state is not None
            and not len(self._waiting)
            and isinstance(signal, np.ndarray)
            and signal.shape == self._hop_shape
            and signal.dtype == np.float32
        ):
            if self._step is None:
                self._step = self._extractor.hop_by_hop(self._state)
            frames, self._state = self._step(signal)  # which checks it
            return frames
        signal = self._extractor.checked(signal)
        self._step = None
        waiting = np.concatenate([self._waiting, signal]) if len(self._waiting) else signal
        most = _FRAMES_AT_ONCE if self._extractor._slides else 1
        pieces = []
        while (count := min(self._ready(waiting), most)) > 0:
            piece, waiting = self._take(waiting, count)
            pieces.append(piece)
        self._waiting = waiting.copy()  # the caller's array may be used again
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate([np.empty((0, self._contract.dimension), np.float32), *pieces])

    def _lead(self) -> int:
        """Return the samples that a frame needs before its hop."""
        return self._contract.window_samples - self._contract.hop_samples if self._state is None else 0

    def _ready(self, waiting: NDArray[np.float32]) -> int:
        return (len(waiting) - self._lead()) // self._contract.hop_samples

    def _take(self, waiting: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return `count` frames (count, D), and the samples that are left."""
        hops = count * self._contract.hop_samples
        seen = self._lead() + hops
        frames, self._state = self._extractor._run_checked(waiting[None, :seen], self._state)
        return frames[0], waiting[hops if self._state is None else seen :]


def finite(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return frames; raises DataError where one is not finite."""
    if not is_finite(frames):
        raise DataError("the extractor answers NaN or infinity: is the signal in the contract's units?")
    return frames


def is_finite(array: NDArray[np.float32]) -> bool:
    """Test whether all values are finite: by the sum of their squares, unless that is too large itself."""
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def fit(signal: NDArray[np.float32], contract: Contract) -> NDArray[np.float32]:
    """Return the stretch of a signal that its latent is made of.

    Of sound, `clip_samples` with the loudest half second in the middle, and zeros beyond its ends, unless it is
    just as long; of others, the last `clip_samples`. On unseen speakers, placing one-second clips by their own
    middle lost 2 points, and 4 at five shots; moving the stretch so as to keep all that was recorded lost 30 to 80
    where a second of silence followed the word. Noise in place of the zeros gained nothing.

    Raises
    ------
    DataError
        Other than sound, and shorter than `clip_samples`.
    """
    wanted = contract.clip_samples
    if not contract.is_sound:
        if len(signal) < wanted:
            raise DataError(f"the signal has {len(signal)} samples, a latent needs {wanted}")
        return signal[len(signal) - wanted :]
    if len(signal) == wanted:  # it was cut for this extractor
        return signal
    start, kept = placed(signal, contract)
    clip = np.zeros((wanted, signal.shape[1]), np.float32)
    clip[max(-start, 0) :][: len(kept)] = kept
    return clip


def placed(signal: NDArray[np.float32], contract: Contract) -> tuple[int, NDArray[np.float32]]:
    """Return the first sample of the stretch of sound that a latent is made of, and what was recorded of it.

    The first one is negative where zeros come before what was recorded.
    """
    wanted = contract.clip_samples
    if len(signal) == wanted:
        return 0, signal
    start = _loudest(signal, contract.sample_rate_hz) - wanted // 2
    return start, signal[max(start, 0) : start + wanted]


def _loudest(signal: NDArray[np.float32], rate_hz: float) -> int:
    """Return the middle of the loudest half second, in samples; any offset of the microphone is subtracted."""
    step, steps = round(_LOUD_STEP_S * rate_hz), round(_LOUD_S / _LOUD_STEP_S)
    if len(signal) <= step * steps:
        return len(signal) // 2
    power = np.square(signal - signal.mean(axis=0), dtype=np.float64).sum(axis=1)
    total = np.concatenate([[0.0], np.cumsum(power)])[::step]
    return int(np.argmax(total[steps:] - total[:-steps])) * step + step * steps // 2
