"""A lesson: quantised rows by label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from edgecl.errors import DataError
from edgecl.model.exemplars import Exemplars, quantise
from edgecl.model.settings import Settings


@dataclass(frozen=True)
class Lesson:
    """Quantised rows by label, in the order in which they came."""

    rows: Mapping[str, Exemplars]
    time: str = ""  # when it was taught: UTC, ISO 8601

    @staticmethod
    def of(latents: Mapping[str, ArrayLike], settings: Settings, *, time: str = "") -> Lesson:
        """Make a lesson of latents by label.

        Parameters
        ----------
        latents
            Label to latents (n, D), or one latent (D,).
        settings
            Of the model that is to learn it: they say how rows are made of latents.
        time
            When it is taught: UTC, ISO 8601.

        Raises
        ------
        DataError
            When there is nothing to learn, or latents have another shape or are not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from edgecl import Settings
        >>> settings = Settings(
        ...     memory_bytes=1 << 20, disk_bytes=1 << 24, max_classes=4, latent_dimension=3, shrinkage_floor=0.1
        ... )
        >>> Lesson.of({"yes": np.ones((5, 3)), "no": -np.ones((4, 3))}, settings).count
        9
        """
        features, rows = settings.features, {}
        for label, given in latents.items():
            found = np.atleast_2d(np.asarray(given, np.float32))
            if found.ndim != 2 or found.shape[1] != settings.latent_dimension:
                wanted = f"(n, {settings.latent_dimension})"
                raise DataError(f"latents of {label!r} have shape {found.shape}, wanted {wanted}")
            if not np.isfinite(found).all():
                raise DataError(f"a latent of {label!r} is not finite")
            if len(found):
                rows[label] = quantise(features.project(found))
        if not rows:
            raise DataError("nothing to learn: there is no latent")
        return Lesson(rows, time)

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(len(rows) for rows in self.rows.values())

    @property
    def nbytes(self) -> int:
        """Of the rows held in memory; spooled rows are pages of a file."""
        return sum(rows.nbytes for rows in self.rows.values() if not isinstance(rows.rows.base, np.memmap))
