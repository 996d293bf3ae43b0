"""Labels: which are valid, and the names of the background classes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from edgecl.errors import DataError
from edgecl.sources.samples import Sample, Skip, UnusableError
from edgecl.values import replace

BACKGROUND = ("_silence_", "_background_noise_")  # labels that stand for background
NEGATIVE = BACKGROUND[-1]  # what a false accept without a right name is taught as
LONGEST_LABEL = 64
# Joiners that Persian, Indic scripts and emoji need; other format characters can disguise a label.
_ALLOWED_FORMATS = ("\u200c", "\u200d")
MISSING_WORDS = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})  # cells without a value, in lower case


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
    if any(_is_control(character) for character in label):
        raise UnusableError(f"bad label: {label!a} holds control characters")
    return label


def one_spelling(items: Iterator[Sample | Skip], path: Path, *, case: str | None) -> Iterator[Sample | Skip]:
    """Pass samples whose labels are one class in one spelling.

    Parameters
    ----------
    case
        "lower" turns labels to lower case and their compatible Unicode form, "keep" takes each as a class of its own.

    Raises
    ------
    DataError
        Two labels differ only in case or Unicode form, and `case` is None.
    """
    known: dict[str, str] = {}
    for item in items:
        if isinstance(item, Skip) or item.label is None or case == "keep":
            yield item
            continue
        plain = unicodedata.normalize("NFKC", item.label).casefold()
        if case is None and known.setdefault(plain, item.label) != item.label:
            raise DataError(
                f"{path} has the labels {known[plain]!r} and {item.label!r}, which differ only in case or in "
                "Unicode form: give them one spelling, or settle that labels are kept or turned to lower case",
                parameter="label_case",
            )
        yield item if case is None or item.label == plain else replace(item, label=plain)


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and character not in _ALLOWED_FORMATS)
