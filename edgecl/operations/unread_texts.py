"""Texts of which an extractor does not read what their writer wrote: named once, since nothing else shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from edgecl.notes import Logger
from edgecl.sources.samples import Sample, Skip

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor

logger = Logger(__name__)
# Tags, whose attributes have values ("a <b and c> d" has none), and the entities that programs write
_LETTER_TAGS = "a|b|i|u"  # not without attributes or a slash, as in `Map<U>` and `a<b>c`
_TAGS = (
    "p|br|hr|em|strong|div|span|font|img|h[1-6]|[uo]l|li|table|t[rdh]|pre|code|blockquote|html|head|body|style|script"
)
_ENTITIES = (
    r"#\d+|#x[0-9a-fA-F]+|amp|lt|gt|quot|apos|nbsp|[lr][sd]quo|[lr]aquo|[nm]dash|hellip|bull|euro|pound|copy|reg|trade"
    "|[aeiouAEIOU](?:acute|grave|circ|uml)|[anoANO]tilde|[cC]cedil|szlig|[oO]slash|[aA]ring|[aA]elig"
)
_HTML = re.compile(
    rf"</?(?i:{_TAGS}|{_LETTER_TAGS})\s+[\w:-]+=[^<>]*>|</?(?i:{_TAGS})\s*/?>|</(?i:{_LETTER_TAGS})>|&(?:{_ENTITIES});"
)


def noted(items: Iterable[Sample | Skip], extractor: FileExtractor) -> Iterator[Sample | Skip]:
    """Pass samples of text; at their end a warning says how many are not read, not as a whole or with other signs."""
    from edgecl.extractors.text import MOST_TOKENS, TextExtractor

    count, unknown, cut, html, decoded = 0, list[str](), list[str](), list[str](), list[str]()
    for item in items:
        if isinstance(item, Sample) and item.signal.ndim == 2 and isinstance(extractor, TextExtractor):  # no latent
            count += 1
            read = extractor.reads(item.signal)
            if read.is_unknown:
                unknown.append(item.source)
            elif read.is_cut:
                cut.append(item.source)
            text = extractor.text(item.signal)
            if found := _HTML.search(text):
                html.append(f"{found[0]!r} in {item.source}")
            if twice := twice_decoded(text):
                decoded.append(f"{twice[0]!r} for {twice[1]!r} in {item.source}")
        yield item
    if unknown:
        logger.warning(
            "%d of %d texts are mostly of characters that the extractor does not know, such as %s: it cannot tell them "
            "apart",
            len(unknown), count, unknown[0],
        )  # fmt: skip
    if cut:
        logger.warning(
            "%d of %d texts are longer than the %d tokens that are read, such as %s: what comes after does not count",
            len(cut), count, MOST_TOKENS, cut[0],
        )  # fmt: skip
    if html:
        logger.warning(
            "%d of %d texts have HTML in them, such as %s: it counts as words: remove it unless texts are about it",
            len(html), count, html[0],
        )  # fmt: skip
    if decoded:
        logger.warning(
            "%d of %d texts are UTF-8 that was read in another encoding, such as %s: export them again",
            len(decoded), count, decoded[0],
        )  # fmt: skip


def _as_1252(byte: int) -> str:
    """Return what a byte becomes by cp1252, as browsers read it: five of its bytes stand for no character."""
    return bytes([byte]).decode("cp1252", "ignore") or chr(byte)


# Bytes of UTF-8 as characters: Latin, Greek and Cyrillic letters, punctuation such as the curly quotes, and emoji
_REST = "".join(sorted({one for byte in range(0x80, 0xC0) for one in (chr(byte), _as_1252(byte))}))
# May follow a capital letter by right, as in \u201c\xc4\u201d, FL\xc4\xadCHE and 5 \xc5\xb2, but not one within a word
_OPEN = "\xa0\xab\xad\xb2\xb3\xbb\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026"
_LETTERS = "".join(one for one in _REST if one not in _OPEN)
_TWICE = re.compile(
    rf"[\xc2-\xc5\xce-\xd1][{_LETTERS}]|(?<=[a-z])[\xc2-\xc5\xce-\xd1][{_OPEN}]|[\xc2\xc3][\xa0\xad\xb2\xb3]"
    rf"|\xe2[\x80-\x84\u20ac\u201a\u0192\u201e][{_REST}]|\xf0[\x9f\u0178][{_REST}]{{2}}"
)


def twice_decoded(text: str) -> tuple[str, str] | None:
    r"""Return the first character that was written as UTF-8 and read as cp1252 or Latin-1, and that character.

    >>> twice_decoded("the caf\xc3\xa9")
    ('Ã©', 'é')
    """
    if text.isascii() or (found := _TWICE.search(text)) is None:
        return None
    with suppress(UnicodeError):
        return found[0], b"".join(map(_byte, found[0])).decode()
    return None


def _byte(character: str) -> bytes:
    return character.encode("latin-1") if ord(character) < 0x100 else character.encode("cp1252")
