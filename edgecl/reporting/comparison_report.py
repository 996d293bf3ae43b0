"""The report of a comparison: what each strategy remembers, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgecl.compare.advice import choose, paired, points, recommend
from edgecl.compare.results import JOINT
from edgecl.reporting import charts
from edgecl.reporting.page import document, figure, section, table
from edgecl.svg import Svg, line_chart
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.compare.results import Comparison, Result

SHARES = ("accuracy", "old", "new", "forgetting", "bwt", "joint_loss")
HEADER = ("strategy", "all", "old", "new", "forgetting", "BWT", "below joint")


def comparison_report(found: Comparison, *, name: str) -> str:
    """Return the HTML of a comparison on the data of a name."""
    rows = (*found.strategies, found.joint)
    subtitle = (
        f"{found.samples} samples of {found.classes} classes, {found.experiences} lessons, "
        f"{found.options.seeds} streams; "
        f"scenario {found.options.scenario}; memory granted {format_bytes(found.settings.memory_bytes)}"
    )
    return document(f"edgecl compare: {name}", subtitle, _sections(found, rows))


def _sections(found: Comparison, rows: Sequence[Result]) -> list[str]:
    shares = np.array([[row.mean(one) for one in ("accuracy", "old", "new")] for row in rows])
    names = [row.name for row in rows]
    sections = [
        section("What it says", "".join(f"<p>{_escaped(one)}</p>" for one in recommend(found))),
        section(
            "After the last lesson",
            figure(charts.matrix(shares, names, ("all", "old", "new"), "balanced accuracy by strategy")),
            table(HEADER, [[row.name, *(_estimate(row, one) for one in SHARES)] for row in rows]),
            note="Balanced accuracy, mean ± half of the 95 % interval over the streams, in %.",
        ),
        section(
            f"Beside {choose(found).name}, stream by stream",
            table(("strategy", "difference", "better in", "worse in"), _pairs(found)),
            note="Points of balanced accuracy; each stream is the same lessons for all.",
        ),
        section(
            "Accuracy against bytes",
            figure(_frontier(found)),
            note="What is remembered from lesson to lesson, in memory and on disk; lines: by how much is kept.",
        ),
        section(
            "Time of each lesson",
            figure(charts.lines(_times(rows), "share of the longest lesson")),
            table(("strategy", *(str(one + 1) for one in range(found.experiences))), _lesson_rows(rows)),
            note=f"Median over the streams; 100 % is {_longest(rows):.1f} ms. The table is in ms.",
        ),
        section("Memory", table(("strategy", "memory", "on disk", "exemplars", "refused"), _memory(rows))),
    ]
    if found.budgets:
        sections.append(section("How much old data to keep", table(("strategy", "allowed", "all"), _budgets(found))))
    if found.remarks:
        sections.append(section("Notes", "".join(f"<p>{_escaped(one)}</p>" for one in found.remarks)))
    return sections


def _pairs(found: Comparison) -> list[list[str]]:
    return [[one.name, points(one.difference), str(one.better), str(one.worse)] for one in paired(found)]


def _frontier(found: Comparison) -> Svg:
    """Draw accuracy against the bytes that are remembered: a point for each strategy, a line for each sweep."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in (*found.strategies, *found.budgets):
        kib = (row.mean("memory_bytes") + row.mean("disk_bytes")) / 1024
        name = row.name if row.budget is None else f"{row.name}, kept"
        lines.setdefault(name, []).append((kib, 100 * row.mean("accuracy")))
    kib = (found.joint.mean("memory_bytes") + found.joint.mean("disk_bytes")) / 1024
    lines[JOINT] = [(kib, 100 * found.joint.mean("accuracy"))]
    return line_chart(
        {name: sorted(line) for name, line in lines.items()},
        title="accuracy against bytes",
        x_label="KiB remembered",
        y_label="balanced accuracy, %",
        dots=True,
    )


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)


def _estimate(row: Result, measure: str) -> str:
    one = row.estimate(measure)
    return f"{100 * one.mean:.1f}" + ("" if one.interval is None else f" ± {100 * one.interval:.1f}")


def _longest(rows: Sequence[Result]) -> float:
    return max(float(row.median_ms.max()) for row in rows)


def _times(rows: Sequence[Result]) -> dict[str, list[float | None]]:
    longest = max(_longest(rows), 1e-9)
    return {row.name: [float(one) / longest for one in row.median_ms] for row in rows}


def _lesson_rows(rows: Sequence[Result]) -> list[list[str]]:
    return [[row.name, *(f"{one:.1f}" for one in row.median_ms)] for row in rows]


def _memory(rows: Sequence[Result]) -> list[list[str]]:
    return [
        [
            row.name,
            format_bytes(round(row.mean("memory_bytes"))),
            format_bytes(round(row.mean("disk_bytes"))),
            f"{row.mean('exemplars'):.0f}",
            str(len(row.refusals)),
        ]
        for row in rows
    ]


def _budgets(found: Comparison) -> list[list[str]]:
    return [[row.name, f"{100 * (row.budget or 0):g} %", _estimate(row, "accuracy")] for row in found.budgets]
