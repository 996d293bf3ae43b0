"""Witnesses: samples of one recording vouch for each other, so they are left out together and count as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecl.model.head import Factor, leave_group_out
from edgecl.model.model import Lesson, Model

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
    groups, own = np.array(lesson.recordings[label]), factor.labels.index(label)
    right = []
    for group in list(dict.fromkeys(lesson.recordings[label]))[:most]:
        rows = lesson.rows[label].take(np.flatnonzero(groups == group)[:MOST_OF_GROUP])
        if len(rows) < factor.counts[own]:
            lifted = np.concatenate([*model.settings.features.blocks(rows)])
            correct = leave_group_out(factor, lifted, own=own).logits.argmax(axis=1) == own
            right.append(2 * int(correct.sum()) > len(correct))
    return np.array(right, bool)
