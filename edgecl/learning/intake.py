"""Intake: a lesson enters statistics and exemplars, the old head stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecl.model.exemplars import Exemplars, herd, quotas
from edgecl.model.lesson import Lesson
from edgecl.model.memory import herding_candidates, workspace_for
from edgecl.model.model import Model
from edgecl.model.objects import Objects
from edgecl.model.statistics import ClassStatistics, accumulate


def take_in(model: Model, lesson: Lesson, *, objects: Objects) -> Model:
    """The model with the lesson in its statistics and exemplars, still under the old head."""
    features = model.settings.features
    scatter = workspace_for(model.settings)
    statistics, exemplars, digests = dict(model.statistics), dict(model.exemplars), dict(model.digests)
    candidates = herding_candidates(model.settings)
    for label, rows in sorted(lesson.rows.items()):
        lifted = features.blocks(rows)
        count, mean = accumulate(statistics.get(label), lifted, scatter)
        one = ClassStatistics(count, mean, scatter.astype(np.float32, copy=False))
        digests[f"statistics/{label}"] = objects.put(one.arrays())
        statistics[label] = ClassStatistics.from_arrays(objects.read(digests[f"statistics/{label}"]))
        kept = herded(exemplars.get(label), rows, mean[features.lift_width :], candidates)
        digests[f"exemplars/{label}"] = objects.put(kept.arrays())
        exemplars[label] = Exemplars.from_arrays(objects.read(digests[f"exemplars/{label}"]))
    taught = {**model.taught, **dict.fromkeys(lesson.rows, lesson.time)}
    return within_memory(replace(model, statistics=statistics, exemplars=exemplars, digests=digests, taught=taught))


def within_memory(model: Model) -> Model:
    """The model with no more exemplars than its memory has room for."""
    capacity = model.plan().exemplars - (model.centre.nbytes if model.centre else 0)
    held = {label: len(one) for label, one in model.exemplars.items()}
    width = model.settings.features.row_dimension
    shares = quotas(held, capacity_bytes=max(capacity, 0), row_dimension=width, taught=model.taught)
    return replace(model, exemplars={label: one.first(shares[label]) for label, one in model.exemplars.items()})


def herded(held: Exemplars | None, rows: Exemplars, mean: NDArray[np.float64], candidates: int) -> Exemplars:
    """The kept exemplars of a class and the lesson's rows, thinned to what the workspace allows, in herding order."""
    room = candidates - (len(held) if held else 0)
    fresh = rows.spread(max(room, candidates // 2))
    if held:
        held = held.first(candidates - len(fresh))
        fresh = Exemplars(np.concatenate([held.rows, fresh.rows]), np.concatenate([held.scales, fresh.scales]))
    return herd(fresh, mean, keep=len(fresh))
