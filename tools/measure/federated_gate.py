"""What a device's gate says to shares of others, against what they do: run by tools/federated_table.

Every device is a store. A third of what each person recorded of a class is not taught, so that a merged model can be
tested on the people of the device itself, and, as ever, on people of no device. Recordings are held back whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.splits import data_root
from edgecl.extractors.opening import open_extractor
from edgecl.gate.verdict import Verdict
from edgecl.learner import Learner
from edgecl.model.model import MemoryObjects, Model
from edgecl.model.share import Share
from edgecl.sharing.merging import judged, merged
from edgecl.sharing.share_file import read
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample
from measure.cases import Case

DEVICES = 10
OTHERS = (1, 2, 9)  # devices that are merged


@dataclass(frozen=True)
class Judged:
    """One merge: shares of right answers before and after, balanced over the classes."""

    verdict: str
    estimate: tuple[float, float]
    """By the samples that the gate left out."""
    own: tuple[float, float]
    """Of people of the device, in recordings that were not taught."""
    others: tuple[float, float]
    """Of people of no device."""


def gate_rows(found: Sequence[Case]) -> list[dict[str, Any]]:
    """Return a row for each number of devices that are merged."""
    merges: dict[int, list[Judged]] = {count: [] for count in OTHERS}
    for number, case in enumerate(found):
        for count, made in _merges(case, case.scratch / f"gate {case.data.name} {number}"):
            merges[count].append(made)
    return [_row(found[0].data.name, count, some) for count, some in merges.items()]


def _row(name: str, count: int, some: Sequence[Judged]) -> dict[str, Any]:
    verdicts = Counter(one.verdict for one in some)
    rejected = [one for one in some if one.verdict == "rejected"]
    return {
        "set": name,
        "devices merged": count,
        "merges": len(some),
        **{what: verdicts[what] for what in ("accepted", "unproven", "rejected")},
        "the gate's estimate %": _change([one.estimate for one in some]),
        "people of the device %": _change([one.own for one in some]),
        "people of no device %": _change([one.others for one in some]),
        "rejected: people of the device %": _change([one.own for one in rejected]),
        "rejected: people of no device %": _change([one.others for one in rejected]),
    }


def _change(pairs: Sequence[tuple[float, float]]) -> str:
    if not pairs:
        return ""
    before, after = 100 * np.mean(pairs, axis=0)
    return f"{before:.1f} to {after:.1f}"


def _merges(case: Case, folder: Path) -> list[tuple[int, Judged]]:
    """Merge one, two and all other devices into each; nothing is committed."""
    folder.mkdir()
    samples, rows = _samples(case), case.taught()
    recordings = np.array([one.recording or one.source for one in samples])
    fresh = _held_back(case, rows, recordings)
    people = np.unique(case.latents.groups[rows])
    np.random.default_rng(0).shuffle(people)
    own = [rows[np.isin(case.latents.groups[rows], people[first::DEVICES])] for first in range(DEVICES)]
    stores, shares = list[Learner](), list[Share]()
    for number, mine in enumerate(own):
        stores.append(_taught(folder / f"{number}", case, samples, mine[~fresh[mine]]))
        stores[-1].share(folder / f"{number}.share")
        shares.append(read(folder / f"{number}.share").share)
    made = []
    for number, learner in enumerate(stores):
        model, test = learner.opened.model()[1], own[number][fresh[own[number]]]
        for count in OTHERS:
            some = [shares[(number + 1 + step) % DEVICES] for step in range(count)]
            made.append((count, _judged(case, model, {one.device: one for one in some}, test)))
    return made


def _samples(case: Case) -> list[Sample]:
    """Return the samples of a case in the order of its latents."""
    contract = open_extractor(case.latents.extractor).contract
    found = read_samples(case.data.path(data_root()), contract)
    by_source = {one.source: one for one in found if isinstance(one, Sample)}
    return [by_source[str(one)] for one in case.latents.sources]


def _held_back(case: Case, rows: NDArray[np.intp], recordings: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which samples are not taught: a third of the recordings of each person and class, drawn from a seed."""
    held, draw = np.zeros(len(recordings), bool), np.random.default_rng(0)
    latents = case.latents
    for person in np.unique(latents.groups[rows]):
        for label in case.classes:
            here = rows[(latents.groups[rows] == person) & (latents.labels[rows] == label)]
            names = np.unique(recordings[here])
            if len(names) > 1:
                chosen = draw.permutation(names)[: max(1, len(names) // 3)]
                held[here[np.isin(recordings[here], chosen)]] = True
    return held


def _taught(folder: Path, case: Case, samples: Sequence[Sample], rows: NDArray[np.intp]) -> Learner:
    """Make a device: of movement by its windows, which know their recordings; of sound by its latents."""
    learner, labels = Learner.create(folder, extractor=case.latents.extractor), case.latents.labels[rows]
    lesson: Any = {str(one): case.latents.x[rows[labels == one]] for one in np.unique(labels)}
    is_movement = case.data.modality == "imu"
    if is_movement:
        lesson = [samples[row] for row in rows]
    learner.learn(lesson, latents=not is_movement, distinct=True, strategy="closed-form", force=True)
    return learner


def _judged(case: Case, model: Model, others: Mapping[str, Share], test: NDArray[np.intp]) -> Judged:
    made = merged(model, others, combine="sum", objects=MemoryObjects(), distinct=frozenset())
    verdict, tested = judged(model, made), case.tested()
    return Judged(
        verdict.name,
        _estimate(verdict),
        (_right(case, model, test), _right(case, made, test)),
        (_right(case, model, tested), _right(case, made, tested)),
    )


def _estimate(verdict: Verdict) -> tuple[float, float]:
    pairs = [(one.before, one.after) for one in verdict.classes.values() if None not in (one.before, one.after)]
    before, after = np.mean(np.array(pairs, np.float64), axis=0)
    return float(before), float(after)


def _right(case: Case, model: Model, rows: NDArray[np.intp]) -> float:
    labels = case.latents.labels[rows]
    answers = np.array(model.predict(case.latents.x[rows]).labels)
    return float(np.mean([np.mean(answers[labels == one] == one) for one in np.unique(labels)]))
