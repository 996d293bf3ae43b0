"""Whether there is something to hear in sound, in the stretch that is learnt as the extractor gets it, unclipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.metrics import median, quantile
from edgecl.notes import Logger
from edgecl.sources.labels import BACKGROUND
from edgecl.sources.samples import SILENCE, Sample, Skip, UnusableError

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
FEWEST_WORDS, MOST_WORDS = 4000, 64_000  # samples of 16 bits that are judged
NOISE = (1.0, 2.6)  # roughness of what may be bytes in another order; sound is below, a tone near half the rate above
SMOOTHER = 0.25  # of that roughness: what sound has less of; loud tones of any height, hiss and clipped ones more
FRAME_S = 0.01
# A click or bump: so much of the power, above the floor, within so short a time: so do 4 of 5652 spoken words.
TRANSIENT_SHARE, TRANSIENT_S = 0.95, 0.05
# Hum: so much of the power in the harmonics of the mains, half of it in the first three, at a level that stays.
HUM_BASE = 3.5  # times the mains, that half of hum is below: a beep of 300 Hz is none
HUM_SHARE, MAINS_HZ, HUM_UP_TO_HZ, HUM_WIDTH_HZ = 0.95, (50, 60), 1000, 3.0
# Noise that does not rise and is this weak is a microphone that is off or not plugged in; 6 dB is what speech has.
DEAD_LEVEL, RISE = 3e-3, 4.0
# Against the median of its own lesson, in power: 50 dB. Only what does not rise is judged by it.
FAR_BELOW = 1e-5
COMPARED = 8  # samples from which on a level is compared with those before
EDGE_S, EDGE_SHARE = 0.02, 0.25  # of the loudest: a clip that begins or ends so loud may be cut off
# Sound beside what is learnt: so long in all, at most 10 dB weaker
MORE_S, MORE_SHARE = 0.2, 0.1
CLIPPED_SHARE = 0.01
FLAT_SHARE = 0.02  # below full scale: of 5,679 good clips none has 0.7 %
FEW_STEPS = 64  # of the file's bits: a weaker signal has flat peaks whatever made it
ONE_SIDED = 0.25  # of the range: an extreme that is nearer to the median is no peak
_RUN = 3
CUT_SHARE = 0.2  # of the clips, from which on it is worth a word: 4 to 11 % of good ones begin or end so


class Hearing:
    """Judges the samples of one lesson, one after the other."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._levels: list[float] = []
        self.heard = self.cut = 0
        self.longer: list[str] = []
        """Sources of clips with more sound than what is learnt of them."""

    def warn(self) -> None:
        """Warn of what many clips have, and no single one shows."""
        if self.cut > CUT_SHARE * self.heard:
            logger.warning(
                "%d of %d clips begin or end in the middle of sound: is the word cut off there?", self.cut, self.heard
            )
        if len(self.longer) > CUT_SHARE * self.heard:
            logger.warning(
                "%d of %d clips have more sound than the %.1f s around the loudest that are used, such as %s: cut "
                "several words or takes into clips of one each",
                len(self.longer), self.heard, self._contract.clip_samples / self._contract.sample_rate_hz,
                self.longer[0],
            )  # fmt: skip

    def _note(self, sample: Sample, start: int, placed: NDArray[np.float32], power: NDArray[np.float64]) -> None:
        self._levels.append(quantile(power, 0.95))
        self.heard += 1
        if len(placed) != len(sample.signal):
            rate_hz = self._contract.sample_rate_hz
            power = frame_power(sample.signal[:, 0], rate_hz)
            first = round(max(start, 0) / rate_hz / FRAME_S)
            if has_more(power, first, first + round(len(placed) / rate_hz / FRAME_S)):
                self.longer.append(sample.source)
        self.cut += is_cut(power)

    def fault(self, sample: Sample) -> str | None:
        """Return why nobody could learn from a sample, or None; of background only what is no sound at all."""
        try:
            start, placed = self._placed(sample)
            check_moving(placed)
            if sample.label not in BACKGROUND:
                usual = median(self._levels) if len(self._levels) >= COMPARED else 0.0
                power = check_heard(placed, self._contract.sample_rate_hz, usual=usual)
                self._note(sample, start, placed, power)
        except UnusableError as error:
            return str(error)
        return None

    def _placed(self, sample: Sample) -> tuple[int, NDArray[np.float32]]:
        from edgecl.extractors.base import placed

        start, stretch = placed(sample.signal, self._contract)
        return start, stretch[:, 0]


def judged(items: Iterator[Sample | Skip], contract: Contract, *, is_strict: bool) -> Iterator[Sample | Skip]:
    """Pass samples in which there is something to hear; others become skips, or a warning where not `is_strict`."""
    hearing = Hearing(contract)
    for item in items:
        yield judged_one(item, hearing, is_strict=is_strict)
    hearing.warn()


def judged_one(item: Sample | Skip, hearing: Hearing, *, is_strict: bool) -> Sample | Skip:
    """Return a sample in which there is something to hear; another becomes a skip, or a warning."""
    fault = hearing.fault(item) if isinstance(item, Sample) else None
    if fault is None:
        return item
    if is_strict:
        return Skip(item.source, fault)
    logger.warning("%s: %s", item.source, fault)
    return item


def check_moving(sound: NDArray[np.float32]) -> None:
    """Refuse sound (n,) that is silent, or does not move.

    Raises
    ------
    UnusableError
        Without its mean it stays below -60 dBFS.
    """
    low, high = float(sound.min(initial=0)), float(sound.max(initial=0))
    if max(high, -low) < SILENCE:
        raise UnusableError("silent: in the stretch that is learnt nothing is above -60 dBFS")
    if low < -2 * SILENCE and high > 2 * SILENCE:  # one of the two is off the median, whatever that is
        return
    if float(np.abs(sound - median(sound)).max(initial=0)) < SILENCE:
        raise UnusableError("constant: the samples have one value, and no sound around it: is the input connected?")


def check_heard(sound: NDArray[np.float32], rate_hz: float, *, usual: float = 0.0) -> NDArray[np.float64]:
    """Refuse sound (n,) in which nobody would hear a word: a click, hum, the noise of an open input.

    Returns its `frame_power`.

    Parameters
    ----------
    usual
        Level in power of the samples beside it.

    Raises
    ------
    UnusableError
        It is one of these.
    """
    power = frame_power(sound, rate_hz)
    if _is_transient(power):
        raise UnusableError("transient: a click or bump of at most 50 ms, and nothing beside it in what is learnt")
    floor, level = quantile(power, 0.2), quantile(power, 0.95)
    is_flat = level < RISE * max(floor, 1e-12)
    if is_flat and (level < DEAD_LEVEL**2 or level < FAR_BELOW * usual):
        decibels = 10 * np.log10(max(float(level), 1e-12))
        raise UnusableError(f"nothing to hear: steady noise at {decibels:.0f} dBFS: is the microphone on?")
    if is_flat and (mains := _hum(sound, rate_hz)):
        raise UnusableError(f"hum: nothing but the mains at {mains} Hz: is the cable of the microphone sound?")
    return power


def frame_power(sound: NDArray[np.float32], rate_hz: float) -> NDArray[np.float64]:
    """Return the power of each 10 ms of sound (n,), without its offset."""
    step = max(round(FRAME_S * rate_hz), 1)
    frames = sound[: max(len(sound) // step, 1) * step]
    frames = (frames - median(sound)).astype(np.float64)
    power: NDArray[np.float64] = np.square(frames).reshape(-1, min(step, len(frames))).mean(axis=1)
    return power


def _is_transient(power: NDArray[np.float64]) -> bool:
    above = np.clip(power - quantile(power, 0.2), 0, None)
    loudest = int(above.argmax())
    reach = round(TRANSIENT_S / FRAME_S) // 2
    inside = above[max(loudest - reach, 0) : loudest + reach + 1].sum()
    return bool(inside > TRANSIENT_SHARE * above.sum())


def _hum(sound: NDArray[np.float32], rate_hz: float) -> int:
    """Return the frequency of the mains if nearly all power is in its harmonics, else 0."""
    window = np.hanning(len(sound))
    power = np.square(np.abs(np.fft.rfft((sound - sound.mean()) * window)))
    hertz = np.fft.rfftfreq(len(sound), 1 / rate_hz)
    for mains in MAINS_HZ:
        distance = np.abs(hertz - mains * np.rint(hertz / mains))
        near = (distance <= HUM_WIDTH_HZ) & (hertz > mains / 2) & (hertz <= HUM_UP_TO_HZ)
        low = near & (hertz < HUM_BASE * mains)
        if power[near].sum() > HUM_SHARE * power[hertz > 10].sum() and power[low].sum() > power[near].sum() / 2:
            return mains
    return 0


def is_cut(power: NDArray[np.float64]) -> bool:
    """Test whether sound, by its `frame_power`, begins or ends nearly as loud as it gets."""
    edge = round(EDGE_S / FRAME_S)
    loud = quantile(power, 0.95)
    return bool(max(power[:edge].mean(), power[-edge:].mean()) > EDGE_SHARE * loud)


def has_more(power: NDArray[np.float64], first: int, end: int) -> bool:
    """Test whether sound, by its `frame_power`, goes on outside of the frames that are learnt, as loud as there.

    Sound that is steady as a whole, such as rain, has nothing that rises.
    """
    inside = power[first:end]
    loud = power > max(MORE_SHARE * quantile(inside, 0.95), RISE * quantile(power, 0.2))
    return bool((loud.sum() - loud[first:end].sum()) * FRAME_S >= MORE_S)


def check_clipping(samples: NDArray[np.float32], *, bits: int) -> None:
    """Refuse clipped sound (n, channels).

    Raises
    ------
    UnusableError
        More than 1 % of a channel is in runs of three or more samples at full scale, or more than 2 % in such runs at
        the channel's own highest and lowest value.
    """
    share = clipped_share(samples, bits=bits)
    if share > CLIPPED_SHARE:
        raise UnusableError(
            f"clipped: {100 * share:.1f} % of samples at full scale, allowed are {100 * CLIPPED_SHARE:g} %"
        )
    share, level = max((_flat(channel, bits=bits) for channel in samples.T), default=(0.0, 0.0))
    if share > FLAT_SHARE:
        raise UnusableError(
            f"clipped: {100 * share:.1f} % of samples at one level, {20 * np.log10(level):.0f} dBFS, allowed are "
            f"{100 * FLAT_SHARE:g} %: was the level turned down after it was too loud?"
        )


def clipped_share(samples: NDArray[np.float32], *, bits: int) -> float:
    """Return the share of the worst channel's samples (n, channels) that are in runs of full scale.

    Runs, because a loud clip touches full scale at single peaks and is sound all the same.
    """
    return float(_in_runs(np.abs(samples) >= 1 - 2.0 ** (2 - min(bits, 16))).mean(axis=0).max())


def _flat(channel: NDArray[np.float32], *, bits: int) -> tuple[float, float]:
    """The share of a channel (n,) in runs at its extremes, and the larger of these."""
    step = 2.0 ** (1 - min(bits, 16))
    low, middle, high = float(channel.min()), median(channel), float(channel.max())
    if high - low < 2 * FEW_STEPS * step:
        return 0.0, 1.0
    at_peaks = np.zeros((len(channel), 2), bool)
    if high - middle > ONE_SIDED * (high - low):
        at_peaks[:, 0] = channel > high - step / 2
    if middle - low > ONE_SIDED * (high - low):
        at_peaks[:, 1] = channel < low + step / 2
    return float(_in_runs(at_peaks).mean(axis=0).sum()), max(high, -low)


def _in_runs(full: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of (n, channels) are in runs of three or more."""
    run = full[:-2] & full[1:-1] & full[2:]
    inside = np.zeros_like(full)
    for shift in range(_RUN):
        inside[shift : len(run) + shift] |= run
    return inside


def check_words(frames: bytes | memoryview, *, channels: int) -> None:
    """Refuse 16-bit sound that is noise until its bytes are swapped or shifted.

    Of 986 clips of two speech sets none is refused; swapped or shifted, 87 % of 254 words are.

    Raises
    ------
    UnusableError
        As above.
    """
    frames = frames[: 2 * MOST_WORDS]
    words = np.frombuffer(frames, "<i2")
    if len(words) < FEWEST_WORDS or channels > 1:
        return
    rough = roughness(words)
    if NOISE[0] < rough < NOISE[1]:
        later = np.frombuffer(bytes(frames)[1:-1], "<i2")
        smoothest, what = min(
            (roughness(words.byteswap()), "are swapped"),
            (roughness(later), "begin one later"),
        )
        if smoothest < SMOOTHER * rough:
            raise UnusableError(f"wrong bytes: noise as it is, and sound if the bytes {what}: write the file again")


def roughness(words: NDArray[np.generic]) -> float:
    """Return the power of the steps between samples over that of the samples: 2 for noise, less for sound."""
    exact = words.astype(np.float64)
    return float(np.square(np.diff(exact)).mean() / max(exact.var(), 1e-12))
