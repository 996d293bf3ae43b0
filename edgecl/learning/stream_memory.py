"""What a stream needs of the memory granted for statistics and rows, and what that leaves for its experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecl.errors import SettingError
from edgecl.learning.expert_plan import capacity_for, every_expert, fewest_experts
from edgecl.model.exemplars import row_bytes
from edgecl.model.settings import at_least, choose_tier, plan_memory
from edgecl.model.statistics import packed_length
from edgecl.units import format_bytes
from edgecl.values import dataclass, replace

if TYPE_CHECKING:
    from edgecl.model.settings import Settings

RECENT = 1024  # labelled rows that are kept for judging
CONFIRM = 256  # labelled rows after a change that a decision waits for; half of them judge
SNAPSHOTS = RECENT // CONFIRM + 1  # snapshots of the statistics, so that one is from before the change
ANY_DISK = 1 << 50  # only memory is asked about
ROW_OVERHEAD = 400  # bytes of the Python objects around a row


@dataclass(frozen=True)
class StreamMemory:
    """How the memory granted is divided."""

    snapshots: int
    """Of the statistics that are kept, 1 to SNAPSHOTS."""
    experts: int
    """Bytes that are left for them."""

    @staticmethod
    def within(settings: Settings, *, label_delay: int) -> StreamMemory:
        """Divide the memory of a store; where it is short, fewer snapshots are kept.

        Raises
        ------
        SettingError
            Statistics with one snapshot, rows and the smallest expert do not fit: names what would do.
        """
        found = _divided(settings, label_delay=label_delay)
        if found.snapshots:
            return found
        wanted = settings
        while not found.snapshots:
            wanted = _made_with(settings, at_least(wanted.memory_bytes - found.experts))
            found = _divided(wanted, label_delay=label_delay)
        raise SettingError(
            f"a stream of {settings.max_classes} classes, {settings.features.row_dimension} columns and a label delay "
            f"of {label_delay} needs {format_bytes(wanted.memory_bytes)}, {format_bytes(settings.memory_bytes)} were "
            f"granted: give the store more memory, and as much disk{_or_fewer_classes(settings, label_delay)}",
            parameter="memory_bytes",
        )


def _or_fewer_classes(settings: Settings, label_delay: int) -> str:
    """Return for how many classes a new store of as much memory has room for a stream, as the end of a sentence."""
    classes = settings.max_classes
    while classes and not _fits_anew(replace(settings, max_classes=classes), label_delay):
        classes -= max(classes // 32, 1)
    return f", or make it for {classes} classes at most" if classes > 1 else ""


def _fits_anew(settings: Settings, label_delay: int) -> bool:
    """Test whether a stream fits a new store of these settings."""
    try:
        return _divided(_made_with(settings, settings.memory_bytes), label_delay=label_delay).snapshots > 0
    except SettingError:
        return False


def _made_with(settings: Settings, memory_bytes: int) -> Settings:
    """Return what a new store of so much memory would have; it may have wider features."""
    widest = replace(settings, memory_bytes=memory_bytes, projection=0, precision="float64", paged=False)
    return choose_tier(replace(widest, disk_bytes=ANY_DISK), overhead_disk_bytes=0)


def _divided(settings: Settings, *, label_delay: int) -> StreamMemory:
    """Divide the memory; where it is too small, no snapshot is kept and what lacks is the bytes of experts, below 0."""
    experts = fewest_experts(settings.features.row_dimension, capacity_for(settings.max_classes)).nbytes
    left = settings.memory_bytes - _without_experts(settings, label_delay=label_delay, snapshots=SNAPSHOTS)
    if left >= experts:
        return StreamMemory(SNAPSHOTS, left)
    scatters, plan = _scatters(settings), plan_memory(settings, settings.max_classes)
    left -= plan.statistics + plan.head + plan.workspace + plan.lesson  # what the report counts as well
    for snapshots in range(SNAPSHOTS - 1, 0, -1):
        left += scatters
        if left >= experts:
            return StreamMemory(snapshots, left)
    return StreamMemory(0, left - experts)


def stream_row_bytes(settings: Settings) -> int:
    """Return the bytes of a row that is kept or waits for its label."""
    return row_bytes(settings.features.row_dimension) + ROW_OVERHEAD


def whole_stream_bytes(settings: Settings) -> int:
    """Return the bytes of a stream with every snapshot and every expert, whose labels come at once."""
    experts = every_expert(settings.features.row_dimension, capacity_for(settings.max_classes)).nbytes
    return _without_experts(settings, label_delay=0, snapshots=SNAPSHOTS) + experts


def _without_experts(settings: Settings, *, label_delay: int, snapshots: int) -> int:
    solver = packed_length(settings.features.dimension) * settings.solver_type.itemsize
    rows = (RECENT + label_delay) * stream_row_bytes(settings)
    return solver + (2 + snapshots) * _scatters(settings) + rows


def _scatters(settings: Settings) -> int:
    """Return the bytes of one scatter for each class."""
    return settings.max_classes * packed_length(settings.features.dimension) * 4
