"""Models that were learnt from arrays, as stores, and stores as models in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecl.errors import ModelError, SettingError
from edgecl.extractors.opening import extractor_file, open_extractor
from edgecl.learning.loop import within_memory
from edgecl.model.exemplars import FeatureMap
from edgecl.model.loading import load_model
from edgecl.model.model import CENTRE, Arrays, MemoryObjects, Model
from edgecl.model.settings import Settings
from edgecl.model.statistics import ClassStatistics
from edgecl.operations.creation import chosen_settings, create
from edgecl.operations.open_store import OpenStore, StoredObjects, now
from edgecl.sources.labels import clean_label
from edgecl.sources.samples import UnusableError

PARTS = ("statistics", "exemplars", "head", "ewc", CENTRE)


def load(path: Path) -> tuple[Model, MemoryObjects]:
    """Return a copy of a store's live model, and its objects, all in memory.

    What other devices have shared is part of its sums, and no longer apart from what the store itself has learnt.

    Raises
    ------
    ModelError
        When the store has learnt nothing.
    """
    opened = OpenStore.open(path)
    revision, parts = opened.store.load(*PARTS)
    objects, digests = MemoryObjects(), {}
    for role, arrays in parts.items():
        digests[role] = objects.put(arrays)
    held = {role: objects.read(digest) for role, digest in digests.items()}
    body = {name: one for name, one in revision.body.items() if name != "others"}
    model = load_model(opened.settings_of(revision), digests, body, held)
    if model.head is None:
        raise ModelError(f"{path} has learnt nothing yet: teach it first", remedy="learn")
    return model, objects


def save(model: Model, path: Path, *, extractor: str | Path, budgets: Mapping[str, Any]) -> None:
    """Make a store with a model in it.

    Raises
    ------
    SettingError
        When the store's features are not those of the model, a label is none that a lesson takes, or the path is taken.
    """
    from edgecl.gate.verdict import Verdict
    from edgecl.store.records import LessonBody

    for label in model.labels:
        _require_label(label)
    source = extractor_file(extractor)
    settings = chosen_settings(source, open_extractor(source).contract, seed=model.settings.seed, **budgets)
    _require_features(model, settings)
    opened = create(path, extractor=source, require_signature=None, seed=model.settings.seed, **budgets)
    verdict = Verdict(True, False, ("learnt from arrays outside of the store",), {}, None, None)
    moment = now()
    with opened.store.writer() as writer:
        kept = _written(within_memory(replace(model, settings=settings)), StoredObjects(writer))
        kept = kept.after_lesson(kept.labels, time=moment.time, is_timed=moment.is_trusted)
        body = LessonBody(
            **kept.body(),
            lesson={label: one.count for label, one in kept.statistics.items()},
            strategy="closed-form",
            verdict=verdict.stored(),
            forced=False,
            bytes=kept.bytes(),
            clock=moment.doubt,
        )
        live = opened.store.current()
        writer.commit(kind="lesson", objects=kept.digests, body=body.as_dict(), time=moment.time, parent=live.number)


def _require_label(label: str) -> None:
    try:
        is_clean, why = clean_label(label) == label, "blanks around it, or another Unicode form"
    except UnusableError as error:
        is_clean, why = False, str(error)
    if not is_clean:
        raise SettingError(f"the label {label!r} cannot be that of a store ({why}): fit with another")


def _require_features(model: Model, settings: Settings) -> None:
    if _identity(model.settings.features) != _identity(settings.features):
        raise SettingError(
            f"the model has {model.settings.features.dimension} features of {model.settings.latent_dimension} columns, "
            f"the store would have {settings.features.dimension} of {settings.latent_dimension}: give it other budgets",
            parameter="memory_bytes",
        )
    if len(model.statistics) > settings.max_classes:
        raise SettingError(
            f"the model knows {len(model.statistics)} classes, the store is for {settings.max_classes}",
            parameter="max_classes",
        )


def _identity(features: FeatureMap) -> tuple[int, ...]:
    """Return what makes features of latents: the seed only where something is drawn by it."""
    seed = features.seed if features.projection or features.lift_width else 0
    return features.latent_dimension, features.projection, features.lift_width, seed


def _written(model: Model, objects: StoredObjects) -> Model:
    """Return the model with all its parts put into a store."""
    whole = {label: _whole(one) for label, one in model.statistics.items()}
    parts: dict[str, Arrays] = {f"statistics/{label}": one.arrays() for label, one in whole.items()}
    parts |= {f"exemplars/{label}": one.arrays() for label, one in model.exemplars.items()}
    if model.head is not None:
        parts["head"] = model.head.arrays()
    if model.ewc is not None:
        parts["ewc"] = model.ewc.arrays()
    if model.centre is not None:
        parts[CENTRE] = model.centre.arrays()
    return replace(model, statistics=whole, digests={role: objects.put(arrays) for role, arrays in parts.items()})


def _whole(one: ClassStatistics) -> ClassStatistics:
    """Return statistics with a whole count, at least 1, and the same covariance: a store counts samples."""
    count = max(int(np.rint(one.count)), 1)
    scatter = np.asarray(one.scatter * (count / float(one.count)), np.float32)
    return ClassStatistics(count, np.asarray(one.mean, np.float64), scatter)
