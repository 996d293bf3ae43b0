"""Labels: which are valid, and the names of the background classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from edgecl.errors import DataError, SettingError
from edgecl.notes import Logger
from edgecl.sources.samples import Sample, Skip, UnusableError
from edgecl.values import replace

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
BACKGROUND = ("_silence_", "_background_noise_")  # labels that stand for background
NEGATIVE = BACKGROUND[-1]  # what a false accept without a right name is taught as
LONGEST_LABEL = 64
FEWEST_IDS, SAMPLES_OF_AN_ID = 8, 1.25  # labels from which on they may be ids; most samples of each
# What other tools and data sets call background, without separators
_LIKE_BACKGROUND = frozenset({"background", "noise", "backgroundnoise", "silence", "unknown"})
# Joiners that Persian, Indic scripts and emoji need; other format characters can disguise a label.
_ALLOWED_FORMATS = ("\u200c", "\u200d")
_JOINERS = dict.fromkeys(map(ord, _ALLOWED_FORMATS))
MISSING_WORDS = frozenset(  # cells without a value, in lower case
    {"", "?", "na", "n/a", "n.a.", "#n/a", "#n/a n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "none"}
    | {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "\\n", "(null)", "<null>", "[null]", "undefined"}
    | {"#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#spill!", "#calc!"}  # what Excel could not compute
    | {"#nv", "#wert!", "#bezug!", "#zahl!", "#valeur!", "#nombre!", "#nom?", "#nul!", "#n/d", "#n/b", "#n/d!"}
    | {"#valore!", "#rif!", "#nome?", "#waarde!", "#verw!", "#getal!", "#naam?", "#deel/0!", "#arg!", "#adr!"}
    | {"#liczba!", "#nazwa?", "#dziel/0!", "#valor!", "#\u00a1valor!", "#\u00a1ref!", "#\u00a1num!", "#\u00a1div/0!"}
)
# Those that a person writes too, as a text, are texts
MISSING_TEXTS = MISSING_WORDS - {"?", "na", "n/a", "n.a.", "none", "undefined", "\\n"}
_SEPARATORS = r"(?<=[^\W_])[ _\u2010-\u2013-]+(?=[^\W_])"  # of words: lights_off, lights-off
NO_NUMBERS = frozenset({"nan", "<na>", "nat"})  # texts that numpy and pandas make of a missing label; no word is one
_QUOTED = r"""b?(["'])(.+)\1"""  # as programs print texts and bytes
_WHOLE = r"([+-]?\d+)\.0+"  # a whole number that has become a decimal one


def is_none(label: object) -> bool:
    """Test whether a label from Python stands for none: None, NaN, NA of pandas, or their text."""
    return label is None or str(label).strip().lower() in NO_NUMBERS


def is_missing(text: str) -> bool:
    """Test whether a cell stands for a missing value.

    >>> is_missing(" NaN "), is_missing("naan")
    (True, False)
    """
    return text.strip().lower() in MISSING_WORDS


def require_whole(label: str, known: Iterable[str]) -> None:
    """Raise UnusableError where a label that a line without an end has is the beginning of one that came before."""
    if label and label not in known and (whole := next((one for one in known if one.startswith(label)), "")):
        raise UnusableError(
            f"cut off: the file ends within this line, and its label {label!r} is the beginning of "
            f"{whole.strip()!r}: end the line if it is whole"
        )


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


class Spellings:
    """The one spelling of each class, for the labels of a lesson or stream, wherever they come from.

    Parameters
    ----------
    classes
        Those that are known; a label that is one of them passes as it is.
    case
        "lower" turns labels to lower case and their compatible Unicode form, or to the spelling of a class that is
        known; "keep" takes each as a class of its own; None refuses labels that may be one class.

    Examples
    --------
    >>> Spellings(["Lights off"], case="lower").settled("LIGHTS OFF", "a clip")
    'Lights off'
    """

    def __init__(self, classes: Collection[str] = (), *, case: str | None = None) -> None:
        if case not in (None, "keep", "lower"):
            raise SettingError(f"{case!r}: wanted 'keep' or 'lower'", parameter="label_case")
        self.classes, self._case = frozenset(classes), case
        self._known = {plain_form(one): one for one in sorted(self.classes)}

    def settled(self, label: str, source: str) -> str:
        """Return the label as it is taught; `source` says where it was found.

        Raises
        ------
        DataError
            The label and a class that is known, or a label before it, differ only in case, blanks, separators, Unicode
            form or as 1 and 1.0, and nothing is settled.
        """
        if self._case == "keep" or label in self.classes:
            return label
        plain = plain_form(label)
        if self._case is not None:
            return self._known.setdefault(plain, _lowered(label))
        other = self._known.setdefault(plain, label)
        if other == label:
            return label
        what = (
            f"has the label {label!r}, and the class {other!r} is known"
            if other in self.classes
            else f"has the label {label!r}, and others have {other!r}"
        )
        raise DataError(
            f"{source} {what}, which differ only in case, blanks, separators, Unicode form or as 1 and 1.0: give "
            "them one spelling, or settle that labels are kept or turned to lower case",
            parameter="label_case",
        )


def one_spelling(items: Iterator[Sample | Skip], spellings: Spellings) -> Iterator[Sample | Skip]:
    """Pass samples whose labels are one class in one spelling; raises DataError as `Spellings.settled`."""
    for item in items:
        if isinstance(item, Sample) and item.label is not None:
            label = spellings.settled(item.label, item.source)
            item = item if label == item.label else replace(item, label=label)
        yield item


def are_known(names: Iterable[str], classes: Iterable[str]) -> bool:
    """Test whether any name is that of a class, whatever its spelling."""
    return not {plain_form(one) for one in names}.isdisjoint(plain_form(one) for one in classes)


def two_spellings(labels: Iterable[str], known: Iterable[str] = ()) -> tuple[str, str] | None:
    """Return the first label that differs in spelling alone from a known one or one before it, and that; else None.

    They are compared as `Spellings` does.
    """
    first = {plain_form(one): one for one in known}
    for label in labels:
        if (other := first.setdefault(plain_form(label), label)) != label:
            return other, label
    return None


def warn_of_labels(labels: Collection[str], count: int, contract: Contract) -> None:
    """Warn of labels that a lesson of `count` samples probably should not have.

    These are labels of which nearly every sample has its own, and, of sound, names of background that are taken for
    words.
    """
    if len(labels) >= FEWEST_IDS and count < SAMPLES_OF_AN_ID * len(labels):
        named = ", ".join(repr(one) for one in sorted(labels)[:3])
        logger.warning("%d samples have %d labels, such as %s: are these ids or texts?", count, len(labels), named)
    if contract.is_sound and (meant := sorted(one for one in labels if _means_background(one))):
        named = ", ".join(map(repr, meant))
        logger.warning("%s: taught like any other class; if it is background, call it %s", named, NEGATIVE)


def several(labels: str | Collection[str]) -> Collection[str]:
    """Return labels as a collection: a single one is itself, and not its letters."""
    return (labels,) if isinstance(labels, str) else labels


def warn_of_encoded(labels: Iterable[str], known: Iterable[str]) -> None:
    """Warn where a label is another one, taught or known, with entities of HTML or in a wrong encoding."""
    taught = set(labels)
    every = sorted({*taught, *known})
    plain = {plain_form(one): one for one in every}
    for label in every:
        meant = _meant(label)
        other = label if meant == label else plain.get(plain_form(meant), label)
        if other != label and not taught.isdisjoint((label, other)):
            logger.warning(
                "%r is %r as HTML or in a wrong encoding, and a class of its own: give them one name", label, other
            )


def _meant(label: str) -> str:
    """Return a label without entities of HTML, and as UTF-8 where that was read in another encoding."""
    if "&" in label:
        from html import unescape  # few labels have it

        label = unescape(label)
    for encoding in () if label.isascii() else ("cp1252", "latin-1"):
        with suppress(UnicodeError):
            return label.encode(encoding).decode()
    return label


def _means_background(label: str) -> bool:
    """Test whether a label is another spelling of a name of background; others with an underscore make no events."""
    if label in BACKGROUND or label.startswith("_"):
        return label not in BACKGROUND and label.casefold() in BACKGROUND
    return "".join(one for one in label.casefold() if one.isalnum()) in _LIKE_BACKGROUND


def plain_form(label: str) -> str:
    """Return what labels of one class have in common, whatever their case, separators, quotes, form or decimals."""
    return re.sub(_SEPARATORS, " ", _lowered(label).translate(_JOINERS))


def _lowered(label: str) -> str:
    """Return a label in lower case, compatible form, single blanks and no quotes; whole numbers without decimals."""
    plain = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
    quoted = re.fullmatch(_QUOTED, plain)
    plain = quoted[2].strip() if quoted else plain
    whole = re.fullmatch(_WHOLE, plain)
    return whole[1] if whole else plain


def _is_control(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and character not in _ALLOWED_FORMATS)
