"""Labels and columns as arrays, in whatever type pandas and others have them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import SettingError
from edgecl.sources.labels import is_missing, is_none, two_spellings
from edgecl.sources.tables import FEWEST_LARGE, is_blurred

MOST_REPEATED = 1_000_000  # samples that weights may stand for


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


def plain(label: Any) -> Any:
    """Return a label as Python has it, by which labels of any type that are equal are one."""
    return label.item() if isinstance(label, np.generic) else label


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


def warn_of_columns(X: NDArray[np.float64], *, in_memory: bool) -> None:
    """Warn of a column of rows (n, D) whose values are hardly told apart as they are learnt.

    Few rows may be close to each other by chance; what was in single precision before loses nothing by that.

    Parameters
    ----------
    in_memory
        Whether rows are kept as int8 with a scale each, and not summed in single precision alone.
    """
    if len(X) < FEWEST_LARGE:
        return
    low, high = X.min(axis=0), X.max(axis=0)
    with np.errstate(over="ignore"):
        close = [at for at in range(X.shape[1]) if is_blurred(float(low[at]), float(high[at]))]
        found = [at for at in close if (X[:, at] != X[:, at].astype(np.float32)).any()]
    how, digits = "are hardly told apart in single precision", 12
    if not found and in_memory:
        largest = float(np.median(np.abs(X).max(axis=1)))
        found = np.flatnonzero((low < high) & (high / 2 - low / 2 < largest / 254)).tolist()
        how = f"are lost in the 8 bits in which a memory keeps rows, beside values of {largest:.4g}"
        digits = 4
    if found:
        message = (
            f"the values of column {found[0]}, {low[found[0]]:.{digits}g} to {high[found[0]]:.{digits}g}, {how}: "
            "scale the columns before, as by make_pipeline(StandardScaler(), EdgeClassifier())"
        )
        warnings.warn(message, UserWarning, stacklevel=4)


def repeated(
    X: NDArray[np.float64], y: NDArray[Any], weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return rows (n, D) as often as they weigh, in one order whatever the order given: the result is the same.

    Raises
    ------
    SettingError
        When a weight is not a whole number, or they sum to too many rows.
    """
    if weight is not None:
        if len(odd := weight[weight != np.rint(weight)]):
            message = f"sample_weight {odd[0]:g}: with a memory a sample is an exemplar or none: give whole numbers"
            raise SettingError(message, parameter="sample_weight")
        if weight.sum() > max(MOST_REPEATED, len(y)):
            message = f"with a memory weights sum to at most {MOST_REPEATED:,}, not {weight.sum():,.0f}: divide them"
            raise SettingError(message, parameter="sample_weight")
        X, y = np.repeat(X, weight.astype(np.intp), axis=0), np.repeat(y, weight.astype(np.intp))
    order = np.lexsort((np.unique(y, return_inverse=True)[1], *X.T))
    return X[order], y[order]
