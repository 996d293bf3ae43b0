"""References of taught words for the stages of listening that tell them apart better than a latent does.

The student ships with the voice extractor; the network is there where the extra `verify` is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.extractors.opening import verifier_file
from edgecl.learning.loop import within_memory
from edgecl.model.exemplars import REMEMBERED_SHARE, Exemplars
from edgecl.spotting.reference import Reference, clip_vector, factory_directions
from edgecl.spotting.student import clip_frames, form_of, voice_student
from edgecl.values import replace

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.extractors.contract import Contract
    from edgecl.learning.loop import Outcome
    from edgecl.model.model import Lesson, Objects
    from edgecl.operations.kept_signals import KeptSignals
    from edgecl.spotting.reference import Hears

    # a clip (samples, 1), its number and, where they are known, its frames (P, D) to (K,)
    Answers = Callable[[NDArray[np.float32], int, NDArray[np.float32] | None], NDArray[np.float32]]

MOST_CLIPS = (
    10  # of a word and a lesson, spread over all: each takes a clip of the extractor, or three windows of the network
)


def referenced(
    outcome: Outcome, lesson: Lesson, signals: KeptSignals, extractor: FileExtractor, objects: Objects
) -> Outcome:
    """Return the outcome of a lesson whose model has references of what it was taught.

    They take at most one part in REMEMBERED_SHARE of the room for exemplars: words beyond that have none.
    """
    model = outcome.model
    if model is None or outcome.is_unchanged or lesson.weight < 1:
        return outcome
    stages = _stages(extractor)
    if not stages:
        return outcome
    exemplars, digests = dict(model.exemplars), dict(model.digests)
    room = model.plan().exemplars // REMEMBERED_SHARE
    for label, taught in sorted(_taught(outcome, lesson).items()):
        if label not in exemplars:
            continue
        found: dict[str, NDArray[np.float16]] = {}
        held = sum(one.reference_bytes for name, one in exemplars.items() if name != label)
        some = taught[:: max(-(-len(taught) // MOST_CLIPS), 1)]
        for name, (answers, reference_bytes) in stages.items():
            held += reference_bytes
            if held > room:
                break
            # one at a time: together they may be megabytes
            clips = ((signals.get(of, row), signals.frames(of, row)) for of, row in some)
            before = _before(getattr(exemplars[label], name), reference_bytes)
            known = 0 if before is None else before.clips
            vectors = [answers(one, known + at, its) for at, (one, its) in enumerate(clips) if one is not None]
            if vectors:
                found[name] = Reference.of(vectors, before).array()
        if found:
            role = f"exemplars/{label}"
            held_now = exemplars[label]
            reference, students = found.get("reference", held_now.reference), found.get("student", held_now.student)
            whole = replace(Exemplars.from_arrays(objects.read(digests[role])), reference=reference, student=students)
            digests[role] = objects.put(whole.arrays())
            exemplars[label] = replace(held_now, reference=reference, student=students)
    return replace(outcome, model=within_memory(replace(model, exemplars=exemplars, digests=digests)))


def _stages(extractor: FileExtractor) -> dict[str, tuple[Answers, int]]:
    """Return, by the array of `Exemplars`, what each stage makes of a clip, and the bytes of a reference.

    The network comes first: where there is no room for both references, it decides.
    """
    stages: dict[str, tuple[Answers, int]] = {}
    if (network := _hearing(extractor.contract)) is not None:
        directions = factory_directions()
        size = 2 * (directions.matrix.shape[1] + 1)
        stages["reference"] = (
            lambda clip, *_: clip_vector(clip, extractor.contract, lambda window: directions(network(window))),
            size,
        )
    if (student := voice_student(extractor.digest)) is not None:
        stages["student"] = (
            lambda clip, number, its: student(_form_frames(clip, form_of(number), its, extractor))[0],
            student.reference_bytes,
        )
    return stages


def _form_frames(
    clip: NDArray[np.float32], form: int, its: NDArray[np.float32] | None, extractor: FileExtractor
) -> NDArray[np.float32]:
    """Return the frames (1, P, D) of one form of a clip, whose own `its` are where they are known."""
    return clip_frames(clip, extractor, [form]) if form or its is None else its[None]


def _hearing(contract: Contract) -> Hears | None:
    """Return the network for an extractor of words; None where it is not installed, or too slow here."""
    if verifier_file() is None:
        return None
    from edgecl.spotting.background import factory_background
    from edgecl.spotting.second_stage import hearing

    known = factory_background(source=contract.source, dimension=contract.dimension)
    return None if known is None else hearing()


def _before(stored: NDArray[np.float16] | None, reference_bytes: int) -> Reference | None:
    """Return the reference that clips are added to; None where there is none, or one of another student."""
    return Reference.from_array(stored) if stored is not None and stored.nbytes == reference_bytes else None


def _taught(outcome: Outcome, lesson: Lesson) -> dict[str, list[tuple[str, int]]]:
    """Return the samples, as label of the lesson and row, that each class was taught; none that was set aside."""
    left_out = {(one.label, one.row) for one in outcome.verdict.set_aside}
    taught: dict[str, list[tuple[str, int]]] = {}
    for label, rows in lesson.rows.items():
        own = [(label, row) for row in range(len(rows)) if (label, row) not in left_out]
        taught.setdefault(outcome.renamed.get(label, label), []).extend(own)
    return taught
