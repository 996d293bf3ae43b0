"""The tables of tools/accuracy_table, from the figures of tools/measure/accuracy_table.py; standard library only.

A split counts once: its class orders are averaged first. Intervals are 95 % t-intervals over the splits of a set.
Differences to joint training are paired by split. An average over sets weighs each set alike, with Welch's interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from report.tables import titled_markdown, titled_plain, yes

Figures = Mapping[str, Any]
Table = Callable[[Mapping[str, Figures]], list[list[str]]]

# quantile 0.975 of Student's t by degrees of freedom
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
T_LARGE = 2.131

# targets, and accuracy by memory that was expected before anything was built, from other splits
ALLOWED_LOSS = 0.5  # points below joint, on any set
FIVE_SHOT_SET, FIVE_SHOT_NEW, FIVE_SHOT_OLD_LOSS = "speech_commands", 85.0, 0.5
FRONTIER = {
    ("fsdd", "32KiB"): 96.4,
    ("fsdd", "1MiB"): 97.3,
    ("spar_watch", "64KiB"): 85.4,
    ("spar_watch", "256KiB"): 87.6,
    ("spar_watch", "1MiB"): 87.7,
}


@dataclass(frozen=True)
class Interval:
    """A mean over splits, in points, with the half width of its 95 % interval."""

    mean: float
    half: float  # nan for a single split
    variance: float  # of the mean
    freedom: int

    @staticmethod
    def of(values: Sequence[float]) -> Interval:
        mean, freedom = 100 * fmean(values), len(values) - 1
        if not freedom:
            return Interval(mean, math.nan, math.nan, 0)
        variance = (100 * stdev(values)) ** 2 / len(values)
        return Interval(mean, quantile(freedom) * math.sqrt(variance), variance, freedom)

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if math.isnan(self.half) else f"{self.mean:.1f} ± {self.half:.1f}"

    def signed(self) -> str:
        return f"{self:s}" if self.mean < 0 else f"+{self}"

    def __format__(self, spec: str) -> str:
        return str(self)


def quantile(freedom: int) -> float:
    """Return the 0.975 quantile of Student's t."""
    return T_975[freedom - 1] if freedom <= len(T_975) else T_LARGE


def average(intervals: Sequence[Interval]) -> Interval:
    """Return the mean of independent means, with Welch and Satterthwaite's degrees of freedom."""
    mean = fmean(one.mean for one in intervals)
    variances = [one.variance / len(intervals) ** 2 for one in intervals]
    total = sum(variances)
    if not total > 0:  # nan: a single split
        return Interval(mean, math.nan, math.nan, 0)
    below = sum(part**2 / one.freedom for part, one in zip(variances, intervals, strict=True))
    freedom = max(int(total**2 / below), 1)
    return Interval(mean, quantile(freedom) * math.sqrt(total), total, freedom)


def over_splits(one: Figures, value: Callable[[Figures], float]) -> Interval:
    return Interval.of([value(split) for split in one["splits"]])


def joint(split: Figures) -> float:
    return float(split["joint"]["accuracy"])


def strategy(name: str) -> Callable[[Figures], float]:
    return lambda split: fmean(split["strategies"][name]["accuracies"])


def peer(name: str) -> Callable[[Figures], float]:
    return lambda split: fmean(split["peers"][name]["accuracies"])


def less_joint(value: Callable[[Figures], float]) -> Callable[[Figures], float]:
    return lambda split: value(split) - joint(split)


# Tables: rows of texts, the first of them the header


def accuracy_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return balanced accuracy after the last lesson, a row for each learner."""
    first = next(iter(sets.values()))["splits"][0]
    learners = {"joint (bound)": joint}
    learners |= {name: strategy(name) for name in first["strategies"]}
    learners |= {name: peer(name) for name in first["peers"]}
    rows = [["learner", *sets, "mean", "less joint"]]
    for name, value in learners.items():
        cells = [over_splits(one, value) for one in sets.values()]
        less = average([over_splits(one, less_joint(value)) for one in sets.values()])
        rows.append([name, *map(str, cells), f"{fmean(cell.mean for cell in cells):.1f}", less.signed()])
    return rows


def difference_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Compare the default strategy with joint training and the target."""
    rows = [["set", "auto less joint", "target", "met"]]
    for name, one in sets.items():
        found = over_splits(one, less_joint(strategy("auto")))
        rows.append([name, found.signed(), f"≥ -{ALLOWED_LOSS}", yes(found.mean >= -ALLOWED_LOSS)])
    found = average([over_splits(one, less_joint(strategy("auto"))) for one in sets.values()])
    rows.append(["average", found.signed(), "> 0", yes(found.mean > 0)])
    return rows


def five_shot_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return accuracy on new classes from five samples each, and the change of the others."""
    rows = [["set", "new classes", "change of old classes", "lessons rejected", "target", "met"]]
    for name, one in sets.items():
        new = over_splits(one, lambda split: split["five_shot"]["new"])
        old = over_splits(one, lambda split: split["five_shot"]["old_change"])
        rejected = sum(split["five_shot"]["rejected"] for split in one["splits"])
        rounds = sum(split["five_shot"]["rounds"] for split in one["splits"])
        target, met = "", ""
        if name == FIVE_SHOT_SET:
            target = f"≥ {FIVE_SHOT_NEW:.0f} and ≥ -{FIVE_SHOT_OLD_LOSS}"
            met = yes(new.mean >= FIVE_SHOT_NEW and old.mean >= -FIVE_SHOT_OLD_LOSS)
        rows.append([name, str(new), old.signed(), f"{rejected} of {rounds}", target, met])
    return rows


def frontier_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return accuracy by budget; – where init refuses. In brackets what was expected from other splits."""
    budgets = list(next(iter(sets.values()))["splits"][0]["frontier"])
    rows = [["set", *budgets]]
    for name, one in sets.items():
        cells = [name]
        for budget in budgets:
            values = [split["frontier"][budget] for split in one["splits"]]
            cell = "–" if None in values else str(Interval.of(values))
            wanted = FRONTIER.get((name, budget))
            cells.append(f"{cell} ({wanted})" if wanted else cell)
        rows.append(cells)
    return rows if budgets else []


def command_line_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Compare init, learn and eval on files with the same in process, and what answers of "unknown" cost."""
    rows = [["set", "split", "edgecl eval", "in process", "equal", "with unknown", "unknown costs"]]
    for name, one in sets.items():
        told = one["command_line"]
        same = told["eval"] == told["in_process"]
        known = told.get("with_unknown")  # figures of an earlier run have none
        cost = ["–", "–"] if known is None else [f"{100 * known:.4f}", f"{100 * (told['eval'] - known):.4f}"]
        figures = [f"{100 * told[side]:.4f}" for side in ("eval", "in_process")]
        rows.append([name, told["split"], *figures, yes(same), *cost])
    return rows


def lesson_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Count what made the head of the default strategy, the lessons that were rejected, the classes asked about."""
    rows = [
        [
            "set",
            "classes",
            "samples",
            "D",
            "features",
            "memory",
            "lessons",
            "closed form",
            "refined",
            "rejected",
            "asked",
        ]
    ]
    for name, one in sets.items():
        used = [word for split in one["splits"] for order in split["strategies"]["auto"]["used"] for word in order]
        rejected, closed = used.count("rejected"), used.count("closed-form")
        asked = sum(split["strategies"]["auto"]["asked"] for split in one["splits"])
        about = [
            one["classes"],
            one["samples"],
            one["dimension"],
            one["features"],
            f"{one['memory_bytes'] / 2**20:g} MiB",
        ]
        rows.append(
            [name, *map(str, about), *map(str, (len(used), closed, len(used) - closed - rejected, rejected, asked))]
        )
    return rows


def centring_rows(sets: Mapping[str, Figures]) -> list[list[str]]:
    """Return what centring gains on subjects who taught nothing; each subject counts once."""
    rows = [["set", "subjects", "before", "after", "change", "let in", "two classes alone: let in", "forced: change"]]
    for name, one in sets.items():
        subjects = [subject for split in one["splits"] for subject in split.get("centring", [])]
        if subjects:
            change = Interval.of([subject["after"] - subject["before"] for subject in subjects])
            forced = Interval.of([subject["skewed_forced"] - subject["before"] for subject in subjects])
            means = (100 * fmean(subject[side] for subject in subjects) for side in ("before", "after"))
            accepted = (sum(subject[side] for subject in subjects) for side in ("accepted", "skewed_accepted"))
            cells = [*(f"{mean:.1f}" for mean in means), change.signed(), *map(str, accepted), forced.signed()]
            rows.append([name, str(len(subjects)), *cells])
    return rows if len(rows) > 1 else []


TABLES = {
    "Balanced accuracy after the last lesson, unseen speakers or subjects, %": accuracy_rows,
    "Against joint training, points": difference_rows,
    "Five samples each of a few new classes, %": five_shot_rows,
    "Balanced accuracy by memory, % (in brackets: the frontier that was expected)": frontier_rows,
    "Centring on samples of an unseen subject without labels, % and points": centring_rows,
    "The same through the command line, %": command_line_rows,
    "Lessons of the default strategy": lesson_rows,
}


def as_text(figures: Figures) -> str:
    """Return all tables for a terminal."""
    return titled_plain(rows_of(figures, TABLES))


def as_markdown(figures: Figures) -> str:
    """Return all tables for the results file."""
    return titled_markdown(rows_of(figures, TABLES))


def rows_of(figures: Figures, tables: Mapping[str, Table]) -> dict[str, list[list[str]]]:
    """Return the rows of every table by its title."""
    return {title: make(figures["sets"]) for title, make in tables.items()}
