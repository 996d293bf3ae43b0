"""Check a store: read every byte and name what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgecl.errors import EdgeclError
from edgecl.store.folder import Folder, has_unfinished_forgetting, live_revision, read_header, verify_extractor
from edgecl.store.journal import read_journal
from edgecl.store.records import Header


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


@contextmanager
def collect_errors(found: list[str]) -> Iterator[None]:
    """Add the message of an error to `found` instead of raising it."""
    try:
        yield
    except EdgeclError as error:
        found.append(str(error))
