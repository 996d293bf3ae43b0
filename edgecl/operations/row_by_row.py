"""Rows one at a time, as dictionaries: the interface that River's users know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.gate.verdict import Verdict
from edgecl.learning.drift_response import AS_IT_IS
from edgecl.learning.prequential import Prequential
from edgecl.learning.stream_statistics import StreamRows
from edgecl.operations.beginnings import Beginnings
from edgecl.operations.data import checked_label
from edgecl.operations.live_answers import live_panel
from edgecl.operations.open_store import OpenStore, StoredObjects
from edgecl.operations.stream_terms import require_own, require_uncentred
from edgecl.operations.streaming import COMMIT_EVERY, StreamSaver, kept_models
from edgecl.sources.labels import is_missing, missing_label
from edgecl.sources.named_rows import NamedRows, as_mapping
from edgecl.sources.samples import UnusableError


class RowByRow:
    """A stream that is fed by hand. What it learns is in memory until it is committed.

    Raises
    ------
    SettingError
        The store is not for tables, is centred, or its memory does not hold what a stream needs.
    """

    def __init__(self, opened: OpenStore) -> None:
        if opened.extractor.contract.modality != "table":
            raise SettingError(f"{opened.store.path} is not a store for rows of a table")
        self._opened = opened
        self._extractor = opened.extractor
        self._rows = NamedRows(self._extractor.contract)
        self._latent = self._extractor.one_by_one()
        self._last: tuple[list[float], StreamRows | None] = ([], None)
        """Channels of the last row and what was made of them: a row is mostly predicted, then learnt."""
        self._seen = self._opened.stamp()
        live, model = opened.model()
        require_uncentred(opened, model)
        self._others = tuple(model.others)
        self._live, self._committed_at = live, 0
        self._beginnings = Beginnings(live.body)
        self._spellings = opened.spellings()
        self.stream = Prequential(model, panel=live_panel(opened, live, label_delay=0))

    @property
    def has_uncommitted(self) -> bool:
        """Whether labels were learnt since the last commit."""
        return self.stream.tally.labelled > self._committed_at

    def is_behind(self) -> bool:
        """Test whether another revision went live than this stream began from, or committed last."""
        seen = self._opened.stamp()
        if seen == self._seen:
            return False
        self._seen = seen
        return self._opened.store.current().number != self._live.number

    def predict_proba_one(self, row: Mapping[str, Any]) -> dict[str, float]:
        """Return the probability of each label for a row; empty before the first label.

        Raises
        ------
        DataError
            When a cell cannot be used.
        """
        given = self.stream.predict(self._read(row))[0]
        return {label: float(one) for label, one in zip(self.stream.panel.labels, given, strict=True)}

    def predict_one(self, row: Mapping[str, Any]) -> str | None:
        """Return the likeliest label for a row; None before the first label. Raises as `predict_proba_one`."""
        given = self.predict_proba_one(row)
        return max(given, key=lambda label: given[label]) if given else None

    def learn_one(self, row: Mapping[str, Any], label: str) -> None:
        """Learn the label of a row; every COMMIT_EVERY labels, and at a drift, a revision is committed.

        Raises
        ------
        DataError
            When a cell or the label cannot be used, the label is a known class in another spelling, or there is no
            room for another class.
        SettingError
            When the store has merged other devices.
        """
        require_own(self._opened, self._others)
        if type(label) is not str or label not in self.stream.panel.labels:
            label = checked_label(label, "the row")
            if is_missing(label):
                raise DataError(f"the row has {missing_label(label)}", parameter="label")
            label = self._spellings.settled(label, "the row")
            if not self.stream.has_room_for(label, ()):
                raise DataError(f"too many classes: no room for {label!r}: make a store for more classes")
        read = self._read(row)
        self._beginnings.add(read.projected)
        self.stream.take([label], read)
        if self.stream.has_drifted:
            self._respond()
        elif self.stream.tally.labelled - self._committed_at >= COMMIT_EVERY:
            self.commit()

    def commit(self) -> Verdict:
        """Commit what is known now, unless the live revision answers better.

        Raises
        ------
        StoreLockedError
            When another process is writing.
        EdgeclError
            When another writer has committed meanwhile.
        """
        with self._opened.store.writer() as writer:
            saver = self._saver(StoredObjects(writer), writer)
            verdict = saver.judged(self.stream)
        self._note(saver)
        return verdict

    def _respond(self) -> None:
        """Respond to a drift, and commit what it brought."""
        drift = self.stream.adapt(kept_models(self._opened))
        if drift.chosen == AS_IT_IS:
            return
        with self._opened.store.writer() as writer:
            saver = self._saver(StoredObjects(writer), writer)
            saver.keep(self.stream, drift)
        self._note(saver)

    def _saver(self, objects: StoredObjects, writer: Any) -> StreamSaver:
        if self._opened.store.current().number != self._live.number:
            raise EdgeclError(
                f"{self._opened.store.path} has another live revision than this stream began from: what rows taught "
                "since is not committed; open the store again to go on from its live revision"
            )
        return StreamSaver(objects, writer, self._live, self._beginnings)

    def _note(self, saver: StreamSaver) -> None:
        self._live, self._committed_at = saver.live, self.stream.tally.labelled
        self._seen = self._opened.stamp()

    def _read(self, row: Mapping[str, Any]) -> StreamRows:
        """Encode a row by the names of its columns, in any case and order; one that is missing is an empty cell."""
        named = as_mapping(row)
        if named is None:
            raise DataError(f"a row is a mapping from column to value, not {type(row).__name__}")
        try:
            values = self._rows.encode(named)
        except UnusableError as error:
            raise DataError(f"the row cannot be used: {error}") from error
        known, read = self._last
        if read is None or values != known:
            read = self.stream.rows(self._latent(np.array([values], np.float32)))
            self._last = values, read
        return read
