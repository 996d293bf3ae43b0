"""Samples and skips: what every source yields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import shortened
from edgecl.units import sensor_unit
from edgecl.values import dataclass, replace

GROUP_COLUMNS = ("subject", "speaker")
LARGEST = 1e12  # of a value: its square, summed over a million samples, is still a float32
# of a value in a unit, far beyond what sensors measure
LARGEST_IN = {"m/s2": 1e5, "g": 1e4, "mg": 1e7, "rad/s": 1e6, "deg/s": 1e6}
SILENCE = 1e-3  # of sound, -60 dBFS: the noise of a microphone that is off is below it


@dataclass(frozen=True, eq=False)
class Sample:
    """One clip or window, ready for the extractor.

    Examples
    --------
    >>> sample = Sample("clip.wav", "yes", np.zeros((16000, 1), np.float32), None)
    >>> sample.label, sample.signal.shape
    ('yes', (16000, 1))
    """

    source: str
    """File, with `[i]` for a window of an archive and `:line` for a line."""
    label: str | None
    signal: NDArray[np.float32]
    """(n_samples, channels) at the contract's rate; voice in [-1, 1]."""
    group: str | None
    """Speaker or subject, where the data names it."""
    recording: str | None = None
    """The unbroken recording that it is one of several windows of; None where it is alone, or that is not known."""
    is_scaled: bool = False
    """Whether its user has settled the factors of its channels."""


@dataclass(frozen=True)
class Skip:
    """Something that was found and cannot be used.

    Examples
    --------
    >>> Skip("clip.wav", "silent: all samples are zero").reason
    'silent: all samples are zero'
    """

    source: str
    reason: str
    """A fixed phrase, then ": " and the details."""
    parameter: str = ""
    """Name of the parameter that would help, as of an `EdgeclError`."""
    count: int = 1
    """How many it stands for."""

    def as_dict(self) -> dict[str, str]:
        """Return plain JSON."""
        return {"source": self.source, "reason": self.reason}


class UnusableError(Exception):
    """One sample cannot be used; becomes a `Skip` with this reason. Never leaves the sources."""

    def __init__(self, reason: str, *, parameter: str = "") -> None:
        super().__init__(shortened(reason))
        self.parameter = parameter

    def skip(self, source: str) -> Skip:
        """Return the skip of the sample."""
        return Skip(source, str(self), self.parameter)


def check_size(signal: NDArray[np.floating], units: Sequence[str] = ()) -> None:
    """Refuse values that no sensor gives, which would drown all others in the statistics.

    Parameters
    ----------
    signal
        (n, channels), or (D,) without units.
    units
        Of the channels; without them LARGEST is the bound of all.

    Raises
    ------
    UnusableError
        When a value is not finite, or beyond the bound of its unit.

    Examples
    --------
    >>> check_size(np.array([[1e20]]))
    Traceback (most recent call last):
        ...
    edgecl.sources.samples.UnusableError: too large: 1e+20, at most 1e+12 can be learnt
    """
    highest = np.abs(signal).reshape(-1, signal.shape[-1]).max(axis=0, initial=0)
    if not np.isfinite(highest).all():
        raise UnusableError("not finite: the samples contain NaN or infinity")
    bounds = [LARGEST_IN.get(sensor_unit(unit), LARGEST) for unit in units] or [LARGEST] * len(highest)
    for channel, (value, bound) in enumerate(zip(highest.tolist(), bounds, strict=True)):
        if value > bound:
            unit = f" {units[channel]}" if units and units[channel] else ""
            raise UnusableError(f"too large: {value:.3g}{unit}, at most {bound:g}{unit} can be learnt")


class SkipTally:
    """Skips of one long file: the first `limit` of each kind one by one, the others as a number."""

    def __init__(self, source: str, *, limit: int = 20) -> None:
        self._source = source
        self._limit = limit
        self._seen: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """Skips of each kind."""
        return self._seen

    def skip(self, line: int, reason: str, parameter: str = "") -> Iterator[Skip]:
        """Yield the skip of one line, if its kind has not been listed often enough."""
        kind = reason_kind(reason)
        self._seen[kind] += 1
        if self._seen[kind] <= self._limit:
            yield Skip(f"{self._source}:{line}", reason, parameter)

    def rest(self) -> Iterator[Skip]:
        """Yield one skip for each kind that was cut short, with how many more there were."""
        for kind, count in self._seen.items():
            if count > self._limit:
                more = count - self._limit
                yield Skip(self._source, f"{kind}: {more} more like the {self._limit} listed", count=more)


class ListedSkips(list[Skip]):
    """Skips of a stream that may never end: as `SkipTally` those of a file.

    Examples
    --------
    >>> skips = ListedSkips(limit=1)
    >>> for row in range(3):
    ...     skips.append(Skip(f"row {row}", "not finite: NaN"))
    >>> [f"{one.source}: {one.reason}" for one in skips.whole("stream")]
    ['row 0: not finite: NaN', 'stream: not finite: 2 more like the 1 listed']
    """

    def __init__(self, *, limit: int = 1000) -> None:
        super().__init__()
        self._tally = SkipTally("", limit=limit)

    def append(self, one: Skip) -> None:
        if next(self._tally.skip(0, one.reason), None):
            super().append(one)

    def extend(self, several: Iterable[Skip]) -> None:
        for one in several:
            self.append(one)

    def whole(self, source: str) -> tuple[Skip, ...]:
        """Return the skips that are listed, and how many more there were of each kind."""
        return (*self, *(replace(one, source=source) for one in self._tally.rest()))


def reason_kind(reason: str) -> str:
    """Return the fixed phrase that a reason begins with.

    >>> reason_kind("too short: 0.05 s of sound, wanted at least 0.1 s")
    'too short'
    """
    return reason.split(":", 1)[0]
