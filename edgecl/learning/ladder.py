"""The ladder: what is tried in turn after a rejection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgecl.errors import SettingError
from edgecl.learning.refine import RefineSettings
from edgecl.learning.strategies import STRATEGIES
from edgecl.model.model import Model
from edgecl.units import format_bytes

REFINE_PER_CLASS = 256  # lesson rows of a class that gradient steps draw from
REFINE_CLASSES = 16  # with fewer classes the closed form was never beaten by more than its noise
REFINE_EXEMPLARS = 10  # of every class
REFINE_SAMPLES = 10  # of a class that takes part in steps from the closed form
# Of gradient steps from the closed form. Chosen on the validation texts of clinc150 and a fifth of hwu64's training
# texts: rates of 1 to 6, 1000 to 4000 steps and strengths of 10 to 30 differ by less than a point.
FROM_CLOSED_FORM = RefineSettings(ewc_strength=30.0, rate=3.0, largest_steps=1000)


@dataclass(frozen=True)
class Rung:
    """One way to make a candidate."""

    strategy: str
    settings: RefineSettings


def default_steps(strategy: str) -> RefineSettings:
    """How a strategy takes gradient steps: from a closed form fewer and longer ones, and held more firmly."""
    return FROM_CLOSED_FORM if strategy == "auto" else RefineSettings()


def ladder(strategy: str, settings: RefineSettings | None, taught: Model) -> Iterator[Rung]:
    """What is tried in turn: a named strategy alone; "auto", then more replay under stronger EWC, then closed form."""
    if strategy not in STRATEGIES:
        raise SettingError(f"{strategy!r} is not a strategy: choose one of {', '.join(STRATEGIES)}")
    plan = taught.plan()
    needed, fits = (
        (plan.consolidation, plan.can_consolidate) if "ewc" in strategy else (plan.refinement, plan.can_refine)
    )
    if strategy not in ("auto", "closed-form") and not fits:
        raise SettingError(
            f"strategy {strategy!r} needs {format_bytes(needed)} for gradient steps, "
            f"{format_bytes(plan.total)} were granted in all: use closed-form, or init with more --memory"
        )
    yield Rung(strategy, settings or default_steps(strategy))
    if strategy != "auto":
        return
    if plan.can_consolidate and taught.exemplars:
        steps = settings or default_steps("ewc-replay")
        yield Rung("ewc-replay", replace(steps, replay_weight=0.9, ewc_strength=10 * steps.ewc_strength))
    if may_pay(taught):
        yield Rung("closed-form", RefineSettings())


def may_pay(taught: Model) -> bool:
    """Whether refinement has a chance: many classes, each with enough exemplars, and no subject shift to fit to."""
    rich = all(len(one) >= REFINE_EXEMPLARS for one in taught.exemplars.values())
    return (
        rich
        and len(taught.statistics) >= REFINE_CLASSES
        and len(taught.exemplars) == len(taught.statistics)
        and taught.settings.shrinkage_floor < 0.1
        and taught.plan().can_refine
    )
