"""Recordings on disk, in the forms that users have them, to samples for an extractor.

A path is one of:

- a folder of `<label>/<file>` or `<label>/<speaker>/<file>`: sound (.wav, .flac) for an extractor of sound,
  recordings (.csv) for one of movement; or a flat folder with `label`;
- one .wav file, or .flac, .ogg, .opus, .mp3 or .aiff with the extra [audio]; any rate and channel count (channels
  are averaged, rates converted by soxr);
- an .npz of windows: `X` (n, time, channels), `y` of integers or strings, optional `label_names`, `subject`
  (or `speaker`), `rate_hz`, `channels`;
- a .csv with the column `timestamp` (seconds, milliseconds since 1970 or ISO 8601), one column per channel,
  optional `label` and `subject` (or `speaker`); cut into windows of the extractor's length and hop;
- a .jsonl of `{"signal": [[...], ...], "label": ..., "subject": ..., "rate_hz": ...}`, one window a line;
- a .jsonl of rows with times, as `listen` takes them: as such a .csv;
- for an extractor of pictures, such a folder of .jpg, .png, .webp or .bmp, one such file (extra [image]), or an .npz
  of `X` (n, height, width, 3) uint8;
- for an extractor of text, a .jsonl of `{"text": ..., "label": ...}` or a .csv with the columns text and label.

What cannot be used becomes a `Skip` with its reason; what makes the whole path useless is a `DataError`.
`label` is for data that has no labels of its own: given for data that has, it is refused, because one wrong
option would relabel everything. Folders named `_silence_` or `_background_noise_` are labels like others,
except that long files in them are cut into clips (elsewhere more than 30 s are not a clip, and skipped).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecl.errors import DataError, SettingError
from edgecl.hashes import sha256
from edgecl.notes import Logger
from edgecl.sources.choices import Choices
from edgecl.sources.folders import (
    CONVERT,
    CONVERT_PICTURE,
    CONVERTED,
    CONVERTED_PICTURES,
    PICTURES,
    Found,
    find_files,
    group_of,
    named_suffixes,
    require_file,
    require_labels_first,
)
from edgecl.sources.labels import BACKGROUND, Spellings, clean_label, one_spelling
from edgecl.sources.samples import Sample, Skip, UnusableError, reason_kind
from edgecl.sources.sound import LARGEST, LONGEST_S, Sound, clip, decode
from edgecl.units import GRAVITY, sensor_unit
from edgecl.values import replace

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract


logger = Logger(__name__)
__all__ = ["Sample", "Skip", "count_samples", "read_samples"]
SOUND = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")
TABLES = (".csv", ".tsv")
PACKED = (".gz", ".bz2", ".xz", ".zip", ".7z", ".tar", ".tgz", ".rar")
OTHER_TABLES = (".xlsx", ".xls", ".ods", ".txt", ".dat", ".log")  # a table is often in one of them
FEWEST_OF_A_RATE = 3  # clips of a label that are named by their rate
KINDS = (*SOUND, *PICTURES, *TABLES, ".npz", ".jsonl")


def read_samples(
    path: Path,
    contract: Contract,
    *,
    label: str | None = None,
    labelled: bool = True,
    label_column: str | None = None,
    how: Choices | None = None,
    checked: bool | None = None,
    known: Collection[str] = (),
) -> Iterator[Sample | Skip]:
    """Read samples one by one, in an order that depends on nothing but the data.

    Parameters
    ----------
    path
        A folder or file, see the module.
    contract
        Contract of the extractor that will take the samples: its rate, channels, window and hop.
    label
        Label for data without labels of its own.
    labelled
        Whether every sample needs a label; False to predict, where a sample may have none.
    label_column
        Column of labels of a .csv, where it is not called label.
    how
        What is settled about data that could be read in two ways.
    checked
        Whether sound without content and black or constant pictures are skipped; False only names them, as for
        predictions. By default as `labelled`.
    known
        Classes of the store: folders above others that are called like them are no labels.

    Yields
    ------
    Sample or Skip
        Signals are (n, channels) float32 at the contract's rate, finite, sound in [-1, 1].

    Raises
    ------
    SettingError
        `label` is no usable name.
    DataError
        The path is missing, unreadable, of an unknown kind or empty, a label is missing or given twice, the
        extra [audio] is needed; or, at the end, nothing in it was usable: the message counts the reasons.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from edgecl.extractors.opening import builtin_extractor, open_extractor
    >>> from edgecl.sources.sound import encode_wav
    >>> contract = open_extractor(builtin_extractor("voice")).contract
    >>> noise = np.random.default_rng(0).normal(size=(16000, 1)).astype(np.float32) / 10
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "one.wav")
    ...     _ = file.write_bytes(encode_wav(noise, rate_hz=contract.sample_rate_hz))
    ...     [sample] = read_samples(file, contract, label="yes")
    >>> sample.label, sample.signal.shape
    ('yes', (16000, 1))
    """
    path = Path(path)
    if label is not None:
        label = _given_label(label)
    settled = _settled(how, label_column)
    is_strict = labelled if checked is None else checked
    items = _open(path, contract, label=label, labelled=labelled, how=settled, is_strict=is_strict)
    if labelled and settled.label_folder is None and path.is_dir():
        require_labels_first(path, known)
    if contract.is_sound:
        from edgecl.sources.activity import judged

        items = judged(items, contract, is_strict=is_strict)
    elif any(sensor_unit(unit) in GRAVITY for unit in contract.units) and _kind(path) != "folder":
        from edgecl.sources.scales import in_units

        items = in_units(items, path, contract, settled.scale)
    if labelled:
        items = one_spelling(items, Spellings(case=settled.label_case))
    is_cut = contract.modality == "imu" and _kind(path) in (".npz", ".jsonl")  # into windows, which get no longer
    return _something_of(items, path, if_short="like" if is_cut else "")


def count_samples(
    path: Path, contract: Contract, *, label_column: str | None = None, how: Choices | None = None
) -> int:
    """Estimate how many samples `read_samples` will yield, without reading them; raises DataError as that does."""
    path = Path(path)
    kind = _kind(path)
    if kind == "folder":
        files = find_files(path, suffixes=_suffixes(contract), label=None, labelled=False)
        return sum(isinstance(file, Found) for file in files)
    if kind == ".npz":
        from edgecl.sources.npz import npz_count

        return npz_count(path)
    if kind in TABLES and contract.sample_rate_hz:
        from edgecl.sources.csv_columns import read_columns
        from edgecl.sources.csv_windows import csv_count

        settled = _settled(how, label_column)
        return csv_count(path, read_columns(path, contract, how=settled), contract)
    if kind in (*SOUND, *PICTURES):
        return 1
    from edgecl.sources.lines import count_lines

    return max(count_lines(path), 1)


def _settled(how: Choices | None, label_column: str | None) -> Choices:
    how = how or Choices()
    return how if label_column is None else replace(how, label_column=label_column)


def _given_label(label: str) -> str:
    try:
        return clean_label(label)
    except UnusableError as error:
        raise SettingError(f"the label {ascii(label)[:80]} can't be used: {error}", parameter="label") from error


def _kind(path: Path) -> str:
    """Return `folder`, or the suffix of a known kind of file."""
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    if is_folder:
        return "folder"
    if not path.exists():
        raise DataError(f"{path} does not exist" + ("" if not path.is_symlink() else ": it is a broken link"))
    suffix = path.suffix.lower()
    if not is_file or suffix not in KINDS:
        to_do = f"; convert it: {CONVERT}" if suffix in CONVERTED else ""
        to_do = f"; convert it: {CONVERT_PICTURE}" if suffix in CONVERTED_PICTURES else to_do
        to_do = "; save it as .csv" if suffix in OTHER_TABLES else to_do
        to_do = "; unpack it first" if suffix in PACKED else to_do
        to_do = "; write one object per line of a .jsonl file, as `jq -c '.[]'` does" if suffix == ".json" else to_do
        raise DataError(f"{path} is of no known kind, wanted a folder or a {named_suffixes(KINDS)} file{to_do}")
    return suffix


def _suffixes(contract: Contract) -> tuple[str, ...]:
    if contract.is_picture:
        return PICTURES
    return SOUND if contract.is_sound else TABLES


def _open(
    path: Path, contract: Contract, *, label: str | None, labelled: bool, how: Choices, is_strict: bool
) -> Iterator[Sample | Skip]:
    """Open a path; what is wrong with it as a whole is raised here, before the first sample."""
    kind = _kind(path)
    if contract.is_picture:
        return _pictures(path, kind, contract, label=label, labelled=labelled, how=how, is_strict=is_strict)
    if contract.modality == "text" and kind in TABLES:
        from edgecl.sources.text_tables import read_text_table

        return read_text_table(path, label=label, labelled=labelled, how=how)
    if contract.modality == "text" and kind != ".jsonl":
        raise DataError(
            f'{path}: the extractor takes text: give a .jsonl of {{"text": ..., "label": ...}} lines, '
            "or a .csv with the columns text and label"
        )
    if kind == ".jsonl" and contract.modality != "text":
        from edgecl.sources.json_lines import is_rows

        kind = ".csv" if is_rows(path, timed=contract.sample_rate_hz > 0) else kind
    if how.label_column is not None and kind == ".jsonl" and contract.modality != "text":
        raise DataError(f"{path} has no rows: its first line is no JSON object of columns: write one row per line")
    if how.label_column is not None and kind not in TABLES and contract.modality != "text":
        raise DataError(f"{path} has no columns: a column of labels is for .csv files", parameter="label_column")
    if kind == "folder":
        suffixes, depth = _suffixes(contract), how.label_folder
        found = find_files(path, suffixes=suffixes, label=label, labelled=labelled, label_folder=depth)
        if contract.is_sound:
            return _sounds(found, contract, channel=how.channel)
        from edgecl.sources.csv_windows import read_csv_files

        return read_csv_files(found, contract, labelled=labelled, how=how)
    if kind == ".jsonl":
        from edgecl.sources.json_lines import read_jsonl

        return read_jsonl(path, contract, label=label, labelled=labelled, how=how)
    if kind == ".npz":
        from edgecl.sources.npz import NpzWindows

        windows = NpzWindows(path, contract, how)
        _check_label(path, windows.labels is not None, label, labelled=labelled, others=windows.like_labels)
        return windows.samples(label)
    if (kind in SOUND) != contract.is_sound:
        raise DataError(f"{path} is a {kind} file, and the extractor takes {_takes(contract)}")
    if kind in SOUND:
        _check_label(path, False, label, labelled=labelled)
        return _sounds(iter([Found(path, label, group_of(path))]), contract, channel=how.channel)
    from edgecl.sources.csv_columns import read_columns
    from edgecl.sources.csv_windows import read_csv

    columns = read_columns(path, contract, how=how)
    if labelled and label is None and columns.label is None and columns.words:
        raise DataError(
            f"{path} has no labels: give the label of its samples, or the column that has them (of {columns.words})",
            parameter="label_column",
        )
    _check_label(path, columns.label is not None, label, labelled=labelled)
    return read_csv(path, columns, contract, label=label, labelled=labelled)


def _pictures(
    path: Path, kind: str, contract: Contract, *, label: str | None, labelled: bool, how: Choices, is_strict: bool
) -> Iterator[Sample | Skip]:
    from edgecl.sources.pictures import in_bursts, read_pictures

    if kind == "folder":
        found = find_files(path, suffixes=PICTURES, label=label, labelled=labelled, label_folder=how.label_folder)
        return read_pictures((_grouped(one, path) for one in found), contract, is_strict=is_strict)
    if kind in PICTURES:
        _check_label(path, False, label, labelled=labelled)
        return read_pictures(iter([Found(path, label, None)]), contract, is_strict=is_strict)
    if kind != ".npz":
        raise DataError(f"{path} is a {kind} file, and the extractor takes {_takes(contract)}")
    from edgecl.sources.npz import NpzWindows

    windows = NpzWindows(path, contract, how)
    _check_label(path, windows.labels is not None, label, labelled=labelled, others=windows.like_labels)
    return in_bursts(windows.samples(label), contract, is_strict=is_strict)


def _grouped(file: Found | Skip, root: Path) -> Found | Skip:
    """Return a picture without the group of its name: IMG_0001.jpg and IMG_0002.jpg have nothing in common."""
    if isinstance(file, Skip) or len(file.path.relative_to(root).parts) > 2:
        return file
    return file._replace(group=None)


def _takes(contract: Contract) -> str:
    if contract.is_picture:
        return f"pictures: give {' or '.join(PICTURES)} files, or an .npz of X (n, height, width, 3)"
    if contract.is_sound:
        return f"sound: give {' or '.join(SOUND)} files"
    return f"{len(contract.channels)} channels ({', '.join(contract.channels)}): give .npz, .csv or .jsonl"


def _check_label(
    path: Path, has_labels: bool, label: str | None, *, labelled: bool, others: Sequence[str] = ()
) -> None:
    if has_labels and label is not None:
        raise DataError(f"{path} has labels of its own: give no other", parameter="label")
    if labelled and not has_labels and label is None:
        lacks = f"array y, but {', '.join(others)}, which may be it: call it y; or" if others else "labels:"
        raise DataError(f"{path} has no {lacks} give the label of its samples", parameter="label")


def _something_of(items: Iterator[Sample | Skip], path: Path, *, if_short: str) -> Iterator[Sample | Skip]:
    """Yield every item; raise DataError with a count of reasons if no sample was among them."""
    reasons: Counter[str] = Counter()
    first: Skip | None = None
    parameter, usable = "", False
    for item in items:
        usable = usable or isinstance(item, Sample)
        if isinstance(item, Skip):
            first = first or item
            parameter = parameter or item.parameter
            reasons[reason_kind(item.reason)] += item.count
        yield item
    if not usable:
        counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "it is empty"
        example = f" (first: {first.source}: {first.reason})" if first else ""
        remedy = if_short if reasons.keys() == {"too short"} else ""
        raise DataError(f"nothing in {path} can be used: {counted}{example}", parameter=parameter, remedy=remedy)


def _sounds(files: Iterator[Found | Skip], contract: Contract, *, channel: int | None) -> Iterator[Sample | Skip]:
    first_seen: dict[tuple[bytes, str | None], Path] = {}  # under another label it is a contradiction, for the lesson
    rates: dict[str | None, list[int]] = {}  # of the files of each label
    for file in files:
        if isinstance(file, Skip):
            yield file
            continue
        try:
            content = _content(file.path)
            first = first_seen.setdefault((sha256(content).digest(), file.label), file.path)
            if first != file.path:
                raise UnusableError(f"duplicate: the same as {first}")
            sound = decode(content)
            rates.setdefault(file.label, []).append(sound.rate_hz)
            yield from _clips(sound, file, contract, channel=channel)
        except UnusableError as error:
            yield error.skip(str(file.path))
    _name_lower_rates(rates, contract.sample_rate_hz)


def _name_lower_rates(rates: Mapping[str | None, list[int]], wanted_hz: float) -> None:
    """Warn of labels all of whose files are below the wanted rate, where others have none: a header may be wrong."""
    low = {label: min(several) for label, several in rates.items() if max(several) < wanted_hz}
    has_others = any(min(several) >= wanted_hz for several in rates.values())
    named = sorted(str(label) for label in low if len(rates[label]) >= FEWEST_OF_A_RATE)
    if named and has_others:
        logger.warning(
            "all clips of %s are below the %g Hz that the extractor takes, as %d Hz, and those of others are not: is "
            "that their rate? The classes may be told apart by it",
            ", ".join(named), wanted_hz, min(low.values()),
        )  # fmt: skip


def _content(path: Path) -> bytes:
    try:
        require_file(path)
        size = path.stat().st_size
        if size > LARGEST:
            raise UnusableError(
                f"too long: {size / 2**20:.0f} MiB, at most {LARGEST >> 20} MiB are read: cut it into clips"
            )
        return path.read_bytes()
    except OSError as error:
        raise UnusableError(f"unreadable: {error.strerror}") from error


def _clips(sound: Sound, file: Found, contract: Contract, *, channel: int | None) -> Iterator[Sample]:
    """Yield one clip, or consecutive clips of a long background recording."""
    length_s = len(sound.samples) / sound.rate_hz
    in_pieces = file.label in BACKGROUND and length_s * contract.sample_rate_hz >= 2 * contract.clip_samples
    if length_s > LONGEST_S and not in_pieces:
        raise UnusableError(f"too long: {length_s:.1f} s, a clip has at most {LONGEST_S:g} s: cut it")
    signal = clip(sound, rate_hz=contract.sample_rate_hz, channel=channel)
    if not in_pieces:
        yield Sample(str(file.path), file.label, signal, file.group)
        return
    for start in range(0, len(signal) - contract.clip_samples + 1, contract.clip_samples):
        source = f"{file.path}@{start / contract.sample_rate_hz:.2f}s"
        piece = signal[start : start + contract.clip_samples]
        yield Sample(source, file.label, piece, file.group, str(file.path))
