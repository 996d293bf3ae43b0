"""Predict: samples to answers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.operations.data import SIGNALS_AT_ONCE, embedded, latents_of
from edgecl.operations.live_answers import LiveAnswers
from edgecl.operations.open_store import OpenStore
from edgecl.progress import watched
from edgecl.sources.samples import Sample, Skip


@dataclass(frozen=True)
class Answer:
    """One predicted sample."""

    source: str
    label: str
    confidence: float
    novelty: float
    top: tuple[tuple[str, float], ...] = ()
    """The likeliest labels with their probabilities, best first, where they were asked for."""


@watched
def answers(opened: OpenStore, items: Iterable[Sample | Skip], *, top: int = 0) -> Generator[Answer | Skip, None, int]:
    """Answer samples one after another; those that cannot be used come out as they went in.

    The stages of the run are the answers, its report is how many there were.

    Raises
    ------
    ModelError
        When nothing has been learnt.
    """
    live, remaining, count = LiveAnswers(opened), iter(items), 0
    while batch := list(islice(remaining, SIGNALS_AT_ONCE)):
        samples = [one for one in batch if isinstance(one, Sample)]
        found = _answered(opened, live, samples, top)
        for item in batch:
            count += isinstance(item, Sample)
            yield next(found) if isinstance(item, Sample) else item
    return count


def class_probabilities(opened: OpenStore, items: Iterable[Sample | Skip]) -> NDArray[np.float32]:
    """Compute the probability (n, classes) of each class, for each sample; the classes are in order of their names.

    Raises
    ------
    ModelError
        When nothing has been learnt.
    DataError
        When a sample cannot be used, since each has its row.
    """
    live = LiveAnswers(opened)
    skipped: list[Skip] = []
    rows = [np.empty((0, len(live.labels)), np.float32)]
    for _, latents in embedded(opened, items, skipped):
        rows.append(live.probabilities(latents))
    if skipped:
        raise DataError(f"{len(skipped)} samples cannot be used, {skipped[0].source} for one: {skipped[0].reason}")
    return np.concatenate(rows)


def _answered(opened: OpenStore, live: LiveAnswers, samples: list[Sample], top: int) -> Iterator[Answer]:
    if not samples:
        return
    latents = latents_of(opened, samples)
    said = live.predict(latents)
    given = live.probabilities(latents) if top else np.zeros((len(samples), 0), np.float32)
    for sample, row, *one in zip(samples, given, said.labels, said.confidence, said.novelty, strict=True):
        best = np.argsort(-row, kind="stable")[:top]
        likeliest = tuple((live.labels[at], float(row[at])) for at in best)
        yield Answer(sample.source, str(one[0]), float(one[1]), float(one[2]), likeliest)
