"""The settings of a listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecl.live.events import Look

WAKE_SPAN_S = 4.0


@dataclass(frozen=True)
class Listening:
    """How a stream is followed; None takes what suits the store."""

    threshold: float | None = None
    """Of every label; by default each has its own."""
    patience: int | None = None
    """Hops in a row; by default 1 of sound, 2 of movement."""
    refractory_s: float | None = None
    """By default ten hops of sound, three of movement."""
    wake: str | None = None
    """The label of a wake word: other labels count only after it."""
    span_s: float = WAKE_SPAN_S
    look: Callable[[Look], None] | None = None
    """Is shown every hop, with the reason why it makes no event; must not take long."""
