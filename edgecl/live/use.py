"""How often each class is an event: counted in memory, and left for the next commit."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecl.live.events import Event
from edgecl.store.use_counts import add_counts

EVERY_S = 30.0  # the counts are left at most so often: in a memory file system, where it costs no flash


class UseCounter:
    """Counts events by label."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._counts: Counter[str] = Counter()
        self._left_at = time.monotonic()

    def of(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield events, each counted."""
        for event in events:
            self._counts[event.label] += 1
            yield event
        if self._counts and time.monotonic() - self._left_at >= EVERY_S:
            self.leave()

    def leave(self) -> None:
        """Leave what was counted for the next commit."""
        if self._counts and add_counts(self._store, self._counts):
            self._counts.clear()
        self._left_at = time.monotonic()


@contextmanager
def counted(store: Path) -> Iterator[UseCounter]:
    """Count events while a stream is followed; what was counted is left however it ends."""
    counter = UseCounter(store)
    try:
        yield counter
    finally:
        counter.leave()
