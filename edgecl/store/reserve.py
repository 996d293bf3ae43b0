"""Room that is kept for forgetting: a file of blocks that a full disk cannot take away.

A forgetting commits a revision before it removes anything, so it needs room first, and a full disk has none. The file
`reserve` has the room that this takes; it is removed when a forgetting starts and made again after it. What is in it
means nothing: a cut may leave it in any length.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edgecl.store.files import flush
from edgecl.store.folder import Folder
from edgecl.store.records import POINTER_BYTES, Revision

SHARE = 16  # of disk_bytes at most; a store with a smaller budget has no reserve
BLOCK_BYTES = 4096  # what a file takes on most file systems, be it as short as it may
STEP_BYTES = 8 * BLOCK_BYTES  # so that few lessons change it
FOLDERS = 3  # each of which may need a block more for a name
WRITTEN_AGAIN = ("head", "others")  # first parts of the roles of objects that are made from all classes
_NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


def wanted_bytes(folder: Folder, live: Revision) -> int:
    """Return what a forgetting may write before it has removed anything, in whole steps."""
    again = {digest for role, digest in live.objects.items() if role.partition("/")[0] in WRITTEN_AGAIN}
    files = [*map(folder.object, again), folder.revision(live.number), folder.journal]
    blocks = sum(_blocks(_length(path)) for path in files) + _blocks(POINTER_BYTES) + FOLDERS
    return -(-blocks * BLOCK_BYTES // STEP_BYTES) * STEP_BYTES


def held_bytes(folder: Folder) -> int:
    """Return how much is kept: a copy of a store may have the length of the file without its blocks."""
    try:
        status = folder.reserve.lstat()
    except OSError:
        return 0
    return min(status.st_size, status.st_blocks * 512)


def take(folder: Folder, size: int) -> None:
    """Keep `size` bytes, flushed; after an OSError as much is kept as before."""
    path = folder.reserve
    is_new = not path.exists()
    before = _length(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        _allocate(descriptor, size)
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise
    finally:
        os.close(descriptor)
    if is_new:
        flush(path.parent)


def release(folder: Folder) -> None:
    """Give the room back to the disk; flushed, since blocks may be free only then."""
    if folder.reserve.exists():
        folder.reserve.unlink()
        flush(folder.path)


def _allocate(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        for _ in range(_blocks(size)):
            os.write(descriptor, b"\0" * BLOCK_BYTES)


def _blocks(size: int) -> int:
    return -(-size // BLOCK_BYTES)


def _length(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
