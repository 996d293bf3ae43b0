"""Following a stream with a store's live revision: pieces of a signal in, events out.

Nothing is trained here. A lesson that another process commits meanwhile is taken up at the next hop: `current` is
looked at before each, and the scorer is replaced whole, between two hops.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.background import EVEN, BackgroundScorer
from edgecl.errors import EdgeclError
from edgecl.noticing import Heard, Noticer
from edgecl.spotting import (
    MOVEMENT_SCORE,
    REFRACTORY_HOPS,
    SOUND_SCORE,
    BoutSpotter,
    Detection,
    HeadScorer,
    Scorer,
    Spotter,
    WakeScorer,
    WakeSpotter,
    WordSpotter,
)

if TYPE_CHECKING:
    from edgecl._live import Piece
    from edgecl.device import Device
    from edgecl.extractor import Contract, FileExtractor
    from edgecl.model import Model

logger = logging.getLogger(__name__)

FULL_SCALE = 1 - 2.0**-14
# Chosen on subjects of hapt_uci_har and spar_watch: F1 of events .86 and .72 by probability alone; with a patience of
# 1 .83 and .62, of 3 .79 and .78.
BOUT_PATIENCE_HOPS = 2
BOUT_PAUSE_HOPS = 3
WAKE_SPAN_S = 4.0
RECENT_HOPS = 24  # beyond a window that can be kept of what was heard


@dataclass(frozen=True)
class Listening:
    """How a stream is followed; None takes what suits the store."""

    threshold: float | None = None
    # of every label; by default each has its own
    patience: int | None = None
    # hops in a row; by default 1 of sound, 2 of movement
    refractory_s: float | None = None
    # by default ten hops of sound, three of movement
    wake: str | None = None
    # the label of a wake word: other labels count only after it
    span_s: float = WAKE_SPAN_S
    # for so long


@dataclass(frozen=True)
class Event:
    """Something that was heard. Times are seconds of the stream, or what its timestamps say."""

    time: float
    # when it could first be known
    label: str
    confidence: float
    novelty: float
    span: tuple[float, float]
    # of the signal that was answered

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        rounded = {"time": round(self.time, 3), "span": [round(one, 3) for one in self.span]}
        return {**asdict(self), "confidence": round(self.confidence, 4), "novelty": round(self.novelty, 4), **rounded}


@dataclass
class Summary:
    """What was heard and what it took, so far."""

    seconds: float = 0.0
    events: int = 0
    busy_s: float = 0.0  # in which something was computed
    worst_hop_ms: float = 0.0
    revisions: list[int] = field(default_factory=list)  # that were live, in their order
    breaks: int = 0  # places where something was missing, and the stream began anew
    silent_s: float = 0.0  # in which no sample differed from another
    clipped_s: float = 0.0  # pieces that touch full scale
    total: float = 0.0  # of all samples of sound
    samples: int = 0

    @property
    def offset(self) -> float:
        """Mean of the sound: what a microphone adds to it."""
        return self.total / max(self.samples, 1)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        heard = max(self.seconds, 1e-9)
        told = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}
        del told["total"], told["samples"], told["busy_s"]
        return {**told, "real_time_factor": round(self.busy_s / heard, 5)}


def listen(
    device: Device,
    pieces: Iterable[Piece],
    *,
    how: Listening | None = None,
    summary: Summary | None = None,
    noticer: Noticer | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """The events of a stream, each as soon as it is known.

    Parameters
    ----------
    pieces
        Of any length; a hop at a time is answered soonest.
    summary
        Is kept up to date.
    noticer
        Keeps surprises and detections.
    beat
        Is called after every piece.

    Raises
    ------
    DataError
        The pieces do not fit the extractor.
    EdgeclError
        The store cannot be read to begin with.
    """
    summary = summary or Summary()
    how = how or Listening()
    live = LiveScorer(device, threshold=how.threshold, wake=how.wake)
    stream = Stream(device.extractor, spotter_for(device.extractor.contract, how), summary, noticer)
    _take_up(live, stream, summary)
    for piece in pieces:
        started = time.perf_counter()
        _take_up(live, stream, summary)
        events = stream.push(piece)
        spent = time.perf_counter() - started
        summary.busy_s += spent
        summary.worst_hop_ms = max(summary.worst_hop_ms, 1e3 * spent)
        yield from events
        beat()
    yield from stream.end()


def _take_up(live: LiveScorer, stream: Stream, summary: Summary) -> None:
    """Go on with the revision that is live now."""
    if live.refresh():
        stream.spotter.scorer = live.scorer
        summary.revisions.append(live.revision)


def spotter_for(contract: Contract, how: Listening) -> Spotter:
    """What turns answers into events: peaks of sound, runs of movement."""
    kind, patience, hops = (
        (WordSpotter, 1, REFRACTORY_HOPS) if contract.is_sound else (BoutSpotter, BOUT_PATIENCE_HOPS, BOUT_PAUSE_HOPS)
    )
    hops_per_s = contract.sample_rate_hz / contract.hop_samples
    if how.refractory_s is not None:
        hops = max(round(how.refractory_s * hops_per_s), 1)
    if how.wake is not None:
        span = max(round(how.span_s * hops_per_s), 1)
        return WakeSpotter(wake=how.wake, span=span, patience=how.patience or patience, refractory=hops)
    return kind(None, patience=how.patience or patience, refractory=hops)


class LiveScorer:
    """The scorer of a store's live revision, made anew when another becomes live.

    Attributes
    ----------
    scorer
        None while nothing has been taught.
    revision
        Its number.
    """

    def __init__(self, device: Device, *, threshold: float | None = None, wake: str | None = None) -> None:
        self._device = device
        self._threshold, self._wake = threshold, wake
        self._current = device.store.path / "current"
        self._seen: tuple[int, int] | None = None
        self.scorer: Scorer | None = None
        self.revision = 0

    def refresh(self) -> bool:
        """Whether another revision is live than at the last call; costs one stat where none is.

        Where the new one cannot be read, which is logged, the one before goes on.

        Raises
        ------
        EdgeclError
            There is none before.
        """
        seen = self._stamp()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            revision, model = self._device.live_head()
            if revision.number == self.revision:
                return False
            self.scorer = self._made(model)
        except EdgeclError as error:
            if not self.revision:
                raise
            logger.warning("%s; revision %d is listened with", error, self.revision)
            return False
        self.revision = revision.number
        return True

    def _stamp(self) -> tuple[int, int]:
        try:
            status = os.stat(self._current)  # noqa: PTH116 (Path's takes twice as long)
        except OSError:
            return (0, 0)  # the store is damaged, which reading it will say
        return (status.st_ino, status.st_mtime_ns)

    def _made(self, model: Model) -> Scorer | None:
        if model.head is None:
            return None
        scorer = _scorer_of(self._device, model, self._threshold)
        return scorer if self._wake is None else WakeScorer(scorer, HeadScorer(model), wake=self._wake)


def _scorer_of(device: Device, model: Model, threshold: float | None) -> Scorer:
    """The scorer of a model: the one place where it is chosen."""
    background = device.background()
    if background is None:
        usual = SOUND_SCORE if device.extractor.contract.is_sound else MOVEMENT_SCORE
        return HeadScorer(model, threshold=usual if threshold is None else threshold)
    whole = device.model()[1]
    return BackgroundScorer(whole, background, confidence=EVEN if threshold is None else threshold)


class Stream:
    """Pieces of a signal to events: frames of an extractor, a latent for each hop, a spotter.

    Sound is heard as a clip is: there are zeros before its beginning and after its end, so that a word at the edge is
    in the middle of some window.
    """

    def __init__(
        self, extractor: FileExtractor, spotter: Spotter, summary: Summary, noticer: Noticer | None = None
    ) -> None:
        contract = extractor.contract
        self.spotter = spotter
        self._extractor = extractor
        self._contract = contract
        self._summary = summary
        self._noticer = noticer
        self._hop_s = contract.hop_samples / contract.sample_rate_hz
        self._clip_s = contract.clip_samples / contract.sample_rate_hz
        self._padding = contract.window_samples - contract.hop_samples if contract.is_sound else 0
        # each frame is held twice, pool_frames apart: the latest ones lie together, oldest first
        self._ring = np.zeros((2 * contract.pool_frames, contract.dimension), np.float32)
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
        return self._end_segment()

    def _begin(self, begins_s: float) -> None:
        self._frames = self._extractor.stream()
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
        low, high = float(signal.min()), float(signal.max())
        self._silent = self._silent + len(signal) if low == high else 0
        if low == high:
            self._summary.silent_s += seconds
        if not self._contract.is_sound:
            return
        self._summary.total += float(signal.sum())
        self._summary.samples += len(signal)
        if high >= FULL_SCALE or low <= -FULL_SCALE:
            self._summary.clipped_s += seconds

    def _hear(self, signal: NDArray[np.float32]) -> list[Event]:
        """Take a signal a hop at a time."""
        hop = self._contract.hop_samples
        events: list[Event] = []
        for start in range(0, len(signal), hop):
            events += self._hear_hop(signal[start : start + hop])
        return events

    def _hear_hop(self, signal: NDArray[np.float32]) -> list[Event]:
        pool = self._contract.pool_frames
        if self._noticer:
            self._recent.add(signal)
        events: list[Event] = []
        for frame in self._frames.push(signal):
            at = self._pooled % pool
            self._ring[at] = self._ring[at + pool] = frame
            self._pooled += 1
            if self._pooled < pool:
                continue
            if self._silent >= self._contract.clip_samples:
                events += self._told(self.spotter.skip(1))
                continue
            latent = self._extractor.pool(self._ring[None, at + 1 : at + 1 + pool])
            events += self._told(self.spotter.push(latent))
            if self._noticer:
                self._notice(self._noticer, latent)
        return events

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
        return Event(known_s, found.label, found.confidence, found.novelty, (begins_s, ends_s))

    def _window_s(self, hop: int) -> tuple[float, float]:
        """When the window of a hop begins and ends, without what was added to the stream."""
        ends_s = self._begins_s + self._heard / self._contract.sample_rate_hz
        start_s = self._begins_s - self._padding / self._contract.sample_rate_hz + (hop - self._first_hop) * self._hop_s
        return max(start_s, self._begins_s), min(start_s + self._clip_s, ends_s)


class Recent:
    """The latest samples of a signal, at least `capacity` of them; allocated once."""

    def __init__(self, capacity: int, channels: int) -> None:
        self._capacity = capacity
        self._held = np.zeros((2 * capacity, channels), np.float32)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._length = 0  # that is held
        self._end = 0  # of the signal so far

    def add(self, signal: NDArray[np.float32]) -> None:
        """Take at most `capacity` samples (n, channels)."""
        if self._length + len(signal) > len(self._held):
            self._held[: self._capacity] = self._held[self._length - self._capacity : self._length]
            self._length = self._capacity
        self._held[self._length : self._length + len(signal)] = signal
        self._length += len(signal)
        self._end += len(signal)

    def between(self, start: int, end: int) -> NDArray[np.float32]:
        """Samples by their numbers since the beginning, as far as they are held: a view."""
        offset = self._length - self._end
        return self._held[max(start + offset, 0) : max(end + offset, 0)]
