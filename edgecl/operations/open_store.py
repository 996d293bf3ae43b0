"""A store with its extractor, opened, and where its objects are kept: what every operation is given."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgecl.errors import ModelError, StoreDamagedError
from edgecl.model.model import CENTRE, Arrays, MemoryObjects, Model, load_head, load_model
from edgecl.model.settings import Settings
from edgecl.store.records import ModelBody
from edgecl.store.store import Store
from edgecl.store.writer import Writer

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.store.records import Revision


class OpenStore:
    """An open store. Nothing heavy is loaded before it is needed: `status` needs neither extractor nor kernels.

    Raises
    ------
    StoreDamagedError
        When the store has no usable settings.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        try:
            self.settings = Settings.from_dict(store.settings["learner"])
        except (KeyError, TypeError) as error:
            raise StoreDamagedError(f"{store.path}: store.json has no usable learner settings: {error}") from error

    @classmethod
    def open(cls, path: str | Path) -> OpenStore:
        """Open a store; raises StoreMissingError or StoreDamagedError."""
        return cls(Store.open(Path(path)))

    @cached_property
    def extractor(self) -> FileExtractor:
        """The store's own copy, opened and compared with the digest that the store has of it."""
        from edgecl.extractors.opening import open_extractor

        self.store.verify_extractor()
        return open_extractor(self.store.extractor_path)

    def live_body(self) -> ModelBody:
        """Return what the live revision states about its model."""
        return ModelBody(**ModelBody.members_of(self.store.current().body))

    def model(self) -> tuple[Revision, Model]:
        """Return the live revision with all its parts."""
        revision, parts = self.store.load("statistics", "exemplars", "head", "ewc", CENTRE)
        return revision, load_model(self.settings, revision.objects, revision.body, parts)

    def model_of(self, number: int) -> Model:
        """Return a kept revision with all its parts; raises StoreDamagedError where one is damaged."""
        revision = self.store.revision(number)
        parts = {role: self.store.read(digest) for role, digest in revision.objects.items()}
        return load_model(self.settings, revision.objects, revision.body, parts)

    def head(self) -> Model:
        """Return the live head alone."""
        return self.live_head()[1]

    def live_head(self) -> tuple[Revision, Model]:
        """Return the live revision with its head alone."""
        revision, parts = self.store.load("head", CENTRE)
        return revision, load_head(self.settings, revision.objects, revision.body, parts)

    def taught_head(self) -> Model:
        """Return the live head; raises ModelError where nothing has been learnt."""
        model = self.head()
        if model.head is None:
            raise ModelError(f"{self.store.path} has learnt nothing yet: teach it first", remedy="learn")
        return model


def utc_now() -> str:
    """Return the present time in UTC: ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
