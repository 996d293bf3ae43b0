"""JSON Lines: windows and texts, one per line."""

from __future__ import annotations

import codecs
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.hashes import sha256
from edgecl.sources.cells import is_comment
from edgecl.sources.folders import require_file
from edgecl.sources.labels import MISSING_TEXTS, clean_label, is_missing, missing_label, valid_text
from edgecl.sources.lines import LONGEST_DOCUMENT, LONGEST_LINE, bounded_lines
from edgecl.sources.samples import GROUP_COLUMNS, Sample, Skip, SkipTally, UnusableError
from edgecl.sources.signals import RATE_NAMES, as_signal, checked_rate, window

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.sources.choices import Choices


TEXT_NAMES = ("text", "sentence", "utterance", "query")  # of what holds a text, the first that is there
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # its marks
LONGEST_TEXT = 10_000  # characters
MOST_NAMED = 6  # members of a line in a message
_BEGINNING = 64  # bytes of a file that show its form
AHEAD = 256  # objects by which the columns are known: members that have no value may be left out
_FIRST_LINES = 8  # of a file, of which one is not empty


def read_jsonl(
    path: Path, contract: Contract, *, label: str | None, labelled: bool, how: Choices
) -> Iterator[Sample | Skip]:
    """Read one window per line: `{"signal": [[...], ...], "label": ..., "subject": ..., "rate_hz": ...}`.

    For an extractor of text, `{"text": ..., "label": ...}`, or what the columns of a table of texts would be.

    `label` is for lines without one. A line that cannot be used becomes a skip, cut short after twenty
    of a kind.

    Raises
    ------
    DataError
        The file is unreadable, holds text, a line is longer than 64 MiB, or lines and `label` both label.
    """
    tally = SkipTally(str(path))
    names = _members(path, how) if contract.modality == "text" else (("signal",), "label")
    first_seen: dict[tuple[bytes, str | None], int] = {}
    try:
        require_file(path)
        with path.open("rb") as file:
            lines = bounded_lines(file, limit=LONGEST_DOCUMENT, error=partial(_too_long, path))
            _check_form(file.read(_BEGINNING), path)
            file.seek(0)
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    sample = _parse(line, f"{path}:{number}", contract, names, label=label, labelled=labelled)
                    digest = sha256(sample.signal.tobytes()).digest()
                    first = first_seen.setdefault((digest, sample.label), number)
                    if first != number and contract.sample_rate_hz:
                        raise UnusableError(f"duplicate: the same as line {first}")
                    yield sample
                except UnusableError as error:
                    yield from tally.skip(number, str(error), error.parameter)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    yield from tally.rest()


def json_cells(lines: Iterable[str], *, ahead: int = AHEAD) -> Iterator[tuple[int, list[str]]]:
    """Yield objects as cells with their line numbers; the members of the first `ahead` are the columns, and come first.

    An object within an object is a column for each of its members, acc_x for `{"acc": {"x": ...}}`. A member that is
    not there is an empty cell, unless there are others in its place. What is no such object has no cells.
    """
    objects = _objects(lines)
    first = list(islice(objects, ahead))
    are_lists: dict[str, bool] = {}
    for _, row in first:
        for name, value in row.items():
            are_lists[name] = are_lists.get(name, False) or isinstance(value, list)
    if first:
        yield 0, [f"{name} (a list)" if is_list else name for name, is_list in are_lists.items()]
    for number, row in chain(first, objects):
        cells = [_cell(row[name]) for name in are_lists if name in row]
        if 0 < len(cells) < len(are_lists) and row.keys() <= are_lists.keys():
            cells = [_cell(row.get(name)) for name in are_lists]
        yield number, cells


def _objects(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the objects of lines with their numbers; an empty one for a line that has none."""
    for number, line in enumerate(lines, start=1):
        if not line.strip() or is_comment(line):
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        yield number, _flat(entry) if isinstance(entry, dict) else {}


def _flat(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return members by name, those of objects within by both names."""
    if not any(isinstance(value, dict) for value in entry.values()):
        return entry
    parts = {name: value if isinstance(value, dict) else {"": value} for name, value in entry.items()}
    return {f"{name}_{inner}" if inner else name: one for name, part in parts.items() for inner, one in part.items()}


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def is_rows(path: Path, *, timed: bool) -> bool:
    """Test whether the lines of a file are rows, `timed` as `listen` takes them, and no windows.

    Raises
    ------
    DataError
        The file is unreadable, or no JSON Lines.
    """
    from edgecl.sources.csv_times import time_name

    try:
        require_file(path)
        with path.open("rb") as file:
            lines = (file.readline(LONGEST_LINE) for _ in range(_FIRST_LINES))
            first = next((line for line in lines if line.strip()), b"")
            _check_form(first, path)
        entry = json.loads(first)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        return False
    is_window = not isinstance(entry, dict) or "signal" in entry or "text" in entry
    return not is_window and any(not timed or time_name(str(name).lower()) for name in entry)


def _check_form(begins: bytes, path: Path) -> None:
    """Refuse what is no JSON Lines as a whole: UTF-16, and one list of everything."""
    if begins.startswith(_UTF16):
        raise DataError(f"{path} is UTF-16: save it as UTF-8")
    if begins.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
        raise DataError(f"{path} begins with a list: write one object per line, as `jq -c '.[]'` does of a list")


def _too_long(path: Path, number: int, text: str) -> DataError:
    return DataError(f"{path}:{number}: the {text}: is it JSON Lines?")


def _members(path: Path, how: Choices) -> tuple[tuple[str, ...], str]:
    """Return the members that may hold the text, and the one that is the label."""
    require_text_column(path, how)
    texts = (how.columns["text"],) if how.columns else TEXT_NAMES
    label = how.label_column or "label"
    if label in how.columns.values():
        raise DataError(
            f"{path}: {label} is the column of the texts: name that of the labels", parameter="label_column"
        )
    return texts, label


def require_text_column(path: Path, how: Choices) -> None:
    """Raise DataError where another column than that of the texts is named."""
    if unknown := set(how.columns) - {"text"}:
        raise DataError(f"{path}: {min(unknown)} is no part of a text, wanted text=COLUMN", parameter="columns")


def _parse(
    line: bytes,
    source: str,
    contract: Contract,
    names: tuple[tuple[str, ...], str],
    *,
    label: str | None,
    labelled: bool,
) -> Sample:
    texts, label_name = names
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"not JSON: {str(error)[:80]}") from error
    if not isinstance(entry, dict):
        raise UnusableError(f'not an object: wanted {{"signal": ..., "label": ...}}, got {type(entry).__name__}')
    takes_text = contract.modality == "text"
    if "text" in entry and "signal" not in entry and not takes_text:
        raise DataError(f"{source} is text, which needs a text extractor; this one takes {contract.modality}")
    wanted = next((one for one in texts if one in entry), texts[0])
    if wanted not in entry:
        what = "text" if takes_text else "signal"
        raise UnusableError(
            f'no {what}: the line has no "{wanted}", only {_named(entry)}'
            + (": name the member that has the text as text=NAME" if takes_text else ""),
            parameter="columns" if takes_text else "",
        )
    given = entry.get(label_name)
    if label is not None and given is not None:
        raise DataError(f"{source} has a label of its own: give no other", parameter="label")
    found = label if given is None else _json_label(given, labelled=labelled)
    if found is None and labelled:
        raise UnusableError(
            f'no label: the line has no "{label_name}", only {_named(entry)}: add it, or give one for all lines'
            + (", or name the member that has it" if takes_text else ""),
            parameter="label_column" if takes_text else "",
        )
    group = next((valid_text(str(entry[name])) for name in GROUP_COLUMNS if entry.get(name) is not None), None)
    return Sample(source, found, text_signal(entry[wanted]) if takes_text else _signal(entry, contract), group)


def _named(entry: Mapping[str, Any]) -> str:
    """The names of a line, in quotation marks."""
    return ", ".join(ascii(name) for name in list(entry)[:MOST_NAMED]) or "nothing"


def _signal(entry: Mapping[str, Any], contract: Contract) -> NDArray[np.float32]:
    raw = _array(entry["signal"])
    name = next((one for one in RATE_NAMES if one in entry), RATE_NAMES[0])
    rate_hz = checked_rate(_number(entry.get(name), name), contract, n_samples=len(raw))
    return window(raw, contract, rate_hz=rate_hz)


def text_signal(value: Any) -> NDArray[np.float32]:
    if not isinstance(value, str):
        raise UnusableError(f"not text: it is {type(value).__name__}")
    shown = "".join(one for one in value if unicodedata.category(one)[0] not in "CZ")
    if not shown:
        raise UnusableError("no text: it is empty")
    if value.strip().lower() in MISSING_TEXTS:
        raise UnusableError(f"no text: {value.strip()!a} stands for a missing one")
    if any("\udc80" <= one <= "\udcff" for one in value):  # what `open_table` makes of bytes that are not UTF-8
        raise UnusableError("not UTF-8: the text holds bytes that are no characters: save the file as UTF-8")
    if len(value) > LONGEST_TEXT:
        raise UnusableError(f"too long: {len(value)} characters, at most {LONGEST_TEXT} are read")
    return as_signal(value.strip())


def _array(value: Any) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UnusableError("ragged: the rows of the signal differ in length") from error
    if array.ndim == 0 or array.dtype.kind not in "fiub":
        raise UnusableError('not numbers: "signal" wants rows of numbers')
    return array


def _number(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # of an integer beyond every float
            return float(value)
    raise UnusableError(f"unknown rate: {name} is {ascii(value)[:40]}")


def _json_label(value: Any, *, labelled: bool) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnusableError(f"bad label: {ascii(value)[:40]} is neither text nor a whole number")
    if is_missing(str(value)):
        if labelled:
            raise UnusableError(missing_label(str(value)))
        return None
    return clean_label(str(value))
