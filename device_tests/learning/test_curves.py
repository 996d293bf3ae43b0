"""Prequential curves: windows, shares, CSV and SVG."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET

import numpy as np

from edgecl.learning.curves import FIRST_WINDOW, WINDOWS, Curves


def curves(rows: int) -> Curves:
    found = Curves()
    labels = ["a" if at % 3 else "b" for at in range(rows)]
    for first in range(0, rows, 50):
        part = labels[first : first + 50]
        found.add(part, ["a"] * len(part), [0.5] * len(part))
    return found


def test_windows_stay_few_and_count_every_row() -> None:
    found = curves(FIRST_WINDOW * WINDOWS * 3)
    assert len(found.windows) <= WINDOWS
    assert sum(one.rows for one in found.windows) == FIRST_WINDOW * WINDOWS * 3


def test_shares_are_those_of_the_formulas() -> None:
    shares = curves(FIRST_WINDOW * 3).windows[1].shares()
    assert abs(shares["accuracy"] - 2 / 3) < 0.02
    assert shares["balanced accuracy"] == 0.5
    assert shares["kappa"] == 0
    assert abs(shares["same again"] - 1 / 3) < 0.02
    assert abs(shares["kappa temporal"] - 0.5) < 0.02


def test_rows_at_once_are_counted_as_rows_one_by_one() -> None:
    draw = np.random.default_rng(0)
    rows = FIRST_WINDOW * WINDOWS + 100
    labels, answers = draw.choice(["a", "b", "c"], rows).tolist(), draw.choice(["a", "b", None], rows).tolist()
    sure = (draw.integers(0, 64, rows) / 64).tolist()
    at_once, one_by_one = Curves(), Curves()
    at_once.add(labels, answers, sure)
    for at in range(rows):
        one_by_one.add(labels[at : at + 1], answers[at : at + 1], sure[at : at + 1])
    assert at_once.as_csv() == one_by_one.as_csv()


def test_the_csv_has_a_line_for_each_window_and_counts_drifts() -> None:
    found = curves(FIRST_WINDOW * 4)
    rows = list(csv.DictReader(io.StringIO(found.as_csv([FIRST_WINDOW + 1, FIRST_WINDOW + 2]))))
    assert [int(row["labelled rows"]) for row in rows] == [FIRST_WINDOW * one for one in range(1, 5)]
    assert [int(row["drifts"]) for row in rows] == [0, 2, 0, 0]
    assert all(float(row["right: a"]) == 1 and float(row["right: b"]) == 0 for row in rows)


def test_the_plot_is_svg_with_a_mark_at_each_drift() -> None:
    root = ET.fromstring(curves(1000).as_svg([200, 400]))
    drawn = [one.get("class") for one in root if one.tag.endswith("polyline")]
    assert drawn.count("line dashed") == 3  # two marks, and the legend
    assert drawn.count("line") == 8  # four curves, and the legend


def test_without_labelled_rows_there_is_still_a_plot() -> None:
    assert ET.fromstring(Curves().as_svg()).tag.endswith("svg")
    assert len(Curves().as_csv().splitlines()) == 1
