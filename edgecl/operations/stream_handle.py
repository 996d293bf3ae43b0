"""What a learner's object has of the verbs that follow a stream: as a whole, or row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from edgecl.operations.handle import Handle, Progress

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict
    from edgecl.operations.data import Data
    from edgecl.operations.row_by_row import RowByRow
    from edgecl.operations.streaming import StreamReport


class StreamHandle(Handle):
    """The verbs of a stream."""

    def follow(
        self,
        data: Data,
        labels: Iterable[str] | None = None,
        *,
        latents: bool = False,
        label_delay: int = 0,
        dry_run: bool = False,
        prior: str = "stream",
        watch: str | None = None,
        cost: str | None = None,
        alerts_per_1000: float | None = None,
        label_case: str | None = None,
        progress: Progress | None = None,
    ) -> StreamReport:
        """Answer a stream row by row, and learn from each label when it comes.

        Parameters
        ----------
        data, labels, latents
            Rows in their order, see `learn`; a row may have no label.
        label_delay
            Rows that come between a row and its label.
        dry_run
            Commit nothing.
        prior
            How frequent classes are taken to be in an answer: "stream", "balanced" or "a=0.01,b=0.99".
        watch, cost, alerts_per_1000
            A class to raise alerts for; by what errors cost, "missed=50,false=1", or at most so many of 1,000 rows.
        label_case
            As of `learn`.
        progress
            Called with every stage, and with every confirmed drift.

        Raises
        ------
        SettingError
            When the store is centred, or its memory does not hold what a stream needs.
        DataError
            When a label cannot be used, or is a known class in another spelling; what was learnt before it is kept.
        """
        run = self.run.follow(
            data,
            labels,
            latents=latents,
            label_delay=label_delay,
            dry_run=dry_run,
            prior=prior,
            watch=watch,
            cost=cost,
            alerts_per_1000=alerts_per_1000,
            label_case=label_case,
        )
        return run.finish(progress)

    _rows: RowByRow | None = None

    @property
    def rows(self) -> RowByRow:
        """The stream of `learn_one`; it begins again where another revision went live and nothing would be lost."""
        from edgecl.operations.row_by_row import RowByRow

        rows = self._rows
        if rows is None or (not rows.has_uncommitted and rows.is_behind()):
            rows = self._rows = RowByRow(self._opened)
        return rows

    def learn_one(self, row: Mapping[str, Any], label: str) -> Self:
        """Learn the label of a row, given as a dictionary; in memory until `commit`, a drift, or 100,000 labels.

        Raises
        ------
        DataError
            When a cell or the label cannot be used, or it is a known class in another spelling.
        SettingError
            When the store is not for tables.
        """
        self.rows.learn_one(row, label)
        return self

    def predict_one(self, row: Mapping[str, Any]) -> str | None:
        """Return the likeliest label of a row; None before the first label. Raises as `learn_one`."""
        return self.rows.predict_one(row)

    def predict_proba_one(self, row: Mapping[str, Any]) -> dict[str, float]:
        """Return the probability of each label for a row. Raises as `learn_one`."""
        return self.rows.predict_proba_one(row)

    def commit(self) -> Verdict:
        """Commit what `learn_one` has taught, unless the live revision answers better.

        Raises
        ------
        StoreLockedError
            When another process is writing.
        """
        return self.rows.commit()
