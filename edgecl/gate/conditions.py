"""Known classes under new conditions: which answers of the old model contradict the labels of a lesson.

Weather, a new place or another wearer moves samples of a class, so that the old model takes some of them for another
class, with confidence. That is no wrong label where the lesson itself tells the two classes apart: each of the two is
as a whole nearer to what is known of it than to the other, without what the condition does to all classes, and the
sample is nearer to the others of its own class in the lesson than to the other class in the lesson. Labels that were
swapped or mixed up fail one of the two.

A class that few samples taught is known by one person alone, and what a second one gives of it may be nearer to
another class than to that. It is little more than a new name, so it is contradicted as one is asked about: where the
lesson as a whole is like the other class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.resemblance import Scale, log_odds
from edgecl.gate.verdict import ASKED_ABOVE, Contradiction
from edgecl.model.head import Factor, whiten
from edgecl.model.model import Lesson, Model

JUDGED = 48  # samples of a class, evenly spread, as the gate judges them
FEWEST = 5  # samples of a class in a lesson that say where it is now
FEW = 10  # samples up to which a known class may be known by one person alone
COMMON = 3  # known classes in a lesson from which what a condition does to all can be told


@dataclass(frozen=True)
class _Shown:
    """A known class as a lesson shows it, in the whitened space of the old model."""

    samples: NDArray[np.floating]
    """(n, d)."""
    mean: NDArray[np.float64]
    """(d,)."""

    def apart(self, samples: NDArray[np.floating], noise: float) -> NDArray[np.float64]:
        """Return squared distances (m,) of other samples to the mean, less what is noise of the mean."""
        found: NDArray[np.float64] = np.square(samples - self.mean).sum(axis=1) - noise / len(self.samples)
        return found

    def apart_left_out(self, noise: float) -> NDArray[np.float64]:
        """Return the same (n,) of the own samples, each to the mean of the others."""
        rest = len(self.samples) - 1
        away = np.square(self.samples - self.mean).sum(axis=1) * (len(self.samples) / rest) ** 2
        found: NDArray[np.float64] = away - noise / rest
        return found


def odds_of_few(label: str, factor: Factor, scale: Scale, model: Model, lesson: Lesson) -> dict[int, float]:
    """Return the log odds that a label's samples, as a whole, are of each class; none where many samples taught it."""
    if factor.counts[factor.labels.index(label)] > FEW:
        return {}
    rows = lesson.rows[label].spread(JUDGED)
    total = np.zeros(factor.whitened.shape[1])
    for block in model.settings.features.blocks(rows):
        total += whiten(factor, block).sum(axis=0, dtype=np.float64)
    mean, classes = total / len(rows), np.arange(len(factor.labels))
    parts = np.split(classes, range(scale.at_once, len(classes), scale.at_once))
    odds = [log_odds(mean, len(rows), factor.whitened[one], factor.counts[one], scale) for one in parts]
    return dict(enumerate(np.concatenate(odds).tolist()))


def contradicting(
    label: str,
    sure: NDArray[np.intp],
    factor: Factor,
    model: Model,
    lesson: Lesson,
    odds: Mapping[int, float],
) -> list[Contradiction]:
    """Return the classes that samples of a known label are taken for, but for samples that a condition explains.

    Parameters
    ----------
    sure
        (n,) index of the class as which each judged sample is predicted with confidence and typically; -1: none.
    odds
        Of a label that few samples taught, see `odds_of_few`.
    """
    others = sorted(set(sure.tolist()) - {-1, factor.labels.index(label)})
    if odds:
        others = [one for one in others if odds[one] > ASKED_ABOVE]
    if not others:
        return []
    shown = _shown(factor, model, lesson)
    shift = _common_shift(factor, shown)
    found = []
    for index in others:
        other, samples = factor.labels[index], sure == index
        if _stay_themselves(factor, shown, shift, label, other):
            noise = factor.effective_dimension
            own, away = shown[label].apart_left_out(noise), shown[other].apart(shown[label].samples, noise)
            samples &= own >= away
        if samples.any():
            found.append(Contradiction(label, other, int(samples.sum()), len(sure)))
    return found


def _shown(factor: Factor, model: Model, lesson: Lesson) -> dict[str, _Shown]:
    """The known classes of a lesson with enough samples."""
    shown = {}
    for label, rows in lesson.rows.items():
        if label in factor.labels and len(rows) >= FEWEST:
            blocks = [whiten(factor, one) for one in model.settings.features.blocks(rows.spread(JUDGED))]
            samples = np.concatenate(blocks)
            shown[label] = _Shown(samples, samples.mean(axis=0, dtype=np.float64))
    return shown


def _common_shift(factor: Factor, shown: Mapping[str, _Shown]) -> NDArray[np.float64]:
    """Return what a condition does to all classes (d,); nothing of few classes, which it cannot be told from."""
    if len(shown) < COMMON:
        return np.zeros(factor.whitened.shape[1])
    moved = [one.mean - factor.whitened[factor.labels.index(label)] for label, one in shown.items()]
    return np.asarray(np.mean(moved, axis=0), np.float64)


def _stay_themselves(
    factor: Factor, shown: Mapping[str, _Shown], shift: NDArray[np.float64], label: str, other: str
) -> bool:
    """Test whether two classes of a lesson are each nearer to what is known of it than to that of the other."""
    if label not in shown or other not in shown:
        return False
    known = {one: factor.whitened[factor.labels.index(one)] for one in (label, other)}

    def apart(one: str, whose: str) -> float:
        return float(np.square(shown[one].mean - shift - known[whose]).sum())

    return apart(label, label) < apart(label, other) and apart(other, other) < apart(other, label)
