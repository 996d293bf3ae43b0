"""The tables of tools/adapter_table, from what tools/measure/adapter_table.py writes; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report.accuracy_table import rows_of
from report.tables import titled_markdown
from report.text_table import points

Figures = Mapping[str, Any]
PARTS = {"all": "all classes", "first": "of the first lesson", "later": "taught later", "five": "later, from five"}
CHECKPOINT = 20  # steps, as in measure.adapter_table


def score_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return the score of the classes left out, by which an adapter is taken or refused, as it is trained."""
    rows: list[list[str]] = []
    for name, rates in sets.items():
        for rate, splits in rates.items():
            by_step = list(zip(*(one["scores"] for one in splits), strict=True))
            rows = rows or [
                ["set", "rate", "as it is", *(f"{CHECKPOINT * at} steps" for at in range(1, len(by_step)))],
            ]
            rows.append([name, rate, *(points(values) for values in by_step)])
    return rows


def accuracy_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return what closed forms reach on people and pictures that taught nothing."""
    rows = [["set", "extractor", *PARTS.values()]]
    for name, rates in sets.items():
        kinds = [("as it is", "plain", next(iter(rates.values())))]
        kinds += [(f"adapted, rate {rate}", "adapted", splits) for rate, splits in rates.items()]
        rows += [
            [name, title, *(points([one[kind][part] for one in splits]) for part in PARTS)]
            for title, kind, splits in kinds
        ]
    return rows


TABLES = {
    "Classes left out, %": score_rows,
    "All steps on the whole first lesson, whatever the classes left out say: closed forms, %": accuracy_rows,
}


def as_markdown(figures: Figures) -> str:
    """Return the tables in Markdown."""
    return titled_markdown(rows_of(figures, TABLES))
