"""The inner loop of a camera: a latent and a score for each frame, whenever it comes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from edgecl.live.events import Event, Look, Summary, event_of
from edgecl.live.novelty import Heard, Noticer
from edgecl.sources.pictures import as_picture, check_content
from edgecl.sources.samples import UnusableError
from edgecl.spotting.detection import Detection
from edgecl.spotting.spotters import Spotter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecl.extractors.base import FileExtractor
    from edgecl.live.inputs.chunks import Piece

PATIENCE_FRAMES = 2
REFRACTORY_FRAMES = 10
RECENT_FRAMES = 64  # whose times are kept, for the beginning of an event
DARK_DB = -100.0


class PictureStream:
    """Frames of a camera to events. A frame is a `Piece` of one picture, `begins_s` its time.

    Frames that are black or of one colour are counted and not scored.
    """

    def __init__(
        self,
        extractor: FileExtractor,
        spotter: Spotter,
        summary: Summary,
        noticer: Noticer | None = None,
        *,
        look: Callable[[Look], None] | None = None,
    ) -> None:
        self.spotter = spotter
        self.rest = None
        self.revision = 0  # that is live
        self._extractor, self._summary, self._noticer, self._look = extractor, summary, noticer, look
        self._started = time.monotonic()
        self._times: deque[tuple[int, float]] = deque(maxlen=RECENT_FRAMES)  # hop, seconds
        self._latest: NDArray[np.float32] | None = None

    def push(self, piece: Piece) -> list[Event]:
        """Return the events that a frame completes."""
        now = piece.begins_s if piece.begins_s is not None else time.monotonic() - self._started
        self._times.append((self.spotter.hops, now))
        self._summary.seconds = max(self._summary.seconds, now)
        self._summary.frames += 1
        self._latest = piece.signal
        try:
            check_content(as_picture(piece.signal, self._extractor.contract))
        except UnusableError as error:
            self._summary.dark_frames += 1
            events = self._told(self.spotter.skip(1))
            self._show(str(error))
            return events
        [latent] = self._extractor.latents([piece.signal])
        events = self._told(self.spotter.push(latent[None]))
        self._show("")
        if self._noticer:
            self._notice(self._noticer, latent[None], piece.signal, now)
        return events

    def end(self) -> list[Event]:
        """Return the events that the end of the stream completes."""
        return self._told(self.spotter.end())

    def _show(self, skipped: str) -> None:
        if self._look is None:
            return
        label, score, threshold, reason = ("", 0.0, None, skipped) if skipped else self.spotter.look
        assert self._latest is not None
        power = float(np.square(self._latest / 255).mean())
        level = 10 * np.log10(power) if power > 0 else DARK_DB
        self._look(Look(self._time(self.spotter.hops - 1), label, score, threshold, float(level), reason))

    def _notice(self, noticer: Noticer, latent: NDArray[np.float32], signal: NDArray[np.float32], now: float) -> None:
        label, confidence, novelty = self.spotter.answer
        noticer.hop(Heard(label, confidence, novelty, now, 1.0, latent, signal.copy))

    def _told(self, found: Iterable[Detection]) -> list[Event]:
        events = []
        for one in found:
            known = one.first + self.spotter.patience - 1
            span = (self._time(one.first), self._time(one.last))
            event = event_of(one, time=self._time(known), span=span, revision=self.revision)
            self._summary.events += 1
            if self._noticer and self._latest is not None:
                self._noticer.event(event, self._latest.copy())
            events.append(event)
        return events

    def _time(self, hop: int) -> float:
        """Return the time of a frame by its number; of one that is long gone, the oldest that is known."""
        return next((at for number, at in self._times if number >= hop), self._times[-1][1] if self._times else 0.0)
