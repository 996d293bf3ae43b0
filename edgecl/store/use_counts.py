"""Events of a listener by label, in a memory file system until the next commit: no flash is worn by counting.

The file is one for each user and store, and gone after a restart; what was not committed by then is lost.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from edgecl.hashes import sha256

MEMORY = Path("/dev/shm")  # noqa: S108 (private: mode 600, one for each user, no link is followed)
LARGEST_BYTES = 1 << 20


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
        with os.fdopen(os.open(counts_file(store), os.O_RDONLY | os.O_NOFOLLOW)) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return _parsed(file.read(LARGEST_BYTES))
    except OSError:
        return {}


def _changed(store: Path, change: Callable[[dict[str, int]], dict[str, int]]) -> bool:
    try:
        descriptor = os.open(counts_file(store), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return False
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = json.dumps(change(_parsed(file.read(LARGEST_BYTES))), sort_keys=True)
        file.seek(0)
        file.truncate()
        file.write(text)
    return True


def _parsed(text: str) -> dict[str, int]:
    """Return counts by label of a text; none of one that something else wrote."""
    try:
        held = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(held, dict):
        return {}
    return {label: count for label, count in held.items() if isinstance(count, int) and count > 0}
