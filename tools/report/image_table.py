"""The tables of tools/image_table, from the figures that tools/measure/image_table.py writes; standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from report.tables import titled_markdown, titled_plain, yes

Figures = Mapping[str, Any]
SLOWEST_MS, MOST_FORGOTTEN, WITHIN_JOINT = 5.0, 1.0, 2.5
SHOWN = ("clear first", "clear last", "all first", "all last", "forgetting")


def mean(orders: Sequence[Mapping[str, float]], name: str) -> float:
    """Return the mean over orders."""
    return fmean(one[name] for one in orders)


def spread(orders: Sequence[Mapping[str, float]], name: str) -> str:
    """Return the mean over orders, and their range where there are several."""
    values = [one[name] for one in orders]
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    around = f" ({low} to {high})" if low != high else ""
    return f"{fmean(values):.1f}{around}"


def strategy_rows(one: Figures) -> list[list[str]]:
    """Return what each learner has at first and at last."""
    rows = [
        ["learner", "clear, after the first lesson", "clear, at last", "all weather, at first", "at last", "forgetting"]
    ]
    for name, orders in one["strategies"].items():
        refused = sum(each.get("refused", 0) for each in orders)
        shown = f"{name}, {refused} lessons refused" if refused else name
        rows.append([shown, *(spread(orders, column) for column in SHOWN)])
    joint = one["joint"]
    rows.append(["joint, all lessons at once", "", f"{joint['clear last']:.1f}", "", f"{joint['all last']:.1f}", ""])
    return rows


def domain_rows(one: Figures) -> list[list[str]]:
    """Return what knowing or finding the weather adds."""
    rows = [["", "clear", "all weather", "weather found"]]
    for name, figures in one["by domain"].items():
        found = f"{figures['weather found']:.1f} %" if "weather found" in figures else ""
        rows.append([name, f"{figures['clear last']:.1f}", f"{figures['all last']:.1f}", found])
    return rows


def matrix_rows(one: Figures, order: Sequence[str]) -> list[list[str]]:
    """Return the accuracy on each weather after each lesson of the first order."""
    matrix = one["strategies"]["edgecl auto"][0]["matrix"]
    rows = [["after", *order]]
    return rows + [[name, *(f"{100 * each:.0f}" for each in row)] for name, row in zip(order, matrix, strict=True)]


def clear_rows(figures: Figures) -> list[list[str]]:
    """Return the accuracy on clear pictures by the columns of the extractor."""
    rows = [["set", "columns", "80 a class, closed form", "joint", "five a class"]]
    for name, one in figures["sets"].items():
        for columns, each in one["clear"].items():
            rows.append([name, columns, *(f"{each[kind]:.1f}" for kind in ("closed form", "joint", "five shots"))])
    return rows


def time_rows(figures: Figures) -> list[list[str]]:
    """Return CPU milliseconds by size."""
    rows = [["pixels", "extract, ms", "decode a JPEG of 640x480, ms", "model, MiB"]]
    for one in figures["timings"]:
        cells = [f"{one[name]:.1f}" for name in ("extract_ms", "decode_ms")]
        rows.append([f"{one['size']:.0f}", *cells, f"{one['bytes'] / 2**20:.1f}"])
    return rows


def target_rows(figures: Figures) -> list[list[str]]:
    """Return what was wanted and what was reached."""
    rows = [["target", "reached", "met"], *_time_target(figures)]
    for name, one in figures["sets"].items():
        orders = one["strategies"]["edgecl auto"]
        lost = mean(orders, "clear first") - mean(orders, "clear last")
        behind = one["joint"]["all last"] - mean(orders, "all last")
        forced = one["joint"]["all last"] - mean(one["strategies"].get("edgecl closed-form", orders), "all last")
        rows += [
            [f"{name}: at most 1 point lost on clear", f"{lost:.1f}", yes(lost <= MOST_FORGOTTEN)],
            [f"{name}: all weather within 2.5 points of joint", f"{behind:.1f}", yes(behind <= WITHIN_JOINT)],
            [f"{name}: the same, every lesson forced", f"{forced:.1f}", yes(forced <= WITHIN_JOINT)],
        ]
        if one["clear"]:
            few = one["clear"]["384"]["joint"] - one["clear"]["384"]["closed form"]
            rows.append([f"{name}: clear alone within 2.5 points of joint", f"{few:.1f}", yes(few <= WITHIN_JOINT)])
    return rows


def _time_target(figures: Figures) -> Iterator[list[str]]:
    for one in figures["timings"]:
        if one["size"] == 128:
            spent = one["extract_ms"]
            yield ["at most 5 ms a picture at 128 pixels", f"{spent:.1f} ms", yes(spent <= SLOWEST_MS)]


def tables(figures: Figures) -> dict[str, list[list[str]]]:
    found = {"Targets": target_rows(figures), "Time": time_rows(figures), "Clear pictures alone": clear_rows(figures)}
    for name, one in figures["sets"].items():
        found[f"{name}: one weather after another"] = strategy_rows(one)
        found[f"{name}: after each lesson, edgecl auto"] = matrix_rows(one, figures["orders"][0])
        found[f"{name}: knowing the weather"] = domain_rows(one)
    return found


def as_markdown(figures: Figures) -> str:
    """Return the tables in Markdown."""
    return titled_markdown(tables(figures)).rstrip()


def as_text(figures: Figures) -> str:
    """Return the tables for a terminal."""
    return titled_plain(tables(figures))
