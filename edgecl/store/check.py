"""Check a store: read every byte and name what is wrong."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from edgecl.errors import EdgeclError
from edgecl.store.files import TEMPORARY, flush, reason_of, write_temporary
from edgecl.store.folder import Folder, has_unfinished_forgetting, live_revision, read_header, verify_extractor
from edgecl.store.journal import read_journal
from edgecl.store.records import Header

BLOCK_BYTES = 4096  # what a file takes on most file systems, be it as short as it may


def check(folder: Folder, header: Header, *, damage: list[str]) -> list[str]:
    """Read every byte of a store and return what is wrong, in sentences that name the file.

    Parameters
    ----------
    damage
        Receives what makes another revision the live one.
    """
    known = {"store.json", header.extractor_file}
    found = [f"{path} does not belong to a store" for path in folder.strangers(known)]
    found += [f"{path} is not a regular file" for path in folder.no_files()]
    digests = set(folder.object_bytes())
    with collect_errors(found):
        if read_header(folder.path)[1] != folder.store_digest:
            found.append(f"{folder.path / 'store.json'} is not the one that was opened")
    with collect_errors(found):
        verify_extractor(folder, header)
    with collect_errors(found):
        folder.follow(folder.pointer())
    if has_unfinished_forgetting(folder, live_revision(folder, damage)[0]):
        found.append(f"{folder.path} still contains what its live revision forgot: the next writer removes it")
    for number in folder.numbers():
        with collect_errors(found):
            digests.update(folder.load(number)[0].objects.values())
    for digest in sorted(digests):
        with collect_errors(found):
            folder.read(digest)
    found += read_journal(folder.journal, name=header.name)[1]
    return list(dict.fromkeys(found))


def write_fault(folder: Folder) -> str:
    """Return why a store cannot be written to, empty where it can: a block is written in each of its folders."""
    try:
        for one in (folder.path, folder.objects, folder.revisions):
            path = one / f"doctor.{os.getpid()}{TEMPORARY}"
            try:
                write_temporary(path.with_suffix(""), [b"\0" * BLOCK_BYTES])
                flush(path)
            finally:
                path.unlink(missing_ok=True)
        for path in (folder.lock, folder.journal):
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        return f"{path} cannot be written: {reason_of(error)}"
    return ""


@contextmanager
def collect_errors(found: list[str]) -> Iterator[None]:
    """Add the message of an error to `found` instead of raising it."""
    try:
        yield
    except EdgeclError as error:
        found.append(str(error))
