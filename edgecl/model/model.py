"""What is known: a frozen value that a lesson turns into a new one. The old value is the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import StoreDamagedError
from edgecl.model.closed_form import Factor, factorise
from edgecl.model.ewc import EwcState
from edgecl.model.exemplars import Exemplars
from edgecl.model.head import HeadState, probabilities
from edgecl.model.memory import MemoryPlan, plan_memory, workspace_for
from edgecl.model.objects import Arrays
from edgecl.model.settings import Settings
from edgecl.model.statistics import ClassStatistics

CENTRE = "centre"  # the role of a Centre


@dataclass(frozen=True)
class Prediction:
    """Answers for n samples."""

    labels: list[str]
    confidence: NDArray[np.float32]  # (n,) probability of the answer, 0 to 1
    novelty: NDArray[np.float32]  # (n,) 0: typical of its class, 1: nothing of it


@dataclass(frozen=True)
class Centre:
    """What is taken off every latent that is taught or asked: see `edgecl.learning.centring`."""

    count: int  # samples that gave it
    shift: NDArray[np.float32]  # (D,)

    @property
    def nbytes(self) -> int:
        return self.shift.nbytes + 8

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays that `from_arrays` reads back."""
        return {"shift": self.shift, "count": np.array([self.count])}

    @staticmethod
    def from_arrays(arrays: Arrays, *, dimension: int) -> Centre:
        """Rebuild from stored arrays; raises StoreDamagedError where they do not fit the store's latents."""
        try:
            shift, count = np.array(arrays["shift"], np.float32), int(arrays["count"][0])
        except (KeyError, IndexError) as error:
            raise StoreDamagedError(f"the centre lacks {error}") from error
        if shift.shape != (dimension,):
            raise StoreDamagedError(f"the centre has shape {shift.shape}, the latents have {dimension} columns")
        return Centre(count, shift)


@dataclass(frozen=True)
class Alike:
    """What a class is most like, of those that were known when it was taught."""

    like: str
    odds: float
    """Log odds that the two are one class."""
    asked: bool = False
    """Whether its user has been asked since it went live."""


@dataclass(frozen=True)
class Model:
    """One revision in memory. `digests` says where each part is kept.

    Examples
    --------
    >>> from edgecl import Lesson, learn
    >>> settings = Settings(
    ...     memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=3, shrinkage_floor=0.1
    ... )
    >>> empty = Model(settings)
    >>> model = learn(empty, Lesson.of({"yes": np.eye(3)[[0, 0]], "no": np.eye(3)[[1, 1]]}, settings)).model
    >>> empty.labels, model.labels
    ((), ('no', 'yes'))
    >>> model.predict(np.eye(3, dtype=np.float32)[[1, 0]]).labels
    ['no', 'yes']
    """

    settings: Settings
    statistics: Mapping[str, ClassStatistics] = field(default_factory=dict)
    exemplars: Mapping[str, Exemplars] = field(default_factory=dict)
    head: HeadState | None = None
    ewc: EwcState | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    taught: Mapping[str, str] = field(default_factory=dict)  # label to the time of its last lesson: UTC, ISO 8601
    centre: Centre | None = None
    alike: Mapping[str, Alike] = field(default_factory=dict)
    """By label: the class that it is most like, where the two may be one."""
    distinct: frozenset[tuple[str, str]] = frozenset()
    """Pairs of labels, each in order, that the user has said are not the same."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of what is known, in order."""
        return tuple(sorted(self.statistics))

    def plan(self, classes: int | None = None) -> MemoryPlan:
        """How the memory is divided, at this or another number of classes."""
        return plan_memory(self.settings, max(len(self.statistics) if classes is None else classes, 1))

    def bytes(self) -> dict[str, int]:
        """Resident learner state by part; `total` counts the workspace that a lesson takes."""
        plan = self.plan()
        parts = {
            "statistics": plan.statistics if self.statistics else 0,
            "exemplars": sum(one.nbytes for one in self.exemplars.values()),
            "head": 2 * self.head.nbytes if self.head else 0,  # the live one and a candidate
            "ewc": self.ewc.nbytes if self.ewc else 0,
            "centre": self.centre.nbytes if self.centre else 0,
            "workspace": plan.workspace + plan.lesson,
        }
        return {**parts, "total": sum(parts.values())}

    def predict(self, latents: NDArray[np.float32]) -> Prediction:
        """Answer latents (n, D)."""
        if self.head is None or not self.head.labels:
            raise ValueError("a model without classes cannot answer")
        logits = self.head.logits(self.settings.features(self.centred(latents)))
        best = logits.argmax(axis=1)
        confidence = probabilities(logits)[np.arange(len(best)), best]
        return Prediction([self.head.labels[index] for index in best], confidence, self.head.novelty(logits))

    def centred(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents (n, D) less what the device's own user or place adds to them; as they are where that is not known."""
        return latents - self.centre.shift if self.centre else latents

    def are_distinct(self, label: str, other: str) -> bool:
        """Return whether the user has said that two classes are not the same."""
        return pair_of(label, other) in self.distinct

    def body(self) -> dict[str, Any]:
        """What a revision says of the model, beside its objects."""
        said = {
            "alike": {label: vars(one) for label, one in sorted(self.alike.items())},
            "distinct": [list(pair) for pair in sorted(self.distinct)],
        }
        return {
            "classes": {label: one.count for label, one in sorted(self.statistics.items())},
            "exemplars": {label: len(one) for label, one in sorted(self.exemplars.items())},
            "taught": {label: self.taught.get(label, "") for label in sorted(self.statistics)},
            "head": self.head.kind if self.head else None,
            "ewc_classes": list(self.ewc.labels) if self.ewc else [],
            **{name: value for name, value in said.items() if value},
        }


def pair_of(label: str, other: str) -> tuple[str, str]:
    """Return two labels in order."""
    return (label, other) if label < other else (other, label)


def factor_of(model: Model) -> Factor:
    settings = model.settings
    return factorise(model.statistics, workspace_for(settings), shrinkage_floor=settings.shrinkage_floor)
