"""The inner loop of listening: frames, latents, scores, and a ring buffer of recent signal."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.live.events import Event, Look, Summary, event_of
from edgecl.live.level import Level
from edgecl.live.novelty import Heard, Noticer
from edgecl.live.rest import Rest
from edgecl.live.silence import Recent, WithheldFrames
from edgecl.spotting.detection import Detection
from edgecl.spotting.spotters import Spotter
from edgecl.spotting.window import Window

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.live.inputs.chunks import Piece


QUIETEST = 1e-10  # power, -100 dB
MUTED = "digital silence: is the microphone muted?"
RECENT_HOPS = 24  # beyond a window that can be kept of a detection


class Stream:
    """Pieces of a signal to events: frames of an extractor, a latent for each hop, a spotter.

    Sound is embedded as a clip is: zeros come before its beginning and after its end, so that a word at the edge is
    in the middle of some window.
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
        contract = extractor.contract
        self.spotter = spotter
        spotter.window = _window_of(weakref.ref(self))
        self.rest = Rest.of(contract)
        self.revision = 0  # that is live
        self._look = look
        self._extractor = extractor
        self._contract = contract
        self._summary = summary
        self._level = Level(contract, summary) if contract.is_sound else None
        self._noticer = noticer
        self._hop_s = contract.hop_samples / contract.sample_rate_hz
        self._clip, self._clip_s = contract.clip_samples, contract.clip_samples / contract.sample_rate_hz
        self._padding = contract.window_samples - contract.hop_samples if contract.is_sound else 0
        self._window = Window(extractor)
        self._recent = Recent(contract.clip_samples + RECENT_HOPS * contract.hop_samples, len(contract.channels))
        self._begin(0.0)
        self._has_begun = False

    def push(self, piece: Piece) -> list[Event]:
        """The events that a piece completes."""
        events = []
        if piece.begins_s is not None:
            events = self._end_segment()
            self._summary.breaks += self._has_begun
            self._begin(piece.begins_s)
        self._has_begun = True
        self._look_at(piece.signal)
        return [*events, *self._hear(piece.signal)]

    def end(self) -> list[Event]:
        """The events that the end of the stream completes."""
        self.settle()
        return self._end_segment()

    def settle(self) -> None:
        """Count the level of the latest hops; `end` does."""
        if self._level:
            self._level.settle()

    def _begin(self, begins_s: float) -> None:
        self._frames = self._extractor.stream()
        self._withheld = WithheldFrames(self._extractor) if self._contract.is_sound else None
        self._pooled = 0  # frames since the beginning
        self._recent.clear()
        self._silent = 0  # samples of digital silence until now
        self._begins_s = begins_s
        self._heard = 0  # samples since then; seconds that are added up would depend on how they arrive
        self._first_hop = self.spotter.hops
        self._hear(np.zeros((self._padding, len(self._contract.channels)), np.float32))

    def _end_segment(self) -> list[Event]:
        events = []
        if self._heard:
            events = self._hear(np.zeros((self._padding, len(self._contract.channels)), np.float32))
        return [*events, *self._told(self.spotter.end())]

    def _look_at(self, signal: NDArray[np.float32]) -> None:
        """Count what the microphone does wrong."""
        seconds = len(signal) / self._contract.sample_rate_hz
        self._heard += len(signal)
        self._summary.seconds += seconds
        if not len(signal):
            return
        first = signal.item(0)
        if first == signal.item(-1) and bool((signal == first).all()):
            self._silent += len(signal)
            self._summary.silent_s += seconds
        else:
            self._silent = 0
        if self._level:
            self._level.add(signal)

    def _hear(self, signal: NDArray[np.float32]) -> list[Event]:
        """Take a signal a hop at a time; of sound, from one frame to the next."""
        events: list[Event] = []
        start = 0
        while start < len(signal):
            room = self._withheld.room if self._withheld else self._contract.hop_samples
            events += self._hear_hop(signal[start : start + room])
            start += room
        return events

    def _hear_hop(self, signal: NDArray[np.float32]) -> list[Event]:
        if self._noticer or self.spotter.second:
            self._recent.add(signal)
        else:
            self._recent.pass_by(len(signal))
        if self._withheld is None:
            return self._hear_frames(signal, self._frames.push(signal))
        before = self._withheld.completed
        missed, frames = self._withheld.push(signal)
        for number, frame in enumerate(missed, start=before - len(missed)):
            self._window.put(number, frame)
        if not self._withheld.is_silent:
            return self._hear_frames(signal, frames)
        events: list[Event] = []
        for _ in range(self._withheld.completed - before):
            self._pooled += 1
            self._summary.quiet_s += self._hop_s
            events += self._told(self.spotter.skip(1))
            is_digital = self._silent >= self._clip
            self._show(signal, MUTED if is_digital else "silence: nothing is above -60 dBFS")
        return events

    def _hear_frames(self, signal: NDArray[np.float32], frames: NDArray[np.float32]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            self._window.put(self._pooled, frame)
            self._pooled += 1
            if self._pooled < self._contract.pool_frames:
                continue
            if self._silent >= self._clip:
                events += self._told(self.spotter.skip(1))
                self._show(signal, MUTED)
                continue
            if self.rest is not None and self.rest.is_idle(frame, self._window.latent):
                self._summary.idle_s += self._hop_s
                events += self._told(self.spotter.skip(1))
                self._show(signal, "at rest, which no class is")
                continue
            if found := self.spotter.hear(self._window):
                events += self._told(found)
            if self._look:
                self._show(signal)
            if self._noticer:
                self._notice(self._noticer, self._window.latent)
        return events

    def _show(self, signal: NDArray[np.float32], skipped: str = "") -> None:
        """Show a hop to whoever looks; `skipped` is why it was not scored."""
        if self._look is None:
            return
        label, score, threshold, reason = ("", 0.0, None, skipped) if skipped else self.spotter.look
        power = float(np.vdot(signal, signal)) / max(signal.size, 1)
        level = 10 * math.log10(max(power, QUIETEST))
        self._look(Look(self._window_s(self.spotter.hops - 1)[1], label, score, threshold, level, reason))

    def _notice(self, noticer: Noticer, latent: NDArray[np.float32]) -> None:
        hop, length = self.spotter.hops - 1, self._contract.clip_samples
        label, confidence, novelty = self.spotter.answer
        end = (hop - self._first_hop) * self._contract.hop_samples + length
        latest = self._recent.between(end - self._contract.hop_samples, end)
        noticer.hop(
            Heard(
                label=label,
                confidence=confidence,
                novelty=novelty,
                time=self._window_s(hop)[1],
                power=float(np.vdot(latest, latest)) / max(latest.size, 1),
                latent=latent,
                signal=lambda: self._recent.between(end - length, end).copy(),
            )
        )

    def _told(self, found: Iterable[Detection]) -> list[Event]:
        events = []
        for one in found:
            event = self._event(one)
            self._summary.events += 1
            if self._noticer:
                first, last = (hop - self._first_hop for hop in (one.first, one.last))
                hop, length = self._contract.hop_samples, self._contract.clip_samples
                self._noticer.event(event, self._recent.between(first * hop, last * hop + length).copy())
            events.append(event)
        return events

    def _event(self, found: Detection) -> Event:
        begins_s, _ = self._window_s(found.first)
        _, known_s = self._window_s(found.first + self.spotter.patience - 1)
        _, ends_s = self._window_s(found.last)
        return event_of(found, time=known_s, span=(begins_s, ends_s), revision=self.revision)

    def _sound(self, hop: int) -> NDArray[np.float32]:
        """Return the sound (24000,) about a hop, as far as it is held."""
        start = (hop - self._first_hop) * self._contract.hop_samples + self._contract.clip_samples // 2
        return self._recent.about(start)

    def _window_s(self, hop: int) -> tuple[float, float]:
        """When the window of a hop begins and ends, without what was added to the stream."""
        ends_s = self._begins_s + self._heard / self._contract.sample_rate_hz
        start_s = self._begins_s - self._padding / self._contract.sample_rate_hz + (hop - self._first_hop) * self._hop_s
        return max(start_s, self._begins_s), min(start_s + self._clip_s, ends_s)


def _window_of(stream: weakref.ref[Stream]) -> Callable[[int], NDArray[np.float32]]:
    """What gives a spotter the sound about a hop, without holding the stream: it goes with its client, in no cycle."""

    def window(hop: int) -> NDArray[np.float32]:
        own = stream()
        assert own is not None
        return own._sound(hop)

    return window
