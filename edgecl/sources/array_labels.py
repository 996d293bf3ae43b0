"""Labels and columns as arrays, in whatever type pandas and others have them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.sources.labels import is_missing, is_none, two_spellings
from edgecl.sources.tables import FEWEST_LARGE, is_blurred


def require_labels(**given: ArrayLike | None) -> None:
    """Raise ValueError where a label is None, NaN or NA, and where some are texts and others are not."""
    for name, several in given.items():
        labels = np.asarray(several)
        if labels.dtype == object and labels.ndim:
            _require_labels(labels.ravel().tolist(), name)


def _require_labels(labels: list[Any], name: str) -> None:
    texts = [isinstance(one, str) for one in labels]
    missing = [row for row, one in enumerate(labels) if not texts[row] and is_none(one)]
    if missing:
        raise ValueError(f"Input {name} has no label in {len(missing)} rows, {missing[0]} for one: take them out")
    if any(texts) and not all(texts):
        one, other = labels[texts.index(True)], labels[texts.index(False)]
        raise ValueError(f"Input {name} has labels of two types, {one!r} and {other!r}: give them one, by str()")


def warn_of_texts(classes: NDArray[Any], fresh: NDArray[Any]) -> None:
    """Warn of fresh labels that stand for a missing one, and of classes of which one is another in another spelling."""
    texts = [one for one in fresh.tolist() if isinstance(one, str)]
    odd = [one for one in texts if is_missing(one)]
    if odd:
        warnings.warn(f"the label {odd[0]!r} stands for a missing one: learnt as a class", UserWarning, stacklevel=4)
    alike = two_spellings(texts, [one for one in classes.tolist() if one not in texts]) if texts else None
    if alike is not None:
        message = f"the labels {min(alike)!r} and {max(alike)!r} differ in spelling alone: learnt as two classes"
        warnings.warn(message, UserWarning, stacklevel=4)


def warn_of_columns(X: NDArray[np.float64]) -> None:
    """Warn of columns of rows (n, D) whose values single precision, in which they are learnt, hardly tells apart.

    Few rows may be close to each other by chance; what was in single precision before loses nothing.
    """
    if len(X) < FEWEST_LARGE:
        return
    ranges = zip(X.min(axis=0).tolist(), X.max(axis=0).tolist(), strict=True)
    close = [(column, low, high) for column, (low, high) in enumerate(ranges) if is_blurred(low, high)]
    with np.errstate(over="ignore"):
        blurred = [one for one in close if (X[:, one[0]] != X[:, one[0]].astype(np.float32)).any()]
    if blurred:
        column, low, high = blurred[0]
        message = (
            f"the values of column {column}, {low:.12g} to {high:.12g}, are hardly told apart in single precision: "
            "scale the columns before, as by make_pipeline(StandardScaler(), EdgeClassifier())"
        )
        warnings.warn(message, UserWarning, stacklevel=4)
