"""The model: one revision in memory, the lesson that it learns from, and where its arrays are kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import DataError
from edgecl.model.exemplars import Exemplars, quantise
from edgecl.model.head import Factor, HeadState, factorise, probabilities
from edgecl.model.settings import FIXED_CLASS_BYTES, MemoryPlan, Settings, plan_memory, workspace_for
from edgecl.model.statistics import ClassStatistics, Pages
from edgecl.values import dataclass, field, replace

if TYPE_CHECKING:
    from edgecl.model.ewc import EwcState
    from edgecl.model.share import Share

Arrays = Mapping[str, NDArray[np.generic]]
EXPERTS = "experts"  # the role of what follows a stream: its revision alone has it, see edgecl.learning.panel
CENTRE = "centre"  # the role of a Centre
OWN = "own"  # first part of the role of one's own statistics of a class that other devices have taught too
OTHERS = "others"  # first part of the role of what another device has shared


class Objects(Protocol):
    """A place for arrays: a store's writer on the device, a dictionary in `compare` and in tests."""

    def put(self, arrays: Arrays) -> str: ...

    def read(self, digest: str) -> Arrays: ...


class MemoryObjects:
    """Objects in a dictionary.

    Examples
    --------
    >>> objects = MemoryObjects()
    >>> objects.read(objects.put({"mean": np.ones(3)}))["mean"].tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self) -> None:
        self._held: dict[str, Arrays] = {}
        self._count = 0

    def put(self, arrays: Arrays) -> str:
        digest = f"{self._count:08d}"
        self._count += 1
        self._held[digest] = {name: np.array(array) for name, array in arrays.items()}
        return digest

    def read(self, digest: str) -> Arrays:
        return self._held[digest]

    def keep(self, digests: Iterable[str]) -> None:
        """Drop every object but these."""
        kept = set(digests)
        self._held = {digest: arrays for digest, arrays in self._held.items() if digest in kept}


@dataclass(frozen=True)
class Lesson:
    """Quantised rows by label, in the order of arrival."""

    rows: Mapping[str, Exemplars]
    time: str = ""
    """When it was taught: UTC, ISO 8601."""
    is_timed: bool = False
    """Whether the clock could be trusted then."""
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label: the file, line or window that each row came from; a label may be missing."""
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label: the recording, take or person of each row; rows of one group do not vouch for each other."""
    recordings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label: the recording of each row, where several are of one; they are one witness when the gate judges."""
    people: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By label: who gave each row, empty where that is not known; a new class is proven without the person of a row."""
    confirmed: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """By label: rows whose name their user has confirmed; they are never doubted."""
    otherwise: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """By label and row: the other class as which the same row was taught before; such a row is doubted."""
    is_mine: bool | None = None
    """Whether a stream detects its labels of the people who taught them alone; None leaves that as it is."""
    like: float = math.inf
    """Cosine of a row with a kept one of its class from which the two are one recording; infinite: none is."""
    weight: float = 1.0
    """Of each row in the statistics of a known class, 0 to 1; below 1 none becomes an exemplar of it."""

    @staticmethod
    def of(latents: Mapping[str, ArrayLike], settings: Settings, *, time: str = "") -> Lesson:
        """Make a lesson of latents by label.

        Parameters
        ----------
        latents
            Label to latents (n, D), or one latent (D,).
        settings
            Of the model that is to learn it: they say how rows are made of latents.
        time
            When it is taught: UTC, ISO 8601.

        Raises
        ------
        DataError
            When there is nothing to learn, a label is no string, or latents have another shape or are not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from edgecl import Settings
        >>> settings = Settings(
        ...     memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=3, shrinkage_floor=0.1
        ... )
        >>> Lesson.of({"yes": np.ones((5, 3)), "no": -np.ones((4, 3))}, settings).count
        9
        """
        features, rows = settings.features, {}
        for label, given in latents.items():
            if not isinstance(label, str) or not label:
                raise DataError(f"the label {label!r} cannot be used: labels are strings, and not empty")
            found = np.atleast_2d(np.asarray(given, np.float32))
            if found.ndim != 2 or found.shape[1] != settings.latent_dimension:
                wanted = f"(n, {settings.latent_dimension})"
                raise DataError(f"latents of {label!r} have shape {found.shape}, wanted {wanted}")
            if not np.isfinite(found).all():
                raise DataError(f"a latent of {label!r} is not finite")
            if len(found):
                rows[label] = quantise(features.project(found))
        if not rows:
            raise DataError("nothing to learn: there is no latent")
        return Lesson(rows, time)

    def is_of_several(self, label: str) -> bool:
        """Test whether several people gave a label, one of them more than one row: names of files may all differ."""
        people = self.people.get(label, ())
        return all(people) and 1 < len(set(people)) < len(people)

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(len(rows) for rows in self.rows.values())

    @property
    def nbytes(self) -> int:
        """Bytes of the rows in memory; spooled rows are pages of a file."""
        return sum(rows.nbytes for rows in self.rows.values() if not isinstance(rows.rows.base, np.memmap))

    def source(self, label: str, row: int) -> str:
        """Return where a row came from; empty where it is not known."""
        known = self.sources.get(label, ())
        return known[row] if row < len(known) else ""

    def beside(self, label: str, kept: Exemplars) -> Exemplars:
        """Return kept rows of a class with those of the lesson."""
        return Exemplars.joined([kept, self.rows[label]]) if label in self.rows else kept

    def is_confirmed(self, label: str) -> NDArray[np.bool_]:
        """Return which rows of a label have been confirmed, (n,)."""
        return self.confirmed.get(label, np.zeros(len(self.rows[label]), bool))


@dataclass(frozen=True)
class Prediction:
    """Predictions for n samples."""

    labels: list[str]
    confidence: NDArray[np.float32]
    """(n,) probability of the answer, 0 to 1."""
    novelty: NDArray[np.float32]
    """(n,) 0: typical of its class, 1: nothing of it."""


@dataclass(frozen=True)
class Centre:
    """The mean that is subtracted from every latent: see `edgecl.learning.centring`."""

    count: int
    """Samples that gave it."""
    shift: NDArray[np.float32]
    """(D,)."""

    @property
    def nbytes(self) -> int:
        return self.shift.nbytes + 8

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `from_arrays` reads back."""
        return {"shift": self.shift, "count": np.array([self.count])}

    @staticmethod
    def from_arrays(arrays: Arrays, *, dimension: int) -> Centre:
        """Rebuild from stored arrays; raises ValueError where they do not fit the store's latents."""
        try:
            shift, count = np.array(arrays["shift"], np.float32), int(arrays["count"][0])
        except (KeyError, IndexError) as error:
            raise ValueError(f"the centre lacks {error}") from error
        if shift.shape != (dimension,):
            raise ValueError(f"the centre has shape {shift.shape}, the latents have {dimension} columns")
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
    taught: Mapping[str, str] = field(default_factory=dict)
    """Label to the time of its last lesson (UTC, ISO 8601), in the order of the lessons."""
    timed: frozenset[str] = frozenset()
    """Labels whose time was read from a clock that could be trusted."""
    centre: Centre | None = None
    alike: Mapping[str, Alike] = field(default_factory=dict)
    """By label: the class that it is most like, where the two may be one."""
    distinct: frozenset[tuple[str, str]] = frozenset()
    """Pairs of labels, each in order, that the user has said are not the same."""
    unknown_above: float | None = None
    """Novelty above which an answer is "unknown", where the user has set it."""
    mine: frozenset[str] = frozenset()
    """Labels that a stream detects of the people who taught them alone; others of anyone."""
    priorities: Mapping[str, str] = field(default_factory=dict)
    """By label: how long its user wants it kept, see `edgecl.learning.priorities`; a label may be missing."""
    use: Mapping[str, float] = field(default_factory=dict)
    """By label: events of it that are remembered."""
    is_resized: bool = False
    """Whether its settings are no longer those that its store was made with: a revision states them then."""
    others: Mapping[str, Share] = field(default_factory=dict)
    """By device: what it has shared; `statistics` are the sums with these."""
    own: Mapping[str, ClassStatistics] = field(default_factory=dict)
    """One's own statistics of the classes that others have shared too."""
    extractor: Mapping[str, Any] = field(default_factory=dict)
    """What a revision states of its extractor, where it is not the one that the store was made with."""
    gravity: bool | None = None
    """Whether the acceleration that was taught has gravity in it; None where that is not known."""
    combine: str = "sum"
    """How one's own statistics and those of others become one: "sum" or "median"."""
    pages: Pages = np.empty
    """What gives a paged model its arrays: pages of files in a store, else memory."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of what is known, in order."""
        return tuple(sorted(self.statistics))

    def own_of(self, label: str) -> ClassStatistics | None:
        """Return what this store itself has learnt of a class, without the shares of others; None for nothing."""
        if any(label in share.statistics for share in self.others.values()):
            return self.own.get(label)
        return self.statistics.get(label)

    @property
    def inseparable(self) -> frozenset[str]:
        """Classes that are in a matrix with others, of an irreversible sum: none can be taken out alone."""
        return frozenset(label for share in self.others.values() if share.plan for label in share.statistics)

    @property
    def others_bytes(self) -> int:
        """Resident bytes of what others have shared, and of one's own statistics beside it."""
        apart = sum(one.dimension * 8 + FIXED_CLASS_BYTES for one in self.own.values())
        return apart + sum(share.nbytes for share in self.others.values())

    def plan(self, classes: int | None = None) -> MemoryPlan:
        """Return how the memory is divided, at this or another number of classes."""
        return plan_memory(self.settings, max(len(self.statistics) if classes is None else classes, 1))

    def bytes(self) -> dict[str, int]:
        """Return the resident learner state by part, in bytes; `total` includes the workspace of a lesson."""
        plan, paged = self.plan(), self.settings.paged
        parts = {
            "statistics": plan.statistics if self.statistics else 0,
            "exemplars": 0 if paged else sum(one.nbytes for one in self.exemplars.values()),
            # the live one and a candidate; of a paged model as it is kept, its candidate is in the workspace
            "head": (plan.head if paged else 2 * self.head.nbytes) if self.head else 0,
            "ewc": self.ewc.nbytes if self.ewc else 0,
            "centre": self.centre.nbytes if self.centre else 0,
            "workspace": plan.workspace + plan.lesson,
            **({"others": self.others_bytes} if self.others else {}),
        }
        return {**parts, "total": sum(parts.values())}

    def predict(self, latents: NDArray[np.float32]) -> Prediction:
        """Answer latents (n, D)."""
        if self.head is None or not self.head.labels:
            raise ValueError("a model without classes cannot answer")
        logits = self.head.logits(self.features(latents))
        best = logits.argmax(axis=1)
        confidence = probabilities(logits)[np.arange(len(best)), best]
        return Prediction([self.head.labels[index] for index in best], confidence, self.head.novelty(logits))

    def features(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the features (n, d) of latents (n, D), as the head takes them: centred, projected and lifted."""
        return self.settings.features(self.centred(latents))

    def centred(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return latents (n, D) minus the centre, if there is one."""
        return latents - self.centre.shift if self.centre else latents

    def are_distinct(self, label: str, other: str) -> bool:
        """Return whether the user has said that two classes are not the same."""
        return pair_of(label, other) in self.distinct

    def body(self) -> dict[str, Any]:
        """Return what a revision states of the model in addition to its objects."""
        said = {
            "alike": {label: vars(one) for label, one in sorted(self.alike.items())},
            "distinct": [list(pair) for pair in sorted(self.distinct)],
        }
        return {
            "classes": {label: one.count for label, one in sorted(self.statistics.items())},
            "exemplars": {label: len(one) for label, one in sorted(self.exemplars.items())},
            "taught": self._times(),
            "head": self.head.kind if self.head else None,
            "ewc_classes": list(self.ewc.labels) if self.ewc else [],
            **{name: value for name, value in said.items() if value},
            **({} if self.unknown_above is None else {"unknown_above": self.unknown_above}),
            **({"settings": self.settings.resizable()} if self.is_resized else {}),
            **({"mine": sorted(self.mine & set(self.statistics))} if self.mine & set(self.statistics) else {}),
            **({"others": self._others()} if self.others else {}),
            **({"extractor": dict(self.extractor)} if self.extractor else {}),
            **({} if self.gravity is None or not self.statistics else {"gravity": self.gravity}),
            **({"timed": sorted(self.timed & set(self.statistics))} if self.timed & set(self.statistics) else {}),
            **{name: known for name in ("priorities", "use") if (known := self._of_known(getattr(self, name)))},
        }

    def _of_known(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is said of labels that are known, in order."""
        return {label: one for label, one in sorted(said.items()) if label in self.statistics}

    def _others(self) -> dict[str, Any]:
        """Return what a revision states of the shares of other devices."""
        return {
            "combine": self.combine,
            "own": {label: one.count for label, one in sorted(self.own.items())},
            "devices": {device: share.stated() for device, share in sorted(self.others.items())},
        }

    def _times(self) -> dict[str, str]:
        """Return the time of each class, empty where it is not known, in the order of the lessons."""
        untold = {label: "" for label in sorted(self.statistics) if label not in self.taught}
        return {**untold, **{label: time for label, time in self.taught.items() if label in self.statistics}}

    def after_lesson(self, labels: Iterable[str], *, time: str, is_timed: bool) -> Model:
        """Return the model with the time of a lesson; the order of the labels is that of the lessons, not of times."""
        fresh = dict.fromkeys(sorted(labels), time)
        before = {label: one for label, one in self.taught.items() if label not in fresh}
        timed = self.timed | set(fresh) if is_timed else self.timed - set(fresh)
        return replace(self, taught={**before, **fresh}, timed=frozenset(timed))


def pair_of(label: str, other: str) -> tuple[str, str]:
    """Return two labels in order."""
    return (label, other) if label < other else (other, label)


def factor_of(model: Model) -> Factor:
    settings = model.settings
    pages = model.pages if settings.paged else None
    return factorise(model.statistics, workspace_of(model), shrinkage_floor=settings.shrinkage_floor, pages=pages)


def workspace_of(model: Model) -> NDArray[np.floating]:
    """Return the packed matrix in which scatters are summed and factored, as its settings say: in memory, or paged."""
    return workspace_for(model.settings, model.pages if model.settings.paged else np.empty)
