"""Which detections a listener keeps as suggestions: sure ones of a kind that is not kept yet.

A suggestion is taught by nobody until its user accepts it, see `edgecl.operations.suggestions`. The thresholds were
chosen on fsdd, where one speaker taught five clips of ten words and another was detected: see tools/suggest_table.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import EdgeclError
from edgecl.notes import Logger
from edgecl.operations.inbox import SUGGESTION

if TYPE_CHECKING:
    from edgecl.live.events import Event
    from edgecl.model.model import Model
    from edgecl.operations.inbox import Inbox
    from edgecl.operations.open_store import OpenStore

logger = Logger(__name__)

SURE = 0.9  # confidence among the classes: that of an event is about speech of all kinds
TYPICAL = 0.5  # novelty: more of it is a surprise
KNOWN_COSINE = 0.9  # to an exemplar of its class: the same recording, or the same person in the same room
PER_DAY = 20
DAY_S = 86_400.0


def is_suggestion(model: Model, latent: NDArray[np.float32], label: str) -> bool:
    """Test whether the latent (1, D) of a detection is surely of its class, and new in kind."""
    answer = model.predict(latent)
    is_sure = answer.labels[0] == label and answer.confidence[0] >= SURE and answer.novelty[0] < TYPICAL
    return is_sure and nearest_cosine(model, label, model.features(latent)[0]) < KNOWN_COSINE


def nearest_cosine(model: Model, label: str, row: NDArray[np.float32]) -> float:
    """Return the largest cosine of features (d,) to an exemplar of a class; -1 where it has none."""
    exemplars = model.exemplars.get(label)
    if not exemplars or not np.any(row):
        return -1.0
    largest = -1.0
    for block in model.settings.features.blocks(exemplars):
        norms = np.linalg.norm(block, axis=1) * np.linalg.norm(row)
        largest = max(largest, float((block @ row / np.maximum(norms, np.finfo(np.float32).tiny)).max()))
    return largest


class Suggester:
    """Puts detections that are sure and new in kind into an inbox, at most so many a day of the stream."""

    def __init__(self, opened: OpenStore, inbox: Inbox, *, per_day: int = PER_DAY) -> None:
        self._opened = opened
        self._inbox = inbox
        self._kept_at: deque[float] = deque(maxlen=max(per_day, 1))
        self._per_day = per_day
        self._model: tuple[int, Model] | None = None

    def event(self, event: Event, signal: NDArray[np.float32]) -> None:
        """Take a detection with its signal (n, channels)."""
        if self._has_enough(event.time):
            return
        try:
            if is_suggestion(self._live(), self._opened.extractor.latents([signal]), event.label):
                self._keep(event, signal)
        except EdgeclError as error:
            logger.warning("%s; nothing was suggested", error)

    def _has_enough(self, now_s: float) -> bool:
        """Test whether a day's worth has been kept within the day that ends now."""
        return len(self._kept_at) >= self._per_day and now_s - self._kept_at[0] < DAY_S

    def _live(self) -> Model:
        """Return the live model with its exemplars, read again only where a lesson came between."""
        number = self._opened.store.current().number
        if self._model is None or self._model[0] != number:
            revision, model = self._opened.model()
            self._model = (revision.number, model)
        return self._model[1]

    def _keep(self, event: Event, signal: NDArray[np.float32]) -> None:
        self._inbox.keep(
            signal,
            kind=SUGGESTION,
            time=event.time,
            label=event.label,
            confidence=event.confidence,
            novelty=event.novelty,
            event=f"{event.id}-suggested" if event.id else "",
        )
        self._kept_at.append(event.time)
