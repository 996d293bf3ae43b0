"""Judge: latents to answers, each known or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ModelError
from edgecl.model.head import probabilities
from edgecl.model.model import Model
from edgecl.model.unknown import PEOPLE, TEXTS, DistanceMeasure, Measure
from edgecl.operations.background import background
from edgecl.operations.live_answers import LiveAnswers
from edgecl.operations.open_store import OpenStore


@dataclass(frozen=True)
class Judged:
    """The answers for n samples."""

    labels: list[str]
    """The best class of each, known or not."""
    shares: NDArray[np.float32]
    """(n, C) probability of each class, in the order of the model's labels."""
    novelty: NDArray[np.float32]
    """(n,) 0: typical of its class, 1: nothing of it."""
    known: NDArray[np.bool_]
    """(n,) whether the novelty is at most the threshold."""


@dataclass(frozen=True)
class Judge:
    """A model, and what it takes for unknown."""

    model: Model
    measure: Measure
    unknown_above: float
    """Novelty above which an answer is "unknown"."""
    live: LiveAnswers
    """What answers: the head, or the experts of a stream."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the shares, sorted."""
        return self.live.labels

    def __call__(self, latents: NDArray[np.float32]) -> Judged:
        """Answer latents (n, D)."""
        head = self.model.head
        assert head is not None
        features = self.model.features(latents)
        logits = head.logits(features)
        novelty = self.measure.novelty(features, logits.argmax(axis=1))
        shares = self.live.probabilities(latents) if self.live.has_experts else probabilities(logits)
        labels = [self.labels[index] for index in shares.argmax(axis=1)]
        known = novelty <= self.unknown_above
        if self.live.has_experts and self.model.unknown_above is None:
            known[:] = True  # a stream moves on: what is far from its sums is not unknown
        return Judged(labels, shares, novelty, known)


def judge_of(opened: OpenStore) -> Judge:
    """Return the judge of the live revision; raises ModelError where nothing has been learnt."""
    model = opened.model()[1]
    if model.head is None:
        raise ModelError(f"{opened.store.path} has learnt nothing yet: teach it first", remedy="learn")
    return judge_with(opened, model)


def judge_with(opened: OpenStore, model: Model) -> Judge:
    """Return the judge of a whole model of a store."""
    found = background(opened)
    if found is None:
        is_text = opened.described()["modality"] == "text"
        measure: Measure = DistanceMeasure(model, TEXTS if is_text else PEOPLE)
    else:
        from edgecl.spotting.familiarity import BackgroundMeasure

        measure = BackgroundMeasure(model, found)
    given = model.unknown_above
    return Judge(model, measure, measure.threshold if given is None else given, LiveAnswers(opened))
