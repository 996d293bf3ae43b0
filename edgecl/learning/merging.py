"""Merge one class into another, when its user says that both are the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.learning.forgetting import without_classes
from edgecl.learning.loop import herded, within_memory
from edgecl.model.exemplars import REFERENCES, Exemplars
from edgecl.model.head import whitened_cosine
from edgecl.model.model import Model, Objects, factor_of
from edgecl.model.settings import herding_candidates
from edgecl.values import replace


def merged(model: Model, label: str, into: str, *, objects: Objects) -> Model:
    """Return the model in which the samples of one class are samples of another, with a closed-form head."""
    if model.others:
        return _merged_apart(model, label, into, objects=objects)
    one, other = model.statistics[into], model.statistics[label]
    joined = one.merged(other)
    features, exemplars = model.settings.features, dict(model.exemplars)
    digests = {**model.digests, f"statistics/{into}": objects.put(joined.arrays())}
    if label in exemplars:
        mean = joined.mean[features.lift_width :]
        kept = herded(exemplars.get(into), exemplars[label], mean, herding_candidates(model.settings))
        both = exemplars.get(into), exemplars[label]
        reference, student = (_reference(*both, name) for name in REFERENCES)
        exemplars[into] = replace(kept, taught=_joined(*both), reference=reference, student=student)
        digests[f"exemplars/{into}"] = objects.put(exemplars[into].arrays())
    latest = next((one for one in reversed([*model.taught]) if one in (label, into)), into)
    timed = model.after_lesson([into], time=model.taught.get(latest, ""), is_timed=latest in model.timed)
    whole = replace(timed, statistics={**model.statistics, into: joined}, exemplars=exemplars, digests=digests)
    left = within_memory(without_classes(whole, [label], objects=objects))
    head = whitened_cosine(factor_of(left))
    return replace(left, head=head, ewc=None, digests={**left.digests, "head": objects.put(head.arrays())})


def _joined(one: Exemplars | None, other: Exemplars) -> NDArray[np.int64]:
    """Return the digests of the rows that either class was taught."""
    known = [part.taught for part in (one, other) if part is not None and part.taught is not None]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *known]))


def _reference(one: Exemplars | None, other: Exemplars, name: str) -> NDArray[np.float16] | None:
    """Return the reference of both classes: the mean of their clips, whose number stands last."""
    first, second = (None if part is None else getattr(part, name) for part in (one, other))
    if first is None or second is None or first.shape != second.shape:
        return second if first is None else first
    total = float(first[-1]) + float(second[-1])
    mean = (first[:-1] * np.float32(first[-1]) + second[:-1] * np.float32(second[-1])) / total
    return np.append(mean, np.float32(total)).astype(np.float16)


def _merged_apart(model: Model, label: str, into: str, *, objects: Objects) -> Model:
    """Merge a class of one's own and of the shares, each for itself."""
    from edgecl.model.shares import with_others

    others = {device: share.called({label: into}) for device, share in model.others.items()}
    own = with_others(model, {}, combine=model.combine, objects=objects)
    if label in own.statistics and into not in own.statistics:
        raise SettingError(f"{into!r} is known from other devices alone: teach it here before {label!r} becomes it")
    if label in own.statistics:
        own = merged(own, label, into, objects=objects)
    left = within_memory(with_others(own, others, combine=model.combine, objects=objects))
    head = whitened_cosine(factor_of(left))
    digests = {role: one for role, one in left.digests.items() if role != "ewc"}
    return replace(left, head=head, ewc=None, digests={**digests, "head": objects.put(head.arrays())})
