"""Objects in a store, and new ones in memory over a store for a dry run."""

from __future__ import annotations

from edgecl.model.model import Arrays, MemoryObjects
from edgecl.store.store import Store
from edgecl.store.writer import Writer


class StoredObjects:
    """Objects in a store under its writer; counts what is written."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.bytes_put = 0

    def put(self, arrays: Arrays) -> str:
        self.bytes_put += sum(array.nbytes for array in arrays.values())
        return self._writer.put(arrays)

    def read(self, digest: str) -> Arrays:
        return self._writer.read(digest)


class OverlayObjects(MemoryObjects):
    """New objects in memory over a store's: nothing is written."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def read(self, digest: str) -> Arrays:
        return super().read(digest) if digest in self._held else self._store.read(digest)
