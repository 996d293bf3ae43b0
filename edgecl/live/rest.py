"""Rest: a still device, which is no exercise unless a taught class is at rest.

A movement extractor of `edgecl export imu` ends with the deviation of each channel, and its contract has the mean of
all that on the windows that it was calibrated by: a window is still where its deviations are a small share of these.
Of windows of hapt_uci_har 95 % of sitting and lying are below 0.3 to 0.36, of standing below 0.46, 95 % of exercises
of spar_watch above 0.42.

Of a class only latents are known, whose length is always one: it is at rest where its mean has at least half of what
the still window lacks in the direction of the deviations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecl.extractors.contract import Contract
from edgecl.model.model import Model

SOURCE = "random convolutions"  # what the contract of such an extractor begins with
STILL = 0.3
SAME = 0.5


class Rest:
    """Tells whether a window is rest that belongs to no class.

    Parameters
    ----------
    contract
        Of a movement extractor, see `of`.
    """

    def __init__(self, contract: Contract) -> None:
        self._levels = contract.mean[-len(contract.channels) :]
        self._direction = self._levels / np.linalg.norm(self._levels)
        self._along: NDArray[np.floating] | None = None

    @staticmethod
    def of(contract: Contract) -> Rest | None:
        """Return what recognises rest; None where an extractor says nothing about how much it moves."""
        levels = contract.mean[-len(contract.channels) :]
        is_known = contract.modality == "imu" and contract.source.startswith(SOURCE) and bool((levels > 0).all())
        return Rest(contract) if is_known and contract.normalisation == "l2" else None

    def take_up(self, model: Model | None) -> None:
        """Go on with another model; one that projects or lifts its latents does not tell how its classes move."""
        self._along = None
        if model is None or model.settings.features.dimension != model.settings.latent_dimension:
            return
        width = len(self._levels)
        shift = model.centre.shift[-width:] if model.centre else np.zeros(width, np.float32)
        means = [model.statistics[label].mean[-width:] + shift for label in model.labels]
        self._along = np.array(means).reshape(-1, width) @ self._direction

    def is_idle(self, frame: NDArray[np.float32], latent: NDArray[np.float32]) -> bool:
        """Test whether the device is still, by the frame (D,) and latent (1, D) of a window, and no class is."""
        if self._along is None or float((frame[-len(self._levels) :] / self._levels).mean()) >= STILL:
            return False
        still = float(latent[0, -len(self._levels) :] @ self._direction)
        return not bool((self._along <= SAME * still).any())
