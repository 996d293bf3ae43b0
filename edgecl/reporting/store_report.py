"""The report of a store: decisions, accuracy, confusions, exemplars, thresholds, memory and time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import edgecl
from edgecl.errors import DataError
from edgecl.operations.data import embedded
from edgecl.operations.status import status
from edgecl.reporting import charts, facts
from edgecl.reporting.facts import Confusion, Matrix
from edgecl.reporting.page import LARGEST, document, figure, section, table
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecl.operations.open_store import OpenStore
    from edgecl.sources.samples import Sample, Skip

ROWS = (120, 60, 30, 12)
"""Lines of a table, until the report is small enough."""


@dataclass(frozen=True)
class Test:
    """Test data, embedded."""

    latents: NDArray[np.float32]
    """(n, D)"""
    truth: tuple[str, ...]
    name: str


def embedded_test(opened: OpenStore, items: Iterable[Sample | Skip], *, name: str) -> tuple[Test, list[Skip]]:
    """Return labelled samples with their latents, and what was skipped.

    Raises
    ------
    DataError
        When no sample has a label.
    """
    skipped: list[Skip] = []
    truth: list[str] = []
    blocks: list[NDArray[np.float32]] = []
    for batch, latents in embedded(opened, items, skipped):
        has_label = [one.label is not None for one in batch]
        truth += [one.label for one in batch if one.label is not None]
        blocks.append(latents[np.array(has_label)])
    if not truth:
        raise DataError(f"no sample of {name} has a label: a report is measured on <label>/<file> folders")
    return Test(np.concatenate(blocks), tuple(truth), name), skipped


def store_report(opened: OpenStore, *, test: Test | None = None, bench: Mapping[str, Any] | None = None) -> str:
    """Return the HTML, at most LARGEST bytes of it.

    Parameters
    ----------
    bench
        What `edgecl bench` measured, read from its file.

    Raises
    ------
    StoreDamagedError
        The live revision cannot be read, and no earlier one either.
    """
    known = status(opened)
    title = f"edgecl: {opened.store.path.absolute().name}"
    subtitle = (
        f"revision {known['revision']} of {str(known['time'])[:19].replace('T', ' ')} UTC, {len(known['classes'])} "
        f"classes, {known['extractor']['modality']}; made by edgecl {edgecl.__version__}"
    )
    made = ""
    for most in ROWS:
        made = document(title, subtitle, _sections(opened, known, test, bench, most))
        if len(made.encode()) <= LARGEST:
            break
    return made


def _sections(
    opened: OpenStore, known: Mapping[str, Any], test: Test | None, bench: Mapping[str, Any] | None, most: int
) -> Iterator[str]:
    if known["damage"]:
        yield section("Damage", table(("what",), [[str(one)] for one in known["damage"]], most=most))
    yield _decisions(opened, most)
    _, model = opened.model()
    if test is not None:
        confusion, matrix = facts.tested(opened, test.latents, test.truth)
        yield _accuracy(matrix, test, most)
        yield _confusion(confusion, f"Confusion on {test.name}", "The live revision on the test data.", most)
    left = facts.left_out(model)
    if left is not None:
        note = (
            "Kept samples, each answered by the closed form that never saw it. Rows: what it was; columns: the answer."
        )
        yield _confusion(left, "Confusion on what is kept", note, most)
    yield _classes(known, most)
    points, share = facts.exemplar_map(model)
    if points:
        note = f"Kept samples, whitened, in the two directions that separate the classes best: {share:.0%} of it."
        yield section("Map of exemplars", figure(charts.scatter(points, "map of exemplars")), note=note)
    if known["spotting"]:
        yield _thresholds(known["spotting"], most)
    yield _budgets(known)
    yield _time(opened, bench, most)


def _decisions(opened: OpenStore, most: int) -> str:
    found = facts.marks(opened.store.journal())
    latest = found[-most:]
    header = ("UTC", "revision", "what", "verdict", "why", "evidence")
    note = f"The latest {len(latest)} of {len(found)}." if len(found) > len(latest) else ""
    picture = charts.timeline([mark for mark, _ in latest], "decisions in their order")
    return section("Decisions", figure(picture), table(header, [cells for _, cells in latest], most=most), note=note)


def _accuracy(matrix: Matrix, test: Test, most: int) -> str:
    names = [f"revision {number}" for number in matrix.revisions]
    lessons = [", ".join(one) for one in matrix.lessons]
    if not names or not lessons:
        return section("Accuracy over revisions", note=f"{test.name} holds no class that a kept revision was taught.")
    first = [None if np.isnan(one) else float(one) for one in matrix.accuracy[:, 0]]
    sums = (("forgetting", matrix.forgetting), ("BWT", matrix.bwt))
    told = [f"{label} {value:+.1%}" for label, value in sums if value is not None]
    note = (
        f"Balanced accuracy on {test.name} ({len(test.truth)} samples) of each kept revision, on the new classes of "
        f"each lesson. {'; '.join(told)}{' over the lessons whose revision is kept' if told else ''}"
    )
    rows = [
        [name, *("" if np.isnan(one) else f"{one:.1%}" for one in row)]
        for name, row in zip(names, matrix.accuracy, strict=True)
    ]
    return section(
        "Accuracy over revisions",
        figure(charts.matrix(matrix.accuracy, names, lessons, "accuracy matrix")),
        figure(charts.lines({"all known": matrix.mean(), "first lesson": first}, "accuracy over revisions")),
        table(("", *lessons), rows, folded="as a table", most=most),
        note=note,
    )


def _confusion(confusion: Confusion, title: str, note: str, most: int) -> str:
    mistakes = [[label, other, str(count), str(of)] for label, other, count, of in confusion.mistakes()]
    shares = confusion.shares
    right = np.nanmean(np.diag(shares)) if len(shares) else 0.0
    return section(
        title,
        figure(charts.matrix(shares, confusion.labels, confusion.labels, title)),
        table(
            ("class", "answered as", "times", "of"), mistakes, folded=f"{len(mistakes)} kinds of mistakes", most=most
        ),
        note=f"{note} Balanced accuracy {right:.1%}.",
    )


def _classes(known: Mapping[str, Any], most: int) -> str:
    rows = [
        [label, str(one["samples"]), str(one["exemplars"]), str(one["taught"])[:19].replace("T", " ")]
        for label, one in known["classes"].items()
    ]
    if not rows:
        return section("Classes", note="Nothing has been taught yet.")
    return section("Classes", table(("class", "samples", "exemplars kept", "last taught (UTC)"), rows, most=most))


def _thresholds(spotting: Mapping[str, Mapping[str, float]], most: int) -> str:
    words = {label: one for label, one in spotting.items() if not label.startswith("_")}
    rows = [
        [
            label,
            f"{one['threshold']:.1f}",
            f"{one['typical']:.1f}",
            f"{1 - one['heard']:.0%}",
            f"{one['accepts_per_hour']:.1f}",
        ]
        for label, one in words.items()
    ]
    header = (
        "word",
        "score to be detected",
        "median of its clips",
        "promised misses",
        "false accepts an hour for 90 %",
    )
    picture = charts.bars({label: one["heard"] for label, one in list(words.items())[:most]}, "detected in open talk")
    note = "Share of a word's own kept clips, each left out, that are detected in open talk; the rest are the misses."
    return section("Detection", figure(picture), table(header, rows, most=most), note=note)


def _budgets(known: Mapping[str, Any]) -> str:
    parts = {name: float(size) for name, size in known["bytes"].items() if name != "total" and size}
    memory = charts.shares_bar(
        parts, known["budget_bytes"], "memory", units={name: format_bytes(round(size)) for name, size in parts.items()}
    )
    disk = charts.shares_bar(
        {"disk": float(known["disk_bytes"])},
        known["disk_budget_bytes"],
        "disk",
        units={"disk": format_bytes(known["disk_bytes"])},
    )
    rows = [[name, format_bytes(round(size))] for name, size in parts.items()]
    used = f"{format_bytes(known['bytes']['total'])} of {format_bytes(known['budget_bytes'])}"
    stored = f"{format_bytes(known['disk_bytes'])} of {format_bytes(known['disk_budget_bytes'])}"
    return section(
        "Memory and disk",
        figure(memory, f"Memory: {used}"),
        table(("part", "size"), rows),
        figure(disk, f"Disk: {stored}"),
    )


def _time(opened: OpenStore, bench: Mapping[str, Any] | None, most: int) -> str:
    measured = facts.latency_ms(opened)
    rows: list[Sequence[str]] = []
    if measured is not None:
        rows.append(("one answer, where this report was made", f"{measured[0]:.2f}", f"{measured[1]:.2f}"))
    for name, phase in ((bench or {}).get("phases") or {}).items():
        if isinstance(phase, Mapping) and {"p50", "p99"} <= set(phase):
            rows.append((str(name), f"{phase['p50']:.2f}", f"{phase['p99']:.2f}"))
    if not rows:
        return section("Latency", note="Not measured: nothing is taught, or the store takes texts. See edgecl bench.")
    return section("Latency", table(("phase", "median, ms", "worst or p99, ms"), rows, most=most))
