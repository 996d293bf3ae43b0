"""The fairer tables of tools/gate_rates: damage, doubles, wrong samples taught, and what good lessons pay.

**Damage** is harm as in report/gate_rates.py, but both names of a class that was taught twice count as right, and only
classes of ENOUGH test samples are looked at. **Doubles** are one thing under two names, taught without a question.
**Wrong samples** are those of lessons with 10 and 25 % wrong names that are taught, whatever the test says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from report.gate_rates import ENOUGH, SHIPPED, by, is_harmful, rate
from report.gate_rates import as_markdown as old_as_markdown
from report.gate_rates import as_text as old_as_text
from report.tables import titled_markdown, titled_plain

Figures = Mapping[str, Any]
Rows = list[list[str]]

GATE_ALONE = "the gate alone: nothing set aside, nothing asked"
ALWAYS = "accept always"
DOUBLES = ("an old class under a new name", "half of a class under a second name")
FEW_WRONG = ("10% of the labels wrong", "25% of the labels wrong")
TARGETS = {"damage": 0.03, "doubles": 0.1, "wrong": 0.065, "refused": 0.02, "asked": 0.065, "aside": 0.02}


def live(lesson: Figures, policy: str) -> int | None:
    found: int | None = 0 if policy == ALWAYS else lesson["accepted"][policy]
    return found


def is_damaging(lesson: Figures, attempt: int | None) -> bool:
    return is_harmful({**lesson, "after": lesson["merged"]}, attempt, fewest=ENOUGH)


def damage(lessons: Iterable[Figures], policy: str) -> list[bool]:
    """For each damaging lesson whether the damage goes live."""
    pairs = [(is_damaging(one, 0), is_damaging(one, live(one, policy))) for one in lessons]
    return [goes_live for would, goes_live in pairs if would or goes_live]


def doubles(lessons: Iterable[Figures], policy: str) -> list[bool]:
    """For each lesson that gives a class a second name whether it is taught without a question."""
    chosen = [one for one in lessons if one["kind"] in DOUBLES]
    return [True if policy == ALWAYS else bool(one["doubles"][policy]) for one in chosen]


def wrong(lessons: Iterable[Figures], policy: str) -> tuple[int, int]:
    """Wrong samples that are taught, and all of them."""
    chosen = [one for one in lessons if one["kind"] in FEW_WRONG]
    of = sum(one["wrong"] for one in chosen)
    return (of if policy == ALWAYS else sum(one["wrong_taught"][policy] for one in chosen)), of


def outcomes(lessons: Iterable[Figures], policy: str, outcome: str) -> list[bool]:
    """For each good lesson whether this becomes of it."""
    good = [one for one in lessons if one["is_good"]]
    return [False if policy == ALWAYS else one["outcome"][policy] == outcome for one in good]


def set_aside(lessons: Iterable[Figures], policy: str) -> tuple[int, int]:
    """Samples of good lessons that are set aside, and all of them."""
    good = [one for one in lessons if one["is_good"]]
    return (0 if policy == ALWAYS else sum(one["set_aside"][policy] for one in good)), sum(
        one["lesson"] for one in good
    )


def points(lessons: Iterable[Figures], policy: str) -> str:
    """Change of accuracy, in points, of good lessons that are taught, against the lesson taught whole."""
    good = [one for one in lessons if one["is_good"] and live(one, policy) is not None]
    taught = [one for one in good if policy == ALWAYS or one["outcome"][policy] == "taught"]
    changes = [100 * (one["points"][1 + (live(one, policy) or 0)] - one["points"][1]) for one in taught]
    if not changes:
        return "–"
    error = 1.96 * stdev(changes) / math.sqrt(len(changes)) if len(changes) > 1 else 0.0
    return f"{fmean(changes):+.2f} ± {error:.2f}"


def share(counts: tuple[int, int]) -> str:
    return rate([True] * counts[0] + [False] * (counts[1] - counts[0]))


def fair_row(lessons: Sequence[Figures], policy: str) -> list[str]:
    return [
        rate(damage(lessons, policy)),
        rate(doubles(lessons, policy)),
        share(wrong(lessons, policy)),
        rate(outcomes(lessons, policy, "refused")),
        rate(outcomes(lessons, policy, "asked")),
        share(set_aside(lessons, policy)),
        points(lessons, policy),
    ]


HEADER = ["damage", "doubles taught", "wrong taught", "good refused", "good asked", "good set aside", "points"]


def fair_rows(lessons: Sequence[Figures]) -> Rows:
    """Every step of the gate by the fairer measure."""
    policies = [ALWAYS, GATE_ALONE, "nothing set aside", "nothing asked", SHIPPED, "ask_above 0.0", "ask_above 1.4"]
    known = {ALWAYS, *lessons[0]["accepted"]}
    return [["judge", *HEADER], *([one, *fair_row(lessons, one)] for one in policies if one in known)]


def fair_set_rows(lessons: Sequence[Figures]) -> Rows:
    """The gate as it ships, by set."""
    return [["set", *HEADER], *([str(name), *fair_row(some, SHIPPED)] for name, some in by(lessons, "set").items())]


def fair_clip_rows(lessons: Sequence[Figures]) -> Rows:
    """The gate as it ships, by clips of a class."""
    return [["clips", *HEADER], *([str(name), *fair_row(some, SHIPPED)] for name, some in by(lessons, "clips").items())]


def becomes_rows(lessons: Sequence[Figures]) -> Rows:
    """What becomes of every kind of lesson."""
    rows = [["lesson", "taught", "asked", "refused", "samples set aside", "wrong samples taught", "damage"]]
    for kind, chosen in by(lessons, "kind").items():
        counts = [sum(one["outcome"][SHIPPED] == what for one in chosen) for what in ("taught", "asked", "refused")]
        aside = (sum(one["set_aside"][SHIPPED] for one in chosen), sum(one["lesson"] for one in chosen))
        bad = (sum(one["wrong_taught"][SHIPPED] for one in chosen), sum(one["wrong"] for one in chosen))
        rows.append([str(kind), *map(str, counts), share(aside), share(bad), rate(damage(chosen, SHIPPED))])
    return rows


FAIR_TABLES = {
    "By the fairer measure, % (count; 95 % interval)": fair_rows,
    "The fairer measure by set, %": fair_set_rows,
    "The fairer measure by clips of a class, %": fair_clip_rows,
    "What becomes of every kind of lesson, %": becomes_rows,
}


def as_text(figures: Figures) -> str:
    """All tables for a terminal."""
    tables = {name: make(figures["lessons"]) for name, make in FAIR_TABLES.items()}
    return old_as_text(figures) + "\n" + titled_plain(tables)


def as_markdown(figures: Figures) -> str:
    """The tables that tools/results keeps."""
    tables = {name: make(figures["lessons"]) for name, make in FAIR_TABLES.items()}
    return titled_markdown(tables) + "\n" + old_as_markdown(figures)
