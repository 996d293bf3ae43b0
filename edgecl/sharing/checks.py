"""What a share must be to be merged: of the same features, from another store, and of numbers that samples can give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgecl.errors import DataError, SettingError
from edgecl.model.condensed import Condensed
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics
from edgecl.sharing.plans import MOST_SAMPLES, Plan
from edgecl.sharing.share_file import Incoming, Shape
from edgecl.sharing.sums import triangle

ROUNDING, HALF_ROUNDING = 1e-4, 4e-3  # of the trace: how far below zero an eigenvalue may be rounded
SMALLEST = 1e-12  # trace below which a scatter is nothing, but for rounding
LARGEST_SQUARE = 1e30  # of a length: far below where sums in single precision overflow
LONGEST = 1.05  # length of a latent of length 1 after it was quantised to int8


@np.errstate(over="ignore", invalid="ignore")  # what is too large is refused by what comes out
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
        raise SettingError(
            f"{share.name!r} is this store's own share, or contains it: merge those of other devices. A store that is "
            "a copy of it counts as the same device: make that one anew, merge this one's share into it, and teach it "
            "what is its own",
            remedy="create",
        )
    require_same(incoming.shape, shape, share.name)
    if incoming.plan is not None:
        _require_planned(share, incoming.plan, is_unit=is_unit)
    for label, one in share.statistics.items():
        most = MOST_SAMPLES * max(len(share.members), 1)
        if one.count > most:
            raise DataError(f"{share.name!r} states {one.count:,} samples of {label!r}, at most {most:,} are taken")
        if not np.square(one.mean, dtype=np.float64).sum() + one.trace < LARGEST_SQUARE:
            raise DataError(f"{label!r} of {share.name!r} has values that no sum could hold")
        if is_unit and not incoming.noise and incoming.plan is None:
            _require_unit(one, label, share.name)
        if incoming.plan is not None and label != min(share.statistics):
            continue  # the matrix is one for all
        if not is_positive(one, rounding=HALF_ROUNDING if incoming.is_half else ROUNDING):
            raise DataError(
                f"the scatter of {label!r} in {share.name!r} is not positive semidefinite: no samples have it"
            )


def require_same(found: Shape, wanted: Shape, name: str) -> None:
    """Raise SettingError, which names what differs, unless two stores have the same features."""
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
    spread = one.trace / one.count
    if length > LONGEST**2 or length + spread > LONGEST**2:
        raise DataError(
            f"{label!r} of {name!r} has samples of mean squared length {length + spread:.3g}, latents have length 1"
        )


def _require_planned(share: Share, plan: Plan, *, is_unit: bool) -> None:
    """Raise unless a share of an irreversible sum is what its plan says, of samples that can be."""
    counts = {label: one.count for label, one in share.statistics.items()}
    plan.require_counts(share.device, counts, whose=repr(share.name))
    if counts.keys() != plan.devices[share.device].counts.keys():
        raise SettingError(f"{share.name!r} has other classes than the plan says: share it again")
    weights = plan.weights(share.device)
    one = next(iter(share.statistics.values()))
    mean = one.trace / one.count  # the same for every class
    if any(abs(each.trace / each.count - mean) > 1e-4 * abs(mean) for each in share.statistics.values()):
        raise DataError(f"the classes of {share.name!r} do not share one matrix by their samples")
    length = sum(weights[label] * np.square(each.mean).sum() for label, each in share.statistics.items())
    mean_square = float(length) / sum(weights.values()) + mean
    if is_unit and mean_square > LONGEST**2:
        raise DataError(f"{share.name!r} has samples of mean squared length {mean_square:.3g}, latents have length 1")


def require_one_plan(
    others: Mapping[str, Share], plans: Mapping[str, Plan], *, own: str, counts: Mapping[str, int]
) -> None:
    """Raise SettingError unless the shares of an irreversible sum are those of one plan, and all of it.

    Parameters
    ----------
    others
        All shares that the store would have.
    plans
        Device to the plan of a share that is new.
    own, counts
        The store itself, and its own samples by label; one that has learnt nothing need not be in the plan.
    """
    names = {share.plan: share.name for share in others.values() if share.plan}
    if len(names) > 1:
        one, other, *_ = sorted(names.values())
        raise SettingError(
            f"{one!r} and {other!r} are of different plans, whose matrices do not add up: share both again by one "
            "plan, or take one out"
        )
    for plan in plans.values():
        if counts or own in plan.devices:
            plan.require_counts(own, counts, whose="this store")
        present = {own, *(device for device, share in others.items() if share.plan)}
        missing = [one.name for device, one in sorted(plan.devices.items()) if device not in present]
        if missing:
            raise SettingError(
                f"the plan has {', '.join(map(repr, missing))} too, without which the sum is not exact: merge all "
                "files of a plan at once, or make a plan without"
            )


def is_positive(one: ClassStatistics, *, rounding: float = ROUNDING) -> bool:
    """Test whether a scatter is positive semidefinite up to rounding, by a Cholesky factor; that of rows always is."""
    if isinstance(one, Condensed) and one.is_rows:
        return True
    matrix = np.zeros((one.dimension, one.dimension))
    matrix[triangle(one.dimension)] = one.scatter  # all that a Cholesky factor reads
    trace = float(np.trace(matrix))
    if trace < -SMALLEST:
        return False
    matrix[np.diag_indices(len(matrix))] += rounding * max(trace, 0) + SMALLEST
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
