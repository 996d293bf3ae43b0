"""What a share must be to be merged: of the same features, from another store, and of numbers that samples can give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgecl.errors import DataError, SettingError
from edgecl.model.shares import Share
from edgecl.model.statistics import ClassStatistics
from edgecl.sharing.share_file import Incoming, Shape
from edgecl.sharing.sums import triangle

MOST_SAMPLES = 1_000_000  # of a class at one device
ROUNDING, HALF_ROUNDING = 1e-4, 4e-3  # of the trace: how far below zero an eigenvalue may be rounded
LONGEST = 1.05  # length of a latent of length 1 after it was quantised to int8


def require_fits(incoming: Incoming, shape: Shape, *, own: str, is_unit: bool) -> None:
    """Raise unless a share can be merged into a store.

    Parameters
    ----------
    own
        Name of the store itself.
    is_unit
        Whether features have length 1: then means and scatters are bounded.

    Raises
    ------
    SettingError
        When it is the store's own, or of another extractor, projection or lift.
    DataError
        When its numbers are not those of samples.
    """
    share = incoming.share
    if own in share.contains:
        raise SettingError(f"{share.name!r} is this store's own share, or contains it: merge those of other devices")
    _require_same(incoming.shape, shape, share.name)
    for label, one in share.statistics.items():
        most = MOST_SAMPLES * max(len(share.members), 1)
        if one.count > most:
            raise DataError(f"{share.name!r} states {one.count:,} samples of {label!r}, at most {most:,} are taken")
        if is_unit and not incoming.noise:
            _require_unit(one, label, share.name)
        if not is_positive(one, rounding=HALF_ROUNDING if incoming.is_half else ROUNDING):
            raise DataError(
                f"the scatter of {label!r} in {share.name!r} is not positive semidefinite: no samples have it"
            )


def _require_same(found: Shape, wanted: Shape, name: str) -> None:
    if found.extractor != wanted.extractor:
        raise SettingError(
            f"{name!r} has another extractor (sha256 {found.extractor[:12]}, this store {wanted.extractor[:12]}): "
            "devices share what one and the same extractor file has made"
        )
    for part, text in (
        ("latent_dimension", "latents of {} columns"),
        ("projection", "a projection to {} columns"),
        ("lift_width", "a lift of {} columns"),
        ("seed", "the seed {} of its projection or lift"),
        ("dimension", "features of {} columns"),
    ):
        theirs, ours = getattr(found, part), getattr(wanted, part)
        if theirs != ours:
            raise SettingError(
                f"{name!r} has {text.format(theirs)}, this store {text.format(ours)}: make all stores with the same "
                "memory, number of classes, lift and seed",
                parameter="memory_bytes" if part in ("projection", "dimension") else "",
            )


def _require_unit(one: ClassStatistics, label: str, name: str) -> None:
    """Raise unless a class can consist of rows of length 1: the mean of |x|² is |m|² + tr(S)/n."""
    length = float(np.square(one.mean).sum())
    diagonal = np.cumsum(np.arange(1, one.dimension + 1)) - 1
    spread = float(one.scatter[diagonal].sum(dtype=np.float64)) / one.count
    if length > LONGEST**2 or length + spread > LONGEST**2:
        raise DataError(
            f"{label!r} of {name!r} has samples of mean squared length {length + spread:.3g}, latents have length 1"
        )


def is_positive(one: ClassStatistics, *, rounding: float = ROUNDING) -> bool:
    """Test whether a scatter is positive semidefinite up to rounding, by a Cholesky factor."""
    matrix = np.zeros((one.dimension, one.dimension))
    matrix[triangle(one.dimension)] = one.scatter  # all that a Cholesky factor reads
    trace = float(np.trace(matrix))
    if trace < 0:
        return False
    matrix[np.diag_indices(len(matrix))] += rounding * trace + 1e-12
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def require_disjoint(others: Mapping[str, Share]) -> None:
    """Raise SettingError where a device would be counted twice: by itself and in a sum."""
    owners: dict[str, str] = {}
    names = {share.device: share.name for share in others.values()}
    for share in others.values():
        require_apart(share, owners, names)
        owners.update(dict.fromkeys(share.contains, share.device))


def require_apart(share: Share, owners: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Raise SettingError where a share of another device counts one of this share's devices already.

    Parameters
    ----------
    owners
        Device whose samples are counted, to the device whose share counts them.
    names
        Of the latter.
    """
    for member in sorted(share.contains & owners.keys()):
        if owners[member] != share.device:
            raise SettingError(
                f"{share.name!r} contains what {names[owners[member]]!r} has shared already, which would count twice: "
                "take one of the two out first"
            )
