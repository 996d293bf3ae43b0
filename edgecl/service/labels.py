"""The labels of the live revision, as other programs see them: read again when another revision becomes live."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from edgecl.errors import EdgeclError
from edgecl.store.store import Store

WATCHED_EVERY_S = 0.5


def spoken(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels that can be events: not the background."""
    return tuple(sorted(label for label in labels if not label.startswith("_")))


def identifier(label: str) -> str:
    """Return a label in lower case, with an underscore for everything that is neither letter nor digit.

    >>> identifier("Lights on!"), identifier("开灯")
    ('lights_on', '开灯')
    """
    return re.sub(r"[\W_]+", "_", label.lower()).strip("_") or digest(label)


def identifiers(labels: Iterable[str]) -> dict[str, str]:
    """Return an identifier of each label; where two labels would share one, both get a digest.

    >>> identifiers(["on", "Lights on", "lights-on"])
    {'on': 'on', 'Lights on': 'lights_on_13f44fa5', 'lights-on': 'lights_on_f86e3c1f'}
    """
    plain = {label: identifier(label) for label in labels}
    taken = list(plain.values())
    return {label: name if taken.count(name) == 1 else f"{name}_{digest(label)}" for label, name in plain.items()}


def digest(label: str) -> str:
    """Return eight hexadecimal digits that stand for a label where its name must not."""
    return hashlib.sha256(label.encode()).hexdigest()[:8]


class Watch:
    """Calls `changed` with the labels and the revision now, and whenever another revision becomes live.

    A thread of its own looks at the file `current` twice a second while it is entered.
    """

    def __init__(self, store: Path, changed: Callable[[tuple[str, ...], int], None]) -> None:
        self._path, self._changed = store, changed
        self._is_over = threading.Event()
        self._seen: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._run, name="edgecl watch", daemon=True)

    def __enter__(self) -> Watch:
        self.look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(1)

    def look(self) -> None:
        """Compare `current` with what was seen last; a store that cannot be read now is looked at again."""
        with suppress(OSError, EdgeclError, KeyError):
            status = os.stat(self._path / "current")  # noqa: PTH116 (Path's takes twice as long)
            seen = (status.st_ino, status.st_mtime_ns)
            if seen != self._seen:
                live = Store.open(self._path).current()
                self._changed(spoken(live.body["classes"]), live.number)
                self._seen = seen

    def _run(self) -> None:
        while not self._is_over.wait(WATCHED_EVERY_S):
            self.look()
