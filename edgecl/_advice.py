"""What the numbers of a comparison say, in plain language. Every sentence follows from a rule over the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgecl._comparison import GATED, REPLAYING, Comparison, Estimate, Row, break_even
from edgecl.config import format_bytes

WORTH = 0.005  # half a point of balanced accuracy: less is not worth memory or time


def recommend(found: Comparison) -> list[str]:
    """Sentences, the choice first."""
    chosen = choose(found)
    return [
        *_choice(found, chosen),
        *_ewc(found),
        *_kept(found, chosen),
        *_weight(found),
        *_retraining(found, chosen),
        *_gate(found),
    ]


def choose(found: Comparison) -> Row:
    """Of the strategies within WORTH of the best, the one that remembers the fewest bytes."""
    rows = [row for row in found.strategies if row.name != GATED]
    best = max(row.mean("accuracy") for row in rows)
    good = [row for row in rows if row.mean("accuracy") >= best - WORTH]
    return min(good, key=_remembered)


def difference(row: Row, other: Row, measure: str = "accuracy") -> Estimate:
    """How much more `row` has, seed by seed: both played the same streams."""
    return Estimate.of(row.values[measure] - other.values[measure])


def is_clear(one: Estimate) -> bool:
    """Whether the interval leaves out zero."""
    return one.interval is not None and abs(one.mean) > one.interval


def points(one: Estimate) -> str:
    """
    >>> points(Estimate(0.012, 0.003)), points(Estimate(-0.1, None))
    ('+1.2 ± 0.3 points', '-10.0 points')
    """
    spread = "" if one.interval is None else f" ± {100 * one.interval:.1f}"
    return f"{100 * one.mean:+.1f}{spread} points"


def _choice(found: Comparison, chosen: Row) -> Iterator[str]:
    yield (
        f"On your data: {chosen.name}. {_share(chosen)} after the last lesson, {points(difference(chosen, found.joint))} "
        f"against joint training on everything; it remembers {_bytes(chosen)} and takes {chosen.mean('ms'):.1f} ms a lesson."
    )
    others = [row for row in found.strategies if row.name not in (chosen.name, GATED)]
    same = [row.name for row in others if np.array_equal(row.values["accuracy"], chosen.values["accuracy"])]
    alike = [
        row.name for row in others if row.name not in same and not is_clear(difference(row, chosen)) and found.options.seeds > 1
    ]
    if same:
        yield f"The same accuracy, lesson for lesson: {', '.join(same)}."
    if alike:
        yield (
            f"Not to be told apart from it with {found.options.seeds} seeds: {', '.join(alike)}. "
            f"More people in the data settle that, or more --seeds."
        )
    if found.options.seeds == 1:
        yield "One seed says nothing about chance: no figure here has an interval."


def _ewc(found: Comparison) -> Iterator[str]:
    naive, ewc = found.row("naive"), found.row("ewc")
    if naive and ewc:
        gain = difference(ewc, naive, "old")
        verdict = "it does not stop forgetting" if ewc.mean("forgetting") > 0.1 else "little is forgotten here to begin with"
        if ewc.mean("forgetting") <= 0.1 < naive.mean("forgetting"):
            verdict = "it holds them"
        yield f"EWC alone: {points(gain)} on what is old against naive steps, {_percent(ewc.mean('old'))} in all: {verdict}."
    replay, both = found.row("replay"), found.row("ewc-replay")
    if replay and both:
        gain = difference(both, replay)
        verdict = ("worth it" if gain.mean > 0 else "it harms") if is_clear(gain) else "within chance"
        yield f"EWC on top of replay: {points(gain)} of balanced accuracy: {verdict}."


def _kept(found: Comparison, chosen: Row) -> Iterator[str]:
    name = next((one for one in reversed(REPLAYING) if any(row.name == one for row in found.budgets)), None)
    if name is None:
        return
    rows = [row for row in found.budgets if row.name == name]
    best = max(row.mean("accuracy") for row in rows)
    enough = next(row for row in rows if row.mean("accuracy") >= best - WORTH)
    share = enough.mean("exemplars") / found.training
    yield (
        f"Old data for {name}: it gains nothing beyond {_percent(share, 0)} of it ({enough.mean('exemplars'):.0f} exemplars, "
        f"{_bytes(enough)} in all): {_share(enough)}, the best of any amount is {_percent(best)}, and with none it is {_share(rows[0])}."
    )
    closed = found.row("closed-form")
    if closed:
        yield f"The closed form needs no old data, only sums: {_share(closed)}."


def _weight(found: Comparison) -> Iterator[str]:
    if not found.weights:
        return
    best = max(found.weights, key=lambda row: row.mean("accuracy"))
    worst = min(found.weights, key=lambda row: row.mean("accuracy"))
    if best.mean("accuracy") - worst.mean("accuracy") <= WORTH:
        yield f"The weight of replay makes no difference between {_weights(found)}."
        return
    usual = found.row(best.name)
    default = f"; by default it is the share of classes that a lesson does not touch: {_share(usual)}" if usual else ""
    yield (
        f"Weight of replay in {best.name}: {best.replay_weight:g} is the best of those tried ({_share(best)}), "
        f"{worst.replay_weight:g} the worst ({_share(worst)}){default}."
    )


def _weights(found: Comparison) -> str:
    return " and ".join(f"{row.replay_weight:g}" for row in (found.weights[0], found.weights[-1]))


def _retraining(found: Comparison, chosen: Row) -> Iterator[str]:
    spent, retrained = (float(row.lesson_ms.mean(axis=0).sum()) for row in (chosen, found.joint))
    since = break_even(chosen, found.joint)
    verdict = f"lessons are cheaper in all from lesson {since} on" if since else "retraining is cheaper throughout, so far"
    yield (
        f"Retraining from everything each time: {_share(found.joint)}; {retrained:.0f} ms for {found.experiences} lessons, "
        f"{chosen.name} {spent:.0f} ms: {verdict}. Its {found.training:,.0f} latents take {_bytes(found.joint)} "
        f"(8 bits a number), {chosen.name} {_bytes(chosen)}" + (", which does not grow." if _is_flat(chosen) else ".")
    )


def _is_flat(row: Row) -> bool:
    return row.name in ("naive", "ewc", "closed-form")


def _gate(found: Comparison) -> Iterator[str]:
    gated = found.row(GATED)
    if gated is None:
        return
    lessons = gated.lesson_ms.size
    refused = len(gated.refusals)
    text = f"With its gate closed, auto refused {refused} of {lessons} lessons and ends at {_share(gated)}"
    yield text + (f"; the first reason: {gated.refusals[0]}." if refused else ".")


def _remembered(row: Row) -> float:
    return row.mean("memory_bytes") + row.mean("disk_bytes")


def _bytes(row: Row) -> str:
    return format_bytes(round(_remembered(row)))


def _share(row: Row) -> str:
    return _percent(row.mean("accuracy"))


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"
