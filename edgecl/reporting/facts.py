"""What a report says about a store, as values: measured here, drawn elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import EdgeclError
from edgecl.metrics import backward_transfer, forgetting
from edgecl.model.head import leave_one_out, whiten
from edgecl.model.model import factor_of
from edgecl.reporting.charts import Mark

if TYPE_CHECKING:
    from edgecl.model.model import Model
    from edgecl.operations.open_store import OpenStore

POINTS = 1500
"""Exemplars on the map."""
ROUNDS = 20


@dataclass(frozen=True)
class Confusion:
    """How samples of each class are answered."""

    labels: tuple[str, ...]
    counts: NDArray[np.float64]
    """(C, C) samples of the class of a row that are answered as that of a column."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """(C, C) shares of the row's samples; NaN where the class has none."""
        sums = self.counts.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            return np.where(sums > 0, self.counts / sums, np.nan)

    def mistakes(self) -> list[tuple[str, str, int, int]]:
        """Class, answer, how often, of how many; most frequent first."""
        sums = self.counts.sum(axis=1)
        found = [
            (self.labels[row], self.labels[column], int(self.counts[row, column]), int(sums[row]))
            for row, column in np.argwhere(self.counts > 0)
            if row != column
        ]
        return sorted(found, key=lambda one: (-one[2], one[:2]))


@dataclass(frozen=True)
class Matrix:
    """Accuracy of kept revisions on the classes of each lesson."""

    revisions: tuple[int, ...]
    lessons: tuple[tuple[str, ...], ...]
    """New classes of each lesson that the test data holds."""
    lesson_revisions: tuple[int, ...]
    accuracy: NDArray[np.float64]
    """(revisions, lessons), NaN where the lesson came later."""

    @property
    def square(self) -> NDArray[np.float64]:
        """(T, T) for the lessons whose own revision is kept."""
        kept = [index for index, number in enumerate(self.lesson_revisions) if number in self.revisions]
        rows = [self.revisions.index(self.lesson_revisions[index]) for index in kept]
        return self.accuracy[np.ix_(rows, kept)]

    @property
    def forgetting(self) -> float | None:
        """Of Chaudhry and others (2018); None below two lessons."""
        return forgetting(np.nan_to_num(self.square)) if len(self.square) > 1 else None

    @property
    def bwt(self) -> float | None:
        """Backward transfer of Lopez-Paz and Ranzato (2017); None below two lessons."""
        return backward_transfer(np.nan_to_num(self.square)) if len(self.square) > 1 else None

    def mean(self) -> list[float | None]:
        """Mean over the lessons known, by revision."""
        return [None if np.isnan(row).all() else float(np.nanmean(row)) for row in self.accuracy]


def marks(journal: Sequence[Mapping[str, Any]]) -> list[tuple[Mark, list[str]]]:
    """Return each decision with the cells of its line: time, revision, what, outcome, why."""
    found = []
    for entry in journal:
        told = entry.get("body", entry)
        outcome = _outcome(entry, told)
        what = ", ".join(f"{label} +{count}" for label, count in (told.get("lesson") or {}).items())
        if entry.get("kind") == "rollback":
            what = f"rollback to {told.get('rolled_back_to')}"
        what = what or str(entry.get("kind"))
        why = "; ".join(map(str, (told.get("verdict") or {}).get("reasons") or ()))
        when = str(entry.get("time", ""))[:19].replace("T", " ")
        revision = entry.get("revision")
        title = f"{when} {what}: {outcome if outcome != 'other' else entry.get('kind')}. {why}"[:300]
        shown = "" if outcome == "other" else outcome
        cells = [when, "–" if revision is None else str(revision), what[:200], shown, why[:240], _evidence(told)]
        found.append((Mark(outcome, revision, title), cells))
    return found


def _outcome(entry: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    verdict = told.get("verdict")
    if entry.get("kind") == "rejected":
        return "rejected"
    if entry.get("kind") == "unchanged":
        return "nothing new"
    if not verdict:
        return "other"
    if told.get("forced"):
        return "forced"
    return "accepted" if verdict.get("proven") else "unproven"


def _evidence(told: Mapping[str, Any]) -> str:
    verdict = told.get("verdict") or {}
    classes = (verdict.get("classes") or {}).values()
    new = [one["after"] for one in classes if one["is_new"] and one["after"] is not None]
    texts = [f"new {sum(new) / len(new):.0%}"] if new else []
    if verdict.get("pooled_change") is not None:
        texts.append(f"old {100 * verdict['pooled_change']:+.1f} points")
    return ", ".join(texts)


def left_out(model: Model) -> Confusion | None:
    """Answer kept samples, each by the closed form that never saw it; None where nothing is kept."""
    labels = tuple(sorted(model.statistics))
    if len(labels) < 2 or not any(len(model.exemplars.get(one, ())) for one in labels):
        return None
    factor = factor_of(model)
    counts = np.zeros((len(labels), len(labels)))
    for own, label in enumerate(factor.labels):
        for block in model.settings.features.blocks(model.exemplars[label]) if label in model.exemplars else ():
            answers = leave_one_out(factor, block, own=own).logits.argmax(axis=1)
            counts[own] += np.bincount(answers, minlength=len(labels))
    return Confusion(factor.labels, counts)


def exemplar_map(model: Model) -> tuple[dict[str, NDArray[np.floating]], float]:
    """Project kept samples onto the two directions that separate the classes best; also their share of it, 0 to 1."""
    labels = [one for one in sorted(model.statistics) if len(model.exemplars.get(one, ()))]
    if not labels:
        return {}, 0.0
    factor = factor_of(model)
    _, sizes, directions = np.linalg.svd(factor.whitened - factor.whitened.mean(axis=0), full_matrices=False)
    plane = np.zeros((factor.whitened.shape[1], 2))
    plane[:, : len(directions[:2])] = directions[:2].T
    most = max(POINTS // len(labels), 1)
    points = {}
    for label in labels:
        blocks = model.settings.features.blocks(model.exemplars[label].spread(most))
        points[label] = np.concatenate([np.asarray(whiten(factor, block)) @ plane for block in blocks])
    total = float(np.square(sizes).sum())
    return points, float(np.square(sizes[:2]).sum()) / total if total > 0 else 1.0


def tested(opened: OpenStore, latents: NDArray[np.float32], truth: Sequence[str]) -> tuple[Confusion, Matrix]:
    """Answer test samples by the live revision, and by every kept one: nothing is taken from the journal."""
    _, model = opened.model()
    answers = model.predict(latents).labels if model.head else ["?"] * len(truth)
    labels = tuple(sorted({*truth, *answers}))
    where = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    np.add.at(counts, ([where[one] for one in truth], [where[one] for one in answers]), 1)
    return Confusion(labels, counts), _matrix(opened, latents, truth)


def _matrix(opened: OpenStore, latents: NDArray[np.float32], truth: Sequence[str]) -> Matrix:
    lessons = _lessons(opened, set(truth))
    told = np.asarray(truth, object)
    revisions, rows = [], []
    for number in opened.store.revisions():
        try:
            model = opened.model_of(number)
        except EdgeclError:
            continue  # damaged: a gap, as where it was pruned
        if model.head is None:
            continue
        right = np.asarray(model.predict(latents).labels, object) == told
        row = [_accuracy(right, told, new) if number >= first else np.nan for first, new in lessons]
        revisions.append(number)
        rows.append(row)
    accuracy = np.array(rows, np.float64).reshape(len(rows), len(lessons))
    return Matrix(tuple(revisions), tuple(new for _, new in lessons), tuple(first for first, _ in lessons), accuracy)


def _lessons(opened: OpenStore, tested_labels: set[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Revision and new classes of each lesson that brought any of those that are tested."""
    seen: set[str] = set()
    found = []
    for entry in opened.store.journal():
        taught = (entry.get("body", entry) or {}).get("lesson") or {}
        if entry.get("kind") != "lesson" or entry.get("revision") is None:
            continue
        new = tuple(sorted((set(taught) - seen) & tested_labels))
        seen |= set(taught)
        if new:
            found.append((int(entry["revision"]), new))
    return found


def _accuracy(right: NDArray[np.bool_], truth: NDArray[np.object_], labels: Sequence[str]) -> float:
    """Balanced accuracy on some of the classes."""
    return float(np.mean([right[truth == label].mean() for label in labels]))


def latency_ms(opened: OpenStore) -> tuple[float, float] | None:
    """Median and worst time of one answer on this machine, from signal to label; None where nothing is taught."""
    model = opened.head()
    contract = opened.extractor.contract
    if model.head is None or contract.modality == "text":
        return None
    draw = np.random.default_rng(0)
    shape = (contract.clip_samples, len(contract.channels))
    signal = draw.normal(0, 0.1, shape).clip(-1, 1).astype(np.float32)
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        model.predict(opened.extractor.latents([signal]))
        times.append(1e3 * (time.perf_counter() - started))
    return float(np.median(times)), max(times)
