"""Share: what a store has learnt as a file for other devices, and the plan of an irreversible sum."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.errors import SettingError
from edgecl.model.share import Share
from edgecl.model.shares import own_classes
from edgecl.operations.open_store import OpenStore
from edgecl.sharing.checks import require_same
from edgecl.sharing.noise import Noise, noisy
from edgecl.sharing.plans import Plan, Planned, joined
from edgecl.sharing.share_file import LONGEST_NAME, Shape, as_name, encode, encode_plan, is_name, read_plan
from edgecl.sources.labels import several
from edgecl.store.files import write_output

if TYPE_CHECKING:
    from edgecl.model.model import Model
    from edgecl.model.statistics import ClassStatistics

FEW = 2  # samples of a class, up to which its statistics are those samples


@dataclass(frozen=True)
class ShareReport:
    """What was written to a file."""

    file: str
    device: str
    name: str
    bytes: int
    classes: Mapping[str, int]
    """Label to samples."""
    withheld: Mapping[str, int]
    """Label to samples of the classes with fewer than were wanted."""
    revealing: Mapping[str, int]
    """Label to samples of the classes of one or two: whoever has the file can compute their latents."""
    spanned: int
    """Classes with fewer samples than columns: the file shows the space that their latents span."""
    noise: Mapping[str, float]
    irreversible: bool = False
    """Whether its classes have one matrix together."""
    unplanned: Mapping[str, int] = field(default_factory=dict)
    """Label to samples of the classes that the plan of an irreversible sum does not have: taught since, say."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {name: dict(one) if isinstance(one, Mapping) else one for name, one in vars(self).items()}


def share(
    opened: OpenStore,
    output: str | Path,
    *,
    only: str | Collection[str] = (),
    at_least: int = 1,
    half: bool = False,
    compact: bool = True,
    name: str | None = None,
    epsilon: float | None = None,
    delta: float = 1e-5,
    seed: int | None = None,
    plan: str | Path | None = None,
) -> ShareReport:
    """Write what a store has itself learnt to a file: counts, means and scatters by class, no samples.

    What others have shared with it is not passed on.

    Parameters
    ----------
    output
        The file; it is replaced as a whole.
    only
        Labels, or one; by default all.
    at_least
        Fewest samples of a class that is shared.
    half, compact
        See `edgecl.sharing.share_file.encode`.
    name
        What people know the device by; by default the name of the store's folder.
    epsilon, delta
        Add Gaussian noise by which the file is (ε, δ)-differentially private for a single sample.
    seed
        Of the noise, for tests; by default from the system.
    plan
        File of `plan`: write one matrix for all its classes in place of a scatter each, from which no class can be
        taken out again.

    Raises
    ------
    SettingError
        When a label is not known, or nothing is left to share.
    """
    revision, model = opened.model()
    kept, withheld = _chosen(opened, model, several(only), at_least)
    noise: Mapping[str, float] = {}
    if epsilon is not None:
        if plan is not None:
            raise SettingError("noise is for ordinary shares", parameter="epsilon")
        budget = Noise(epsilon, delta)
        kept = noisy(kept, budget, seed=seed, is_unit=is_unit(opened, model))
        noise = budget.stated()
    called = _called(opened, name)
    made = Share(opened.store.name, called, revision.number, "", kept)
    shape = Shape.of(model.settings, opened.store.extractor_digest)
    planned = None if plan is None else _plan_of(plan, shape)
    if planned is not None:
        _require_chosen(planned, made.device, kept, own_classes(model))
        planned.require_counts(made.device, {label: one.count for label, one in kept.items()}, whose="this store")
        made = replace(made, statistics={label: kept[label] for label in planned.devices[made.device].counts})
    data = encode(made, shape, half=half, compact=compact, noise=noise, plan=planned)
    _write(Path(output), data)
    counts = {label: one.count for label, one in made.statistics.items()}
    return ShareReport(
        file=str(output),
        device=made.device,
        name=called,
        bytes=len(data),
        classes=counts,
        withheld=withheld,
        revealing={} if noise else {label: count for label, count in counts.items() if count <= FEW},
        spanned=0 if noise or plan else sum(count <= shape.dimension for count in counts.values()),
        noise=noise,
        irreversible=plan is not None,
        unplanned={label: one.count for label, one in kept.items() if label not in counts},
    )


def _chosen(
    opened: OpenStore, model: Model, only: Collection[str], at_least: int
) -> tuple[dict[str, ClassStatistics], dict[str, int]]:
    """Return one's own classes that are shared, and the samples of those that are withheld."""
    own = own_classes(model)
    if not own:
        raise SettingError(
            f"{opened.store.path} has learnt nothing itself, and what others shared is not passed on: teach it first",
            remedy="learn",
        )
    unknown = sorted(set(only) - set(own))
    if unknown:
        raise SettingError(f"{', '.join(map(repr, unknown))} was not taught here: there are {', '.join(own) or 'none'}")
    chosen = {label: one for label, one in own.items() if not only or label in only}
    kept = {label: one for label, one in chosen.items() if one.count >= at_least}
    if not kept:
        raise SettingError(
            f"{opened.store.path} has no class of {at_least} samples of its own to share", parameter="at_least"
        )
    return kept, {label: one.count for label, one in chosen.items() if label not in kept}


def _require_chosen(plan: Plan, device: str, chosen: Collection[str], own: Collection[str]) -> None:
    """Raise SettingError where a class that the plan counts is left out only now."""
    planned = plan.devices[device].counts if device in plan.devices else {}
    late = sorted((set(planned) & set(own)) - set(chosen))
    if late:
        raise SettingError(
            f"the plan counts {', '.join(map(repr, late))}: what is left out of the file has to be left out of the "
            "counts too; write them again and make a new plan"
        )


def _called(opened: OpenStore, name: str | None) -> str:
    if name and not is_name(name[:LONGEST_NAME]):
        raise SettingError(f"{name!a} cannot be the name of a device: wanted printable text", parameter="name")
    return name[:LONGEST_NAME] if name else as_name(opened.store.path.name, otherwise=opened.store.name)


def _plan_of(path: str | Path, shape: Shape) -> Plan:
    """Return the plan of a file, of devices with these features."""
    plan, found = read_plan(Path(path))
    require_same(found, shape, Path(path).name)
    return plan


@dataclass(frozen=True)
class PlanReport:
    """The counts that were written to a file: of one device, or of all."""

    file: str
    bytes: int
    devices: Mapping[str, str]
    """Device to its name."""
    classes: Mapping[str, int]
    """Label to the samples of all of them."""
    withheld: Mapping[str, int]
    """Label to samples of the store's own classes with fewer than were wanted."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {name: dict(one) if isinstance(one, Mapping) else one for name, one in vars(self).items()}


def plan(
    opened: OpenStore,
    output: str | Path,
    files: str | Path | Sequence[str | Path] = (),
    *,
    only: str | Collection[str] = (),
    at_least: int = 1,
    name: str | None = None,
) -> PlanReport:
    """Write the plan of an irreversible sum: the counts of the store, and those of the files of other devices.

    A store that has learnt nothing itself writes a plan of the others, and can take their sum.

    Parameters
    ----------
    output
        The file; it is replaced as a whole.
    files
        What this has written on other devices; none for the counts of the store alone.
    only, at_least, name
        As for `share`.

    Raises
    ------
    SettingError
        When there is nothing to share, a device is there twice with other counts, or has other features.
    DataError
        When a file is not an intact plan.
    """
    model = opened.model()[1]
    shape = Shape.of(model.settings, opened.store.extractor_digest)
    plans, withheld = [_plan_of(one, shape) for one in paths_of(files)], dict[str, int]()
    if own_classes(model) or not plans:
        kept, withheld = _chosen(opened, model, several(only), at_least)
        own = Planned(_called(opened, name), {label: one.count for label, one in kept.items()})
        plans.insert(0, Plan({opened.store.name: own}))
    whole = joined(plans)
    data = encode_plan(whole, shape)
    _write(Path(output), data)
    names = {device: one.name for device, one in sorted(whole.devices.items())}
    return PlanReport(str(output), len(data), names, whole.counts, withheld)


def _write(path: Path, data: bytes) -> None:
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise SettingError(f"{path} is a folder, or its folder does not exist: name a file")
    write_output(path, data, mode=0o600)  # what is known of few samples is data


def paths_of(files: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return files as paths; a single one is one file."""
    return [Path(one) for one in ((files,) if isinstance(files, str | Path) else files)]


def is_unit(opened: OpenStore, model: Model) -> bool:
    """Test whether features are latents of length 1, which bounds what a share can state."""
    settings = model.settings
    is_plain = not settings.projection and not settings.lift_width and model.centre is None
    return is_plain and opened.extractor.contract.normalisation == "l2"
