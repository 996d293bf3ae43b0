"""Outlier scores: squared distances as bounded values that a detector can watch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def outlier_scores(squared_distances: NDArray[np.floating], *, reference: float) -> NDArray[np.float64]:
    """Return squared Mahalanobis distances (n, C) to the class means as values (n,) in [0, 1).

    The nearest class counts; a sample at the `reference` squared distance, above 0, has the value 0.5. Bounded, because
    ADWIN's guarantee is for bounded values, and one broken sensor reading must not hide a window of valid ones.
    """
    nearest = squared_distances.min(axis=1).astype(np.float64)
    bounded: NDArray[np.float64] = nearest / (nearest + reference)
    return bounded
