r"""The file of a share: one sealed line of JSON, then arrays as a plain npz.

::

    {"share":1,"device":"5f0c…","name":"kitchen","revision":7,…,"labels":["no","yes"],"npz":{…},"sha256":"9f86…"}\n
    PK… counts (C,), means (C, d), packed scatters, scales and ranks; see `_encoded`

`head -1 FILE` shows the line. A reader trusts none of it: the seal covers the line, the line the npz, and the npz has
one allowed form (`edgecl.store.arrays`). What the numbers may be is checked by `edgecl.sharing.checks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecl.errors import DataError, SettingError
from edgecl.model.condensed import arrays_of, condensed, share_one_matrix, statistics_from
from edgecl.model.settings import Settings
from edgecl.model.share import Share
from edgecl.model.statistics import packed_length
from edgecl.sharing.plans import Plan, as_one_matrix
from edgecl.sources.folders import is_store
from edgecl.sources.labels import clean_label
from edgecl.sources.samples import UnusableError
from edgecl.store.arrays import MAX_BYTES, pack, unpack
from edgecl.store.records import DIGEST, sha256

FORMAT = 1
PLANNED = 2  # the format of a share of an irreversible sum
PLAN = 1
LARGEST_LINE = 1 << 20
LARGEST_FILE = MAX_BYTES + LARGEST_LINE
MOST_CLASSES = 10_000
MOST_MEMBERS = 100_000
LONGEST_NAME = 64
AGAIN = "copy it again, or write it again with share"


@dataclass(frozen=True)
class Shape:
    """What a share has to fit: two stores with equal shapes can merge each other's."""

    extractor: str
    """Sha256 of the extractor's file."""
    dimension: int
    """Columns of the statistics, d."""
    latent_dimension: int
    projection: int
    lift_width: int
    seed: int
    """Of projection and lift; 0 where there is neither."""

    @staticmethod
    def of(settings: Settings, extractor: str) -> Shape:
        """Return the shape of a store's statistics."""
        seed = settings.seed if settings.projection or settings.lift_width else 0
        return Shape(
            extractor=extractor,
            dimension=settings.features.dimension,
            latent_dimension=settings.latent_dimension,
            projection=settings.projection,
            lift_width=settings.lift_width,
            seed=seed,
        )


@dataclass(frozen=True)
class Incoming:
    """A share as a file had it."""

    share: Share
    shape: Shape
    is_half: bool
    """Whether it was written as float16, so that its scatters are rounded."""
    noise: Mapping[str, float]
    """`epsilon` and `delta` of noise that was added; empty where none was."""
    plan: Plan | None = None
    """Of an irreversible sum."""


def encode(
    share: Share,
    shape: Shape,
    *,
    half: bool = False,
    compact: bool = False,
    noise: Mapping[str, float] | None = None,
    plan: Plan | None = None,
) -> bytes:
    """Return the bytes of a share's file.

    Parameters
    ----------
    half
        Write scatters as float16, scaled by their largest entry.
    compact
        Write the scatter of a class of few samples as n - 1 rows whose products add up to it, where that is less.
    noise
        Stated as it is.
    plan
        Of an irreversible sum: write one matrix for all classes.

    Raises
    ------
    SettingError
        When nothing is shared, or it is too large for a file.
    """
    if not share.statistics:
        raise SettingError("there is no class to share")
    held = [share.statistics[label] for label in sorted(share.statistics)]
    if plan is None and len(held) * packed_length(shape.dimension) * 4 > MAX_BYTES // 2 * (2 if compact or half else 1):
        raise SettingError(f"{len(held)} classes of {shape.dimension} columns are too large for one file: share some")
    if plan is None:
        written = [condensed(one, as_rows=compact, half=half) for one in held]
    else:
        written = list(as_one_matrix(share.statistics, plan, share.device, half=half).values())
    npz = b"".join(pack(arrays_of(written, as_one=plan is not None)))
    line = DIGEST.close(
        {
            "share": FORMAT if plan is None else PLANNED,
            "device": share.device,
            "name": share.name,
            "revision": share.revision,
            **vars(shape),
            "labels": sorted(share.statistics),
            "members": list(share.members),
            "half": half,
            "noise": dict(noise or {}),
            **({} if plan is None else {"plan": plan.stated()}),
            "npz": {"bytes": len(npz), "sha256": sha256(npz)},
        }
    )
    if len(line) > LARGEST_LINE:
        raise SettingError(
            f"{len(held)} labels and {len(share.members):,} devices take {len(line):,} bytes, a file states at most "
            f"{LARGEST_LINE:,}: share some of the labels, or sum fewer devices"
        )
    return line + npz


def read(path: Path) -> Incoming:
    """Read a share's file, as it is.

    Raises
    ------
    DataError
        When it cannot be read, is longer than a share can be, was changed or cut short, or is not a share.
    """
    try:
        _require_file(path, "a share", most=LARGEST_FILE)
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return decode(data, source=str(path))


def _require_file(path: Path, wanted: str, *, most: int) -> None:
    """Raise DataError unless a path is a file of a length that is allowed; OSError where it is not there."""
    size = path.stat().st_size
    if path.is_dir():
        what = "a store" if is_store(path) else "a folder"
        raise DataError(f"{path} is {what}, not the file of {wanted}: write one with share")
    if not path.is_file() or size > most:
        raise DataError(f"{path} is not a file of 1 to {most:,} bytes: it is not {wanted}")
    if not size:  # as is one of /proc, which may never end
        raise DataError(f"{path} is empty: {AGAIN}")


def decode(data: bytes, *, source: str) -> Incoming:
    """Decode the bytes of a share's file; raises DataError, which names `source`, as `read` does."""
    if len(data) > LARGEST_FILE:
        raise DataError(f"{source} has {len(data):,} bytes, a share has at most {LARGEST_FILE:,}")
    if not data.startswith((b'{"share":', b'{"counts_of":')):
        raise DataError(f"{source} is not a share, nor an intact part of one: write it with share")
    end = data.find(b"\n", 0, LARGEST_LINE) + 1
    try:
        if not end:
            raise ValueError("its first line has no end")
        stated = DIGEST.open(data[:end])
        return _decoded(stated, data[end:], digest=sha256(data))
    except (ValueError, UnusableError, OverflowError) as error:
        raise DataError(f"{source} is not an intact share: {error}: {AGAIN}") from error


def _decoded(stated: Mapping[str, Any], npz: bytes, *, digest: str) -> Incoming:
    if "counts_of" in stated:
        raise ValueError("it states counts alone, of which --plan makes a plan")
    if isinstance(stated.get("share"), int) and stated["share"] not in (FORMAT, PLANNED):
        raise ValueError(f"it has format {stated['share']}, this edgecl reads {FORMAT} and {PLANNED}: update edgecl")
    match stated:
        case {
            "share": int(kind),
            "device": str(device),
            "name": str(name),
            "revision": int(revision),
            "labels": list(labels),
            "members": list(members),
            "half": bool(half),
            "noise": dict(noise),
            "npz": {"bytes": int(length), "sha256": str(expected)},
        } if _is_plain(device, name, revision, labels, members, noise):
            if len(npz) < length:
                raise ValueError(f"it is cut short, {len(npz):,} of {length:,} bytes of arrays are there")
            if len(npz) > length or sha256(npz) != expected:
                raise ValueError("its arrays were changed, or something follows them")
            shape = stated_shape(stated)
            statistics = statistics_from(_labels(labels), unpack(npz), dimension=shape.dimension)
            plan = Plan.of(stated.get("plan")) if kind == PLANNED else None
            if len(statistics) > 1 and share_one_matrix(statistics.values()) != (plan is not None):
                raise ValueError("its classes share one matrix without a plan, or none with one")
            mark = plan.digest if plan else ""
            share = Share(device, name, revision, digest, statistics, members=tuple(members), plan=mark)
            return Incoming(share, shape, half, noise, plan)
    raise ValueError("its members are not those of a share")


def encode_plan(plan: Plan, shape: Shape) -> bytes:
    """Return the bytes of a plan's file, which is one line; raises SettingError where it would be too long."""
    line = DIGEST.close({"counts_of": PLAN, **vars(shape), **plan.stated()})
    if len(line) > LARGEST_LINE:
        raise SettingError(f"a plan of {len(plan.devices):,} devices is too long: sum fewer devices")
    return line


def read_plan(path: Path) -> tuple[Plan, Shape]:
    """Read a plan's file; raises DataError, as `read` does, also for a label that no lesson would take."""
    try:
        _require_file(path, "a plan", most=LARGEST_LINE)
        stated = DIGEST.open(path.read_bytes())
        if "share" in stated:
            raise ValueError("it is a share, which is merged without --plan")
        match stated:
            case {"counts_of": 1}:
                plan = Plan.of(stated)
                _labels(list(plan.counts))
                names = [name for device, one in plan.devices.items() for name in (device, one.name)]
                if len(plan.devices) <= MOST_MEMBERS and all(map(is_name, names)):
                    return plan, stated_shape(stated)
        raise ValueError("its members are not those of a plan")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, UnusableError, OverflowError) as error:
        raise DataError(f"{path} is not an intact plan: {error}: write it again with share or merge") from error


def is_name(one: Any) -> bool:
    """Test whether something can be the name of a device."""
    return isinstance(one, str) and one.isprintable() and 0 < len(one) <= LONGEST_NAME


def as_name(folder: str, *, otherwise: str) -> str:
    """Return the name of a folder as that of a device, with `_` for what cannot be printed.

    >>> as_name("k\u202echen", otherwise="x"), as_name("", otherwise="x")
    ('k_chen', 'x')
    """
    return "".join(one if one.isprintable() else "_" for one in folder)[:LONGEST_NAME] or otherwise


def _is_plain(
    device: str, name: str, revision: int, labels: list[Any], members: list[Any], noise: Mapping[str, Any]
) -> bool:
    names = [device, name, *members]
    return (
        all(map(is_name, names))
        and "/" not in device
        and 0 < revision < 1 << 31
        and 0 < len(labels) <= MOST_CLASSES
        and all(isinstance(one, str) for one in labels)
        and len(members) <= MOST_MEMBERS
        and all(isinstance(one, int | float) for one in noise.values())
    )


def _labels(stated: Sequence[str]) -> list[str]:
    """Return the labels in order; raises UnusableError for one that no lesson would take."""
    labels = [clean_label(one) for one in stated]
    if labels != list(stated) or sorted(set(labels)) != labels:
        raise ValueError("its labels are not in order, or one is there twice")
    return labels


def stated_shape(stated: Mapping[str, Any]) -> Shape:
    """Return the shape that a file or a device states; raises ValueError where it is none."""
    values = {name: stated.get(name) for name in Shape.__dataclass_fields__}
    numbers = [value for name, value in values.items() if name != "extractor"]
    if not isinstance(values["extractor"], str) or not all(isinstance(one, int) and one >= 0 for one in numbers):
        raise ValueError("it does not state its extractor and features")
    shape = Shape(**values)  # type: ignore[arg-type]  # checked above
    if not 0 < shape.dimension <= 1 << 16:
        raise ValueError(f"{shape.dimension} columns")
    return shape
