"""Set aside: which samples of a lesson are probably not what they are called.

Every sample is compared with all names that it may have: the known classes, as this lesson shows them, and the new
names of the lesson. It is left out of its own name's mean, with all samples of its group. Everything happens in the
whitened space of the old model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecl.model.exemplars import Exemplars, FeatureMap
from edgecl.model.head import Factor, debiased, whiten
from edgecl.values import dataclass, replace

SESSION_WEIGHT = 16.0  # samples of a lesson that weigh as much as what is known of a class, at most all of that
EXPECTED_WRONG = 0.1  # share of wrong names that is expected before anything is seen
SMALLEST_WRONG, LARGEST_WRONG = 0.01, 0.5
DOUBTED = 0.5  # probability of its own name below which a sample is doubted
HALF = 0.5  # share of doubted samples above which a name is treated as a whole
MOST_DOUBTED = 0.4  # share of the samples of known names above which the lesson is refused, ...
FEWEST_DOUBTED = 3  # ... from so many samples on
ROUNDS = 1  # five find two points more where half of the names are wrong, and that is refused anyway
MOST_GROUPS = 64  # groups of a name that are told apart: bounds the memory of their sums
SMALLEST = 1e-9

Groups = Mapping[str, Sequence[str]]  # by name: the recording, take or person of each row


@dataclass(frozen=True)
class Names:
    """All names that a sample may have, K of them: those of the old model first, then the lesson's new ones."""

    labels: tuple[str, ...]
    known: NDArray[np.floating]
    """(C, d) whitened means of the old model, whose names come first: a view, since of many classes it is megabytes."""
    squared: NDArray[np.float64]
    """(C,) their squared lengths."""
    counts: NDArray[np.float64]
    """(K,) samples of the old model; zero where the name is new."""
    lesson: Mapping[str, int]
    """The lesson's names, L of them, and where each is in `sums` and `weights`."""
    where: NDArray[np.intp]
    """(L,) where they are in `labels`."""
    sums: NDArray[np.float64]
    """(L, d) sums of the lesson's whitened samples, each by the probability that it is what it is called."""
    weights: NDArray[np.float64]
    """(L,) the sums of those probabilities."""
    effective_dimension: float

    @staticmethod
    def of(factor: Factor | None, lesson: Sequence[str], dimension: int) -> Names:
        """Return the names of an old model, None where there is none, and of a lesson; nothing is summed yet."""
        old = factor.labels if factor else ()
        new = sorted(set(lesson) - set(old))
        labels, taught = (*old, *new), sorted(set(lesson))
        index = {label: at for at, label in enumerate(labels)}
        return Names(
            labels=labels,
            known=factor.whitened if factor else np.zeros((0, dimension)),
            squared=factor.squared if factor else np.zeros(0),
            counts=np.concatenate([factor.counts if factor else np.zeros(0), np.zeros(len(new))]),
            lesson={label: row for row, label in enumerate(taught)},
            where=np.array([index[label] for label in taught], np.intp),
            sums=np.zeros((len(taught), dimension)),
            weights=np.zeros(len(taught)),
            effective_dimension=factor.effective_dimension if factor else 0.0,
        )

    def session(
        self, at: int, sums: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return session means (m, d) of a name and their debiased lengths (m,), from sums (m, d) of its samples.

        The length of no sample is infinite.
        """
        prior = min(float(self.counts[at]), SESSION_WEIGHT)
        size = prior + weights
        there = size > SMALLEST
        known = self.known[at] if at < len(self.known) else 0.0
        means = (prior * known + sums) / np.where(there, size, 1.0)[:, None]
        trusted = self.counts[at] if self.counts[at] > 0 else np.maximum(weights, SMALLEST)
        return means, np.where(there, self._length(np.square(means).sum(axis=1), trusted), np.inf)

    def sessions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the session means (L, d) of the lesson's names, and the lengths (K,) of those of all names."""
        means, lengths = np.zeros_like(self.sums), np.full(len(self.labels), np.inf)
        lengths[: len(self.known)] = self._length(self.squared, self.counts[: len(self.known)])
        for row, at in enumerate(self.where):
            here = slice(row, row + 1)
            means[here], lengths[at : at + 1] = self.session(int(at), self.sums[here], self.weights[here])
        return means, lengths

    def _length(self, squared: NDArray[np.float64], counts: NDArray[np.float64] | float) -> NDArray[np.float64]:
        noise = np.asarray(self.effective_dimension / counts, np.float64)
        found: NDArray[np.float64] = np.sqrt(np.maximum(debiased(squared, noise), SMALLEST))
        return found


@dataclass(frozen=True)
class Fit:
    """How well samples of one name fit it."""

    probability: NDArray[np.float64]
    """(n,) that each is what it is called, 0 to 1."""
    like: NDArray[np.intp]
    """(n,) the other name that each is most like, an index into `Names.labels`."""


def fit(
    samples: NDArray[np.floating],
    names: Names,
    session: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    own: int,
    mates: NDArray[np.float64],
    mates_weight: NDArray[np.float64],
    wrong: float,
) -> Fit:
    """Return how well whitened samples (n, d) that are called `own` fit that name.

    p_k ∝ exp(z_k) (1 - ε if k is the own name else ε/(K - 1)), with z the cosine logits to the session means.

    Parameters
    ----------
    session
        As `Names.sessions` returns it.
    mates, mates_weight
        Sum (n, d) and weight (n,) of the samples of the same name that each sample is compared with.
    wrong
        ε, the share of wrong names, 0 to 1.
    """
    means, lengths = session
    logits = np.zeros((len(samples), len(names.labels)))  # (n, K)
    logits[:, : len(names.known)] = samples @ names.known.T
    logits[:, names.where] = samples @ means.T
    logits /= lengths
    own_means, own_lengths = names.session(own, mates, mates_weight)
    logits[:, own] = np.einsum("nd,nd->n", samples, own_means) / own_lengths
    score = logits + np.log(wrong / max(len(names.labels) - 1, 1))
    score[:, own] = logits[:, own] + np.log(1 - wrong)
    score = np.exp(score - score.max(axis=1, keepdims=True))
    probability = score[:, own] / score.sum(axis=1)
    score[:, own] = -1
    return Fit(probability, score.argmax(axis=1))


def fits(
    factor: Factor | None,
    features: FeatureMap,
    rows: Mapping[str, Exemplars],
    *,
    groups: Groups | None = None,
    rounds: int = ROUNDS,
) -> tuple[Names, dict[str, Fit]]:
    """Return how well each sample of a lesson fits its name, and the names with the sums of all samples.

    Parameters
    ----------
    factor
        Of the old model; None where nothing is known: then `rows` are taken as they are.
    rows
        The lesson, by name.
    groups
        Of each row: samples of one group do not vouch for each other. By default every sample is its own.
    rounds
        How often probabilities and means are computed in turn.
    """
    names = raw = Names.of(factor, list(rows), features.dimension)
    kept = {label: np.ones(len(one)) for label, one in rows.items()}
    folds = {label: folds_of(groups.get(label) if groups else None, len(one)) for label, one in rows.items()}
    whitened = _Whitened(factor, features, rows)
    wrong, found = (
        EXPECTED_WRONG,
        {label: Fit(np.ones(len(one)), np.zeros(len(one), int)) for label, one in rows.items()},
    )
    for index in range(rounds):
        names = summed(names, whitened, kept)
        raw = raw if index else names
        session = names.sessions()
        found = {
            label: _fit_name(whitened, names, session, label, kept[label], folds[label], wrong=wrong) for label in rows
        }
        kept = {label: one.probability for label, one in found.items()}
        doubts = sum(float((1 - one).sum()) for one in kept.values())
        count = sum(map(len, kept.values()))
        wrong = float(np.clip((doubts + 2 * EXPECTED_WRONG) / (count + 2), SMALLEST_WRONG, LARGEST_WRONG))
    return raw, found


class _Whitened:
    """The lesson's samples in whitened space, block by block; one block is kept, more are computed again."""

    def __init__(self, factor: Factor | None, features: FeatureMap, rows: Mapping[str, Exemplars]) -> None:
        self._factor, self._features, self._rows = factor, features, rows
        self._is_short = sum(map(len, rows.values())) <= features.block_rows
        self._kept: dict[str, list[NDArray[np.floating]]] = {}

    def blocks(self, label: str) -> Iterator[NDArray[np.floating]]:
        """Yield the samples of a name, arrays (<= block_rows, d)."""
        if label in self._kept:
            yield from self._kept[label]
            return
        for block in self._features.blocks(self._rows[label]):
            found = whiten(self._factor, block) if self._factor else block
            if self._is_short:
                self._kept.setdefault(label, []).append(found)
            yield found


def summed(names: Names, whitened: _Whitened, kept: Mapping[str, NDArray[np.float64]]) -> Names:
    """Return the names with the sums of a lesson, each sample by its weight."""
    sums, weights = np.zeros_like(names.sums), np.zeros_like(names.weights)
    for label, share in kept.items():
        own, first = names.lesson[label], 0
        for block in whitened.blocks(label):
            sums[own] += share[first : first + len(block)] @ block
            first += len(block)
        weights[own] = share.sum()
    return replace(names, sums=sums, weights=weights)


def folds_of(groups: Sequence[str] | None, count: int) -> NDArray[np.intp] | None:
    """Return the group of each row as a number below MOST_GROUPS, (n,); None where every row is its own."""
    if groups is None or len(set(groups)) == count:
        return None
    numbers = {group: index % MOST_GROUPS for index, group in enumerate(dict.fromkeys(groups))}
    return np.array([numbers[group] for group in groups], np.intp)


def _fit_name(
    whitened: _Whitened,
    names: Names,
    session: tuple[NDArray[np.float64], NDArray[np.float64]],
    label: str,
    kept: NDArray[np.float64],
    folds: NDArray[np.intp] | None,
    *,
    wrong: float,
) -> Fit:
    """The fit of all samples of a name, each compared with the samples of other groups."""
    row, first, parts = names.lesson[label], 0, []
    own = int(names.where[row])
    sums, weights = (None, None) if folds is None else _by_fold(whitened.blocks(label), kept, folds)
    for block in whitened.blocks(label):
        here = slice(first, first + len(block))
        if folds is None:
            left, left_weight = kept[here, None] * block, kept[here]
        else:
            assert sums is not None
            assert weights is not None
            left, left_weight = sums[folds[here]], weights[folds[here]]
        mates, mates_weight = names.sums[row] - left, np.maximum(names.weights[row] - left_weight, 0)
        mates_weight[mates_weight < SMALLEST] = 0
        parts.append(fit(block, names, session, own=own, mates=mates, mates_weight=mates_weight, wrong=wrong))
        first += len(block)
    return Fit(np.concatenate([one.probability for one in parts]), np.concatenate([one.like for one in parts]))


def _by_fold(
    blocks: Iterator[NDArray[np.floating]], kept: NDArray[np.float64], folds: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums (G, d) and weights (G,) of a name's samples by group."""
    first, sums = 0, None
    for block in blocks:
        here = slice(first, first + len(block))
        sums = np.zeros((int(folds.max()) + 1, block.shape[1])) if sums is None else sums
        np.add.at(sums, folds[here], kept[here, None] * block)
        first += len(block)
    assert sums is not None
    return sums, np.bincount(folds, kept, minlength=len(sums)).astype(np.float64)


def kept_sum(
    factor: Factor | None, features: FeatureMap, rows: Exemplars, total: NDArray[np.float64], keep: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the sum (d,) of the whitened samples of a name that are kept, from the sum of all."""
    left = total.copy()
    if not keep.all():
        for block in features.blocks(rows.take(np.flatnonzero(~keep))):
            left -= (whiten(factor, block) if factor else block).sum(axis=0, dtype=np.float64)
    return left


@dataclass(frozen=True)
class Sifted:
    """Which samples of a lesson are taught."""

    keep: Mapping[str, NDArray[np.bool_]]
    """By name, (n,): whether each sample is taught."""
    doubted: int
    """Samples of known names that are doubted, ..."""
    of: int
    """... of so many."""
    most: float = MOST_DOUBTED
    """Share of doubted samples above which the lesson is refused."""

    @property
    def is_refused(self) -> bool:
        """Whether too many samples of known names are doubted for the lesson to be about them."""
        return self.of >= FEWEST_DOUBTED and self.doubted > self.most * self.of


def sift(
    found: Mapping[str, Fit], known: frozenset[str], *, doubted_below: float = DOUBTED, most: float = MOST_DOUBTED
) -> Sifted:
    """Return which samples are taught: all whose own name has a probability of `doubted_below` or more.

    A known name of which more than half is doubted goes altogether. A new one stays whole then: whether it is a class
    of its own is a question about all of it.
    """
    keep, doubted, of = {}, 0, 0
    for label, one in found.items():
        keep[label] = one.probability >= doubted_below
        share = 1 - float(keep[label].mean()) if len(keep[label]) else 0.0
        if label in known:
            doubted, of = doubted + int((~keep[label]).sum()), of + len(keep[label])
        if share > HALF:
            keep[label][:] = label not in known
    return Sifted(keep, doubted, of, most)
