"""The strategies: their names, and how each takes gradient steps. Importable without numpy."""

from __future__ import annotations

from edgecl.values import dataclass

STRATEGIES = ("auto", "closed-form", "replay", "ewc-replay", "ewc", "naive")
GENERATED = "gaussian-replay"  # for `compare` alone: see DECISIONS.md
# in the order in which `compare` plays and lists them
COMPARED = ("naive", "ewc", "replay", "ewc-replay", "closed-form", "auto")
COMPARABLE = (*COMPARED[:4], GENERATED, *COMPARED[4:])

REFINE_PER_CLASS = 256  # lesson rows of a class that gradient steps draw from
REFINE_SAMPLES = 10  # fewest samples of a class that takes part in steps from the closed form


@dataclass(frozen=True)
class RefineSettings:
    """Number and size of the gradient steps.

    The loss is replay_weight·L_old + (1 - replay_weight)·L_new + ewc_strength/N_new · ½ Σ Λ (θ - θ*)².
    """

    replay_weight: float | None = None
    """Weight of replayed samples, 0 to 1; None: the share of classes that the lesson does not contain."""
    ewc_strength: float = 1.0
    rate: float = 0.3
    """Rate of the first step; a half cosine reduces it to zero."""
    epochs: int = 60
    smallest_steps: int = 100
    largest_steps: int = 2000


# Gradient steps from the closed form, chosen on the validation texts of clinc150 and a fifth of hwu64's training
# texts: rates of 1 to 6, 1000 to 4000 steps and strengths of 10 to 30 differ by less than a point.
FROM_CLOSED_FORM = RefineSettings(ewc_strength=30.0, rate=3.0, largest_steps=1000)


@dataclass(frozen=True)
class Rung:
    """One way to make a candidate."""

    strategy: str
    settings: RefineSettings
