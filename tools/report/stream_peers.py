"""Tables of `measure.stream_peers`: accuracy by set, time and memory; standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from report.tables import markdown

OURS, FOREST, RIVER = "edgecl", "River adaptive random forest", "River"
Run = Mapping[str, Any]


def as_markdown(runs: Sequence[Run]) -> str:
    """Return for each delay the accuracy of every learner, then how far edgecl is above each on the same streams."""
    parts, longest = [], {name: max(run["rows"] for run in runs if run["set"] == name) for name in _names(runs, "set")}
    runs = [run for run in runs if run["rows"] == longest[run["set"]]]  # a file may hold those of --quick too
    for delay in dict.fromkeys(run["delay"] for run in runs):
        here = [run for run in runs if run["delay"] == delay]
        parts += [f"## Right before the label, which comes {delay} rows later: mean over seeds in %", _accuracy(here)]
        if any(run["learner"] == OURS for run in here):
            parts += [f"Points of {OURS} above each learner on the same streams:", _differences(here), _summary(here)]
    return "\n\n".join(parts)


def _accuracy(runs: Sequence[Run]) -> str:
    sets = _names(runs, "set")
    lines = [["learner", *sets, "mean", "seeds", "µs a row", "memory"]]
    for learner in _names(runs, "learner"):
        own = _of(runs, learner)
        means = {name: mean([run["accuracy"] for run in own if run["set"] == name]) for name in _names(own, "set")}
        us, held = mean([run["us"] for run in own]), max(run["bytes"] for run in own)
        cells = [f"{100 * means[name]:.1f}" if name in means else "" for name in sets]
        average = f"{100 * mean(means.values()):.1f}" if len(means) == len(sets) else ""
        costs = [f"{us:.0f}" if us else "", f"{held / 1024:,.0f} KiB" if held else ""]
        lines.append([learner, *cells, average, str(_seeds(own)), *costs])
    return markdown(lines)


def _differences(runs: Sequence[Run]) -> str:
    sets = _names(runs, "set")
    lines = [["learner", *sets, "mean", "streams", "its time"]]
    for learner in _names(runs, "learner"):
        pairs = _pairs(runs, learner)
        if learner == OURS or not pairs:
            continue
        above, times = _above(pairs), _times(pairs)
        cells = [f"{above[name]:+.1f}" if name in above else "" for name in sets]
        average = f"{mean(above.values()):+.1f}" if len(above) == len(sets) else ""
        lines.append([learner, *cells, average, str(len(pairs)), f"{times:.1f} ×" if times else ""])
    return markdown(lines)


def _summary(runs: Sequence[Run]) -> str:
    """Say how edgecl stands to the best learner of River on average, and to the forest where it is nearest."""
    sets, found = _names(runs, "set"), []
    rivals = {
        name: _above(pairs)
        for name in _names(runs, "learner")
        if name.startswith(RIVER) and (pairs := _pairs(runs, name))
    }
    whole = {name: mean(above.values()) for name, above in rivals.items() if len(above) == len(sets)}
    if whole:
        best = min(whole, key=lambda name: whole[name])
        found.append(
            f"The best of River on average over the sets is {best}: {OURS} is {whole[best]:+.1f} points above."
        )
    if FOREST in rivals:
        above, times = rivals[FOREST], _times(_pairs(runs, FOREST))
        least = min(above, key=lambda name: above[name])
        found.append(f"{FOREST}: {times:.0f} times the time, {above[least]:+.1f} points at the least ({least}).")
    return " ".join(found)


def _names(runs: Sequence[Run], member: str) -> list[str]:
    return list(dict.fromkeys(run[member] for run in runs))


def _of(runs: Sequence[Run], learner: str) -> list[Run]:
    return [run for run in runs if run["learner"] == learner]


def _seeds(runs: Sequence[Run]) -> int:
    """Return how many streams there are of the set that has most; a real set has one order."""
    return max(len([run for run in runs if run["set"] == name]) for name in _names(runs, "set"))


def _pairs(runs: Sequence[Run], learner: str) -> list[tuple[Run, Run]]:
    """Return the runs of edgecl and of another learner on the same streams."""
    ours = {(run["set"], run["seed"], run["rows"]): run for run in _of(runs, OURS)}
    theirs = [(ours.get((run["set"], run["seed"], run["rows"])), run) for run in _of(runs, learner)]
    return [(mine, other) for mine, other in theirs if mine is not None]


def _above(pairs: Sequence[tuple[Run, Run]]) -> dict[str, float]:
    """Return for each set how many points edgecl is above, mean over its streams."""
    apart: dict[str, list[float]] = {}
    for mine, other in pairs:
        apart.setdefault(mine["set"], []).append(100 * (mine["accuracy"] - other["accuracy"]))
    return {name: mean(points) for name, points in apart.items()}


def _times(pairs: Sequence[tuple[Run, Run]]) -> float:
    """Return the other learner's time on all streams over edgecl's."""
    mine, other = (sum(run["us"] * run["rows"] for run in runs) for runs in zip(*pairs, strict=True))
    return other / mine if mine else 0.0
