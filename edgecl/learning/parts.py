"""A part of a lesson, and a lesson under other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecl.model.exemplars import Exemplars
from edgecl.model.model import Lesson


def part_of(lesson: Lesson, keep: Mapping[str, NDArray[np.bool_]]) -> Lesson:
    """Return the lesson with only the rows that are true in `keep`; labels without any are left out."""
    where = {label: np.flatnonzero(keep[label]) for label in lesson.rows}
    where = {label: one for label, one in where.items() if len(one)}
    return replace(
        lesson,
        rows={
            label: lesson.rows[label].take(one) if len(one) < len(lesson.rows[label]) else lesson.rows[label]
            for label, one in where.items()
        },
        sources=_picked(lesson.sources, where),
        groups=_picked(lesson.groups, where),
        confirmed={label: lesson.confirmed[label][one] for label, one in where.items() if label in lesson.confirmed},
    )


def renamed(lesson: Lesson, label: str, name: str) -> Lesson:
    """Return the lesson with the rows of a label under another name, behind those that have it; all confirmed."""
    order = [one for one in (name, label) if one in lesson.rows]
    joined = Exemplars(
        np.concatenate([lesson.rows[one].rows for one in order]),
        np.concatenate([lesson.rows[one].scales for one in order]),
    )
    confirmed = [np.ones(len(lesson.rows[one]), bool) if one == label else lesson.is_confirmed(one) for one in order]
    return replace(
        lesson,
        rows={**{one: rows for one, rows in lesson.rows.items() if one != label}, name: joined},
        sources=_joined(lesson, lesson.sources, order, label, name, fill=""),
        groups=_joined(lesson, lesson.groups, order, label, name, fill=None) if lesson.groups else {},
        confirmed={
            **{one: rows for one, rows in lesson.confirmed.items() if one != label},
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
