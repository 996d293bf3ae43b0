"""A lesson: quantised rows by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import DataError
from edgecl.model.exemplars import Exemplars, quantise
from edgecl.model.settings import Settings


@dataclass(frozen=True)
class Lesson:
    """Quantised rows by label, in the order in which they came."""

    rows: Mapping[str, Exemplars]
    time: str = ""  # when it was taught: UTC, ISO 8601
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label: the file, line or window that each row came from; a label may be missing."""
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label: the recording, take or person of each row; rows of one group do not vouch for each other."""
    confirmed: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """By label: rows whose name their user has confirmed; they are never doubted."""

    @staticmethod
    def of(latents: Mapping[str, ArrayLike], settings: Settings, *, time: str = "") -> Lesson:
        """Make a lesson of latents by label.

        Parameters
        ----------
        latents
            Label to latents (n, D), or one latent (D,).
        settings
            Of the model that is to learn it: they say how rows are made of latents.
        time
            When it is taught: UTC, ISO 8601.

        Raises
        ------
        DataError
            When there is nothing to learn, or latents have another shape or are not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from edgecl import Settings
        >>> settings = Settings(
        ...     memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=3, shrinkage_floor=0.1
        ... )
        >>> Lesson.of({"yes": np.ones((5, 3)), "no": -np.ones((4, 3))}, settings).count
        9
        """
        features, rows = settings.features, {}
        for label, given in latents.items():
            found = np.atleast_2d(np.asarray(given, np.float32))
            if found.ndim != 2 or found.shape[1] != settings.latent_dimension:
                wanted = f"(n, {settings.latent_dimension})"
                raise DataError(f"latents of {label!r} have shape {found.shape}, wanted {wanted}")
            if not np.isfinite(found).all():
                raise DataError(f"a latent of {label!r} is not finite")
            if len(found):
                rows[label] = quantise(features.project(found))
        if not rows:
            raise DataError("nothing to learn: there is no latent")
        return Lesson(rows, time)

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(len(rows) for rows in self.rows.values())

    @property
    def nbytes(self) -> int:
        """Of the rows held in memory; spooled rows are pages of a file."""
        return sum(rows.nbytes for rows in self.rows.values() if not isinstance(rows.rows.base, np.memmap))

    def source(self, label: str, row: int) -> str:
        """Return where a row came from; empty where it is not known."""
        known = self.sources.get(label, ())
        return known[row] if row < len(known) else ""

    def is_confirmed(self, label: str) -> NDArray[np.bool_]:
        """Return which rows of a label have been confirmed, (n,)."""
        return self.confirmed.get(label, np.zeros(len(self.rows[label]), bool))

    def take(self, keep: Mapping[str, NDArray[np.bool_]]) -> Lesson:
        """Return the lesson with only the rows that are true in `keep`; labels without any are left out."""
        where = {label: np.flatnonzero(keep[label]) for label in self.rows}
        where = {label: one for label, one in where.items() if len(one)}
        return replace(
            self,
            rows={
                label: self.rows[label].take(one) if len(one) < len(self.rows[label]) else self.rows[label]
                for label, one in where.items()
            },
            sources=_picked(self.sources, where),
            groups=_picked(self.groups, where),
            confirmed={label: self.confirmed[label][one] for label, one in where.items() if label in self.confirmed},
        )

    def renamed(self, label: str, name: str) -> Lesson:
        """Return the lesson with the rows of a label under another name, behind those that have it; all confirmed."""
        order = [one for one in (name, label) if one in self.rows]
        joined = Exemplars(
            np.concatenate([self.rows[one].rows for one in order]),
            np.concatenate([self.rows[one].scales for one in order]),
        )
        confirmed = [np.ones(len(self.rows[one]), bool) if one == label else self.is_confirmed(one) for one in order]
        return replace(
            self,
            rows={**{one: rows for one, rows in self.rows.items() if one != label}, name: joined},
            sources=_joined(self, self.sources, order, label, name, fill=""),
            groups=_joined(self, self.groups, order, label, name, fill=None) if self.groups else {},
            confirmed={
                **{one: rows for one, rows in self.confirmed.items() if one != label},
                name: np.concatenate(confirmed),
            },
        )


def _picked(texts: Mapping[str, Sequence[str]], where: Mapping[str, NDArray[np.intp]]) -> dict[str, list[str]]:
    """What is known of the rows that are taken."""
    return {
        label: [texts[label][row] for row in rows if row < len(texts[label])]
        for label, rows in where.items()
        if label in texts
    }


def _joined(
    lesson: Lesson, texts: Mapping[str, Sequence[str]], order: Sequence[str], label: str, name: str, *, fill: str | None
) -> dict[str, list[str]]:
    """What is known of each row, after the rows of `label` have become rows of `name`."""
    joined = []
    for one in order:
        known = list(texts.get(one, ()))[: len(lesson.rows[one])]
        missing = range(len(known), len(lesson.rows[one]))
        joined += known + [f"{one}:{row}" if fill is None else fill for row in missing]
    return {**{one: list(rows) for one, rows in texts.items() if one != label}, name: joined}
