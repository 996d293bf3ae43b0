"""Samples and skips: what every source yields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgecl.values import dataclass

GROUP_COLUMNS = ("subject", "speaker")


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


class UnusableError(Exception):
    """One sample cannot be used; becomes a `Skip` with this reason. Never leaves the sources."""


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

    def skip(self, line: int, reason: str) -> Iterator[Skip]:
        """Yield the skip of one line, if its kind has not been listed often enough."""
        kind = reason_kind(reason)
        self._seen[kind] += 1
        if self._seen[kind] <= self._limit:
            yield Skip(f"{self._source}:{line}", reason)

    def rest(self) -> Iterator[Skip]:
        """Yield one skip for each kind that was cut short, with how many more there were."""
        for kind, count in self._seen.items():
            if count > self._limit:
                yield Skip(self._source, f"{kind}: {count - self._limit} more like the {self._limit} listed")


def reason_kind(reason: str) -> str:
    """Return the fixed phrase that a reason begins with.

    >>> reason_kind("too short: 0.05 s of sound, wanted at least 0.1 s")
    'too short'
    """
    return reason.split(":", 1)[0]
