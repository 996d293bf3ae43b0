"""What listening reports: one event per detection, and a summary at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that was heard. Times are seconds of the stream, or what its timestamps say."""

    time: float
    """Time at which it could first be known, in seconds."""
    label: str
    confidence: float
    novelty: float
    span: tuple[float, float]
    """Beginning and end of the signal that was answered, in seconds."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        rounded = {"time": round(self.time, 3), "span": [round(one, 3) for one in self.span]}
        return {**asdict(self), "confidence": round(self.confidence, 4), "novelty": round(self.novelty, 4), **rounded}


@dataclass
class Summary:
    """What was heard and what it took, so far."""

    seconds: float = 0.0
    events: int = 0
    busy_s: float = 0.0
    """Seconds in which something was computed."""
    worst_hop_ms: float = 0.0
    revisions: list[int] = field(default_factory=list)
    """Numbers of those that were live, in their order."""
    breaks: int = 0
    """Places where something was missing, and the stream began anew."""
    silent_s: float = 0.0
    """Seconds in which no sample differed from another."""
    clipped_s: float = 0.0
    """Seconds of pieces that touch full scale."""
    total: float = 0.0
    """Sum of all samples of sound."""
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
