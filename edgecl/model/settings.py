"""Settings that are fixed at `init`, and the default budgets of each modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgecl.model.features import FeatureMap

BLOCK_ROWS = 32  # rows that are worked on at a time: fewer calls, more workspace
SMALL_BLOCK_ROWS = 8
SMALL_MEMORY = 256 << 10


@dataclass(frozen=True)
class Settings:
    """Fixed at init, part of the store; sizes in bytes.

    Examples
    --------
    >>> settings = Settings(
    ...     memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=3, shrinkage_floor=0.1
    ... )
    >>> settings.features.dimension
    3
    """

    memory_bytes: int
    disk_bytes: int
    max_classes: int
    latent_dimension: int
    shrinkage_floor: float
    projection: int = 0  # columns that a latent is projected to; 0: none
    lift_width: int = 0  # random ReLU units
    precision: str = "float64"  # of the solver
    seed: int = 0
    keep_revisions: int = 10

    @property
    def features(self) -> FeatureMap:
        rows = BLOCK_ROWS if self.memory_bytes >= SMALL_MEMORY else SMALL_BLOCK_ROWS
        return FeatureMap(self.latent_dimension, self.projection, self.lift_width, self.seed, rows)

    @property
    def solver_type(self) -> np.dtype[np.floating]:
        return np.dtype(self.precision)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Settings:
        """Rebuild; unknown keys are left alone, so that a newer minor version's store opens."""
        known = Settings.__dataclass_fields__
        return Settings(**{name: value for name, value in values.items() if name in known})


DEFAULT_MEMORY = {"voice": 1 << 20, "imu": 4 << 20, "text": 4 << 20}
DEFAULT_CLASSES = {"voice": 64, "imu": 24, "text": 128}
DEFAULT_DISK = {"text": 128 << 20}
