"""Centring: subtract what a wearer or a place adds to every latent, from samples without labels.

The mean of a user's latents differs from the mean of the taught ones by what all of that user's latents have in
common, and by what the user happened to do. The first is to be subtracted; the second must not be, so samples that are
predicted in other shares than were taught are rejected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl.gate.verdict import ONE_SIDED_95, Verdict
from edgecl.model.head import squared_distances
from edgecl.model.model import Centre, Model, factor_of

FEWEST = 20  # samples
PRIOR = 30.0  # weight of the taught mean, in samples
# Largest share of the samples that would have to be answered otherwise for the shares to be those that were taught.
# Chosen, as BLOCK is, on spar_watch and hapt_uci_har: samples of half of the classes are above 0.4, of all below 0.3.
MOST_APART = 0.3
BLOCK = 4  # neighbours that are judged together: overlapping windows must not judge each other


@dataclass(frozen=True)
class Centring:
    """A shift, and whether it may go live."""

    centre: Centre
    verdict: Verdict
    nearer: float
    """Share by which the samples get nearer to what is known, 0 to 1; below 0: farther."""


def fit_centre(model: Model, latents: NDArray[np.float32]) -> Centring:
    """Compute the shift after more of a person's latents (n, D), and judge it.

    Each of two interleaved halves is shifted by the mean of the other: accepted where the squared distance to the
    nearest class falls with 95 % certainty, and predictions have about the shares that were taught.

    Parameters
    ----------
    model
        A live one, with its statistics, of a store that neither projects nor lifts.
    """
    known = model.statistics
    counts = np.array([known[label].count for label in sorted(known)], np.float64)
    origin = sum((known[label].count * known[label].mean for label in sorted(known)), np.zeros(latents.shape[1]))
    origin = origin / counts.sum()
    centre = _moved(model.centre, latents, origin)
    if len(latents) < FEWEST:
        reason = f"{len(latents)} samples are too few for the mean of a user: give {FEWEST} or more"
        return Centring(centre, _rejected(reason), 0.0)
    apart, most = _apart(model, latents, counts / counts.sum())
    if apart > MOST_APART:
        reason = (
            f"{most}: their mean would be that of the activity, not of the user. Give samples of all that is known, "
            f"each about as often as it was taught"
        )
        return Centring(centre, _rejected(reason), 0.0)
    before, after = _distances(model, latents, origin)
    change = before - after
    nearer = float(change.mean() / before.mean()) if before.mean() > 0 else 0.0
    if change.mean() <= ONE_SIDED_95 * change.std() / np.sqrt(len(change)):
        return Centring(centre, _rejected("centred, the samples are no nearer to what is known"), nearer)
    reason = f"unproven: centred, the samples are {nearer:.0%} nearer to what is known; labels would show more"
    return Centring(centre, Verdict(True, False, (reason,), {}, None, None), nearer)


def _moved(before: Centre | None, latents: NDArray[np.float32], origin: NDArray[np.float64]) -> Centre:
    """Return the shift with latents added to those of the one before: a running mean."""
    count = (before.count if before else 0) + len(latents)
    total = (latents - origin).sum(axis=0, dtype=np.float64)
    if before:
        total += before.shift * (before.count + PRIOR)
    return Centre(count, (total / (count + PRIOR)).astype(np.float32))


def _apart(model: Model, latents: NDArray[np.float32], taught: NDArray[np.float64]) -> tuple[float, str]:
    """Return the total variation between predicted and taught shares, and which class is too frequent."""
    labels = sorted(model.statistics)
    answers = model.predict(latents).labels
    shares = np.array([answers.count(label) for label in labels]) / len(answers)
    most = int((shares - taught).argmax())
    text = f"{answers.count(labels[most])} of {len(answers)} samples are answered as {labels[most]!r}"
    return float(np.abs(shares - taught).sum() / 2), text


def _distances(
    model: Model, latents: NDArray[np.float32], origin: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return squared distances (n,) to the nearest class under the live shift, and under that of the other half."""
    factor = factor_of(model)
    turns = np.arange(len(latents)) // BLOCK % 2 == 0
    before = squared_distances(factor, model.centred(latents)).min(axis=1)
    after = np.empty(len(latents))
    for half in (turns, ~turns):
        shift = _moved(model.centre, latents[~half], origin).shift
        after[half] = squared_distances(factor, latents[half] - shift).min(axis=1)
    return before, after


def _rejected(reason: str) -> Verdict:
    return Verdict(False, False, (reason,), {}, None, None, is_final=True)
