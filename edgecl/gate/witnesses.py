"""Witnesses: samples of one recording vouch for each other, so they are left out together and count as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.model.exemplars import Exemplars, dequantise, digests
from edgecl.model.group_left_out import leave_group_out
from edgecl.model.head import Factor
from edgecl.model.model import Lesson, Model

MOST_PEOPLE = 16  # of a new class that are left out, each in turn
MOST_OF_GROUP = 128  # samples of a group that are left out together: bounds the workspace


def right_groups(factor: Factor, model: Model, lesson: Lesson, label: str, *, most: int) -> NDArray[np.bool_]:
    """Test which groups of a lesson's class are predicted right, each left out as a whole.

    A group is right where more than half of its samples are. Nothing is returned where the class has no other sample.

    Parameters
    ----------
    factor
        Of the model that has taken the lesson in.
    most
        Groups that are judged.

    Returns
    -------
    (g,)
    """
    return _right(factor, model, lesson, label, lesson.recordings[label], most=most)


def right_people(factor: Factor, model: Model, lesson: Lesson, labels: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Test who of the people that gave a class is predicted right, (k,), each left out with all that they gave of it.

    Of each class the first MOST_PEOPLE are judged; none where one gave more samples than can be left out together.

    Parameters
    ----------
    factor
        Of the model that has taken the lesson in.
    labels
        Of the lesson, each given by several people.
    """
    few = [label for label in labels if max(Counter(lesson.people[label]).values()) <= MOST_OF_GROUP]
    found = {label: _right(factor, model, lesson, label, lesson.people[label], most=MOST_PEOPLE) for label in few}
    return {label: right for label, right in found.items() if len(right)}


def _right(
    factor: Factor, model: Model, lesson: Lesson, label: str, together: Sequence[str], *, most: int
) -> NDArray[np.bool_]:
    """Test which groups of rows of a class are predicted right, (g,), each left out with copies of it in others."""
    groups, own = np.array(together), factor.labels.index(label)
    names = np.array(lesson.recordings.get(label, np.arange(len(groups))))
    right = []
    for group in list(dict.fromkeys(together))[:most]:
        at = np.flatnonzero(np.isin(names, names[groups == group]))[:MOST_OF_GROUP]
        if len(at) < factor.counts[own]:
            lifted = np.concatenate([*model.settings.features.blocks(lesson.rows[label].take(at))])
            correct = leave_group_out(factor, lifted, own=own).logits.argmax(axis=1) == own
            correct = correct[groups[at] == group]
            right.append(2 * int(correct.sum()) > len(correct))
    return np.array(right, bool)


def without_mates(
    logits: NDArray[np.float64],
    factor: Factor,
    model: Model,
    rows: Exemplars,
    kept: Exemplars,
    *,
    own: int,
    like: float,
) -> NDArray[np.float64]:
    """Return logits (n, C) of kept samples of a class, each left out with what is of its recording.

    A sample whose class has nothing else is left out alone, as in `logits`: a class of one recording is to be protected
    too.

    Parameters
    ----------
    logits
        Of the samples, each left out alone.
    kept
        Rows of the class that can be left out, the samples among them.
    like
        Cosine from which a row of `kept` is of the same recording.
    """
    logits, numbers, others = logits.copy(), rows.takes(), kept.takes()
    itself = np.argmax(digests(kept)[None, :] == digests(rows)[:, None], axis=1)  # (n,) where each is in `kept`
    near = _cosines(rows, kept) >= like if like <= 1 else np.zeros((len(rows), len(kept)), bool)
    done = np.zeros(len(rows), bool)
    for index, number in enumerate(numbers.tolist()):
        if done[index]:
            continue
        group = np.flatnonzero(numbers == number)[:MOST_OF_GROUP] if number else np.array([index])
        done[group] = True
        mates = near[group].any(axis=0) | ((others == number) & (number > 0))
        mates[itself[group]] = False
        together = Exemplars.joined([rows.take(group), kept.take(np.flatnonzero(mates)[: MOST_OF_GROUP - len(group)])])
        if 1 < len(together) < factor.counts[own]:
            lifted = np.concatenate([*model.settings.features.blocks(together)])
            logits[group] = leave_group_out(factor, lifted, own=own).logits[: len(group)]
    return logits


def _cosines(rows: Exemplars, others: Exemplars) -> NDArray[np.float32]:
    """Cosines (n, k) of rows with others."""
    one, two = (dequantise(some.rows, some.scales) for some in (rows, others))
    lengths = np.linalg.norm(one, axis=1)[:, None] * np.linalg.norm(two, axis=1)
    cosines: NDArray[np.float32] = (one @ two.T) / np.maximum(lengths, 1e-12)
    return cosines
