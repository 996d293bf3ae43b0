"""Labels: which are valid, and the names of the background classes."""

from __future__ import annotations

import unicodedata

from edgecl.sources.samples import UnusableError

BACKGROUND = ("_silence_", "_background_noise_")  # labels that stand for background
NEGATIVE = BACKGROUND[-1]  # what a false accept without a right name is taught as
LONGEST_LABEL = 64
# Joiners that Persian, Indic scripts and emoji need; other format characters can disguise a label.
_ALLOWED_FORMATS = ("\u200c", "\u200d")


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


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and character not in _ALLOWED_FORMATS)
