"""Merge one class into another, when its user says that both are the same."""

from __future__ import annotations

from dataclasses import replace

from edgecl.errors import SettingError
from edgecl.learning.forgetting import without_classes
from edgecl.learning.loop import herded, within_memory
from edgecl.model.head import whitened_cosine
from edgecl.model.model import Model, Objects, factor_of
from edgecl.model.settings import herding_candidates


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
        exemplars[into] = herded(exemplars.get(into), exemplars[label], mean, herding_candidates(model.settings))
        digests[f"exemplars/{into}"] = objects.put(exemplars[into].arrays())
    latest = next((one for one in reversed([*model.taught]) if one in (label, into)), into)
    timed = model.after_lesson([into], time=model.taught.get(latest, ""), is_timed=latest in model.timed)
    whole = replace(timed, statistics={**model.statistics, into: joined}, exemplars=exemplars, digests=digests)
    left = within_memory(without_classes(whole, [label], objects=objects))
    head = whitened_cosine(factor_of(left))
    return replace(left, head=head, ewc=None, digests={**left.digests, "head": objects.put(head.arrays())})


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
