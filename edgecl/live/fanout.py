"""One producer of notices, many consumers: each has a bounded queue of its own, and none delays the producer.

A consumer that is slow loses the oldest of what waits for it, which is counted; one that fails is counted and goes on;
one that is gone (`GoneError`, `BrokenPipeError`) gets nothing more. Threads are daemons: what still blocks when the
fan-out is closed is left behind.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

from edgecl.notes import Logger

logger = Logger(__name__)

CAPACITY = 100
"""Notices that wait for one consumer."""
CLOSING_S = 0.8
"""For what waits to be delivered, once the fan-out is closed."""
FAILURES_LOGGED = 3

T = TypeVar("T")


class GoneError(Exception):
    """Raised by a consumer that will never take anything again."""


@dataclass
class Counts:
    """What became of the notices of one consumer."""

    delivered: int = 0
    dropped: int = 0
    """The oldest, where the queue was full, and what was left when the fan-out was closed."""
    failed: int = 0
    """Deliveries that raised an error."""


class Mailbox(Generic[T]):
    """A bounded queue that drops its oldest item and counts it.

    Parameters
    ----------
    name
        Of the consumer, for logs and summaries.
    capacity
        Items.
    """

    def __init__(self, name: str, capacity: int = CAPACITY) -> None:
        self.name = name
        self.counts = Counts()
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Test whether nothing more is taken in."""
        return self._is_closed

    def put(self, item: T) -> None:
        """Add an item without waiting; a closed mailbox ignores it."""
        with self._changed:
            if self._is_closed:
                return
            if len(self._items) == self._capacity:
                self._items.popleft()
                self.counts.dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> T | None:
        """Return the oldest item, or None after `timeout_s`, or once the mailbox is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._is_closed, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until an item can be added without loss; False after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._items) < self._capacity or self._is_closed, timeout_s)

    def close(self) -> None:
        """Take nothing more; what waits can still be had."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Close, and count what waits as dropped."""
        with self._changed:
            self._is_closed = True
            self.counts.dropped += len(self._items)
            self._items.clear()
            self._changed.notify_all()


class Outlet(Generic[T]):
    """A mailbox that a thread of its own empties into `take`."""

    def __init__(self, name: str, take: Callable[[T], None], *, capacity: int, when_gone: Callable[[], None]) -> None:
        self.mailbox: Mailbox[T] = Mailbox(name, capacity)
        self._take, self._when_gone = take, when_gone
        self._thread = threading.Thread(target=self._run, name=f"edgecl {name}", daemon=True)
        self._thread.start()

    def finish(self, deadline: float) -> None:
        """Deliver what waits until `deadline` (monotonic seconds), and give up the rest."""
        self.mailbox.close()
        self._thread.join(max(deadline - time.monotonic(), 0))
        self.mailbox.abandon()

    def _run(self) -> None:
        counts = self.mailbox.counts
        while (item := self.mailbox.get()) is not None:
            try:
                self._take(item)
                counts.delivered += 1
            except (GoneError, BrokenPipeError):
                self.mailbox.abandon()
                self._when_gone()
            except Exception as error:
                counts.failed += 1
                if counts.failed <= FAILURES_LOGGED:
                    logger.warning("%s: %s", self.mailbox.name, error)


class Fanout(Generic[T]):
    """Hands every notice to every consumer; may be published to by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outlets: tuple[Outlet[T], ...] = ()
        self._mailboxes: tuple[Mailbox[T], ...] = ()
        self._is_closed = False

    def attach(
        self,
        name: str,
        take: Callable[[T], None],
        *,
        capacity: int = CAPACITY,
        when_gone: Callable[[], None] = lambda: None,
    ) -> Mailbox[T]:
        """Have a thread call `take` with every notice from now on.

        Parameters
        ----------
        when_gone
            Is called once, by that thread, when `take` raises GoneError or BrokenPipeError.
        """
        outlet: Outlet[T] = Outlet(name, take, capacity=capacity, when_gone=when_gone)
        with self._lock:
            self._outlets = (*self._outlets, outlet)
            self._mailboxes = (*self._mailboxes, outlet.mailbox)
        return outlet.mailbox

    def subscribe(self, name: str) -> Mailbox[T]:
        """Return a mailbox that its owner empties, and gives back by `unsubscribe`."""
        mailbox: Mailbox[T] = Mailbox(name)
        with self._lock:
            self._mailboxes = (*self._mailboxes, mailbox)
            if self._is_closed:
                mailbox.close()
        return mailbox

    def unsubscribe(self, mailbox: Mailbox[T]) -> None:
        """Forget a mailbox of `subscribe`."""
        mailbox.abandon()
        with self._lock:
            self._mailboxes = tuple(one for one in self._mailboxes if one is not mailbox)

    def publish(self, item: T) -> None:
        """Give a notice to every consumer; returns at once."""
        for mailbox in self._mailboxes:
            mailbox.put(item)

    def counts(self) -> dict[str, Counts]:
        """What became of the notices so far, by consumer."""
        return {one.name: one.counts for one in self._mailboxes}

    def close(self, *, within_s: float = CLOSING_S) -> None:
        """Deliver what waits for at most `within_s`; consumers that hang are left behind."""
        deadline = time.monotonic() + within_s
        with self._lock:
            self._is_closed = True
        for mailbox in self._mailboxes:
            mailbox.close()
        for outlet in self._outlets:
            outlet.finish(deadline)

    def __enter__(self) -> Fanout[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def undelivered(counts: dict[str, Counts]) -> dict[str, dict[str, Any]]:
    """Consumers that missed something, for summaries."""
    missed = {name: {"dropped": one.dropped, "failed": one.failed} for name, one in counts.items()}
    return {name: one for name, one in missed.items() if any(one.values())}
