"""Takes that are one recording: at another level, shifted, with noise that nobody hears, or cuts that overlap.

Two cuts of one recording correlate at some lag, sample by sample; two takes of one word or exercise do not, however
much they are alike. The share of good takes that come near is in tools/results/twins_table.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

    Signal = NDArray[np.float32]

SAME_SOUND, SAME_MOVEMENT = 0.95, 0.985  # correlation from which two signals are one recording
SHARED_TIME = 0.4  # share of the shorter one that is in the stretch that both have, at least, ...
SHARED_SOUND, SHARED_MOVEMENT = 0.4, 0.1  # ... and share of the energy of each
COARSE_HZ = 4000  # rate at which the lag is looked for, ...
COARSE = 0.5  # ... and correlation there from which it is looked at closer
ALIKE = 0.7  # cosine of latents below which two signals are not compared
NEIGHBOURS = 3  # nearest by latents that each signal is compared with
MOST_ROWS = 512  # of a label that are compared: bounds the workspace
ROWS_AT_ONCE = 64
PICTURE_PARTS = 16  # of a picture on each side, ...
SAME_PART = 8  # ... the mean of none of which differs by more, of 255: so much does a JPEG of quality 95
SIDES_HELD = 16  # signals at the lower rate, a quarter of a megabyte each


def takes(
    signal_of: Callable[[int], Signal | None],
    latents: Iterable[NDArray[np.float32]],
    contract: Contract,
    *,
    known: Sequence[int] | None = None,
    most_pairs: int = MOST_ROWS,
) -> NDArray[np.intp]:
    """Return for each signal of a label the index of the first that is the same recording, (n,); itself if none is.

    Parameters
    ----------
    signal_of
        Returns the signal (samples, channels) of an index; None where it is not known.
    latents
        Of the signals in order, blocks (<= b, D); at most MOST_ROWS of them are looked at.
    contract
        Of the extractor: sound or movement.
    known
        Of each signal, the index of the first that is known to be of the same recording, (n,).
    most_pairs
        Pairs that are compared, the nearest first.
    """
    rows = np.concatenate(list(latents))[:MOST_ROWS]
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    first = np.arange(len(rows)) if known is None else np.array(known, np.intp)
    sides: dict[int, _Side] = {}  # each is in several pairs, near each other in their order
    for index, other in _nearest_pairs(rows)[:most_pairs]:
        if first[index] == first[other]:
            continue
        one, two = signal_of(index), signal_of(other)
        if one is None or two is None:
            continue
        if contract.is_sound:
            for row, signal in ((index, one), (other, two)):
                if row not in sides:
                    if len(sides) >= SIDES_HELD:
                        del sides[next(iter(sides))]
                    sides[row] = _coarse(signal, contract)
        if is_same(one, two, contract, coarse=(sides.get(index), sides.get(other))):
            low, high = sorted((first[index], first[other]))
            first[first == high] = low
    return first


def copies(
    signal_of: Callable[[int], Signal | None],
    latents: NDArray[np.float32],
    labels: NDArray[np.intp],
    contract: Contract,
    *,
    most_pairs: int = MOST_ROWS,
) -> list[tuple[int, int]]:
    """Return the pairs of signals of different labels that are the same recording, nearest first.

    Parameters
    ----------
    signal_of
        As of `takes`.
    latents
        Of the signals, (n, D).
    labels
        Number of the label of each signal, (n,).
    contract
        Of the extractor.
    most_pairs
        Pairs that are compared, the nearest first.
    """
    rows = latents / np.maximum(np.linalg.norm(latents, axis=1, keepdims=True), 1e-12)
    found = []
    for index, other in _nearest_pairs(rows, labels)[:most_pairs]:
        one, two = signal_of(index), signal_of(other)
        if one is not None and two is not None and is_same(one, two, contract):
            found.append((index, other))
    return found


def _nearest_pairs(rows: NDArray[np.float32], labels: NDArray[np.intp] | None = None) -> list[tuple[int, int]]:
    """Return the pairs of rows (n, D) of length 1 of which one is among the nearest of the other, nearest first.

    With `labels` (n,) both are of different ones.
    """
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(rows), ROWS_AT_ONCE):
        cosines = rows[start : start + ROWS_AT_ONCE] @ rows.T
        for index, row in enumerate(cosines, start):
            row[index if labels is None else labels == labels[index]] = -1
            for other in np.argsort(-row, kind="stable")[:NEIGHBOURS].tolist():
                if row[other] >= ALIKE:
                    found[min(index, other), max(index, other)] = float(row[other])
    return sorted(found, key=lambda pair: (-found[pair], pair))


def is_same(
    first: Signal, second: Signal, contract: Contract, *, coarse: tuple[_Side | None, _Side | None] = (None, None)
) -> bool:
    """Test whether two signals (samples, channels) are cut from one recording; `coarse` as of `likeness`.

    Pictures are the same where no part of them differs, texts where they differ in case and punctuation alone.
    """
    if contract.is_picture:
        return _is_same_picture(first, second, contract.picture_size)
    if contract.modality == "text":
        return words(first) == words(second)
    wanted = SAME_SOUND if contract.is_sound else SAME_MOVEMENT
    return likeness(first, second, contract, coarse=coarse) >= wanted


def likeness(
    first: Signal, second: Signal, contract: Contract, *, coarse: tuple[_Side | None, _Side | None] = (None, None)
) -> float:
    """Return the largest correlation of two signals over all lags at which they share enough, -1 to 1.

    That of sound is looked for at a lower rate, and is what it is there where it is too low to be of interest: `coarse`
    are the two at that rate, where they are known.
    """
    if not contract.is_sound:
        one, two = _comparable(first, second, contract)
        return float(_correlations(_Side(one), _Side(two), SHARED_MOVEMENT)[1].max())
    low = [side or _coarse(signal, contract) for side, signal in zip(coarse, (first, second), strict=True)]
    lags, found = _correlations(low[0], low[1], SHARED_SOUND)
    best, step = int(found.argmax()), _step(contract)
    if step == 1 or found[best] < COARSE:
        return float(found[best])
    pair = _comparable(first, second, contract)
    middle = int(lags[best]) * step
    return max(_at_lag(*pair, lag) for lag in range(middle - step, middle + step + 1))


def _is_same_picture(first: Signal, second: Signal, size: int) -> bool:
    """Test whether no part of two pictures (pixels, 3) differs, but for what compression and the sensor's noise do."""
    side = max(size // PICTURE_PARTS, 1)
    whole = size // side * side
    between = (first.astype(np.float64) - second).reshape(size, size, 3)[:whole, :whole]
    parts = between.reshape(whole // side, side, whole // side, side, 3).mean(axis=(1, 3))
    return bool(np.abs(parts).max() <= SAME_PART)


def words(signal: Signal) -> tuple[str, ...]:
    """Return the words of a text, the bytes of its UTF-8 (n, 1), in lower case; of one without words, itself."""
    text = unicodedata.normalize("NFKC", signal[:, 0].astype(np.uint8).tobytes().decode("utf-8", "replace")).casefold()
    return tuple(re.findall(r"\w+", text)) or (text,)


class _Side:
    """A signal (n, channels), and what its correlation with any other is made of."""

    def __init__(self, signal: NDArray[np.float64]) -> None:
        self.signal = signal
        self._total = np.concatenate([np.zeros((1, signal.shape[1])), np.cumsum(signal, axis=0)])
        self._energy = np.concatenate([[0.0], np.cumsum(np.square(signal).sum(axis=1))])
        self._spectrum: tuple[int, NDArray[np.complex128]] | None = None

    def __len__(self) -> int:
        return len(self.signal)

    def spectrum(self, size: int) -> NDArray[np.complex128]:
        """Return the spectrum (k, channels) of the signal between zeros."""
        if self._spectrum is None or self._spectrum[0] != size:
            self._spectrum = size, np.fft.rfft(self.signal, size, axis=0)
        return self._spectrum[1]

    def sums(self, begin: NDArray[np.intp], end: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sums (k, channels) and energies (k,) of stretches."""
        return self._total[end] - self._total[begin], self._energy[end] - self._energy[begin]


def _step(contract: Contract) -> int:
    return max(round(contract.sample_rate_hz / COARSE_HZ), 1)


def _coarse(signal: Signal, contract: Contract) -> _Side:
    """Sound at the lower rate, as it is learnt and of one level."""
    from edgecl.extractors.base import placed

    sound = placed(signal, contract)[1].astype(np.float64)
    sound -= sound.mean(axis=0)
    level = float(np.sqrt(np.square(sound).mean()))
    return _Side(_thinned(sound / level if level > 0 else sound, _step(contract)))


def _comparable(first: Signal, second: Signal, contract: Contract) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two signals (n, channels) without offset; sound as it is learnt, movement with channels of one scale."""
    if contract.is_sound:
        from edgecl.extractors.base import placed

        first, second = placed(first, contract)[1], placed(second, contract)[1]
    one, two = (signal.astype(np.float64) - signal.mean(axis=0) for signal in (first, second))
    scale = np.sqrt((np.square(one).mean(axis=0) + np.square(two).mean(axis=0)) / 2)
    scale = np.where(scale > 0, scale, 1)
    return one / scale, two / scale


def _thinned(signal: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """The means of `step` samples each."""
    count = len(signal) // step
    return signal[: count * step].reshape(count, step, -1).mean(axis=1) if count else signal


def _correlations(first: _Side, second: _Side, least: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Lags and the correlation (k,) at each of the stretch that two signals share; -1 where that is too little.

    At lag k the sample i + k of the first is at the sample i of the second. Offsets are those of the stretch.
    """
    shortest = max(int(SHARED_TIME * min(len(first), len(second))), 2)
    lags = np.arange(shortest - len(second), len(first) - shortest + 1)
    size = 1 << (len(first) + len(second) - 1).bit_length()
    spectrum = first.spectrum(size) * second.spectrum(size).conj()
    products = np.fft.irfft(spectrum.sum(axis=1), size)[lags % size]
    begin, end = np.maximum(lags, 0), np.minimum(len(first), len(second) + lags)
    count = end - begin
    (sum_a, energy_a), (sum_b, energy_b) = first.sums(begin, end), second.sums(begin - lags, end - lags)
    products = products - (sum_a * sum_b).sum(axis=1) / count
    shared = [one - np.square(sums).sum(axis=1) / count for one, sums in ((energy_a, sum_a), (energy_b, sum_b))]
    whole = [float(np.square(one.signal).sum()) for one in (first, second)]
    enough = (shared[0] >= least * whole[0]) & (shared[1] >= least * whole[1]) & (shared[0] * shared[1] > 0)
    return lags, np.where(enough, products / np.sqrt(np.where(enough, shared[0] * shared[1], 1)), -1.0)


def _at_lag(first: NDArray[np.float64], second: NDArray[np.float64], lag: int) -> float:
    """The correlation of what two signals share at one lag."""
    begin, end = max(lag, 0), min(len(first), len(second) + lag)
    one, two = first[begin:end], second[begin - lag : end - lag]
    energy = float(np.square(one).sum()) * float(np.square(two).sum())
    return float((one * two).sum()) / np.sqrt(energy) if energy > 0 else -1.0
