"""Calibration: the threshold of a word, and what may be expected of it.

A word's threshold is above the score that hours of background reached once in two hours (kept are hops that are easily
mistaken for a word), by a quarter of what is left to the median score of the word's own clips, each left out in turn.
For anyone it is above it by no more than a third of what is left to the score that people who did not teach are
expected to have (see `people`). Hops that are no farther from a word than its clips are expected to be are that word,
as the factory's voices say it, and do not count. Words whose threshold is low are mistaken most: with the student there
is a least threshold, as far as most of what people say who did not teach is expected to reach it. Nothing in the user's
room reaches a threshold.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.metrics import median, quantile
from edgecl.spotting.densities import gaussian
from edgecl.spotting.people import people_of, squared_left_out, unseen
from edgecl.values import dataclass

if TYPE_CHECKING:
    from edgecl.spotting.people import Allowance, Unseen

ACCEPTED_PER_HOUR = 0.5  # false accepts of the shipped background
NEARLY_ALL = 0.9  # share of a word's clips
# Chosen on every other minute of the stream of tools/listen_table, harder than what ships: with 0 / 0.1 / 0.25 / 0.5
# there were 3.0 / 1.6 / 0.68 / 0.09 false accepts per hour at 6 / 8 / 12 / 19 % misses.
MARGIN = 0.25
# On the same minutes, between 0.25, which made more than one false accept an hour, and 0.4, which heard less.
UNSEEN_MARGIN = 1 / 3


@dataclass(frozen=True)
class Calibration:
    """The threshold of a word against the background, and its expected errors."""

    threshold: float
    typical: float
    """The median score of its own kept clips, each left out in turn; of background where there are none."""
    heard: float
    """Share of those clips that reach the threshold."""
    accepts_per_hour: float
    """Least accepts per hour of background at the threshold that NEARLY_ALL of its clips reach."""
    people: int
    """People who taught it, as far as their files name them; those who are not named count as one."""
    is_mine: bool
    """Whether the threshold is for those people; else for anyone."""
    unseen: float | None
    """Share that is expected of clips of people who did not teach, in quiet; None where nothing is known of people."""
    unseen_least: float | None
    """Of ten times that one person says it, in quiet, the least share of nine people in ten."""
    unseen_most: float | None
    """Of ten times that one person says it, in quiet, the largest share of nine people in ten."""
    unseen_in_noise: float | None
    """As `unseen`, with noise 20 dB below the word."""


@dataclass(frozen=True)
class OwnClips:
    """The kept clips of a word, m of them in D columns."""

    whitened: NDArray[np.float32]
    """(m, D)."""
    mean: NDArray[np.float32]
    """(D,) of the word, whitened."""
    count: float
    """Number of clips that taught it, kept or not."""
    people: NDArray[np.uint8]
    """(m,) as in exemplars."""
    rivals: NDArray[np.float32]
    """(m,) largest log density of background and other words."""
    half_determinant: float
    """½ ln |Σ|."""
    likely: float = 0.0
    """What a student is expected to add to the score of a clip that is left out."""

    def scores(self) -> NDArray[np.float32]:
        """Return scores (m,) of the clips, each by the mean of all others."""
        rest = max(self.count - 1, 1)  # a single clip stands for itself
        away = (self.whitened - self.mean) * np.float32(self.count / rest if self.count > 1 else 1)
        left = gaussian(np.square(away).sum(axis=1), 1 + 1 / rest, away.shape[1]) - np.float32(self.half_determinant)
        scores: NDArray[np.float32] = left - self.rivals + np.float32(self.likely)
        return scores

    def unseen(self, allowance: Allowance) -> Unseen:
        """Return what people who did not teach are expected to score; at least one clip is kept."""
        clips, own = people_of(self.people, self.count)
        squared = squared_left_out(self.whitened, self.mean, clips, own)
        rivals = self.rivals + self.half_determinant
        return unseen(squared, rivals, clips, own, allowance, dimension=self.whitened.shape[1])


def reached(background: NDArray[np.float32], hours: float, *, per_hour: float = ACCEPTED_PER_HOUR) -> float:
    """Return the score that the worst hops (n,) of so many hours reach so many times an hour."""
    return float(np.sort(background)[-min(max(round(per_hour * hours), 1), len(background))])


def placed(mistaken: float, typical: float, unseen: float | None) -> float:
    """Return the threshold between what background reaches and what a word's own clips have.

    Parameters
    ----------
    unseen
        What people who did not teach are expected to have; None where it does not matter.
    """
    above = MARGIN * max(typical - mistaken, 0)
    return mistaken + (above if unseen is None else min(above, UNSEEN_MARGIN * max(unseen - mistaken, 0)))


def calibrated(
    clips: OwnClips,
    background: NDArray[np.float32],
    *,
    hours: float,
    room: float,
    allowance: Allowance | None,
    is_mine: bool,
    least: float = -math.inf,
) -> Calibration:
    """Return the calibration of a word.

    Parameters
    ----------
    background
        (n,) scores of the hops that are most easily mistaken, of so many `hours`.
    room
        The highest score of the user's room; minus infinity where it is not known.
    least
        Threshold that a word should have at least.
    """
    own = clips.scores()
    mistaken = reached(background, hours)
    typical = median(own) if len(own) else mistaken
    others = clips.unseen(allowance) if allowance is not None and len(own) else None
    threshold = placed(mistaken, typical, None if others is None or is_mine else others.quiet)
    if others is not None:  # those who taught reach what others reach
        threshold = max(threshold, min(least, others.mostly()))
    threshold = float(max(threshold, np.nextafter(np.float32(room), np.float32(np.inf))))
    open_wide = quantile(own, 1 - NEARLY_ALL) if len(own) else threshold
    fewest, most = others.of_one_person(threshold) if others else (None, None)
    return Calibration(
        threshold=threshold,
        typical=typical,
        heard=float(np.mean(own >= threshold)) if len(own) else 0.0,
        accepts_per_hour=float((background >= open_wide).sum()) / hours,
        people=len(set(clips.people.tolist())),
        is_mine=is_mine,
        unseen=others.heard(threshold) if others else None,
        unseen_least=fewest,
        unseen_most=most,
        unseen_in_noise=others.heard(threshold, in_noise=True) if others else None,
    )
