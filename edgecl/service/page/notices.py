"""What the page is told while it is open: detections, verdicts, changes of the store, and a stream's signal."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgecl.live.fanout import Fanout, Mailbox

KEPT = 64
"""For browsers that come back; a signal is not kept."""
SIGNAL = "signal"


@dataclass(frozen=True)
class Notice:
    """One thing that happened."""

    number: int
    kind: str
    body: Mapping[str, Any]

    def as_event(self) -> bytes:
        """Return it as a server-sent event."""
        return f"id: {self.number}\nevent: {self.kind}\ndata: {json.dumps(dict(self.body))}\n\n".encode()


class Notices:
    """Numbers notices, keeps the latest, and hands them to everyone who follows."""

    def __init__(self) -> None:
        self._fanout: Fanout[Notice] = Fanout()
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._number = 0
        self.followers = 0

    def tell(self, kind: str, body: Mapping[str, Any]) -> None:
        """Tell everyone; returns at once."""
        with self._lock:
            self._number += 1
            notice = Notice(self._number, kind, body)
            if kind != SIGNAL:
                self._kept.append(notice)
            self._fanout.publish(notice)

    @contextmanager
    def followed(self, *, since: int) -> Iterator[Mailbox[Notice]]:
        """Give a mailbox of notices, at first of those after number `since`, where there is such a number."""
        with self._lock:
            mailbox = self._fanout.subscribe("page")
            for notice in self._kept if 0 < since <= self._number else ():
                if notice.number > since:
                    mailbox.put(notice)
            self.followers += 1
        try:
            yield mailbox
        finally:
            self._fanout.unsubscribe(mailbox)
            with self._lock:
                self.followers -= 1

    def close(self) -> None:
        """Send everyone away."""
        self._fanout.close(within_s=0)
