"""Settings that are chosen at init, default budgets, and how granted memory is divided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from edgecl_kernels.aligned import padded
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.model.exemplars import DRAWN_AT_ONCE, HERDING_CANDIDATES, FeatureMap, herding_bytes, row_bytes
from edgecl.model.head import judged_row_bytes, judging_bytes, workspace_bytes
from edgecl.model.statistics import Pages, packed_length
from edgecl.units import LARGEST_BYTES, format_bytes
from edgecl.values import dataclass, fields, replace

BLOCK_ROWS = 32  # rows that are worked on at a time: fewer calls, more workspace
SMALL_BLOCK_ROWS = 8
LARGEST_BLOCK_SHARE = 4  # of the memory: with more classes than a quarter has room for, blocks are small ones too
SMALL_MEMORY = 256 << 10
SMALLEST_EXEMPLARS = 4  # a class, below which a tier is not offered
EXEMPLARS_BEFORE_EWC = 16  # a class, which go before room for the EWC state of the named strategies
REFINE_CLASSES = 16  # with fewer classes the closed form was never beaten by more than its noise, ...
REFINE_EXEMPLARS = 10  # ... nor with fewer exemplars of every class, ...
REFINE_FLOOR = 0.1  # ... nor from this shrinkage on, which extractors have whose samples differ by subject
STEPS_EXEMPLARS = 48  # a class, below which steps gain less than where exemplars lie on disk (DECISIONS.md, The head)
LESSON_SHARE = 8  # an eighth of the memory holds the lesson's rows; a longer lesson is spooled to disk
PROJECTIONS = (512, 384, 256, 192, 128, 96, 64, 48, 32)
BATCH = 32  # rows of a gradient step
STEPS_BYTES = 32 << 10  # the rates of all gradient steps
PAGED_DRAWN = 128  # of a paged store: rows that gradient steps draw at a time, ...
PAGED_LESSON_SHARE = 16  # ... the part of the memory that holds the lesson's rows, ...
PAGED_EXEMPLARS = 12  # ... exemplars a class that its disk has room for at least, ...
BLOCK_SHARE = 16  # ... the part of the memory that a block of judged rows may take
FIXED_CLASS_BYTES = 64  # of a class: its label and count
FIXED_BYTES = 2048  # labels, counts and small arrays
WAYS = (("float64", False), ("float32", False), ("float32", True))  # precision and paged, richest first
RESIZABLE = ("memory_bytes", "disk_bytes", "max_classes", "projection", "precision", "paged")
LARGEST_MEMORY = 1 << 40


@dataclass(frozen=True)
class Settings:
    """Chosen at init, part of the store; sizes in bytes.

    Examples
    --------
    >>> settings = Settings(
    ...     memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=3, shrinkage_floor=0.1
    ... )
    >>> settings.features.dimension
    3
    """

    memory_bytes: int
    disk_bytes: int
    max_classes: int
    latent_dimension: int
    shrinkage_floor: float
    projection: int = 0
    """Columns that a latent is projected to; 0: none."""
    lift_width: int = 0
    """Number of random ReLU units."""
    precision: str = "float64"
    """Precision of the solver: "float64" or "float32"."""
    paged: bool = False
    """Whether what is summed and solved, and the exemplars, are pages of files, and the head has a byte an entry."""
    seed: int = 0
    keep_revisions: int = 10

    @property
    def features(self) -> FeatureMap:
        rows = BLOCK_ROWS if self.memory_bytes >= SMALL_MEMORY else SMALL_BLOCK_ROWS
        width = (self.projection or self.latent_dimension) + self.lift_width
        if self.paged:
            fit = self.memory_bytes // BLOCK_SHARE // judged_row_bytes(width, self.max_classes, itemsize=4)
            rows = min(max(fit, 1), rows)
        elif rows * judged_row_bytes(width, self.max_classes, itemsize=8) > self.memory_bytes // LARGEST_BLOCK_SHARE:
            rows = SMALL_BLOCK_ROWS
        return FeatureMap(self.latent_dimension, self.projection, self.lift_width, self.seed, rows)

    @property
    def solver_type(self) -> np.dtype[np.floating]:
        return np.dtype(self.precision)

    @property
    def drawn_at_once(self) -> int:
        """Rows that gradient steps draw at a time."""
        return PAGED_DRAWN if self.paged else DRAWN_AT_ONCE

    def as_dict(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def resizable(self) -> dict[str, Any]:
        """Return the members that may change after init, as a revision states them."""
        return {name: getattr(self, name) for name in RESIZABLE}

    def with_resized(self, stated: Mapping[str, Any]) -> Settings:
        """Return the settings with what a revision states of them; raises TypeError or ValueError where it cannot be.

        Members that are not known, or may not change, are ignored.
        """
        members = {name: stated[name] for name in RESIZABLE if name in stated}
        if members.get("precision", "float64") not in ("float64", "float32"):
            raise ValueError(f"precision {members['precision']!r}")
        sizes = [one for name, one in members.items() if name != "precision"]
        if not all(isinstance(one, int) and one >= 0 for one in sizes):
            raise TypeError("a size is no number")
        return replace(self, **members)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Settings:
        """Rebuild the settings; unknown keys are ignored, so that a store of a newer minor version opens."""
        known = {one.name for one in fields(Settings)}
        return Settings(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True)
class Budgets:
    """The bytes that a store may take, and the number of classes that it is made for."""

    memory_bytes: int
    disk_bytes: int
    max_classes: int


def default_budgets(modality: str) -> Budgets:
    """Return the budgets of a store that is made without any, by the modality of its extractor."""
    match modality:
        case "imu":
            return Budgets(4 << 20, 128 << 20, 24)  # twice: shares of other devices fit too
        case "image":
            return Budgets(4 << 20, 128 << 20, 64)
        case "text":
            return Budgets(4 << 20, 128 << 20, 128)
    return Budgets(1 << 20, 64 << 20, 64)


@dataclass(frozen=True)
class MemoryPlan:
    """The parts of the granted memory at a number of classes, in bytes."""

    statistics: int
    """Counts and means; the scatter stays on disk."""
    head: int
    """The live head and the candidate."""
    ewc: int
    """A stored precision and anchor; 0 where they do not fit."""
    workspace: int
    """The largest of solving, judging, herding and, where they fit, gradient steps."""
    lesson: int
    refinement: int
    """What gradient steps need of the workspace."""
    consolidation: int
    """What those of a strategy that stores EWC state need."""
    exemplars: int
    """What is left."""
    total: int

    @property
    def can_refine(self) -> bool:
        return self.workspace >= self.refinement

    @property
    def can_consolidate(self) -> bool:
        return self.ewc > 0


def plan_memory(settings: Settings, classes: int) -> MemoryPlan:
    """Divide settings.memory_bytes for a model of `classes` classes; `exemplars` is negative where it cannot work."""
    features, size = settings.features, settings.solver_type.itemsize
    d = features.dimension
    parameters = classes * padded(d) * 4
    drawn = settings.drawn_at_once * (row_bytes(features.row_dimension) + 64) + STEPS_BYTES
    wide = 4 * (padded(d) + padded(classes))  # a row of floats, and what is answered to it
    drawn = max(drawn + BATCH * wide, 2 * features.block_rows * wide)  # steps; the Fisher diagonal before them
    # gradient steps: parameters, the head that is changed, and the rows drawn (edgecl.learning.refine)
    refinement = 4 * parameters + classes * (d + 2) * 4 + drawn
    consolidation = max(refinement, 6 * parameters + drawn)
    paged = settings.paged
    workspace = max(
        workspace_bytes(d, classes, itemsize=size, paged=paged),
        judging_bytes(d, classes, itemsize=size, block_rows=features.block_rows, paged=paged),
        herding_bytes(herding_candidates(settings), row_dimension=features.row_dimension),
    )
    statistics = classes * (FIXED_CLASS_BYTES if paged else d * 8 + FIXED_CLASS_BYTES)
    head = classes * (d + 3 * 4) if paged else 2 * classes * (d + 2) * 4
    lesson = settings.memory_bytes // (PAGED_LESSON_SHARE if paged else LESSON_SHARE)
    left = settings.memory_bytes - statistics - head - workspace - lesson - FIXED_BYTES
    fewest = 0 if paged else max(left // 2, exemplar_bytes(settings, SMALLEST_EXEMPLARS))
    many = 0 if paged else max(fewest, exemplar_bytes(settings, EXEMPLARS_BEFORE_EWC))
    more, ewc = 0, 0  # where neither fits: no gradient steps, what they need is left to the exemplars
    for needed, stored, least in ((consolidation, 2 * parameters + d * 4, many), (refinement, 0, fewest)):
        if left - max(needed - workspace, 0) - stored >= least:
            more, ewc = max(needed - workspace, 0), stored
            break
    return MemoryPlan(
        statistics=statistics,
        head=head,
        ewc=ewc,
        workspace=workspace + more,
        lesson=lesson,
        refinement=refinement,
        consolidation=consolidation,
        exemplars=paged_exemplar_bytes(settings) if paged and left >= 0 else left - more - ewc,
        total=settings.memory_bytes,
    )


def herding_candidates(settings: Settings) -> int:
    """Return the rows of a class that fit herding into the solver's workspace, at least 16."""
    features = settings.features
    packed = 0 if settings.paged else packed_length(features.dimension) * settings.solver_type.itemsize
    room = max(packed, settings.memory_bytes // LESSON_SHARE)
    fewest = PAGED_EXEMPLARS if settings.paged else 16
    return int(np.clip(room // herding_bytes(1, row_dimension=features.row_dimension), fewest, HERDING_CANDIDATES))


def class_disk_bytes(settings: Settings) -> int:
    """Return the bytes of a class's statistics on disk."""
    d = settings.features.dimension
    return packed_length(d) * 4 + d * 8 + 1024


def paged_exemplar_bytes(settings: Settings) -> int:
    """Return the bytes of exemplars of a paged store, which lie on disk: its memory, or a dozen a class."""
    return max(settings.memory_bytes, exemplar_bytes(settings, PAGED_EXEMPLARS))


def choose_tier(settings: Settings, *, overhead_disk_bytes: int, may_page: bool = True) -> Settings:
    """Choose the richest features that fit memory and disk: no projection first, float64 before float32, then paged.

    Where gradient steps may pay, the first of those three that leaves them room. A store that cannot be paged keeps
    its float64 as long as that fits: what was summed in it is not to be rounded for a few exemplars more.

    Raises
    ------
    SettingError
        When none fits: names the smallest memory and disk that would do.
    """
    for projection in (0, *(width for width in PROJECTIONS if width < settings.latent_dimension)):
        ways = WAYS[: 3 if may_page else 2]
        tiers = [replace(settings, projection=projection, precision=one, paged=paged) for one, paged in ways]
        fitting = [tier for tier in tiers if _fits(tier, overhead_disk_bytes)]
        if fitting:
            return next(filter(has_room_for_steps, fitting if may_page else []), fitting[0])
    narrowest = min(PROJECTIONS[-1], settings.latent_dimension)
    tightest = replace(settings, projection=narrowest, precision="float32", paged=may_page)
    tightest = replace(tightest, projection=tightest.projection % settings.latent_dimension)
    memory = at_least(smallest_memory(tightest))
    disk = at_least(smallest_disk(replace(tightest, memory_bytes=memory), overhead_disk_bytes))
    own = at_least(smallest_disk(tightest, overhead_disk_bytes))
    with_own = f", {format_bytes(settings.memory_bytes)} of memory needs {format_bytes(own)} of disk"
    is_free = settings.disk_bytes >= LARGEST_BYTES  # as of a model without a store
    granted = "" if is_free else f" and {format_bytes(settings.disk_bytes)} of disk"
    needed = "" if is_free else f" and {format_bytes(disk)} of disk"
    raise SettingError(
        f"{format_bytes(settings.memory_bytes)} of memory{granted} are too small for {settings.max_classes} classes: "
        f"the smallest that can hold them are {format_bytes(memory)} of memory{needed}"
        f"{with_own if _holds(tightest) and own != disk else ''}, or make it for fewer classes",
        parameter="disk_bytes" if _holds(tightest) else "memory_bytes",
    )


def at_least(size: int) -> int:
    """Round a size up to what is printed of it exactly: whole KiB, from 1 MiB on tenths of a MiB.

    >>> format_bytes(at_least((2 << 20) + 1)), format_bytes(at_least(190_001))
    ('2.1 MiB', '186 KiB')
    """
    if size <= 1 << 20:
        return -(-size // 1024) * 1024
    tenths = -(-size * 10 // (1 << 20))
    return -(-tenths * (1 << 20) // 10)


def _fits(tier: Settings, overhead_disk_bytes: int) -> bool:
    return _holds(tier) and smallest_disk(tier, overhead_disk_bytes) <= tier.disk_bytes


def _holds(tier: Settings) -> bool:
    fewest = 0 if tier.paged else exemplar_bytes(tier, SMALLEST_EXEMPLARS)
    return plan_memory(tier, tier.max_classes).exemplars >= fewest


def has_room_for_steps(settings: Settings) -> bool:
    """Test whether gradient steps may pay, and have room and exemplars with all classes that a store is made for.

    Exemplars on disk are as many as there can be.
    """
    if settings.shrinkage_floor >= REFINE_FLOOR or settings.max_classes < REFINE_CLASSES:
        return False
    plan = plan_memory(settings, settings.max_classes)
    return plan.can_refine and (settings.paged or plan.exemplars >= exemplar_bytes(settings, STEPS_EXEMPLARS))


def exemplar_bytes(settings: Settings, each: int) -> int:
    """Return the bytes of so many exemplars of each of max_classes classes."""
    return settings.max_classes * each * row_bytes(settings.features.row_dimension)


def smallest_memory(tier: Settings) -> int:
    """Return the least memory in which this tier fits max_classes classes of SMALLEST_EXEMPLARS exemplars."""
    return _least_memory(tier, _holds)


def smallest_choice(tier: Settings) -> int:
    """Return the least memory with which `choose_tier` takes this tier: where steps may pay, with room for them.

    Where float64 needs no more than float32, it is taken in its place. A paged tier is the last of its width, and taken
    without them too.
    """
    may_pay = not tier.paged and has_room_for_steps(replace(tier, memory_bytes=LARGEST_MEMORY))
    return _least_memory(tier, has_room_for_steps if may_pay else _holds)


def smallest_memory_for_steps(settings: Settings) -> int | None:
    """Return the least memory from which on a store has room for gradient steps; None where they cannot pay."""
    paged = replace(settings, projection=0, precision="float32", paged=True)
    if not has_room_for_steps(replace(paged, memory_bytes=LARGEST_MEMORY)):
        return None
    return _least_memory(paged, has_room_for_steps)


def _least_memory(tier: Settings, serves: Callable[[Settings], bool]) -> int:
    first, last = 0, SMALL_MEMORY - 1  # where blocks are smaller
    if not serves(replace(tier, memory_bytes=last)):
        first, last = SMALL_MEMORY, LARGEST_MEMORY
    while first < last:
        middle = (first + last) // 2
        if serves(replace(tier, memory_bytes=middle)):
            last = middle
        else:
            first = middle + 1
    return last


def smallest_disk(tier: Settings, overhead_disk_bytes: int) -> int:
    """Return the least disk: every class once, a quarter of them twice (a lesson writes before it collects)."""
    head = 2 * tier.max_classes * (tier.features.dimension + 2) * 4
    exemplars = paged_exemplar_bytes(tier) if tier.paged else tier.memory_bytes
    return overhead_disk_bytes + tier.max_classes * class_disk_bytes(tier) * 5 // 4 + head + exemplars


def workspace_for(settings: Settings, pages: Pages = np.empty) -> NDArray[np.floating]:
    """Allocate the packed matrix in which scatters are summed and factored: in memory, or as `pages` gives it."""
    made: NDArray[np.floating] = pages(packed_length(settings.features.dimension), settings.solver_type)
    return made
