"""Softmax-linear heads: logits, probabilities and novelty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

REFINED_CLOSED_FORM = (
    "refined-closed-form"  # the kind of a head whose difference to its closed form may be carried over
)


@dataclass(frozen=True)
class HeadState:
    """Logits z = weights x + bias; p = softmax(z).

    `typical` is the logit that a typical sample of the class gets for it; novelty is measured against it.
    """

    labels: tuple[str, ...]
    """Sorted."""
    weights: NDArray[np.float32]
    """(C, d)."""
    bias: NDArray[np.float32]
    """(C,)."""
    typical: NDArray[np.float32]
    """(C,) zero where unknown."""
    kind: str
    """"whitened-cosine", "lda", "refined" or REFINED_CLOSED_FORM."""

    @property
    def nbytes(self) -> int:
        return self.weights.nbytes + self.bias.nbytes + self.typical.nbytes

    @property
    def is_refined(self) -> bool:
        """Whether gradient steps contributed to the head."""
        return self.kind in ("refined", REFINED_CLOSED_FORM)

    @property
    def is_finite(self) -> bool:
        return all(bool(np.isfinite(part).all()) for part in (self.weights, self.bias, self.typical))

    def logits(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (n, C) of features (n, d)."""
        out = np.empty((latents.shape[0], len(self.labels)), np.float32)
        kernels.scores(np.ascontiguousarray(latents), self.weights, self.bias, out)
        return out

    def novelty(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the novelty (n,) of logits (n, C): 0 is as typical as the mean of the class, 1 has nothing of it."""
        typical = self.typical[logits.argmax(axis=1)]
        known = typical > 0
        if known.all():  # a third of the time that the general case takes
            ratio = logits.max(axis=1) / typical
        else:
            ratio = np.where(known, logits.max(axis=1) / np.where(known, typical, 1), 1)
        novelty: NDArray[np.float32] = np.minimum(np.maximum(1 - ratio, 0), 1).astype(np.float32, copy=False)
        return novelty

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that `from_arrays` reads back; labels and kind belong to the revision."""
        return {"weights": self.weights, "bias": self.bias, "typical": self.typical}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]], *, labels: Sequence[str], kind: str) -> HeadState:
        """Rebuild from stored arrays; raises ValueError where they do not fit the labels."""
        try:
            weights, bias, typical = arrays["weights"], arrays["bias"], arrays["typical"]
        except KeyError as error:
            raise ValueError(f"the head lacks {error}") from error
        classes = len(labels)
        if weights.ndim != 2 or weights.shape[0] != classes or bias.shape != (classes,) or typical.shape != (classes,):
            raise ValueError(f"the head has shape {weights.shape}, the revision has {classes} classes")
        # copies: kernels want arrays that they could write
        return HeadState(tuple(labels), as_float32(weights), as_float32(bias), as_float32(typical), kind)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the last axis of (n, C), as a new array."""
    out = np.ascontiguousarray(logits, np.float32).copy()
    kernels.softmax_rows(out)
    return out


def as_float32(array: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.array(array, np.float32, order="C")
