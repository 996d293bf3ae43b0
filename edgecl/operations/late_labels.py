"""Follow a stream whose labels come later and by id: rows are predicted at once, labels meet them when they come.

Rows wait in bounded memory. The oldest goes where there is no room: its label, should it come, teaches nothing.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edgecl.errors import DataError, SettingError
from edgecl.notes import Logger
from edgecl.operations.data import checked_label
from edgecl.operations.far_values import FarValues
from edgecl.operations.live_answers import live_panel
from edgecl.operations.open_store import OpenStore, OverlayObjects, StoredObjects
from edgecl.operations.stream_terms import decided, require_own, require_uncentred
from edgecl.operations.streaming import (
    COMMIT_EVERY,
    StreamReport,
    StreamSaver,
    kept_models,
    note_other_names,
    report_of,
    saved_before_an_error,
)
from edgecl.progress import watched
from edgecl.sources.csv_axes import found_by_spelling
from edgecl.sources.labels import MISSING_TEXTS, is_missing, missing_label
from edgecl.sources.samples import ListedSkips, Skip, UnusableError
from edgecl.sources.tables import TableEncoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecl.learning.drift_response import Drift
    from edgecl.learning.prequential import Prequential
    from edgecl.learning.stream_statistics import OpenRow
    from edgecl.sources.labels import Spellings

WAITING_ROWS = 1000
T = TypeVar("T")
logger = Logger(__name__)


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    id: str
    cells: Mapping[str, str]
    """Column to text."""


@dataclass(frozen=True)
class LateLabel:
    """The label of a row."""

    id: str
    label: str


@dataclass(frozen=True)
class Predicted:
    """What was answered to a row."""

    id: str
    label: str | None
    confidence: float
    is_alert: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        alert = {"alert": True} if self.is_alert else {}
        return {"id": self.id, "label": self.label, "confidence": round(self.confidence, 4), **alert}


@dataclass(frozen=True)
class Learnt:
    """A label that has met its row."""

    id: str
    label: str
    answered: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"id": self.id, "learnt": self.label, "answered": self.answered, "right": self.answered == self.label}


class Meeting:
    """Rows that wait for labels, and labels that were earlier than their rows; at most `most` of each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: OrderedDict[str, tuple[OpenRow, int]] = OrderedDict()  # and how many had come with it
        self._labels: OrderedDict[str, tuple[str, int]] = OrderedDict()  # and how many had come with it
        self._met: OrderedDict[str, str] = OrderedDict()  # the latest ids that have been learnt, and their labels
        self._gone: OrderedDict[str, int] = OrderedDict()  # the latest ids of rows that waited too long
        self._gone_labels: OrderedDict[str, int] = OrderedDict()  # and of labels
        self._seen = self._dropped = self._unmatched = self._again = self._repeated = self._contradicting = 0
        self._too_late = self._too_early = self._labels_seen = 0
        self._wanted = 0  # rows, or labels, that would have had to wait for what came too late

    def row(self, name: str, row: OpenRow) -> str | None:
        """Let a row wait; return its label where that is there already."""
        label, _ = self._labels.pop(name, (None, 0))
        if (came := self._gone_labels.pop(name, None)) is not None:
            self._too_early += 1
            self._wanted = max(self._wanted, self._labels_seen - came + 1)
        self._again += name in self._rows or name in self._met
        self._seen += 1
        self._gone.pop(name, None)  # from now on its id is that of this row
        if label is None:
            self._dropped += name in self._rows  # an id that is used again: the row before will get no label
            self._rows[name] = row, self._seen
            self._rows.move_to_end(name)
            for gone, (_, came) in _bounded(self._rows, self._most):
                self._dropped += 1
                self._gone[gone] = came
                _bounded(self._gone, self._most)
        else:
            self._has_met(name, label)
        return label

    def label(self, name: str, label: str) -> OpenRow | None:
        """Return the row of a label. One whose row is not there waits for it; one whose row was there does not."""
        self._labels_seen += 1
        found = self._rows.pop(name, None)
        if found is not None:
            self._has_met(name, label)
            return found[0]
        if (came := self._gone.pop(name, None)) is not None:
            self._too_late += 1
            self._wanted = max(self._wanted, self._seen - came + 1)
            return None
        before = self._labels.get(name, (None, 0))[0] or self._met.get(name)
        self._repeated += before == label
        self._contradicting += before not in (None, label)
        if name not in self._met:
            self._labels[name] = label, self._labels_seen
            for gone, (_, came) in _bounded(self._labels, self._most):
                self._unmatched += 1
                self._gone_labels[gone] = came
                _bounded(self._gone_labels, self._most)
        return None

    def _has_met(self, name: str, label: str) -> None:
        self._met[name] = label
        self._met.move_to_end(name)
        _bounded(self._met, self._most)

    def counts(self) -> dict[str, int]:
        """Return what did not meet, and what did not meet one row alone."""
        return {
            "rows_waiting": len(self._rows),
            "rows_dropped": self._dropped,
            "labels_without_row": self._unmatched + len(self._labels),
            "labels_too_late": self._too_late,
            "labels_too_early": self._too_early,
            "labels_repeated": self._repeated,
            "labels_contradicting": self._contradicting,
            "ids_used_again": self._again,
        }

    def notes(self) -> Iterator[str]:
        """Yield a sentence on each way in which rows and labels did not meet."""
        if alike := self._alike():
            yield f"the row {alike[0]!r} and the label of {alike[1]!r} did not meet: ids are compared as text"
        elif self._rows and self._labels and not (self._met or self._too_late or self._too_early):
            yield (
                f"no label met a row: the ids of rows are such as {next(iter(self._rows))!r}, those of labels such as "
                f"{next(iter(self._labels))!r}"
            )
        for count, how in (
            (self._too_late, "came after their row had gone"),
            (self._too_early, "had gone before their row came"),
        ):
            if count:
                yield (
                    f"{count} labels {how}, and were not learnt: let {self._wanted} rows wait in place of {self._most}"
                )
        if self._again:
            yield f"ids of rows are used again, {self._again} times: labels by id cannot tell such rows apart"
        if self._contradicting:
            yield (
                f"{self._contradicting} labels contradict another one of their row: the one that met the row was "
                "learnt, and no other"
            )

    def _alike(self) -> tuple[str, str] | None:
        """Return an id of a row and one of a label that differ in leading zeros, decimals or case alone."""
        plain = {_plain_id(name): name for name in self._rows}
        return next(((plain[one], name) for name in self._labels if (one := _plain_id(name)) in plain), None)


def _bounded(held: OrderedDict[str, T], most: int) -> list[tuple[str, T]]:
    """Drop the oldest where there are too many; return what is dropped."""
    return [held.popitem(last=False)] if len(held) > most else []


def _is_no_id(text: str) -> bool:
    """Test whether a cell holds no id: of the words for a missing value, one that a person may write is an id."""
    return text.strip().lower() in MISSING_TEXTS | {"none"}  # which Python writes


def _plain_id(name: str) -> str:
    return name.casefold().removesuffix(".0").lstrip("0")


@watched
def follow_by_id(
    opened: OpenStore,
    arrivals: Iterable[Row | LateLabel | Skip],
    *,
    waiting_rows: int = WAITING_ROWS,
    dry_run: bool = False,
    prior: str = "stream",
    watch: str | None = None,
    cost: str | None = None,
    alerts_per_1000: float | None = None,
    label_case: str | None = None,
) -> Generator[Predicted | Learnt | Drift, None, StreamReport]:
    """Predict rows and learn from labels as they arrive; the stages are predictions, labels learnt and drifts.

    Parameters
    ----------
    arrivals
        Rows, and labels of rows by their id, in any order; skips are listed in the report.
    waiting_rows
        Rows that may wait for their labels.
    label_case
        As of `teach`; a label that is a known class in another spelling is skipped where nothing is settled.

    Raises
    ------
    SettingError
        The store is not for tables, is centred, has merged other devices, or its memory does not hold a stream with so
        many waiting rows.
    """
    from edgecl.learning.prequential import Prequential

    if opened.extractor.contract.modality != "table":
        raise SettingError(f"{opened.store.path} is not a store for rows of a table")
    spellings = opened.spellings(label_case)
    asked, watched_class = decided(spellings, prior, watch, cost, alerts_per_1000)
    started = time.perf_counter()
    with opened.store.writer() as writer:
        live, model = opened.model()
        require_own(opened, model.others)
        require_uncentred(opened, model)
        panel, known = live_panel(opened, live, label_delay=0), tuple(model.statistics)
        stream = Prequential(model, label_delay=waiting_rows, panel=panel, prior=asked, watch=watched_class)
        objects = OverlayObjects(opened.store) if dry_run else StoredObjects(writer)
        saved = StreamSaver(objects, None if dry_run else writer, live)
        followed = _Followed(opened, stream, saved, Meeting(waiting_rows), spellings)
        with saved_before_an_error(saved, stream):
            for one in arrivals:
                yield from followed.arrived(one)
        stream.flush()
        verdict = saved.judged(stream)
    followed.note()
    note_other_names(known, stream.tally)
    return report_of(
        stream, verdict, saved.live.number if saved.live.number != live.number else None, followed.drifts,
        followed.skipped, started=started, dry_run=dry_run, late=followed.meeting.counts(),
    )  # fmt: skip


class _Followed:
    """A stream, and what has come of it."""

    def __init__(
        self, opened: OpenStore, stream: Prequential, saved: StreamSaver, meeting: Meeting, spellings: Spellings
    ) -> None:
        self._opened, self._stream, self._saved, self.meeting = opened, stream, saved, meeting
        self._spellings = spellings
        self._extractor = opened.extractor
        self._encoding = TableEncoding(self._extractor.contract)
        self._columns: list[str] = list(self._encoding.columns)
        self._far = FarValues(self._extractor.contract)
        self.skipped = ListedSkips()
        self.drifts: list[Drift] = []

    def arrived(self, one: Row | LateLabel | Skip) -> Generator[Predicted | Learnt | Drift, None, None]:
        """Predict a row, or learn a label."""
        if isinstance(one, Skip):
            self.skipped.append(one)
            return
        if isinstance(one, LateLabel):
            yield from self._label(one)
            return
        try:
            latent = self._latent(one)
        except UnusableError as error:
            self.skipped.append(Skip(f"row {one.id}", str(error)))
            return
        self._far.add(latent)
        self._saved.beginnings.add(latent)
        (row,) = self._stream.open(latent)
        yield Predicted(one.id, row.answer, float(row.probabilities.max(initial=0)), row.watched[1])
        if _is_no_id(one.id):
            self.skipped.append(Skip(f"row {one.id}", "no id: it is answered, and no label can meet it"))
            return
        label = self.meeting.row(one.id, row)
        if label is not None:
            yield from self._learn(one.id, row, label)

    def _label(self, one: LateLabel) -> Generator[Learnt | Drift, None, None]:
        is_missing_label = is_missing(one.label) and one.label.strip() not in self._stream.panel.labels
        if _is_no_id(one.id) or is_missing_label:
            why = "no id: the label is of no row" if _is_no_id(one.id) else missing_label(one.label)
            self.skipped.append(Skip(f"label of row {one.id}", why))
            return
        try:
            label = self._spellings.settled(checked_label(one.label, f"the label of row {one.id}"), f"row {one.id}")
        except DataError as error:
            self.skipped.append(Skip(f"label of row {one.id}", f"label refused: {error}", error.parameter))
            return
        row = self.meeting.label(one.id, label)
        if row is not None:
            yield from self._learn(one.id, row, label)

    def _learn(self, name: str, row: OpenRow, label: str) -> Generator[Learnt | Drift, None, None]:
        stream = self._stream
        if not stream.has_room_for(label, ()):
            self.skipped.append(Skip(f"row {name}", f"too many classes: no room for {label!r}"))
            return
        stream.close(row, label)
        yield Learnt(name, label, row.answer)
        if stream.has_drifted:
            yield self._respond()
        elif stream.tally.labelled - self._saved.at >= COMMIT_EVERY:
            self._saved.judged(stream)

    def _respond(self) -> Drift:
        """Respond to a drift, and commit what it brought."""
        from edgecl.learning.drift_response import AS_IT_IS

        drift = self._stream.adapt(kept_models(self._opened))
        if drift.chosen != AS_IT_IS:
            self._saved.keep(self._stream, drift)
        self.drifts.append(drift)
        return drift

    def note(self) -> None:
        """Log what a user should look at."""
        for note in (*self._encoding.notes(), *self._far.notes()):
            logger.warning("rows: %s", note)
        for note in self.meeting.notes():
            logger.warning("%s", note)

    def _latent(self, row: Row) -> NDArray[np.float32]:
        cells = {name.strip().lower(): text for name, text in row.cells.items()}
        if not all(column in cells for column in self._columns):
            self._columns = self._found(list(cells))
        values = self._encoding.encode([cells[column] for column in self._columns])
        latents: NDArray[np.float32] = self._extractor.latents([np.array([values], np.float32)])
        return latents

    def _found(self, names: list[str]) -> list[str]:
        """Return the columns of a row by their names, as those of a table are found; raises UnusableError."""
        wanted = list(self._encoding.columns)
        lacking = [one for one in wanted if one not in names]
        if not lacking:
            return wanted
        places = found_by_spelling(names, wanted)
        if places is None:
            raise UnusableError(f"it has no column {lacking[0]!r}")
        found = [names[at] for at in places]
        logger.warning("rows: %s are taken as %s", ", ".join(found), ", ".join(wanted))
        return found
