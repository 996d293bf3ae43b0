"""Resize: a model under other budgets, without the samples that it was taught from.

Statistics are sums over rows, and a narrower projection is a linear map of the wider row: so a model can be made
narrower exactly, and never wider.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.gather import Known, left_out
from edgecl.gate.judge import judge
from edgecl.gate.verdict import Evidence, Policy, Verdict
from edgecl.learning.loop import within_memory
from edgecl.model.exemplars import Exemplars, FeatureMap, dequantise, quantise
from edgecl.model.head import whitened_cosine
from edgecl.model.model import Model, Objects, factor_of
from edgecl.model.settings import Settings
from edgecl.model.statistics import ClassStatistics, square


def narrowed(rows: NDArray[np.float32], before: FeatureMap, after: FeatureMap) -> NDArray[np.float32]:
    """Return rows (n, p) of one projection as those of a narrower one (n, q).

    The columns of the narrower one are among those of the wider, up to scale.
    """
    if before.projection == after.projection:
        return rows
    if not before.projection:
        return after.project(rows)
    wide, narrow = before.kept_columns(), after.kept_columns()
    scale = np.float32(np.sqrt(before.projection / after.projection))
    return np.ascontiguousarray(rows[:, np.searchsorted(wide, narrow)]) * scale


def narrowed_rows(rows: Exemplars, before: FeatureMap, after: FeatureMap) -> Exemplars:
    """Return quantised rows of a narrower projection; raises nothing, and leaves those of the same one as they are.

    What second stages know of a class is of no columns, and stays.
    """
    if before.projection == after.projection:
        return rows
    narrow = quantise(narrowed(dequantise(rows.rows, rows.scales), before, after))
    return replace(
        narrow, people=rows.people, recordings=rows.recordings, reference=rows.reference, student=rows.student
    )


def _narrowed_statistics(one: ClassStatistics, before: FeatureMap, after: FeatureMap) -> ClassStatistics:
    """Return P S Pᵀ and P m: both sides of the scatter go through the map, one after the other."""
    half = narrowed(square(one.scatter, one.dimension), before, after)
    whole = narrowed(np.ascontiguousarray(half.T), before, after)
    packed = ((whole + whole.T) / 2)[np.tril_indices(len(whole))].astype(np.float32)
    mean = narrowed(one.mean[None].astype(np.float32), before, after)[0].astype(np.float64)
    return ClassStatistics(one.count, mean, packed)


def resized(model: Model, settings: Settings, *, objects: Objects) -> Model:
    """Return a model under other settings: the same features, or narrower ones.

    A head that fits stays as it is; narrower features, or another precision, begin again at the closed form.
    """
    before, after = model.settings.features, settings.features
    made = replace(model, settings=settings, is_resized=True)
    if before.projection != after.projection:
        made = _narrowed_apart(made, model, objects) if model.others else _with_narrowed_parts(made, model, objects)
    if made.ewc is not None and not made.plan().can_consolidate:
        made = replace(made, ewc=None, digests={role: one for role, one in made.digests.items() if role != "ewc"})
    made = within_memory(made)
    is_same = all(
        getattr(settings, name) == getattr(model.settings, name) for name in ("projection", "precision", "paged")
    )
    if is_same or not made.statistics:
        return made
    head = whitened_cosine(factor_of(made))
    digests = {role: one for role, one in made.digests.items() if role != "ewc"}
    return replace(made, head=head, ewc=None, digests={**digests, "head": objects.put(head.arrays())})


def _with_narrowed_parts(made: Model, model: Model, objects: Objects) -> Model:
    """Return the model with statistics and exemplars of its own width, put into `objects` class by class."""
    before, after = model.settings.features, made.settings.features
    statistics, exemplars, digests = {}, {}, dict(made.digests)
    for label, one in sorted(model.statistics.items()):
        digests[f"statistics/{label}"] = objects.put(_narrowed_statistics(one, before, after).arrays())
        statistics[label] = ClassStatistics.from_arrays(objects.read(digests[f"statistics/{label}"]))
    for label, rows in sorted(model.exemplars.items()):
        exemplars[label] = narrowed_rows(rows, before, after)
        digests[f"exemplars/{label}"] = objects.put(exemplars[label].arrays())
    return replace(made, statistics=statistics, exemplars=exemplars, digests=digests)


def _narrowed_apart(made: Model, model: Model, objects: Objects) -> Model:
    """Narrow one's own statistics and those of the shares, each for itself."""
    from edgecl.model.shares import with_others

    before, after = model.settings.features, made.settings.features
    own = with_others(model, {}, combine=model.combine, objects=objects)
    narrow = _with_narrowed_parts(replace(own, settings=made.settings, is_resized=True), own, objects)
    others = {
        device: replace(
            share,
            statistics={label: _narrowed_statistics(one, before, after) for label, one in share.statistics.items()},
        )
        for device, share in model.others.items()
    }
    return with_others(narrow, others, combine=model.combine, objects=objects)


def judged(model: Model, made: Model) -> Verdict:
    """Judge a resized model by the kept samples of the one before, each left out of both."""
    known = Known.of(model)
    if known is None:
        return Verdict(True, True, ("nothing has been learnt: there is nothing to lose",), {}, None, None)
    factor, before, after = factor_of(made), model.settings.features, made.settings.features
    judged = {label: narrowed_rows(rows, before, after) for label, rows in known.judged.items()}
    kept = {label: narrowed_rows(model.exemplars[label], before, after) for label in judged}
    seen = left_out(factor, made, judged, old=model, kept=kept)
    is_finite = made.head is None or bool(np.isfinite(made.head.weights).all())
    evidence = Evidence(
        before={label: one.correct for label, one in known.seen.items()},
        after={label: one.correct for label, one in seen.items()},
        among_old={label: one.among_old for label, one in seen.items()},
        taught={},
        new_labels=frozenset(),
        faults=() if is_finite else ("the narrower head is not finite",),
    )
    return judge(evidence, Policy())
