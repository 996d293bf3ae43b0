"""Strategy auto: gradient steps kept as a difference to the closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.gather import EVIDENCE_PER_CLASS
from edgecl.learning.refine import coordinates_of, refine, typical_logits
from edgecl.learning.strategies import REFINE_SAMPLES, RefineSettings
from edgecl.model.exemplars import Selection
from edgecl.model.head import REFINED_CLOSED_FORM, HeadState, leave_one_out, whitened_cosine
from edgecl.model.model import Model, factor_of
from edgecl.model.settings import REFINE_CLASSES


def refine_residual(
    model: Model, closed: Model, rows: Mapping[str, Selection], steps: RefineSettings, *, seed: int
) -> Model:
    """Take gradient steps from a closed form plus what they gained in the old model.

    That is the difference of the old model's head to its own closed form: it outlives the exemplars that it was made
    from. The Fisher diagonal of all exemplars, weighted by the samples of their classes, anchors the head. Classes of
    few samples take no part: their closed form generalises better than a fit to the few.
    """
    assert closed.head is not None
    coordinates, head = coordinates_of(closed), _carried(model, closed.head)
    taking_part = [
        label for label in head.labels if closed.statistics[label].count >= REFINE_SAMPLES and len(rows[label])
    ]
    if len(taking_part) >= REFINE_CLASSES:
        refine(
            head,
            {label: rows[label] for label in taking_part},
            {},
            None,
            coordinates=coordinates,
            features=closed.settings.features,
            settings=steps,
            seed=seed,
            among=taking_part,
            drawn_at_once=closed.settings.drawn_at_once,
            held_by=[(closed.exemplars[label], closed.statistics[label].count) for label in taking_part],
        )
    left_alone = [label for label in head.labels if label not in taking_part]
    odds = [_lost_odds(head, closed, label) for label in left_alone]
    head.bias[[head.labels.index(label) for label in left_alone]] += np.array(odds, np.float32)
    return replace(closed, head=replace(head, typical=typical_logits(head, closed)))


def _carried(model: Model, closed: HeadState) -> HeadState:
    """Return a copy of a closed form plus what gradient steps have added to that of the old model."""
    head = HeadState(closed.labels, closed.weights.copy(), closed.bias.copy(), closed.typical, REFINED_CLOSED_FORM)
    if model.head is not None and model.head.kind == REFINED_CLOSED_FORM:
        before = whitened_cosine(factor_of(model))
        where = [head.labels.index(label) for label in before.labels]
        head.weights[where] += model.head.weights - before.weights
        head.bias[where] += model.head.bias - before.bias
    return head


def _lost_odds(head: HeadState, closed: Model, label: str) -> float:
    """Return by how much a class's log-odds, on its own exemplars, are below the closed form's."""
    assert closed.head is not None
    own, less = head.labels.index(label), []
    for block in closed.settings.features.blocks(closed.exemplars[label]):
        others = [np.delete(one.logits(block), own, axis=1) for one in (head, closed.head)]
        refined, before = (np.logaddexp.reduce(one, axis=1) for one in others)
        less.append(refined - before)
    return float(np.concatenate(less).mean()) if less else 0.0


def gains_left_out(refined: Model, closed: Model, undrawn: Mapping[str, Selection]) -> dict[str, NDArray[np.float64]]:
    """Return, by class, 1 for each sample whose prediction refinement corrects and -1 where it spoils one.

    Each sample is left out of the closed form under both heads: a refined head is that closed form and a difference,
    which has not seen the sample.
    """
    assert refined.head is not None
    assert closed.head is not None
    factor, gains = factor_of(closed), {}
    for own, label in enumerate(factor.labels):
        if factor.counts[own] < 2 or not len(undrawn[label]):
            continue
        parts = []
        for block in closed.settings.features.blocks(undrawn[label].all().first(EVIDENCE_PER_CLASS)):
            logits = leave_one_out(factor, block, own=own).logits
            further = logits + refined.head.logits(block) - closed.head.logits(block)
            parts.append((further.argmax(axis=1) == own) - (logits.argmax(axis=1) == own).astype(float))
        gains[label] = np.concatenate(parts)
    return gains
