"""Texts of which an extractor reads nothing, or only the beginning: named once, since nothing else shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from edgecl.notes import Logger
from edgecl.sources.samples import Sample, Skip

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor

logger = Logger(__name__)


def noted(items: Iterable[Sample | Skip], extractor: FileExtractor) -> Iterator[Sample | Skip]:
    """Pass samples of text; at their end a warning says how many are not read, or not as a whole."""
    from edgecl.extractors.text import MOST_TOKENS, TextExtractor

    count, unknown, cut = 0, list[str](), list[str]()
    for item in items:
        if isinstance(item, Sample) and item.signal.ndim == 2 and isinstance(extractor, TextExtractor):  # no latent
            count += 1
            read = extractor.reads(item.signal)
            if read.is_unknown:
                unknown.append(item.source)
            elif read.is_cut:
                cut.append(item.source)
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
