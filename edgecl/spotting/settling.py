"""Hops that are settled before they are scored: bounds of the scores that are quicker than the scores.

A score is a word's density less the largest of many others (see `background`): less any one of them it is a bound. In
turn, as long as a bound reaches its word's threshold: less that of noise and of the user's room, which settles what is
quiet; less that of the nearest distractor, which settles other speech; and with what the student adds to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.spotting.student import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgecl.model.exemplars import FeatureMap
    from edgecl.spotting.densities import Densities
    from edgecl.spotting.student import Pupil
    from edgecl.spotting.window import Window

SPEECH = (1, 2)  # of the background's Gaussians: the distractors are nearer to other speech
ROUNDING = 0.05  # of a score: bounds are summed in another order, and from means and weights of 16 bits


class Settling(NamedTuple):
    """What settles the hops of a window."""

    scorer: object
    """For which it does."""
    thresholds: NDArray[np.float32]
    """(C,) that the scores are compared with."""
    reaching: Callable[[], int]
    """Returns how many scores of the window may reach their thresholds."""


class Bounds:
    """Bounds of the scores of hops, by kernels that one call makes in turn.

    Parameters
    ----------
    words, spread
        (C, D) whitened means, and (C,).
    pupil
        None: nothing is added to a score.
    features
        Of the store, which make rows of latents.
    """

    def __init__(
        self,
        words: NDArray[np.float32],
        spread: NDArray[np.float32],
        densities: Densities,
        pupil: Pupil | None,
        features: FeatureMap,
    ) -> None:
        self._pupil, dimension = pupil, words.shape[1]
        noises = [one for one in range(len(densities.half_determinants)) if one not in SPEECH]
        columns = (dimension * np.array([0, *(one + 1 for one in noises)])[:, None] + np.arange(dimension)).reshape(-1)
        rows = features.project(np.eye(features.latent_dimension, dtype=np.float32))
        factors, margins = rows @ densities.factors[:, columns], densities.half_determinants[noises]
        others, scale = densities.distractors, float(np.abs(densities.distractors).max()) / LARGEST
        numbers = np.array([_lengths(words), 1 / spread, dimension * np.log(spread) / 2], np.float32)
        shifts = -densities.shifts[columns]
        self._of_noise = factors, shifts, margins - densities.half_determinant, np.ascontiguousarray(words.T), numbers
        # in 16 bits, as they are waited for
        means = np.ascontiguousarray(np.rint(others.T / np.float32(scale)).astype(np.int16))
        self._of_means = means, _lengths(others) / np.float32(scale), scale

    def prepared(self, window: Window, thresholds: NDArray[np.float32]) -> Callable[[], int]:
        """Return what counts the scores of a window that may reach their thresholds (C,)."""
        limits = thresholds - np.float32(ROUNDING)
        near = limits - self._pupil.reach if self._pupil else limits
        sizes = len(self._of_noise[1]), len(self._of_means[1]), len(limits), len(limits)
        found, nearest, own, bounds = (np.zeros(size, np.float32) for size in sizes)
        stages = [
            kernels.prepared("bound_by_noise", window.row, *self._of_noise, near, found, own, bounds),
            kernels.prepared("bound_by_means", found, *self._of_means, near, nearest, own, bounds),
        ]
        if self._pupil is not None:
            stages.append(self._pupil.prepared(window, bounds, limits))
        assert window.pool is not None
        return kernels.in_turn(window.pool, *stages)


def _lengths(means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return minus half the squared lengths of means (M, D)."""
    found: NDArray[np.float32] = -np.square(means).sum(axis=1) / 2
    return found
