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

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.model.settings import Settings
from edgecl.model.shares import Share
from edgecl.model.statistics import ClassStatistics, packed_length, square
from edgecl.sharing.sums import triangle
from edgecl.sources.labels import clean_label
from edgecl.sources.samples import UnusableError
from edgecl.store.arrays import MAX_BYTES, pack, unpack
from edgecl.store.records import DIGEST, sha256

FORMAT = 1
LARGEST_LINE = 1 << 20
LARGEST_FILE = MAX_BYTES + LARGEST_LINE
MOST_CLASSES = 10_000
MOST_MEMBERS = 100_000
LONGEST_NAME = 64
PACKED = -1  # rank of a scatter that is written as its lower triangle


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


def encode(
    share: Share, shape: Shape, *, half: bool = False, compact: bool = False, noise: Mapping[str, float] | None = None
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

    Raises
    ------
    SettingError
        When nothing is shared, or it is too large for a file.
    """
    if not share.statistics:
        raise SettingError("there is no class to share")
    held = [share.statistics[label] for label in sorted(share.statistics)]
    if sum(one.scatter.nbytes for one in held) > MAX_BYTES // 2 * (2 if compact or half else 1):
        raise SettingError(f"{len(held)} classes of {shape.dimension} columns are too large for one file: share some")
    npz = b"".join(pack(_encoded(held, half=half, compact=compact)))
    line = DIGEST.close(
        {
            "share": FORMAT,
            "device": share.device,
            "name": share.name,
            "revision": share.revision,
            **vars(shape),
            "labels": sorted(share.statistics),
            "members": list(share.members),
            "half": half,
            "noise": dict(noise or {}),
            "npz": {"bytes": len(npz), "sha256": sha256(npz)},
        }
    )
    if len(line) > LARGEST_LINE:
        raise SettingError(
            f"{len(held)} labels and {len(share.members):,} devices take {len(line):,} bytes, a file states at most "
            f"{LARGEST_LINE:,}: share some of the labels, or sum fewer devices"
        )
    return line + npz


def _encoded(held: Sequence[ClassStatistics], *, half: bool, compact: bool) -> dict[str, NDArray[Any]]:
    """Return the arrays of classes: each scatter is a packed triangle, or, of rank r, rows (r, d)."""
    triangles: list[NDArray[np.float32]] = []
    rows: list[NDArray[np.float32]] = []
    ranks = []
    for one in held:
        factor = _rows_of(one) if compact and 2 * one.count - 1 <= one.dimension else None
        ranks.append(PACKED if factor is None else len(factor))
        (triangles if factor is None else rows).append(one.scatter if factor is None else factor.ravel())
    written, dtype = [*triangles, *rows], np.float16 if half else np.float32
    tops = np.array([max(float(np.abs(one).max(initial=0)), 1e-30) for one in written], np.float32)
    scales = tops if half else np.ones(len(written), np.float32)
    scaled = [(one / scale).astype(dtype) for one, scale in zip(written, scales, strict=True)]
    return {
        "counts": np.array([one.count for one in held], np.int64),
        "means": np.array([one.mean for one in held], np.float64),
        "ranks": np.array(ranks, np.int32),
        "scales": scales,
        "values": np.concatenate([np.zeros(0, dtype), *scaled]),
    }


def _rows_of(one: ClassStatistics) -> NDArray[np.float32]:
    """Return n - 1 rows R (r, d) with RᵀR = S, which has no higher rank."""
    values, vectors = np.linalg.eigh(square(one.scatter, one.dimension).astype(np.float64))
    kept = slice(one.dimension - min(one.count - 1, one.dimension), None)
    rows = np.sqrt(np.maximum(values[kept], 0))[:, None] * vectors[:, kept].T
    return np.asarray(rows, np.float32)


def read(path: Path) -> Incoming:
    """Read a share's file, as it is.

    Raises
    ------
    DataError
        When it cannot be read, is longer than a share can be, was changed or cut short, or is not a share.
    """
    try:
        size = path.stat().st_size
        if not path.is_file() or size > LARGEST_FILE:
            raise DataError(f"{path} is not a file of at most {LARGEST_FILE:,} bytes: it is not a share")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return decode(data, source=str(path))


def decode(data: bytes, *, source: str) -> Incoming:
    """Decode the bytes of a share's file; raises DataError, which names `source`, as `read` does."""
    if len(data) > LARGEST_FILE:
        raise DataError(f"{source} has {len(data):,} bytes, a share has at most {LARGEST_FILE:,}")
    end = data.find(b"\n", 0, LARGEST_LINE) + 1
    try:
        stated = DIGEST.open(data[:end])
        return _decoded(stated, data[end:], digest=sha256(data))
    except (ValueError, UnusableError, OverflowError) as error:
        raise DataError(f"{source} is not an intact share: {error}: write it again with share") from error


def _decoded(stated: Mapping[str, Any], npz: bytes, *, digest: str) -> Incoming:
    if isinstance(stated.get("share"), int) and stated["share"] != FORMAT:
        raise ValueError(f"it has format {stated['share']}, this edgecl reads {FORMAT}: update edgecl")
    match stated:
        case {
            "share": 1,
            "device": str(device),
            "name": str(name),
            "revision": int(revision),
            "labels": list(labels),
            "members": list(members),
            "half": bool(half),
            "noise": dict(noise),
            "npz": {"bytes": int(length), "sha256": str(expected)},
        } if _is_plain(device, name, revision, labels, members, noise):
            if len(npz) != length or sha256(npz) != expected:
                raise ValueError(f"{length} bytes of arrays are stated, {len(npz)} or other ones are there")
            shape = _shape(stated)
            statistics = _statistics(_labels(labels), unpack(npz), shape.dimension)
            share = Share(device, name, revision, digest, statistics, members=tuple(members))
            return Incoming(share, shape, half, noise)
    raise ValueError("its members are not those of a share")


def _is_plain(
    device: str, name: str, revision: int, labels: list[Any], members: list[Any], noise: Mapping[str, Any]
) -> bool:
    names = [device, name, *members]
    return (
        all(isinstance(one, str) and one.isprintable() and 0 < len(one) <= LONGEST_NAME for one in names)
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


def _shape(stated: Mapping[str, Any]) -> Shape:
    values = {name: stated.get(name) for name in Shape.__dataclass_fields__}
    numbers = [value for name, value in values.items() if name != "extractor"]
    if not isinstance(values["extractor"], str) or not all(isinstance(one, int) and one >= 0 for one in numbers):
        raise ValueError("it does not state its extractor and features")
    shape = Shape(**values)  # type: ignore[arg-type]  # checked above
    if not 0 < shape.dimension <= 1 << 16:
        raise ValueError(f"{shape.dimension} columns")
    return shape


def _statistics(labels: Sequence[str], arrays: Mapping[str, NDArray[Any]], d: int) -> dict[str, ClassStatistics]:
    """Return the classes of checked arrays; raises ValueError where they do not fit each other."""
    wanted = {"counts": "<i8", "means": "<f8", "ranks": "<i4", "scales": "<f4"}
    if set(arrays) != {*wanted, "values"} or any(arrays[one].dtype.str != kind for one, kind in wanted.items()):
        raise ValueError("its arrays are not those of a share")
    counts, means, ranks, scales, values = (arrays[one] for one in (*wanted, "values"))
    classes = len(labels)
    if [one.shape for one in (counts, means, ranks, scales)] != [(classes,), (classes, d), (classes,), (classes,)]:
        raise ValueError("its arrays do not fit its labels and columns")
    if counts.min() < 1 or ranks.min() < PACKED or ranks.max() > d or scales.min() < 0:
        raise ValueError("a count, rank or scale is out of its range")
    sizes = np.where(ranks == PACKED, packed_length(d), ranks.astype(np.int64) * d)
    if values.shape != (int(sizes.sum()),) or values.dtype.kind != "f":
        raise ValueError(f"its scatters have {values.shape} entries, wanted {int(sizes.sum())}")
    order = [*np.flatnonzero(ranks == PACKED), *np.flatnonzero(ranks != PACKED)]
    found, first = {}, 0
    for place, row in enumerate(order):
        part = values[first : first + sizes[row]].astype(np.float32) * scales[place]
        first += int(sizes[row])
        scatter = part if ranks[row] == PACKED else _triangle(part.reshape(-1, d))
        found[labels[row]] = ClassStatistics(int(counts[row]), means[row].astype(np.float64), scatter)
    return {label: found[label] for label in labels}


def _triangle(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the packed lower triangle of RᵀR for rows (r, d)."""
    whole = rows.T.astype(np.float64) @ rows
    return np.asarray(whole[triangle(rows.shape[1])], np.float32)
