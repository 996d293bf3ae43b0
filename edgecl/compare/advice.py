"""Advice: sentences on the figures of a comparison. Each follows from a rule over the results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgecl.compare.results import FEWEST_STREAMS, GATED, REPLAYING, Comparison, Estimate, Pair, Result, break_even
from edgecl.units import format_bytes

WORTH = 0.005  # half a point of balanced accuracy: less is not worth memory or time
FORGETS = 0.05  # mean forgetting from which a strategy counts as forgetting


def recommend(found: Comparison) -> list[str]:
    """Return sentences, the choice first."""
    chosen = choose(found)
    return [
        *_choice(found, chosen),
        *_ewc(found),
        *_kept(found),
        *_weight(found),
        *_retraining(found, chosen),
        *_gate(found),
    ]


def choose(found: Comparison) -> Result:
    """Choose the result that remembers the fewest bytes within WORTH of the best, played with an open gate."""
    rows = [row for row in found.strategies if row.name != GATED]
    rows += [row for row in found.budgets if row.mean("exemplars")]
    best = max(row.mean("accuracy") for row in rows)
    return min((row for row in rows if row.mean("accuracy") >= best - WORTH), key=_remembered)


def paired(found: Comparison) -> list[Pair]:
    """Return every other strategy, and joint training, beside the one that is recommended."""
    chosen = choose(found)
    return [Pair.of(row, chosen) for row in (*found.strategies, found.joint) if row is not chosen]


def _reason(found: Comparison, chosen: Result) -> str:
    """Say why a result is recommended."""
    rows = [row for row in (*found.strategies, *found.budgets) if row.name != GATED]
    best = max(rows, key=lambda row: row.mean("accuracy"))
    if best.mean("accuracy") <= chosen.mean("accuracy"):
        return "no other is right more often"
    least = f"of all within {100 * WORTH:g} points of the best it remembers the least"
    return f"{least} (the best, {best.name}{_amount(found, best)}: {_share(best)} with {_bytes(best)})"


def difference(row: Result, other: Result) -> Estimate:
    """Return how much more accurate `row` is, seed by seed: both played the same streams."""
    return Estimate.of(row.values["accuracy"] - other.values["accuracy"])


def is_clear(one: Estimate) -> bool:
    """Test whether the interval excludes zero."""
    return one.interval is not None and abs(one.mean) > one.interval


def points(one: Estimate) -> str:
    """Write a difference of shares.

    >>> points(Estimate(0.012, 0.003)), points(Estimate(-0.1, None))
    ('+1.2 ± 0.3 points', '-10.0 points')
    """
    spread = "" if one.interval is None else f" ± {100 * one.interval:.1f}"
    return f"{100 * one.mean:+.1f}{spread} points"


def _choice(found: Comparison, chosen: Result) -> Iterator[str]:
    yield (
        f"On your data: {chosen.name}{_amount(found, chosen)}, because {_reason(found, chosen)}. {_share(chosen)} "
        f"after the last lesson, "
        f"{points(difference(chosen, found.joint))} against joint training on everything; it remembers "
        f"{_places(chosen)} and takes {_time(float(chosen.median_ms.mean()))} a lesson."
    )
    others = [row for row in found.strategies if row.name not in (chosen.name, GATED)]
    same = [row for row in others if np.array_equal(row.values["accuracy"], chosen.values["accuracy"])]
    if same:
        yield f"The same accuracy in every stream: {_names(same)}."
    if found.options.seeds < FEWEST_STREAMS:
        few = "One stream is" if found.options.seeds == 1 else f"{found.options.seeds} streams are"
        yield f"{few} no evidence on chance, so no interval is given: play {FEWEST_STREAMS} seeds or more."
        return
    alike = [row for row in others if row not in same and not is_clear(difference(row, chosen))]
    if alike:
        yield (
            f"Not distinguishable from it in {found.options.seeds} streams: {_names(alike)}. More seeds may settle "
            f"it, and more people in the data."
        )


def _ewc(found: Comparison) -> Iterator[str]:
    naive, ewc = found.row("naive"), found.row("ewc")
    if naive and ewc:
        yield (
            f"EWC alone ends at {_percent(ewc.mean('old'))} on what is old, plain gradient steps (naive) at "
            f"{_percent(naive.mean('old'))}: {_ewc_verdict(naive, ewc)}."
        )
    replay, both = found.row("replay"), found.row("ewc-replay")
    if replay and both:
        gain = difference(both, replay)
        verdict = ("it pays" if gain.mean > 0 else "it harms") if is_clear(gain) else "within chance"
        yield f"EWC on top of replay: {points(gain)} of balanced accuracy, {verdict}."


def _ewc_verdict(naive: Result, ewc: Result) -> str:
    if ewc.mean("forgetting") > FORGETS:
        return "it does not stop forgetting"
    return "it stops forgetting" if naive.mean("forgetting") > FORGETS else "there is little to forget here"


def _kept(found: Comparison) -> Iterator[str]:
    name = next((one for one in reversed(REPLAYING) if any(row.name == one for row in found.budgets)), None)
    rows = [row for row in found.budgets if row.name == name]
    if rows:
        best = max(row.mean("accuracy") for row in rows)
        enough = next(row for row in rows if row.mean("accuracy") >= best - WORTH)
        exemplars = enough.mean("exemplars")
        amount = f"{_percent(exemplars / found.training, 0)} of it ({exemplars:.0f} exemplars)"
        gains = f"gains nothing beyond {amount}" if exemplars else "gains nothing from any"
        gains = f"needs all of it ({exemplars:.0f} exemplars)" if enough is rows[-1] and exemplars else gains
        yield (
            f"Old data: {name} {gains}: {_share(enough)} with "
            f"{_places(enough)}; the best of all amounts is {_percent(best)}, with none it is {_share(rows[0])}."
        )
    closed = found.row("closed-form")
    if closed:
        yield f"The closed form keeps no old data, only its sums: {_share(closed)}."


def _weight(found: Comparison) -> Iterator[str]:
    if not found.weights:
        return
    best = max(found.weights, key=lambda row: row.mean("accuracy"))
    worst = min(found.weights, key=lambda row: row.mean("accuracy"))
    if best.mean("accuracy") - worst.mean("accuracy") <= WORTH:
        yield f"How much replayed samples weigh makes no difference: {_share(worst)} to {_share(best)}."
        return
    usual = found.row(best.name)
    yield (
        f"Weight of what is replayed in {best.name}: of those tried {best.replay_weight:g} is best ({_share(best)}) "
        f"and {worst.replay_weight:g} worst ({_share(worst)})"
        + (f"; the default, the share of classes that a lesson leaves alone, gives {_share(usual)}." if usual else ".")
    )


def _retraining(found: Comparison, chosen: Result) -> Iterator[str]:
    spent, retrained = float(chosen.median_ms.sum()), float(found.joint.median_ms.sum())
    since = break_even(chosen, found.joint)
    verdict = f"cheaper from lesson {since} on" if since else "retraining is cheaper, up to here"
    grows = ", which grow with classes, not with samples" if chosen.name in ("naive", "ewc", "closed-form") else ""
    yield (
        f"Retraining from everything each time takes {_time(retrained)} for {found.experiences} lessons, {chosen.name} "
        f"{_time(spent)}: {verdict}. It gives {_share(found.joint)}, and has to keep all {found.training:,.0f} "
        f"latents, {_bytes(found.joint)} at 8 bits a number, against {_bytes(chosen)}{grows}."
    )


def _gate(found: Comparison) -> Iterator[str]:
    gated = found.row(GATED)
    if gated is None:
        return
    refused = len(gated.refusals)
    text = f"With its gate, auto refused {refused} of {gated.lesson_ms.size} lessons and ends at {_share(gated)}"
    yield text + (f". The first was refused because {gated.refusals[0]}." if refused else ".")


def _remembered(row: Result) -> float:
    return row.mean("memory_bytes") + row.mean("disk_bytes")


def _bytes(row: Result) -> str:
    return format_bytes(round(_remembered(row)))


def _places(row: Result) -> str:
    memory, disk = (row.mean(one) for one in ("memory_bytes", "disk_bytes"))
    return f"{format_bytes(round(memory))} in memory" + (f" and {format_bytes(round(disk))} on disk" if disk else "")


def _amount(found: Comparison, row: Result) -> str:
    if row.budget is None:
        return ""
    return f", keeping {_percent(row.mean('exemplars') / found.training, 0)} of what it has learnt from"


def _time(ms: float) -> str:
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def _names(rows: list[Result]) -> str:
    return ", ".join(row.name for row in rows)


def _share(row: Result) -> str:
    return _percent(row.mean("accuracy"))


def _percent(share: float, digits: int = 1) -> str:
    return f"{share:.{digits}%}"
