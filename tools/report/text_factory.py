"""The tables of `tools/text_table factory`, from what tools/measure/text_factory.py writes; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from report.accuracy_table import rows_of
from report.tables import titled_markdown, yes
from report.text_table import points

Figures = Mapping[str, Any]
TARGETS = {("hwu64", "all"): 90.5, ("hwu64", "five"): 75.0}
EXTRACTORS = {"plain": "as it is", "adapted": "adapted, int8", "adapted in float32": "adapted, before rounding to int8"}


def closed_form_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return what closed forms reach with each extractor: means over the orders, and their range."""
    rows = [["set", "extractor", "all intents", "of the first lesson", "taught later", "later, from five texts"]]
    for name, one in sets.items():
        for key, title in EXTRACTORS.items():
            orders = [order["closed form"][key] for order in one["orders"]]
            rows.append(
                [name, title, *(points([it[part] for it in orders]) for part in ("all", "first", "later", "five"))]
            )
    return rows


def loop_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return what the loop of the command line reaches, month by month and with the gate."""
    rows = [["set", "extractor", "all intents, at the end", "new, in their month", "months refused", "asked about"]]
    for name, one in sets.items():
        for key in ("plain", "adapted"):
            orders = [order["loop"][key] for order in one["orders"]]
            new = 100 * fmean(value for order in orders for value in order["new"])
            refused = f"{sum(it['rejected'] for it in orders)} of {sum(len(it['used']) for it in orders)}"
            asked = str(sum(it["asked"] for it in orders))
            rows.append([name, EXTRACTORS[key], points([it["all"] for it in orders]), f"{new:.1f}", refused, asked])
    return rows


def training_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return how each adapter was made."""
    rows = [["set", "order", "intents", "texts", "left out, before", "after", "steps"]]
    for name, one in sets.items():
        for number, order in enumerate(one["orders"], start=1):
            made = order["adapter"]
            scores = [f"{100 * made[which]:.1f}" for which in ("before", "after")]
            facts = [str(made["intents"]), str(made["texts"]), *scores, str(made["steps"])]
            rows.append([name, str(number), *facts])
    return rows


def target_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Compare closed forms over the adapted extractor, in int8, with their targets."""
    said = {"all": "all intents, %", "five": "later intents from five texts, %"}
    rows = [["set", "what", "found", "target", "met"]]
    for (name, part), wanted in TARGETS.items():
        if name in sets:
            found = 100 * fmean(order["closed form"]["adapted"][part] for order in sets[name]["orders"])
            rows.append([name, said[part], f"{found:.1f}", f"≥ {wanted}", yes(found >= wanted)])
    return rows if len(rows) > 1 else []


TABLES = {
    "Factory adapter: closed forms, %": closed_form_rows,
    "Factory adapter: the loop of the command line, %": loop_rows,
    "Factory adapter: how it was made": training_rows,
    "Factory adapter: targets": target_rows,
}


def factory(figures: Figures) -> str:
    """Return the tables for the results file."""
    return titled_markdown(rows_of(figures, TABLES))
