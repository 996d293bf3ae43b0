"""References of taught words for the second stage of listening, where its network is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.learning.loop import within_memory
from edgecl.model.exemplars import REMEMBERED_SHARE, Exemplars
from edgecl.spotting.background import factory_background
from edgecl.spotting.reference import Reference, clip_vector, factory_directions
from edgecl.spotting.second_stage import hearing
from edgecl.values import replace

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.learning.loop import Outcome
    from edgecl.model.model import Lesson, Objects
    from edgecl.operations.data import KeptSignals

MOST_CLIPS = 10  # of a word and a lesson, spread over all: each takes three windows of the network


def referenced(outcome: Outcome, lesson: Lesson, signals: KeptSignals, contract: Contract, objects: Objects) -> Outcome:
    """Return the outcome of a lesson whose model has references of what it was taught.

    They take at most one part in REMEMBERED_SHARE of the room for exemplars: words beyond that have none.
    """
    model = outcome.model
    if model is None or outcome.is_unchanged or lesson.weight < 1:
        return outcome
    if factory_background(source=contract.source, dimension=contract.dimension) is None:
        return outcome  # no words: the network is not even opened
    network = hearing()
    if network is None:
        return outcome
    directions, exemplars, digests = factory_directions(), dict(model.exemplars), dict(model.digests)

    def hears(window: NDArray[np.float32]) -> NDArray[np.float32]:
        return directions(network(window))

    reference_bytes = 2 * (directions.matrix.shape[1] + 1)
    room = model.plan().exemplars // REMEMBERED_SHARE
    for label, taught in sorted(_taught(outcome, lesson).items()):
        held = sum(one.reference is not None for name, one in exemplars.items() if name != label)
        if label not in exemplars or (held + 1) * reference_bytes > room:
            continue
        some = taught[:: max(-(-len(taught) // MOST_CLIPS), 1)]
        clips = (signals.get(name, row) for name, row in some)  # one at a time: together they may be megabytes
        vectors = [clip_vector(one, contract, hears) for one in clips if one is not None]
        if not vectors:
            continue
        before = exemplars[label].reference
        if before is not None and before.nbytes != reference_bytes:
            before = None  # of other directions
        reference = Reference.of(vectors, None if before is None else Reference.from_array(before)).array()
        role = f"exemplars/{label}"
        whole = replace(Exemplars.from_arrays(objects.read(digests[role])), reference=reference)
        digests[role] = objects.put(whole.arrays())
        exemplars[label] = replace(exemplars[label], reference=reference)
    return replace(outcome, model=within_memory(replace(model, exemplars=exemplars, digests=digests)))


def _taught(outcome: Outcome, lesson: Lesson) -> dict[str, list[tuple[str, int]]]:
    """Return the samples, as label of the lesson and row, that each class was taught; none that was set aside."""
    left_out = {(one.label, one.row) for one in outcome.verdict.set_aside}
    taught: dict[str, list[tuple[str, int]]] = {}
    for label, rows in lesson.rows.items():
        own = [(label, row) for row in range(len(rows)) if (label, row) not in left_out]
        taught.setdefault(outcome.renamed.get(label, label), []).extend(own)
    return taught
