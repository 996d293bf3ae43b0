"""Exact forgetting: streams of lessons, and a comparison with a model that never saw the class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecl.learning.forgetting import without_classes
from edgecl.model.model import MemoryObjects, Model

from .learning import Words, settings, taught

LABELS = Words(5).labels
VICTIM = LABELS[2]
Latents = Mapping[str, NDArray[np.float32]]

# one lesson: label to number of samples; a stream of lessons in any order
streams = st.lists(
    st.dictionaries(st.sampled_from(LABELS), st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=7
)
SMALL = {"memory_bytes": 40 << 10, "max_classes": 6}
PAGED = {"memory_bytes": 24 << 10, "max_classes": 6, "precision": "float32", "paged": True}
tiers = st.sampled_from([{}, {"precision": "float32"}, {"projection": 16}, {"lift_width": 20}, SMALL, PAGED])


def heads_are_equal(model: Model, other: Model) -> bool:
    if model.head is None or other.head is None:
        return model.head is other.head
    mine, theirs = model.head.arrays(), other.head.arrays()
    return model.head.labels == other.head.labels and all(mine[one].tobytes() == theirs[one].tobytes() for one in mine)


def require_exact(stream: list[dict[str, int]], *, tier: dict[str, object], seed: int) -> None:
    """Teach a stream of lessons and forget VICTIM, and teach the stream without it: the same bits."""
    words = Words(len(LABELS), seed=seed)
    lessons: list[Latents] = [{label: words.say(label, count) for label, count in one.items()} for one in stream]
    without = [{label: rows for label, rows in one.items() if label != VICTIM} for one in lessons]
    empty = Model(settings(**tier))  # type: ignore[arg-type]
    forgotten = without_classes(taught(empty, *lessons), [VICTIM], objects=MemoryObjects())
    never_saw = taught(empty, *[one for one in without if one])
    assert heads_are_equal(forgotten, never_saw)
    assert {label: one.count for label, one in forgotten.statistics.items()} == {
        label: one.count for label, one in never_saw.statistics.items()
    }
    for label, one in forgotten.statistics.items():
        assert one.mean.tobytes() == never_saw.statistics[label].mean.tobytes()
        assert one.scatter.tobytes() == never_saw.statistics[label].scatter.tobytes()
    assert VICTIM not in {*forgotten.exemplars, *forgotten.taught}
    assert not [role for role in forgotten.digests if VICTIM in role]
