"""Second thoughts: a taught name is compared again with what it was like, when a lesson brings either of the two."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from edgecl.gate.gather import Known
from edgecl.gate.resemblance import resemblance
from edgecl.gate.verdict import Ask, Policy
from edgecl.model.head import whiten
from edgecl.model.model import Alike, Lesson, Model


def asked_again(model: Model, lesson: Lesson, policy: Policy) -> tuple[Model, list[Ask]]:
    """Compute again what taught names are like, where a lesson brought either of two; ask once where they are close.

    Nothing is undone: the name stays live.
    """
    asks: list[Ask] = []
    for label, one in model.alike.items():
        brought = {label, one.like} & set(lesson.rows)
        is_fresh = model.statistics[label].count == len(lesson.rows.get(label, ()))
        if not brought or is_fresh or one.asked or one.like not in model.statistics:
            continue
        odds = odds_between(model, label, one.like)
        if odds is None:
            continue
        is_close = odds > policy.ask_above and not model.are_distinct(label, one.like)
        model = replace(model, alike={**model.alike, label: Alike(one.like, round(odds, 4), asked=is_close)})
        if is_close:
            asks.append(Ask(label, one.like, odds, model.statistics[label].count, is_live=True))
    return model, asks


def odds_between(model: Model, label: str, other: str) -> float | None:
    """Return the log odds that a class of the model is another one, as the model without it sees it.

    None where too little else is known.
    """
    left = {name: one for name, one in model.statistics.items() if name != label}
    if len(left) < 2:
        return None
    exemplars = {name: one for name, one in model.exemplars.items() if name != label}
    without = Known.of(replace(model, statistics=left, exemplars=exemplars))
    assert without is not None
    factor, one, scale = without.factor, model.statistics[label], without.scale
    mean = whiten(factor, one.mean.astype(np.float32)[None])[0]
    found = resemblance(mean, one.count, {other: factor.labels.index(other)}, factor.whitened, factor.counts, scale)
    return None if found is None or math.isnan(found.odds) else found.odds
