"""Predict: samples to answers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.operations.data import SIGNALS_AT_ONCE, embedded, far_values, in_taught_units, latents_of, with_unread_texts
from edgecl.operations.judging import Judge, judge_of
from edgecl.operations.live_answers import LiveAnswers
from edgecl.operations.open_store import OpenStore
from edgecl.progress import watched
from edgecl.sources.samples import Sample, Skip

if TYPE_CHECKING:
    from edgecl.operations.far_values import FarValues


@dataclass(frozen=True)
class Answer:
    """One predicted sample."""

    source: str
    label: str
    """The best class, known or not."""
    confidence: float
    novelty: float
    known: bool
    """False where the novelty is above the threshold of the store: probably nothing that was taught."""
    top: tuple[tuple[str, float], ...] = ()
    """The best classes and their probabilities, best first, where they are wanted."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        named = {name: value for name, value in vars(self).items() if name != "top"}
        top = [{"label": label, "probability": share} for label, share in self.top]
        return {**named, **({"top": top} if top else {})}


@watched
def answers(opened: OpenStore, items: Iterable[Sample | Skip], *, top: int = 0) -> Generator[Answer | Skip, None, int]:
    """Answer samples one after another; those that cannot be used come out as they went in.

    The stages of the run are the answers, its report is how many there were.

    Parameters
    ----------
    top
        How many classes to name, best first, each with its probability.

    Raises
    ------
    ModelError
        When nothing has been learnt.
    DataError
        As `in_taught_units`.
    """
    judge, count, far = judge_of(opened), 0, far_values(opened.extractor.contract)
    remaining = iter(with_unread_texts(in_taught_units(opened, items), opened.extractor))
    while batch := list(islice(remaining, SIGNALS_AT_ONCE)):
        samples = [one for one in batch if isinstance(one, Sample)]
        found = _answered(opened, judge, samples, top, far)
        for item in batch:
            count += isinstance(item, Sample)
            yield next(found) if isinstance(item, Sample) else item
    if far is not None:
        far.warn()
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


def _answered(
    opened: OpenStore, judge: Judge, samples: list[Sample], top: int, far: FarValues | None
) -> Iterator[Answer]:
    if not samples:
        return
    latents = latents_of(opened, samples)
    if far is not None:
        far.add(latents)
    said, names = judge(latents), judge.labels
    for index, (sample, label, shares) in enumerate(zip(samples, said.labels, said.shares, strict=True)):
        best = np.argsort(-shares, kind="stable")[:top]
        yield Answer(
            source=sample.source,
            label=label,
            confidence=float(shares.max()),
            novelty=float(said.novelty[index]),
            known=bool(said.known[index]),
            top=tuple((names[one], float(shares[one])) for one in best),
        )
