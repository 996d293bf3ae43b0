"""The tables of tools/text_table, from the figures that tools/measure/text_table.py writes; standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from report.accuracy_table import rows_of
from report.tables import titled_markdown, titled_plain, yes

Figures = Mapping[str, Any]

# targets (old intents may fall by half a point a month), and accuracy by memory that was expected
ALLOWED_LOSS, ALLOWED_MONTHLY_LOSS, NEW_INTENTS, OUT_OF_SCOPE, FIVE_SHOT = 0.5, 0.5, 93.0, 0.96, 85.0
FIVE_SHOT_SET = "clinc150"
FRONTIER = {
    ("hwu64", "32KiB"): 86.5,
    ("hwu64", "128KiB"): 87.6,
    ("hwu64", "1MiB"): 89.7,
    ("hwu64", "4MiB"): 91.2,
    ("clinc150", "64KiB"): 91.1,
    ("clinc150", "128KiB"): 91.3,
    ("clinc150", "1MiB"): 93.4,
    ("clinc150", "4MiB"): 94.2,
}


def points(values: Sequence[float]) -> str:
    """Return the mean over class orders and their range."""
    mean = 100 * fmean(values)
    return f"{mean:.1f}" if len(values) < 2 else f"{mean:.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"


def over(one: Figures, strategy: str, value: Callable[[Figures], float]) -> list[float]:
    return [value(order) for order in one["months"][strategy]]


def monthly_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return how each month changes the intents known before, and how well its own are predicted."""
    rows = [
        [
            "set",
            "intents",
            "learner",
            "old, a month",
            "worst month",
            "new, in their month",
            "first lesson's, at the end",
        ]
    ]
    rows[0] += ["months refused", "intents asked about", "ms a month", "memory, KiB"]
    for name, one in sets.items():
        intents = f"{one['first']}, then {one['monthly']} a month to {one['classes']}"
        for strategy, orders in one["months"].items():
            old = [change for order in orders for change in order["old"]]
            new = [value for order in orders for value in order["new"]]
            rows.append(
                [
                    name,
                    intents,
                    strategy,
                    f"{100 * fmean(old):+.2f}",
                    f"{100 * min(old):+.1f}",
                    f"{100 * fmean(new):.1f}",
                    points([order["first"] for order in orders]),
                    f"{sum(order['rejected'] for order in orders)} of {sum(len(order['used']) for order in orders)}",
                    str(sum(order["asked"] for order in orders)),
                    f"{fmean(ms for order in orders for ms in order['lesson_ms']):.0f}",
                    f"{max(order['bytes'] for order in orders) / 1024:.0f}",
                ]
            )
    return rows


def final_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return accuracy on all intents after the last month, a row for each learner."""
    first = next(iter(sets.values()))
    rows = [["learner", *sets], ["joint (bound)", *(f"{100 * one['joint']['accuracy']:.1f}" for one in sets.values())]]
    rows += [
        [strategy, *(points(over(one, strategy, lambda order: order["all"])) for one in sets.values())]
        for strategy in first["months"]
    ]
    rows += [[peer, *(points(one["peers"][peer]) for one in sets.values())] for peer in first["peers"]]
    return rows


def target_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Compare the default strategy with its targets."""
    rows = [["set", "what", "found", "target", "met"]]
    for name, one in sets.items():
        auto = one["months"]["auto"]
        loss = 100 * (fmean(order["all"] for order in auto) - one["joint"]["accuracy"])
        old = 100 * fmean(change for order in auto for change in order["old"])
        new = 100 * fmean(value for order in auto for value in order["new"])
        rows += [
            [name, "all intents less joint, points", f"{loss:+.1f}", f"≥ -{ALLOWED_LOSS}", yes(loss >= -ALLOWED_LOSS)],
            [name, "old intents, points a month", f"{old:+.2f}", f"≥ -{ALLOWED_MONTHLY_LOSS}", yes(old >= -0.5)],
            [name, "new intents, %", f"{new:.1f}", f"≥ {NEW_INTENTS:.0f}", yes(new >= NEW_INTENTS)],
        ]
        if auto[0]["out_of_scope"] is not None:
            found = fmean(order["out_of_scope"] for order in auto)
            rows.append([name, "out of scope, AUROC", f"{found:.4f}", f"≥ {OUT_OF_SCOPE}", yes(found >= OUT_OF_SCOPE)])
        if one["five_shot"]:
            new, old = 100 * one["five_shot"]["new"], 100 * one["five_shot"]["old"]
            shots = one["five_shot"]
            refused = f"{shots['rejected']} of {shots['rounds']} refused, {shots['asked']} asked about"
            wanted = name == FIVE_SHOT_SET
            rows += [
                [
                    name,
                    f"new intents from five texts, % ({refused})",
                    f"{new:.1f}",
                    f"≥ {FIVE_SHOT:.0f}" if wanted else "",
                    yes(new >= FIVE_SHOT) if wanted else "",
                ],
                [
                    name,
                    "old intents after that, points",
                    f"{old:+.2f}",
                    f"≥ -{ALLOWED_LOSS}" if wanted else "",
                    yes(old >= -ALLOWED_LOSS) if wanted else "",
                ],
            ]
    return rows


def budget_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return accuracy on all intents by memory; – where init refuses. In brackets what was expected."""
    budgets = next(iter(sets.values()))["budgets"]
    if not budgets:
        return []
    rows = [["set", *budgets]]
    for name, one in sets.items():
        cells = []
        for budget, value in one["budgets"].items():
            cell = "–" if value is None else f"{100 * value:.1f}"
            wanted = FRONTIER.get((name, budget))
            cells.append(f"{cell} ({wanted})" if wanted else cell)
        rows.append([name, *cells])
    return rows


def command_line_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Compare the command line with the same lessons in process."""
    rows = [["set", "edgecl eval", "in process", "equal"]]
    for name, one in sets.items():
        found, wanted = (100 * one["command_line"][side] for side in ("eval", "in_process"))
        rows.append([name, f"{found:.4f}", f"{wanted:.4f}", yes(abs(found - wanted) < 1e-9)])
    return rows


TABLES = {
    "Month by month, default budget, points and %": monthly_rows,
    "Balanced accuracy on all intents after the last month, %": final_rows,
    "Against the targets": target_rows,
    "All intents by memory, first class order, % (in brackets: the frontier that was expected)": budget_rows,
    "The same through the command line, first class order, %": command_line_rows,
}


def as_text(figures: Figures) -> str:
    """Return all tables for a terminal."""
    return titled_plain(rows_of(figures, TABLES))


def as_markdown(figures: Figures) -> str:
    """Return all tables for the results file."""
    return titled_markdown(rows_of(figures, TABLES))
