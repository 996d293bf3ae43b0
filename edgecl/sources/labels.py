"""Labels: which are valid, and the names of the background classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path

from edgecl.errors import DataError
from edgecl.sources.samples import Sample, Skip, UnusableError
from edgecl.values import replace

BACKGROUND = ("_silence_", "_background_noise_")  # labels that stand for background
NEGATIVE = BACKGROUND[-1]  # what a false accept without a right name is taught as
LONGEST_LABEL = 64
# Joiners that Persian, Indic scripts and emoji need; other format characters can disguise a label.
_ALLOWED_FORMATS = ("\u200c", "\u200d")
MISSING_WORDS = frozenset(  # cells without a value, in lower case
    {"", "?", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "none"}
)
_WHOLE = re.compile(r"([+-]?\d+)\.0+")  # a whole number that has become a decimal one


def is_missing(text: str) -> bool:
    """Test whether a cell stands for a missing value.

    >>> is_missing(" NaN "), is_missing("naan")
    (True, False)
    """
    return text.strip().lower() in MISSING_WORDS


def missing_label(text: str) -> str:
    """Return why a row or line without a label is skipped, from its cell."""
    if not text.strip():
        return "no label: the cell is empty"
    return f"no label: {text.strip()!a} stands for a missing one: call the class something else if it is one"


def valid_text(text: str) -> str:
    """Return the text without surrounding space, and with bytes that were not UTF-8 replaced."""
    return text.strip().encode("utf-8", "replace").decode()


def clean_label(text: str) -> str:
    """Return the label without surrounding space, in one Unicode form (NFC: macOS writes folder names in another).

    Raises
    ------
    UnusableError
        The label is empty, longer than 64 characters, begins with a dot or holds control characters.

    >>> clean_label("  lights off ")
    'lights off'
    """
    label = unicodedata.normalize("NFC", text).strip()
    if not label:
        raise UnusableError("no label: it is empty")
    if len(label) > LONGEST_LABEL:
        raise UnusableError(f"bad label: {len(label)} characters, at most {LONGEST_LABEL} are allowed")
    if label.startswith("."):
        raise UnusableError(f"bad label: {label!a} begins with a dot")
    if any(unicodedata.category(character) == "Cs" for character in label):
        raise UnusableError(f"bad label: {label!a} is not UTF-8: save the file as UTF-8")
    if any(_is_control(character) for character in label):
        raise UnusableError(f"bad label: {label!a} holds control characters")
    return label


def one_spelling(
    items: Iterator[Sample | Skip], path: Path, *, case: str | None, classes: Collection[str] = ()
) -> Iterator[Sample | Skip]:
    """Pass samples whose labels are one class in one spelling.

    Parameters
    ----------
    case
        "lower" turns labels to lower case and their compatible Unicode form, or to the spelling of a class that is
        known; "keep" takes each as a class of its own.
    classes
        Those that are known.

    Raises
    ------
    DataError
        Two labels, or a label and a class that is known, differ only in case, Unicode form or as 1 and 1.0, and `case`
        is None.
    """
    known = {_plain(one): one for one in classes}
    for item in items:
        if isinstance(item, Skip) or item.label is None or case == "keep" or item.label in classes:
            yield item
            continue
        plain = _plain(item.label)
        if case is None and (other := known.setdefault(plain, item.label)) != item.label:
            what = (
                f"has the label {item.label!r}, and the class {other!r} is known"
                if other in classes
                else f"has the labels {other!r} and {item.label!r}"
            )
            raise DataError(
                f"{path} {what}, which differ only in case, in Unicode form or as 1 and 1.0: give them one spelling, "
                "or settle that labels are kept or turned to lower case",
                parameter="label_case",
            )
        label = item.label if case is None else known.get(plain, plain)
        yield item if label == item.label else replace(item, label=label)


def _plain(label: str) -> str:
    """Return what labels of one class have in common, whatever their case, Unicode form or decimals."""
    plain = unicodedata.normalize("NFKC", label).casefold()
    whole = _WHOLE.fullmatch(plain)
    return whole[1] if whole else plain


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and character not in _ALLOWED_FORMATS)
