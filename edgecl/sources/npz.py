"""Windows in `.npz` archives."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.hashes import sha256
from edgecl.notes import Logger
from edgecl.sources.choices import Choices
from edgecl.sources.csv_axes import channel_columns
from edgecl.sources.folders import require_file
from edgecl.sources.labels import clean_label, is_missing, missing_label, valid_text
from edgecl.sources.samples import GROUP_COLUMNS, Sample, Skip, UnusableError
from edgecl.sources.signals import RATE_NAMES, checked_rate, shaped, window

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


logger = Logger(__name__)
NO_NAMES = frozenset({"", "nan", "<na>"})  # of label_names; others, such as None, were chosen for an index
SEGMENT = "segment"
LARGEST_ARRAY = 1 << 30
INFLATED_AT_WILL = 1 << 24  # bytes of a deflated member, whatever it was deflated to
MOST_INFLATED = 100  # times its deflated length, beyond that: recordings stay below 20, a zip bomb is near 1000
LIKE_LABELS = frozenset({"Y", "label", "labels", "target", "targets", "class", "classes", "activity", "activities"})
MOST_OUTSIDE = 0.05  # of indices without a name; -1 is a window without a label, and counts as skipped alone
# What zipfile, its decompressors and NumPy's reader of headers raise on damaged archives.
_DAMAGE = (
    ValueError,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class NpzWindows:
    """An open archive: its arrays, checked against each other and the contract.

    `X` (n, time, channels), or (n, time) for one channel, or (n, channels) without time, or (n, height, width, 3) of
    pictures; optional `y` (n,) of
    integers or strings, `label_names`, `subject` or `speaker` (n,), `rate_hz`, `channels`.

    Raises
    ------
    DataError
        The file is no archive, holds objects, announces absurd sizes, or its arrays do not fit together.
    """

    def __init__(self, path: Path, contract: Contract, how: Choices | None = None) -> None:
        how = how or Choices()
        self.path = path
        self.contract = contract
        headers, held = _headers(path)
        arrays = _load(path, headers)
        self.like_labels = sorted(LIKE_LABELS & held) if "y" not in arrays else []
        """Other arrays, where there is no `y`, that may be it."""
        self.windows = arrays["X"]
        count, time = self.windows.shape[0], self.windows.shape[1]
        self.labels = _column(arrays, "y", count=count, path=path)
        self.segments = _column(arrays, SEGMENT, count=count, path=path) if SEGMENT in arrays else None
        self.groups = next(
            (_column(arrays, name, count=count, path=path) for name in GROUP_COLUMNS if name in arrays), None
        )
        self.label_names = _text(arrays["label_names"]).tolist() if "label_names" in arrays else None
        self.labels_from = how.labels_from or 0
        if self.label_names is not None and self.labels is not None:
            _name_twice(self.label_names, path)
            _check_texts(self.labels, self.label_names, path)
            _check_indices(self.labels, self.label_names, path, labels_from=how.labels_from)
        self.channels = _channel_order(arrays, contract, path, how)
        try:
            if contract.is_picture:
                window(self.windows[0], contract, rate_hz=0.0)
            else:
                shaped(self._window(0), contract)
            stated = _rate(arrays, path)
            self.rate_hz = checked_rate(stated, contract, n_samples=time)
        except UnusableError as error:
            raise DataError(f"{path}: {error}") from error
        self._name_rate(stated is not None)

    def _name_rate(self, is_stated: bool) -> None:
        wanted = self.contract.sample_rate_hz
        if wanted and not is_stated:
            logger.warning("%s: no rate_hz: its windows are taken as %g Hz", self.path, wanted)
        elif self.rate_hz != wanted:
            logger.warning("%s: rate_hz is %g: resampled to %g Hz", self.path, self.rate_hz, wanted)

    def __len__(self) -> int:
        return len(self.windows)

    def samples(self, label: str | None) -> Iterator[Sample | Skip]:
        """Yield window by window; `label` is for archives without `y`."""
        first_seen: dict[tuple[bytes, str | None], int] = {}
        for i in range(len(self)):
            source = f"{self.path}[{i}]"
            try:
                name = label if self.labels is None else self._name(self.labels[i])
                signal = window(self._window(i), self.contract, rate_hz=self.rate_hz)
                first = first_seen.setdefault((sha256(signal.tobytes()).digest(), name), i)
                if first != i and (self.contract.sample_rate_hz or self.contract.is_picture):
                    raise UnusableError(f"duplicate: the same as {self.path}[{first}]")
                yield Sample(source, name, signal, self._group(i), self._recording(i))
            except UnusableError as error:
                yield error.skip(source)

    def _window(self, i: int) -> NDArray[Any]:
        raw: NDArray[Any] = self.windows[i]
        has_channels = raw.ndim > 1 or not self.contract.sample_rate_hz
        return raw[..., self.channels] if self.channels is not None and has_channels else raw

    def _group(self, i: int) -> str | None:
        return None if self.groups is None else valid_text(str(self.groups[i])) or None

    def _recording(self, i: int) -> str | None:
        """Return the unbroken recording that a window is cut from, where the archive has `segment`."""
        return None if self.segments is None else f"{self.path}#{self._group(i) or ''}/{self.segments[i]}"

    def _name(self, value: str | float) -> str:
        if isinstance(value, str):
            if is_missing(value):
                raise UnusableError(missing_label(value))
            return clean_label(value)
        if not math.isfinite(value) or value != int(value):
            raise UnusableError(f"bad label: {value!r} is no whole number")
        if self.label_names is None:
            return str(int(value))
        index = int(value) - self.labels_from
        if not 0 <= index < len(self.label_names):
            raise UnusableError(f"bad label: y is {int(value)}, and there are {len(self.label_names)} label_names")
        name = str(self.label_names[index])
        if name.strip().lower() in NO_NAMES:
            raise UnusableError(missing_label(name))
        return clean_label(name)


def _name_twice(names: list[Any], path: Path) -> None:
    """Warn of indices that have one name."""
    counts = Counter(str(one).strip() for one in names)
    twice = [name for name, count in counts.items() if count > 1 and name.lower() not in NO_NAMES]
    if twice:
        logger.warning("%s: label_names has %r more than once: these are one class", path, twice[0])


def _check_texts(labels: list[Any], names: list[Any], path: Path) -> None:
    """Refuse labels in words that are not those of `label_names`: which of the two are meant is not known."""
    known = {str(name).strip() for name in names}
    others = [one for one in labels if isinstance(one, str) and not is_missing(one) and one.strip() not in known]
    if others:
        raise DataError(
            f"{path}: y holds text that is none of label_names, {others[0]!a} for one: save indices as whole numbers, "
            "or leave label_names out"
        )


def _check_indices(labels: list[Any], label_names: list[Any], path: Path, *, labels_from: int | None) -> None:
    """Refuse `y` that is counted from 1, unless that is settled, or whose indices are mostly none of a name."""
    numbers = np.array([one for one in labels if not isinstance(one, str) and math.isfinite(one)])
    if not numbers.size:
        return
    names, low, high = len(label_names), int(numbers.min()), int(numbers.max())
    stated = f"{path}: y runs from {low} to {high}, and there are {names} label_names"
    if labels_from is None and low >= 1 and high == names:
        raise DataError(f"{stated}: is y counted from 1? Give the index of the first name", parameter="labels_from")
    held = set(numbers.tolist())
    if labels_from is None and low == -1 and (held == set(range(-1, names - 1)) or (held == {-1, 1} and names == 2)):
        raise DataError(
            f"{stated}: does -1 stand for {str(label_names[0])!r}? Count from 0; or give 0 as the index of the first "
            "name, where it stands for no label",
            parameter="labels_from",
        )
    if labels_from is None and low == 1 < names:
        logger.warning("%s, and is counted from 0: 1 is %r", stated.partition(", and there")[0], str(label_names[1]))
    index = numbers - (labels_from or 0)
    outside = (index >= names) | (index < -1)
    if labels_from is None and outside.mean() > MOST_OUTSIDE:
        raise DataError(f"{stated}: give a name for each, or leave label_names out", parameter="labels_from")


def npz_count(path: Path) -> int:
    """Return the number of windows, from the header alone.

    Raises
    ------
    DataError
        As `NpzWindows`.
    """
    return _headers(path)[0]["X"][0][0]


def _load(path: Path, headers: Collection[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive whose headers have been checked."""
    try:
        with zipfile.ZipFile(path) as archive:  # not np.load: it prefers a member `X` that nobody has judged
            return {name: _array(archive, f"{name}.npy") for name in headers}
    except (OSError, *_DAMAGE) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _array(archive: zipfile.ZipFile, member: str) -> NDArray[Any]:
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _headers(path: Path) -> tuple[dict[str, tuple[tuple[int, ...], np.dtype[Any]]], set[str]]:
    """Return shape and type of the arrays, before any of them is read, and the names of all there are.

    A header is believed only if it asks for as many bytes as the archive has for it: a small file
    can otherwise ask for all the memory there is.
    """
    known = ("X", "y", "label_names", *GROUP_COLUMNS, SEGMENT, *RATE_NAMES, "channels")
    headers = {}
    try:
        require_file(path)
        with zipfile.ZipFile(path) as archive:
            held = Counter(archive.namelist())
            for name in known:
                if held[f"{name}.npy"] > 1:
                    raise DataError(f"{path} holds {name}.npy more than once: save it again")
                if held[f"{name}.npy"]:
                    headers[name] = _header(archive, f"{name}.npy", path)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error
    except _DAMAGE as error:
        raise DataError(f"{path} is not a sound .npz archive: {error}") from error
    if "X" not in headers:
        there = ", ".join(sorted(member.removesuffix(".npy") for member in held)) or "none"
        raise DataError(f"{path} has no array X, wanted X (n, time, channels) and y (n,); there are: {there}")
    shape = headers["X"][0]
    if len(shape) not in (2, 3, 4) or 0 in shape or headers["X"][1].kind not in "fiub":
        raise DataError(f"{path}: X is {headers['X'][1]} of shape {shape}, wanted numbers of shape (n, time, channels)")
    return headers, {member.removesuffix(".npy") for member in held}


def _header(archive: zipfile.ZipFile, member: str, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
        held = archive.getinfo(member).file_size - file.tell()
    wanted = math.prod(shape) * dtype.itemsize
    if held > INFLATED_AT_WILL and held > MOST_INFLATED * archive.getinfo(member).compress_size:
        raise DataError(f"{path}: {member} would inflate to {held / 2**20:.0f} MiB, more than data does: save it again")
    if dtype.hasobject:
        raise DataError(f"{path}: {member} holds Python objects, which are never loaded: save numbers or strings")
    if dtype.kind not in "fiubUS":
        raise DataError(f"{path}: {member} is of type {dtype}, wanted numbers or strings")
    if wanted > LARGEST_ARRAY:
        raise DataError(f"{path}: {member} would take {wanted / 2**30:.1f} GiB, at most 1 GiB is read: split the file")
    if wanted != held or min(shape, default=0) < 0:
        raise DataError(f"{path}: {member} is damaged: its header asks for {wanted} bytes, the archive holds {held}")
    return shape, dtype


def _column(arrays: dict[str, NDArray[Any]], name: str, *, count: int, path: Path) -> list[Any] | None:
    """Return the values of an array (n,) as Python numbers or strings."""
    if name not in arrays:
        return None
    array = arrays[name]
    if array.shape != (count,):
        to_do = ""
        if array.ndim == 2 and len(array) == count:
            to_do = f", wanted ({count},): save {name}.{'argmax(axis=1)' if array.shape[1] > 1 else 'reshape(-1)'}"
        raise DataError(f"{path}: {name} has the shape {array.shape}, and X holds {count} windows{to_do}")
    values: list[Any] = _text(array).tolist()
    return values


def _text(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind != "S":
        return array
    return np.char.decode(array, "utf-8", "surrogateescape")


def _rate(arrays: dict[str, NDArray[Any]], path: Path) -> float | None:
    name = next((one for one in RATE_NAMES if one in arrays), None)
    if name is None:
        return None
    if arrays[name].size != 1 or arrays[name].dtype.kind not in "fiu":
        raise DataError(f"{path}: {name} should be one number")
    return float(arrays[name].reshape(-1)[0])


def _channel_order(
    arrays: Mapping[str, NDArray[Any]], contract: Contract, path: Path, how: Choices
) -> list[int] | None:
    """Return the index of each of the contract's channels; None where they are taken as they come."""
    if "channels" not in arrays:
        if how.columns:
            raise DataError(f"{path} has no array channels, by which its columns are named", parameter="columns")
        return None
    given = [valid_text(str(name)) for name in _text(arrays["channels"]).reshape(-1)]
    names, wanted = [name.lower() for name in given], [channel.lower() for channel in contract.channels]
    held = arrays["X"].shape[-1] if arrays["X"].ndim > 2 or not contract.sample_rate_hz else 1
    if len(given) != held or len(set(names)) < held:
        raise DataError(f"{path}: channels names {', '.join(given)}, and X holds {held}: wanted one name for each")
    order = channel_columns(path, names, list(range(held)), wanted, how.columns)
    if [names[index] for index in order] != wanted:
        from edgecl.sources.scales import require_stated_units

        taken = [given[index] for index in order]
        require_stated_units(path, taken, contract, how.scale)
        logger.warning("%s: %s are taken as %s", path, ", ".join(taken), ", ".join(contract.channels))
    return order
