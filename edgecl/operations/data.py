"""Samples in the forms that callers have them, and their latents a few at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.notes import Logger
from edgecl.sources.labels import clean_label, is_none
from edgecl.sources.samples import LARGEST, Sample, Skip, UnusableError, check_size, reason_kind
from edgecl.sources.sound import check_level
from edgecl.values import dataclass

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.extractors.contract import Contract
    from edgecl.operations.far_values import FarValues
    from edgecl.sources.gravity import Gravity
    from edgecl.sources.named_rows import NamedRows

logger = Logger(__name__)
SIGNALS_AT_ONCE = 16

Signals: TypeAlias = "NDArray[Any] | Iterable[Any] | str"
Data: TypeAlias = "Signals | Mapping[str, Signals]"


class Extracting(Protocol):
    """What has an extractor: an open store, or one that is tried."""

    @property
    def extractor(self) -> FileExtractor: ...

    def gravity(self) -> Gravity: ...


@dataclass(frozen=True)
class Through:
    """An extractor alone."""

    extractor: FileExtractor

    def gravity(self) -> Gravity:
        """Return what compares the acceleration of samples with each other."""
        from edgecl.sources.gravity import Gravity

        return Gravity(self.extractor.contract, None)


@dataclass(frozen=True)
class Embedded:
    """Progress of an operation: the number of samples that have been through the extractor."""

    samples: int


class Latent(Sample):
    """A sample that has been through the extractor: its signal is the latent (D,)."""


def samples_of(
    data: Data, labels: Iterable[Any] | None = None, *, contract: Contract, latents: bool = False
) -> Iterator[Sample | Skip]:
    """Yield samples of any data that a verb takes; what would be skipped in a file is skipped.

    Parameters
    ----------
    data
        Samples and skips as `read_samples` yields them; or signals at the contract's rate and in its units: an array
        (n, samples), (n, samples, channels) or (n, columns), a list of arrays (samples,), (samples, channels) or
        (columns,), one such array alone, texts; pictures (height, width, 3) uint8; or a mapping from label to any of
        these. Rows of a table are mappings too, and DataFrames.
    labels
        One for each signal, where the data has none of its own.
    contract
        Of the extractor.
    latents
        Whether the data is latents (n, D) or (D,) in place of signals.

    Raises
    ------
    DataError
        When there are more or fewer labels than signals, and at the end where no signal can be used.
    """
    rows = _named_rows(contract) if contract.modality == "table" and not latents else None
    items = _something_of(_labelled(data, labels, contract, latents, rows), contract, latents, rows)
    if rows is not None:
        items = rows.noted(items)
    if latents or contract.modality != "imu":
        return items
    from edgecl.sources.odd_rows import noted
    from edgecl.sources.scales import in_units

    return noted(in_units(items, "the data", contract, {}), contract)


def _named_rows(contract: Contract) -> NamedRows:
    from edgecl.sources.named_rows import NamedRows

    return NamedRows(contract)


def embedded(
    opened: Extracting,
    items: Iterable[Sample | Skip],
    skipped: list[Skip],
    *,
    at_once: int = SIGNALS_AT_ONCE,
    gravity: Gravity | None = None,
    frames: list[NDArray[np.float32]] | None = None,
) -> Iterator[tuple[list[Sample], NDArray[np.float32]]]:
    """Yield samples with their latents (n, D), a few at a time; what is skipped is added to the list.

    Parameters
    ----------
    frames
        Holds, for each sample that was yielded last, the frames (P, D) of its latent; nothing where that was given.

    Raises
    ------
    DataError
        As `in_taught_units`.
    """
    items = in_taught_units(opened, items, gravity)
    items = with_unread_texts(items, opened.extractor)
    far = far_values(opened.extractor.contract)
    batch: list[Sample] = []
    opened = Through(opened.extractor)  # the same for all, also where another becomes live meanwhile
    for item in items:
        one = _heard(item, opened)
        if isinstance(one, Skip):
            skipped.append(one)
            continue
        batch.append(one)
        if len(batch) == at_once:
            yield from _usable_latents(opened, batch, skipped, frames, far)
            batch = []
    if batch:
        yield from _usable_latents(opened, batch, skipped, frames, far)
    if far is not None:
        far.warn()


def far_values(contract: Contract) -> FarValues | None:
    """Return what counts values of a table that are cut; None of other extractors."""
    if contract.modality != "table":
        return None
    from edgecl.operations.far_values import FarValues

    return FarValues(contract)


def with_unread_texts(items: Iterable[Sample | Skip], extractor: FileExtractor) -> Iterable[Sample | Skip]:
    """Pass samples, and warn of texts that are not read."""
    if extractor.contract.modality != "text":
        return items
    from edgecl.operations.unread_texts import noted

    return noted(items, extractor)


def in_taught_units(
    opened: Extracting, items: Iterable[Sample | Skip], gravity: Gravity | None = None
) -> Iterable[Sample | Skip]:
    """Pass samples; of movement their units are compared with the calibration, and gravity with what was taught.

    Raises
    ------
    DataError
        When angular rates are in another unit, or acceleration has gravity where what was taught has none.
    """
    if opened.extractor.contract.modality != "imu":
        return items
    from edgecl.operations.rates import in_calibrated_units

    return (gravity or opened.gravity()).same(in_calibrated_units(items, opened.extractor))


def _usable_latents(
    opened: Extracting,
    batch: list[Sample],
    skipped: list[Skip],
    frames: list[NDArray[np.float32]] | None,
    far: FarValues | None,
) -> Iterator[tuple[list[Sample], NDArray[np.float32]]]:
    """Yield samples with their latents, but for those of which the extractor makes what cannot be learnt."""
    if frames is not None:
        frames.clear()
    latents = latents_of(opened, batch, frames)
    is_usable = np.abs(latents).max(axis=1, initial=0) <= LARGEST  # NaN is not
    if not is_usable.all():
        reason = f"too large: its latent is not finite or beyond {LARGEST:g}"
        skipped.extend(Skip(one.source, reason) for one, usable in zip(batch, is_usable, strict=True) if not usable)
        batch = [one for one, usable in zip(batch, is_usable, strict=True) if usable]
        latents = latents[is_usable]
        if frames:
            frames[:] = [one for one, usable in zip(frames, is_usable, strict=True) if usable]
    if batch:
        if far is not None:
            far.add(latents)
        yield batch, latents


def latents_of(
    opened: Extracting, samples: list[Sample], frames: list[NDArray[np.float32]] | None = None
) -> NDArray[np.float32]:
    """Compute the latents (n, D) of samples; those that are latents already stay as they are. `frames` is extended."""
    if all(isinstance(one, Latent) for one in samples):
        return np.array([one.signal for one in samples], np.float32).reshape(len(samples), -1)
    return opened.extractor.latents([one.signal for one in samples], frames=frames)


def checked_label(label: object, source: str) -> str:
    """Return a label as it is stored.

    Raises
    ------
    DataError
        When there is none, when it is not a string, and when it is empty, too long or contains control characters.

    Examples
    --------
    >>> checked_label(" lights off ", "clip")
    'lights off'
    """
    if label is None or (not isinstance(label, str) and is_none(label)):
        raise DataError(
            f"{source} has no label, or one such as nan that stands for none: what is taught needs one",
            parameter="label",
        )
    if not isinstance(label, str):
        raise DataError(
            f"{source}: the label {ascii(label)[:80]} is of type {type(label).__name__}, and labels are strings: "
            "convert them with str()"
        )
    try:
        return clean_label(str(label))
    except UnusableError as error:
        raise DataError(f"{source}: the label {ascii(label)[:80]} can't be used: {error}") from error


def _heard(item: Sample | Skip, opened: Extracting) -> Sample | Skip:
    """Pass a sample; silent sound, which would teach nothing or wrong things, becomes a skip."""
    if isinstance(item, Skip | Latent):
        return item
    if not isinstance(item, Sample):
        raise DataError(f"samples are wanted, not {type(item).__name__}")
    try:
        if opened.extractor.contract.is_sound:
            check_level(max(float(item.signal.max(initial=0)), -float(item.signal.min(initial=0))))
        else:
            check_size(item.signal, opened.extractor.contract.units)
    except UnusableError as error:
        return error.skip(item.source)
    return item


def _labelled(
    data: Data, labels: Iterable[Any] | None, contract: Contract, latents: bool, rows: NamedRows | None
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (source, signal or sample, label) of each."""
    if isinstance(data, Mapping):
        if labels is not None:
            raise DataError("labels are given twice: the data is a mapping from label to signals", parameter="label")
        for label, signals in data.items():
            yield from ((f"{label}[{i}]", one, label) for i, one in enumerate(_each(signals, contract, latents, rows)))
        return
    signals = _each(data, contract, latents, rows)
    if labels is None:
        yield from ((f"[{i}]", one, None) for i, one in enumerate(signals))
        return
    if isinstance(labels, Mapping | Set) or hasattr(labels, "columns"):
        raise DataError(
            f"labels are one for each signal, in their order, and this is a {type(labels).__name__}", parameter="label"
        )
    given = labels.tolist() if isinstance(labels, np.ndarray) else [labels] if isinstance(labels, str) else list(labels)
    held = list(signals)
    if len(given) != len(held):
        raise DataError(f"{len(held)} signals and {len(given)} labels: wanted one label for each", parameter="label")
    named = (None if is_none(one) else one for one in given)
    yield from ((f"[{i}]", one, label) for i, (one, label) in enumerate(zip(held, named, strict=True)))


def _each(data: Signals, contract: Contract, latents: bool, rows: NamedRows | None) -> Iterable[Any]:
    """Split a batch into signals; a single signal is a batch of one."""
    if isinstance(data, float | int):
        raise DataError("a number is no signal: a row with names is given in a list, [row]")
    if hasattr(data, "columns"):
        from edgecl.sources.named_rows import framed

        return framed(data, contract, rows, latents=latents)
    if isinstance(data, str | bytes | os.PathLike | Sample | Skip) or (rows is not None and rows.is_row(data)):
        return [data]
    if isinstance(data, list | tuple) and data and isinstance(data[0], float | int):
        data = np.asarray(data)
    if isinstance(data, np.ndarray) and data.dtype.kind not in "OUS":
        return [data] if data.ndim == 0 or _is_single(data, contract, latents) else data
    return data


def _is_single(data: NDArray[Any], contract: Contract, latents: bool) -> bool:
    """Test whether an array is one signal (samples,), (samples, channels) or (columns,), a picture, or a latent."""
    if contract.is_picture and not latents:
        return data.ndim == 2 or (data.ndim == 3 and data.shape[1] != contract.window_samples)
    if latents or contract.sample_rate_hz == 0:
        return data.ndim == 1
    return data.ndim == 1 or (data.ndim == 2 and data.shape[1] == len(contract.channels))


def _something_of(
    items: Iterator[tuple[str, Any, Any]], contract: Contract, latents: bool, rows: NamedRows | None
) -> Iterator[Sample | Skip]:
    """Yield samples; raise where there was something and none of it can be used."""
    reasons: Counter[str] = Counter()
    first, is_usable = "", False
    heard = _hearing(contract) if not latents else None
    for source, one, label in items:
        item = _sample(source, one, label, contract, latents, rows)
        if heard is not None and item is not one:  # what was read from a file has been judged
            item = heard(item)
        is_usable = is_usable or item is one or isinstance(item, Sample)
        if isinstance(item, Skip):
            first = first or f"{item.source}: {item.reason}"
            reasons[reason_kind(item.reason)] += 1
        yield item
    if reasons and not is_usable:
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise DataError(f"nothing of the data can be used: {counted} (first: {first})")


def _hearing(contract: Contract) -> Callable[[Sample | Skip], Sample | Skip] | None:
    """Return what judges one sample of sound or picture after the other: in a lesson it skips what teaches nothing."""
    if contract.is_picture:
        from edgecl.sources.pictures import seen

        return lambda item: seen(item, contract, is_strict=isinstance(item, Sample) and item.label is not None)
    if not contract.is_sound:
        return None
    from edgecl.sources.activity import Hearing, judged_one

    hearing = Hearing(contract)
    return lambda item: judged_one(item, hearing, is_strict=isinstance(item, Sample) and item.label is not None)


def _sample(
    source: str, one: Any, label: Any, contract: Contract, latents: bool, rows: NamedRows | None
) -> Sample | Skip:
    """Check one signal as one of a file is; samples and skips pass."""
    if isinstance(one, Sample | Skip):
        return one
    try:
        if latents:
            from edgecl.sources.signals import latent

            return Latent(source, label, latent(one, contract), None)
        found = None if rows is None else rows.signal(one)
        return Sample(source, label, _signal(one, contract) if found is None else found, None)
    except UnusableError as error:
        return error.skip(source)


def _signal(one: Any, contract: Contract) -> NDArray[np.float32]:
    if contract.modality == "text":
        from edgecl.sources.json_lines import text_signal

        return text_signal(one)
    from edgecl.sources.signals import window

    if isinstance(one, str | bytes | os.PathLike):
        raise UnusableError(
            f"not a signal: {type(one).__name__}: `edgecl.read_samples(path, learner.contract)` reads files"
        )
    if hasattr(one, "columns"):
        from edgecl.sources.named_rows import in_channel_order

        one = in_channel_order(one, contract)
    try:
        raw = np.asarray(one)
    except ValueError as error:
        raise UnusableError("ragged: the rows of the signal differ in length") from error
    return window(raw, contract, rate_hz=contract.sample_rate_hz)


def spool_folder() -> Path | None:
    """Return where a long lesson is spooled to: a folder on disk, since the default one may be in memory."""
    on_disk = Path("/var/tmp")  # noqa: S108 (a file without a name is private)
    return on_disk if "TMPDIR" not in os.environ and os.access(on_disk, os.W_OK) else None
