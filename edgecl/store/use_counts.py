"""Events of a listener by label, in a memory file system until the next commit: no flash is worn by counting.

The file is one for each user and store, and gone after a restart; what was not committed by then is lost.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgecl.hashes import sha256

MEMORY = Path("/dev/shm")  # noqa: S108 (private: mode 600, one for each user, no link is followed)
LARGEST_BYTES = 1 << 20
PATIENCE_S, POLL_S = 1.0, 0.01
"""How long a lock is waited for, which is held for less than a millisecond, and between two tries."""


def counts_file(store: Path) -> Path:
    """Return where the counts of a store are kept."""
    name = sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:24]
    return MEMORY / f"edgecl-use-{os.getuid()}-{name}.json"


def add_counts(store: Path, counts: Mapping[str, int]) -> bool:
    """Add events to those that wait; returns whether there was a place for them."""
    return _changed(store, lambda held: {one: held.get(one, 0) + counts.get(one, 0) for one in {*held, *counts}})


def take_counts(store: Path, counts: Mapping[str, int]) -> bool:
    """Take events away that have been committed."""
    return _changed(
        store,
        lambda held: {label: left for label, count in held.items() if (left := count - counts.get(label, 0)) > 0},
    )


def drop_counts(store: Path, labels: set[str]) -> bool:
    """Remove every trace of labels that are forgotten."""
    if not counts_file(store).exists():
        return True
    return _changed(store, lambda held: {label: count for label, count in held.items() if label not in labels})


def read_counts(store: Path) -> dict[str, int]:
    """Return the events that wait, by label."""
    try:
        with _locked(store, os.O_RDONLY, fcntl.LOCK_SH) as file:
            return _parsed(file.read(LARGEST_BYTES))
    except OSError:
        return {}


def _changed(store: Path, change: Callable[[dict[str, int]], dict[str, int]]) -> bool:
    try:
        with _locked(store, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as file:
            text = json.dumps(change(_parsed(file.read(LARGEST_BYTES))), sort_keys=True)
            file.seek(0)
            file.truncate()
            file.write(text)
    except OSError:
        return False
    return True


@contextmanager
def _locked(store: Path, flags: int, lock: int) -> Iterator[IO[str]]:
    """Open the file and lock it, not for ever; raises OSError where it is none of ours.

    Everybody may write to the folder, so anything may have the file's name: a pipe, or a file that somebody else keeps
    locked.
    """
    path = counts_file(store)
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+" if flags & os.O_RDWR else "r", encoding="utf-8", errors="replace") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "is not a file of this user", str(path))
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                fcntl.flock(file, lock | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(POLL_S)
        yield file


def _parsed(text: str) -> dict[str, int]:
    """Return counts by label of a text; none of one that something else wrote."""
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(held, dict):
        return {}
    return {label: count for label, count in held.items() if isinstance(count, int) and count > 0}
