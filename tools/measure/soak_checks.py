"""Checks of `tools/soak`: the files of a store, the memory of its writer, and the head at the end."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecl.learner import Learner
from edgecl.model.head import HeadState
from edgecl.operations.open_store import OpenStore
from edgecl.store.store import Store
from measure.soak_writer import Latents, Portion

SETTLED_SHARE = 0.25  # of the steps of that process, after which its memory must be flat
FEWEST_STEPS = 50  # that say whether it is: over the first few the allocator's pools fill
FLAT_BYTES = 1 << 20  # what resident memory may grow by over them, along a straight line
HEAD_DIFFERENCE = 1e-5  # of its largest weight
TEST_SAMPLES = 20  # of each class


class SoakError(Exception):
    """Something that a store must not do."""


@dataclass
class Figures:
    """Counts and peaks of a soak."""

    done: Counter[str] = field(default_factory=Counter)  # steps by kind
    rejected: Counter[str] = field(default_factory=Counter)
    samples: int = 0  # that were taken in, those forgotten or rolled back since included
    killed_at: Counter[str] = field(default_factory=Counter)  # what was being done
    left: Counter[str] = field(default_factory=Counter)  # "old" or "new" model
    survived: int = 0  # kills
    most_classes: int = 0
    fewest_classes: int = 1 << 30
    most_bytes: int = 0
    most_disk_bytes: int = 0
    most_disk_bytes_killed: int = 0  # before the next writer has cleared up
    most_descriptors: int = 0
    peak_bytes: int = 0
    resident: list[int] = field(default_factory=list)  # of the last process, after each step
    descriptors: list[int] = field(default_factory=list)
    looked: int = 0  # at every byte of the store


def require_clean(store: Store) -> None:
    if found := [*store.damage, *store.check()]:
        raise SoakError(f"{len(found)} faults in the store: {'; '.join(found[:5])}")


def named(store: Store) -> set[Path]:
    """Return the files that a store is made of, without its objects."""
    files = {store.path / name for name in ("store.json", "current", "journal.jsonl", "lock", "reserve")}
    return files | {store.extractor_path} | {store.path / "revisions" / f"{one:06d}.json" for one in store.revisions()}


def is_object(path: Path) -> bool:
    return path.parent.name == "objects" and path.suffix == ".npz"


def tree_bytes(folder: Path) -> int:
    """Return the total length of all files, temporary ones included."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def flatness(figures: Figures) -> dict[str, Any]:
    """Check that resident memory and descriptors of the last process stayed flat, once it had settled."""
    settled = int(SETTLED_SHARE * len(figures.resident))
    resident = np.array(figures.resident[settled:], np.float64)
    slope = float(np.polyfit(np.arange(len(resident)), resident, 1)[0]) if len(resident) > 1 else 0.0
    growth = slope * len(resident)
    if len(resident) >= FEWEST_STEPS and growth > FLAT_BYTES:
        raise SoakError(f"resident memory grows by {slope:,.0f} bytes a step, {growth:,.0f} over {len(resident)} steps")
    descriptors = figures.descriptors
    if max(descriptors) > min(descriptors):
        raise SoakError(f"the writer's open descriptors went from {min(descriptors)} to {max(descriptors)}")
    return {"settled_steps": len(resident), "growth_bytes": growth, "growth_bytes_per_step": slope}


def compared(soaked: Learner, fresh: Learner, portions: tuple[Portion, ...], latents: Latents) -> dict[str, Any]:
    """Compare the soaked head with that of a fresh store that is taught in one go what is left."""
    print(f"teaching a fresh store {sum(one.count for one in portions):,} samples", file=sys.stderr, flush=True)
    report = fresh.learn(latents.samples(portions))
    if not report.is_accepted:
        raise SoakError(f"a fresh store refuses what was taught: {'; '.join(report.outcome.verdict.reasons)}")
    ours, theirs = (OpenStore(one.store).head() for one in (soaked, fresh))
    assert ours.head is not None
    assert theirs.head is not None
    if ours.head.labels != theirs.head.labels:
        raise SoakError("the soaked store and the fresh one know different classes")
    difference = head_difference(ours.head, theirs.head)
    held_out = [Portion(label, int(label.removeprefix("class ")), TEST_SAMPLES, 0) for label in ours.head.labels]
    rows = np.concatenate([latents.rows(one) for one in held_out])
    labels = np.repeat([one.label for one in held_out], TEST_SAMPLES)
    answers, expected = np.array(ours.predict(rows).labels), np.array(theirs.predict(rows).labels)
    if (answers != expected).any():
        raise SoakError(f"{(answers != expected).sum()} of {len(labels)} answers differ from those of a fresh store")
    return {
        "compared_samples": report.samples,
        "compared_classes": len(ours.head.labels),
        "head_difference": difference,
        "accuracy": float((answers == labels).mean()),
        "fresh_accuracy": float((expected == labels).mean()),
    }


def head_difference(ours: HeadState, theirs: HeadState) -> float:
    """Return how far two heads are apart, as a share of the largest weight.

    Raises
    ------
    SoakError
        It is more than HEAD_DIFFERENCE.
    """
    largest = float(np.abs(theirs.weights).max())
    difference = float(np.abs(ours.weights - theirs.weights).max()) / largest
    difference = max(difference, float(np.abs(ours.bias - theirs.bias).max()) / largest)
    if difference > HEAD_DIFFERENCE:
        raise SoakError(f"the soaked head is {difference:.1e} from a fresh one, {HEAD_DIFFERENCE:.0e} is allowed")
    return difference
