"""Softmax-linear heads, and the closed form that gives one from statistics alone, also with a sample left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import edgecl_kernels as kernels
import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.model.statistics import (
    PAGED_PANEL,
    PANEL_ENTRIES,
    ClassStatistics,
    Pages,
    packed_length,
    pooled_scatter,
)
from edgecl.values import dataclass

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
            if "rows" in arrays:
                from edgecl.model.byte_head import ByteHead

                return ByteHead.from_stored(arrays, labels=labels, kind=kind)
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


LARGEST_SHRINKAGE = 0.999
SMALLEST_LEFT = 1e-3  # of a direction's scatter, when samples are taken out: what single precision resolves
INVERSE_ROWS = 8  # unit vectors solved at a time for the trace of the inverse
SOLVED_ROWS = 4  # rows of a paged head that are made, or used, at a time


def shrinkage(trace: float, squared_norm: float, *, dimension: int, samples: int) -> float:
    """Return the oracle approximating shrinkage ρ of a covariance towards a multiple of the identity.

    Chen, Wiesel, Eldar and Hero (2010), equation 23, for a covariance of the given trace and squared
    Frobenius norm that was estimated from `samples` degrees of freedom.
    """
    if samples < 1 or trace <= 0:
        return LARGEST_SHRINKAGE
    above = (1 - 2 / dimension) * squared_norm + trace**2
    below = (samples + 1 - 2 / dimension) * (squared_norm - trace**2 / dimension)
    return float(min(above / below, LARGEST_SHRINKAGE)) if below > 0 else LARGEST_SHRINKAGE


@dataclass(frozen=True)
class Factor:
    """The shrunk pooled scatter Σ = L Lᵀ of a set of classes, and what the closed forms and leave-one-out need.

    `lower` lives in the caller's workspace: it is valid until the workspace is used again.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.float64]
    """(C,)."""
    classes: tuple[ClassStatistics, ...]
    origin: NDArray[np.float64]
    """(d,) unweighted mean of the class means."""
    lower: NDArray[np.floating]
    """(d(d+1)/2,) packed Cholesky factor."""
    whitened: NDArray[np.floating]
    """(C, d) rows L⁻¹(m_k - g)."""
    effective_dimension: float
    """Tr(Σ⁻¹ S̄)."""
    downdate: NDArray[np.float64]
    """(C,) (1-ρ)/(C n_k): what a sample of a class adds to Σ."""
    squared: NDArray[np.float64]
    """(C,) squared lengths of `whitened`."""
    pages: Pages | None = None
    """Where the model is paged: what gives rows by class."""


def factorise(
    statistics: Mapping[str, ClassStatistics],
    workspace: NDArray[np.floating],
    *,
    shrinkage_floor: float,
    pages: Pages | None = None,
) -> Factor:
    """Factor Σ = (1-ρ) S̄ + ρ tr(S̄)/d I of the classes given, with ρ = max(OAS, shrinkage_floor).

    `workspace` (d(d+1)/2,), float32 or float64, receives the packed Cholesky factor. With `pages` the whitened means
    are pages of a file, and heads have a byte an entry.
    """
    panel = PANEL_ENTRIES if pages is None else PAGED_PANEL
    labels = tuple(sorted(statistics))
    classes = tuple(statistics[label] for label in labels)
    counts = np.array([one.count for one in classes], np.float64)
    dimension = classes[0].dimension
    origin = np.zeros(dimension)
    for one in classes:
        origin += one.mean / len(classes)
    whitened = (pages or np.empty)((len(classes), dimension), workspace.dtype)
    centre_means(classes, origin, whitened)
    freedom = pooled_scatter(classes, workspace, panel_entries=panel)
    trace, squared_norm = _sums(workspace)
    rho = max(shrinkage(trace, squared_norm, dimension=dimension, samples=freedom), shrinkage_floor)
    scale = trace / dimension
    if trace <= 0:  # one sample a class: nothing is known of the scatter, no direction is better than another
        lengths = np.square(whitened).sum(axis=1) if pages is None else squared_lengths(whitened)
        rho, scale = 1.0, float(lengths.mean()) / dimension or 1.0
    while not _shrink_and_factor(workspace, rho, rho * scale):
        if rho >= 1 or not np.isfinite(trace):
            raise DataError("the samples contain values so large that nothing can be computed: scale them down")
        rho = min(4 * rho, 1.0)  # rounding left no positive pivot: shrink more
        pooled_scatter(classes, workspace, panel_entries=panel)
    _kernel("forward_packed", workspace)(workspace, whitened)
    spread = dimension - rho * scale * _inverse_trace(
        workspace, dimension, INVERSE_ROWS if pages is None else SOLVED_ROWS
    )
    return Factor(
        labels=labels,
        counts=counts,
        classes=classes,
        origin=origin,
        lower=workspace,
        whitened=whitened,
        effective_dimension=max(spread, 0.0) / (1 - rho) if rho < 1 else 0.0,
        downdate=(1 - rho) / (len(labels) * counts),
        squared=squared_lengths(whitened, at_once=32 if pages is None else SOLVED_ROWS),
        pages=pages,
    )


def squared_lengths(
    rows: NDArray[np.floating], origin: NDArray[np.floating] | float = 0, *, at_once: int = 32
) -> NDArray[np.float64]:
    """Return the squared lengths (n,) of rows (n, d) less an origin, a few rows at a time: all at once take more."""
    blocks = (rows[first : first + at_once] - origin for first in range(0, len(rows), at_once))
    return np.concatenate([np.zeros(0), *(np.square(one, dtype=np.float64).sum(axis=1) for one in blocks)])


def workspace_bytes(dimension: int, classes: int, *, itemsize: int, paged: bool = False) -> int:
    """Return what `factorise` and a closed form take: the packed matrix, rows by class and two panels."""
    if paged:
        return (SOLVED_ROWS + 4) * dimension * itemsize + 2 * PAGED_PANEL * 8 + classes * 4 * 8
    rows = classes * dimension * 2 * itemsize + INVERSE_ROWS * dimension * itemsize
    return packed_length(dimension) * itemsize + rows + PANEL_ENTRIES * 8


def judged_row_bytes(dimension: int, classes: int, *, itemsize: int) -> int:
    """Return what leave-one-out scores take of a row."""
    return dimension * (2 * itemsize + 12) + classes * 10 * 8


def judging_bytes(dimension: int, classes: int, *, itemsize: int, block_rows: int, paged: bool = False) -> int:
    """Return what leave-one-out scores take: the factor, and `block_rows` rows with their scores."""
    block = block_rows * judged_row_bytes(dimension, classes, itemsize=itemsize)
    if paged:
        return block + SOLVED_ROWS * dimension * 5 + classes * 4 * 8
    return packed_length(dimension) * itemsize + classes * (dimension * itemsize + 4 * 8) + block


def _kernel(name: str, like: NDArray[np.floating]) -> Callable[..., int]:
    """Return the kernel of that name for the precision of `like`."""
    found: Callable[..., int] = getattr(kernels, name if like.dtype == np.float64 else f"{name}_f32")
    return found


def _sums(packed: NDArray[np.floating]) -> tuple[float, float]:
    out = np.zeros(2)
    _kernel("packed_sums", packed)(packed, out)
    return float(out[0]), float(out[1])


def _shrink_and_factor(packed: NDArray[np.floating], rho: float, ridge: float) -> bool:
    dimension = int((np.sqrt(8 * packed.size + 1) - 1) / 2)
    packed *= 1 - rho
    packed[np.cumsum(np.arange(1, dimension + 1)) - 1] += ridge
    return _kernel("cholesky_packed", packed)(packed) < 0


def _inverse_trace(lower: NDArray[np.floating], dimension: int, rows: int) -> float:
    scratch = np.empty((rows, dimension), lower.dtype)
    return float(_kernel("inverse_trace", lower)(lower, scratch))


def whitened_cosine(factor: Factor) -> HeadState:
    """Return the debiased whitened cosine head: z_k = a_kᵀ(x - g)/√q̃_k with a_k = Σ⁻¹(m_k - g).

    q_k = (m_k - g)ᵀ a_k is the squared length of a class mean in whitened space; d_eff/n_k of it is the noise
    of a mean estimated from n_k samples, so q̃_k = max(q_k - d_eff/n_k, q_k/2) is used in its place.
    """
    typical = np.sqrt(debiased(factor.squared, factor.effective_dimension / factor.counts))
    if factor.pages is not None:
        from edgecl.model.byte_head import solved_head

        return solved_head(factor, typical, factor.pages)
    directions = _solved_means(factor) / np.where(typical > 0, typical, np.inf)[:, None]  # (C, d)
    return _head(factor, directions, -directions @ factor.origin, typical, "whitened-cosine")


def linear_discriminant(factor: Factor) -> HeadState:
    """Return the LDA head: z_k = m_kᵀ Σ⁻¹ x - ½ m_kᵀ Σ⁻¹ m_k + ln π_k, with x and m_k minus the origin g.

    Hastie et al., 4.10. The priors π are the shares of the counts: streams measure accuracy over all samples.
    """
    directions = _solved_means(factor).astype(np.float64)
    bias = -directions @ factor.origin - factor.squared / 2
    bias += np.log(factor.counts / factor.counts.sum())
    return _head(factor, directions, bias, np.zeros(len(factor.labels)), "lda")


def debiased(squared: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(squared - noise, squared / 2)


def centre_means(classes: Sequence[ClassStatistics], origin: NDArray[np.float64], out: NDArray[np.floating]) -> None:
    """Write the means of classes less the origin (d,) into `out` (n, d)."""
    for row, one in zip(out, classes, strict=True):
        row[:] = one.mean - origin


def _solved_means(factor: Factor) -> NDArray[np.floating]:
    return solved_rows(factor, slice(None))


def solved_rows(factor: Factor, which: slice) -> NDArray[np.floating]:
    """Return Σ⁻¹(m_k - g) of some classes, (n, d), as a new array."""
    classes = factor.classes[which]
    solved = np.empty((len(classes), len(factor.origin)), factor.lower.dtype)
    centre_means(classes, factor.origin, solved)
    _kernel("solve_packed", factor.lower)(factor.lower, solved)
    return solved


def _head(
    factor: Factor,
    weights: NDArray[np.floating],
    bias: NDArray[np.floating],
    typical: NDArray[np.floating],
    kind: str,
) -> HeadState:
    return HeadState(factor.labels, as_float32(weights), as_float32(bias), as_float32(typical), kind)


def whiten(factor: Factor, rows: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return L⁻¹(x - g) of rows (n, d)."""
    centred = np.ascontiguousarray(rows - factor.origin, factor.lower.dtype)
    _kernel("forward_packed", factor.lower)(factor.lower, centred)
    return centred


def squared_distances(factor: Factor, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return squared Mahalanobis distances (n, C) of unseen rows (n, d) to the class means."""
    sample = whiten(factor, rows)
    lengths = np.square(sample).sum(axis=1)[:, None] + factor.squared
    squared: NDArray[np.float64] = np.maximum(lengths - 2 * (sample @ factor.whitened.T), 0).astype(np.float64)
    return squared


@dataclass(frozen=True)
class LeftOut:
    """Scores of samples of one class, each by the model without that sample."""

    logits: NDArray[np.float64]
    """(n, C) whitened cosine; its own is -inf where the class has no other sample."""
    distance: NDArray[np.float64]
    """(n,) squared Mahalanobis distance to the mean of its class."""


def leave_one_out(factor: Factor, rows: NDArray[np.float32], *, own: int) -> LeftOut:
    """Score rows (n, d) of class `own`, each without itself; see `leave_each_out`."""
    return leave_each_out(factor, [(own, rows)])[0]


def leave_each_out(factor: Factor, classes: Sequence[tuple[int, NDArray[np.float32]]]) -> list[LeftOut]:
    """Score rows (n, d) of classes, each row without itself.

    Every row is taken out of its class's mean, of g and of Σ by a rank-one downdate (Sherman-Morrison) in
    whitened space; the shrinkage ρ, tr(S̄) and d_eff stay as they are. Classes of few rows are multiplied together.
    """
    sample = whiten(factor, np.concatenate([rows for _, rows in classes]))
    own_means = factor.whitened[[own for own, _ in classes]]
    products = (np.vstack([sample, own_means]) @ factor.whitened.T).astype(np.float64, copy=False)
    found, first = [], 0
    for (own, rows), gram in zip(classes, products[len(sample) :], strict=True):
        here = slice(first, first + len(rows))
        found.append(_left_out(factor, sample[here], products[here], gram, own))
        first += len(rows)
    return found


def _left_out(
    factor: Factor, sample: NDArray[np.floating], along: NDArray[np.float64], gram: NDArray[np.float64], own: int
) -> LeftOut:
    """The scores of one class, from u_j . x (n, C) and u_j . u_own (C,)."""
    classes, count = len(factor.labels), factor.counts[own]
    length = np.square(sample).sum(axis=1, dtype=np.float64)  # (n,) x . x
    v_mean = along - gram  # (n, C) v . u_j with v = x - u_own
    v_sample = length - along[:, own]
    v_length = np.maximum(length - 2 * along[:, own] + gram[own], 0)
    rest = max(count - 1, 1)
    weight = float(factor.downdate[own]) * count / rest
    gain = weight / np.maximum(1 - weight * v_length, SMALLEST_LEFT)  # Σ'⁻¹ = 1 + gain v vᵀ
    shift = np.full(classes, 1 / (rest * classes))  # e_j = u_j + shift_j v: means about the origin without the sample
    shift[own] -= 1 / rest
    y_shift = 1 / (rest * classes)  # y = x + y_shift v
    v_means = v_mean + shift * v_length[:, None]  # v . e_j
    squared = factor.squared + 2 * shift * v_mean + shift**2 * v_length[:, None] + gain[:, None] * v_means**2
    counts = factor.counts.copy()
    counts[own] = rest
    squared = np.maximum(squared, 0)  # far from the means rounding may leave less
    typical = np.sqrt(debiased(squared, factor.effective_dimension / counts))
    inner = along + y_shift * v_mean + shift * v_sample[:, None] + shift * y_shift * v_length[:, None]
    along_v = gain * (v_sample + y_shift * v_length)
    logits = (inner + along_v[:, None] * v_means) / np.where(typical > 0, typical, np.inf)
    if count <= 1:
        logits[:, own] = -np.inf
    return LeftOut(logits, (count / rest) ** 2 * v_length * (1 + gain * v_length))
