"""Labels of a lesson that are probably not what their user means: ids as classes, other names of background."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from edgecl.notes import Logger
from edgecl.sources.labels import BACKGROUND, NEGATIVE

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
FEWEST_IDS, SAMPLES_OF_AN_ID = 8, 1.25  # labels from which on they may be ids; most samples of each
# What other tools and data sets call background, without separators
_BACKGROUND = frozenset({"background", "noise", "backgroundnoise", "silence", "unknown"})


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


def _means_background(label: str) -> bool:
    """Test whether a label is another spelling of a name of background; others with an underscore make no events."""
    if label in BACKGROUND or label.startswith("_"):
        return label not in BACKGROUND and label.casefold() in BACKGROUND
    return "".join(one for one in label.casefold() if one.isalnum()) in _BACKGROUND
