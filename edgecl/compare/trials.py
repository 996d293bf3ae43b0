"""Which strategies, budgets and seeds a comparison runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgecl.compare.results import GATED, REPLAY_WEIGHTS, REPLAYING, Options
from edgecl.compare.streams import Experiences, Recordings
from edgecl.errors import SettingError
from edgecl.learning.strategies import COMPARABLE, RefineSettings
from edgecl.model.exemplars import row_bytes
from edgecl.model.settings import Settings, plan_memory
from edgecl.units import format_bytes


@dataclass(frozen=True)
class Trial:
    """One strategy under one set of settings."""

    name: str
    strategy: str
    settings: Settings
    sweep: str = ""
    """One of "budget", "weight"."""
    budget: float | None = None
    exemplar_bytes: int | None = None
    """Kept after a lesson; None: what the memory leaves."""
    refine: RefineSettings | None = None
    is_gated: bool = False


def plan_trials(
    data: Recordings, streams: Sequence[Experiences], settings: Settings, options: Options
) -> tuple[list[Trial], list[str]]:
    """Return the trials, and notes on what cannot be played."""
    names = [one for one in COMPARABLE if one in options.strategies]
    plan, remarks = plan_memory(settings, len(data.names)), []
    stepping = [one for one in names if one not in ("closed-form", "auto")]
    if stepping and not plan.can_consolidate:
        names = [one for one in names if one not in stepping]
        remarks.append(
            f"not played: {', '.join(stepping)}: gradient steps need {format_bytes(plan.consolidation)}, more than "
            f"{format_bytes(settings.memory_bytes)} of memory has for them (the sweeps grant it)"
        )
    if not names:
        raise SettingError(
            f"nothing is left to play: {remarks[0]}; add closed-form, or grant more memory", parameter="memory_bytes"
        )
    trials = [Trial(name, name, settings) for name in names]
    if "auto" in names:
        trials.append(Trial(GATED, "auto", settings, is_gated=True))
    rows = max(len(stream.training) for stream in streams)
    return trials + _sweeps(settings, options, rows=rows, classes=len(data.names)), remarks


def _sweeps(settings: Settings, options: Options, *, rows: int, classes: int) -> list[Trial]:
    """Return trials of how much is kept and how much it weighs, with as much memory as that needs."""
    names = [one for one in REPLAYING if one in options.strategies]
    if not names:
        return []
    row = row_bytes(settings.features.row_dimension)
    roomy = _with_room_for(settings, rows * row, classes)
    shares = sorted({0.0, *options.budgets, 1.0}) if options.budgets else []
    trials = [
        Trial(name, name, roomy, "budget", budget=share, exemplar_bytes=round(share * rows) * row)
        for share in shares
        for name in names
    ]
    plan = plan_memory(settings, classes)
    weighed = Trial(names[-1], names[-1], settings, "weight")
    if not plan.can_consolidate:
        weighed = replace(weighed, settings=roomy, exemplar_bytes=max(plan.exemplars, 0))
    return trials + [replace(weighed, refine=RefineSettings(replay_weight=one)) for one in REPLAY_WEIGHTS]


def _with_room_for(settings: Settings, exemplar_bytes: int, classes: int) -> Settings:
    """Return the same features with enough memory for these exemplars and gradient steps."""
    memory = settings.memory_bytes
    while True:
        roomy = replace(settings, memory_bytes=memory)
        plan = plan_memory(roomy, classes)
        if plan.exemplars >= exemplar_bytes and plan.can_consolidate:
            return roomy
        memory += max(memory // 8, 1 << 16)
