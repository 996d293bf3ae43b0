"""The results of a comparison: one for each way to learn, with means and intervals over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.learning.strategies import COMPARED
from edgecl.model.settings import Settings

REPLAYING = ("replay", "ewc-replay")
GATED = "auto with gate"
JOINT = "joint"
BUDGETS = (0.05, 0.1, 0.2, 0.3)
SEEDS = 5
REPLAY_WEIGHTS = (0.25, 0.5, 0.75, 0.9)
SHARES = ("accuracy", "old", "new", "forgetting", "bwt", "joint_loss")
MEASURES = (*SHARES, "memory_bytes", "disk_bytes", "ms", "exemplars", "refused")
# Student's t, two-sided 95 %, by degrees of freedom from 1
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
Z_95 = 1.960
FEWEST_STREAMS = 4  # from which an interval is computed: with two, Student's t makes 12.7 of every standard error


@dataclass(frozen=True)
class Options:
    """The options of a comparison."""

    scenario: str = "class"
    """Either "class" or "domain"."""
    by: str | None = None
    """One of "speaker", "subject", "none"; None: by group where groups are known."""
    experiences: int | None = None
    seeds: int = SEEDS
    strategies: tuple[str, ...] = COMPARED
    budgets: tuple[float, ...] = BUDGETS
    """Shares of the training latents, 0 to 1; none and all are played too."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds."""

    mean: float
    interval: float | None
    """Half of the 95 % t interval; None with fewer than FEWEST_STREAMS seeds."""

    @staticmethod
    def of(values: NDArray[np.float64]) -> Estimate:
        """Estimate from one value a seed.

        >>> Estimate.of(np.array([0.5, 1.0])).mean
        0.75
        """
        mean = float(values.mean())
        freedom = len(values) - 1
        if len(values) < FEWEST_STREAMS:
            return Estimate(mean, None)
        return Estimate(mean, _t_95(freedom) * float(values.std(ddof=1)) / float(np.sqrt(len(values))))


@dataclass(frozen=True)
class Result:
    """One way to learn, over all seeds. Shares are 0 to 1.

    `accuracy` is balanced, after the last lesson, on the groups that are held out. In the class scenario `old` and
    `new` are its parts on the classes of earlier lessons and of the last one; in the domain scenario they are measured
    on kept-back recordings of the groups of earlier lessons and of the last one. `joint_loss` is what joint training
    has more. `memory_bytes` and `disk_bytes` are what the strategy must remember from lesson to lesson.
    """

    name: str
    values: Mapping[str, NDArray[np.float64]]
    """Measure -> (seeds,)."""
    lesson_ms: NDArray[np.float64]
    """Shape (seeds, T)."""
    refusals: tuple[str, ...] = ()
    """Why the gate refused lessons, of all seeds."""
    budget: float | None = None
    """Share of the training latents that may be kept."""
    replay_weight: float | None = None

    def estimate(self, measure: str) -> Estimate:
        return Estimate.of(self.values[measure])

    @property
    def median_ms(self) -> NDArray[np.float64]:
        """Median over seeds for each lesson (T,): not affected by a burst of another process."""
        return np.median(self.lesson_ms, axis=0)

    def mean(self, measure: str) -> float:
        return float(self.values[measure].mean())

    def as_dict(self) -> dict[str, Any]:
        measures = {name: {**vars(self.estimate(name)), "values": self.values[name].tolist()} for name in self.values}
        more = {name: value for name in ("budget", "replay_weight") if (value := getattr(self, name)) is not None}
        lessons = {"lesson_ms": self.median_ms.tolist(), "refusals": list(self.refusals)}
        return {"strategy": self.name, **more, **measures, **lessons}


@dataclass(frozen=True)
class Pair:
    """A way to learn beside the one that is recommended, stream by stream: both learnt the same lessons."""

    name: str
    difference: Estimate
    """Of balanced accuracy, over the streams."""
    better: int
    """Streams in which it is right more often."""
    worse: int

    @staticmethod
    def of(row: Result, chosen: Result) -> Pair:
        apart = row.values["accuracy"] - chosen.values["accuracy"]
        return Pair(row.name, Estimate.of(apart), int((apart > 0).sum()), int((apart < 0).sum()))

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "difference": vars(self.difference)}


@dataclass(frozen=True)
class Comparison:
    """All results of a comparison."""

    options: Options
    settings: Settings
    classes: int
    groups: int
    """0 where none are known."""
    samples: int
    training: float
    """Latents learnt in a stream, mean over seeds."""
    experiences: int
    held_out: int
    """Groups a seed tests on."""
    strategies: tuple[Result, ...]
    joint: Result
    penalties: tuple[float, ...]
    """Penalties of joint training, by seed."""
    budgets: tuple[Result, ...]
    weights: tuple[Result, ...]
    remarks: tuple[str, ...]

    def row(self, name: str) -> Result | None:
        return next((one for one in self.strategies if one.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        plain = ("classes", "groups", "samples", "training", "experiences", "held_out")
        return {
            "scenario": self.options.scenario,
            "seeds": self.options.seeds,
            "memory_budget_bytes": self.settings.memory_bytes,
            **{name: getattr(self, name) for name in plain},
            "strategies": [row.as_dict() for row in self.strategies],
            "joint": {**self.joint.as_dict(), "penalties": list(self.penalties)},
            "budgets": [row.as_dict() for row in self.budgets],
            "replay_weights": [row.as_dict() for row in self.weights],
            "break_even_lesson": {row.name: break_even(row, self.joint) for row in self.strategies},
            "remarks": list(self.remarks),
        }


def break_even(incremental: Result, joint: Result) -> int | None:
    """Return the lesson, from 1, from which on all lessons cost less than retraining each time; None if never."""
    spent, retrained = np.cumsum(incremental.median_ms), np.cumsum(joint.median_ms)
    dearer = np.flatnonzero(spent >= retrained)
    first = int(dearer[-1]) + 2 if len(dearer) else 1
    return first if first <= len(spent) else None


def _t_95(freedom: int) -> float:
    """Return Student's t quantile for a two-sided 95 % interval (Fisher's expansion beyond the table)."""
    return T_95[freedom - 1] if freedom <= len(T_95) else Z_95 + (Z_95**3 + Z_95) / (4 * freedom)
