"""What listening reports: one event per detection, and a summary at the end."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecl.spotting.detection import Detection

ID_BYTES = 6
OLDEST_CLOCK, NEWEST_CLOCK = 1e9, 1e10  # seconds since 1970, in 2001 and 2286: what counts from a start is below


@dataclass(frozen=True)
class Event:
    """One detection. Times are seconds of the stream, or those of its timestamps."""

    time: float
    """Time at which it could first be known, in seconds."""
    label: str
    confidence: float
    novelty: float
    span: tuple[float, float]
    """Beginning and end of the signal that was answered, in seconds."""
    wall: str = field(default="", compare=False)
    """Time of this machine when it was reported: UTC, ISO 8601."""
    revision: int = field(default=0, compare=False)
    """Number of the revision that answered."""
    id: str = field(default="", compare=False)
    """Different for every event; `edgecl wrong` takes it, where the inbox keeps detections."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        rounded = {"time": seconds(self.time), "span": [seconds(one) for one in self.span]}
        return {**asdict(self), "confidence": round(self.confidence, 4), "novelty": round(self.novelty, 4), **rounded}


def event_of(found: Detection, *, time: float, span: tuple[float, float], revision: int) -> Event:
    """Return the event of a detection that is reported now, with an id of its own."""
    return Event(
        time,
        found.label,
        found.confidence,
        found.novelty,
        span,
        wall=datetime.now(UTC).isoformat(timespec="milliseconds"),
        revision=revision,
        id=os.urandom(ID_BYTES).hex(),
    )


@dataclass(frozen=True)
class Look:
    """What one hop came to: "why was my word not detected?"."""

    time: float
    """End of the hop's window, in seconds of the stream."""
    label: str
    """The label that is highest above its threshold, or least below; empty where nothing was scored."""
    score: float
    threshold: float | None
    """From which the label counts; None where it never does."""
    level_db: float
    """Level of the hop in dB of full scale; of movement in dB of 1 unit."""
    reason: str
    """Why it makes no event of its own; empty where the label reaches its threshold."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        threshold = None if self.threshold is None else round(self.threshold, 4)
        rounded = {"time": seconds(self.time), "score": round(self.score, 4), "level_db": round(self.level_db, 1)}
        return {**asdict(self), **rounded, "threshold": threshold}


def seconds(time: float) -> float:
    """Return a time to a hundredth of a second, never as -0.0.

    >>> seconds(8.5649), seconds(-0.001)
    (8.56, 0.0)
    """
    return round(time, 2) + 0.0


def shown_time(time: float) -> str:
    """Return a time as text: seconds of the stream, or the date and time (UTC) of timestamps that are of a clock.

    >>> shown_time(8.5649), shown_time(1777629603.004)
    ('8.56 s', '2026-05-01 10:00:03.00')
    """
    if not OLDEST_CLOCK <= time < NEWEST_CLOCK:
        return f"{seconds(time):.2f} s"
    return datetime.fromtimestamp(seconds(time), UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-4]


@dataclass
class Summary:
    """Counts and costs of a stream so far."""

    seconds: float = 0.0
    events: int = 0
    busy_s: float = 0.0
    """Seconds in which something was computed."""
    worst_hop_ms: float = 0.0
    revisions: list[int] = field(default_factory=list)
    """Numbers of those that were live, in their order."""
    breaks: int = 0
    """Places where something was missing, and the stream started again."""
    silent_s: float = 0.0
    """Seconds in which no sample differed from another."""
    quiet_s: float = 0.0
    """Seconds of sound that was not scored, since its whole clip was below -60 dBFS."""
    idle_s: float = 0.0
    """Seconds in which the device was still, and no class is."""
    clipped_s: float = 0.0
    """Seconds of pieces that touch full scale."""
    frames: int = 0
    """Frames of a camera."""
    dark_frames: int = 0
    """Frames that were black or of one colour."""
    total: float = 0.0
    """Sum of all samples of sound."""
    samples: int = 0

    @property
    def offset(self) -> float:
        """Mean of the sound: what a microphone adds to it."""
        return self.total / max(self.samples, 1)

    def add(self, other: Summary) -> None:
        """Count what another stream of the same listener heard."""
        self.seconds += other.seconds
        self.events += other.events
        self.busy_s += other.busy_s
        self.worst_hop_ms = max(self.worst_hop_ms, other.worst_hop_ms)
        self.revisions = sorted({*self.revisions, *other.revisions})
        self.breaks += other.breaks
        self.silent_s += other.silent_s
        self.quiet_s += other.quiet_s
        self.idle_s += other.idle_s
        self.clipped_s += other.clipped_s
        self.frames += other.frames
        self.dark_frames += other.dark_frames
        self.total += other.total
        self.samples += other.samples

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        heard = max(self.seconds, 1e-9)
        told = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}
        del told["total"], told["samples"], told["busy_s"]
        return {**told, "real_time_factor": round(self.busy_s / heard, 5)}
