"""Learn: samples to a committed revision, and the report of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.sources.samples import Skip

if TYPE_CHECKING:
    from edgecl.learning.loop import Outcome


@dataclass(frozen=True)
class Report:
    """What became of a lesson."""

    outcome: Outcome
    revision: int | None  # None where nothing was committed
    samples: int
    skipped: tuple[Skip, ...]
    new_classes: tuple[str, ...]
    elapsed_ms: float
    learn_ms: float  # without reading and extracting
    bytes: Mapping[str, int]
    bytes_written: int
    dry_run: bool
    forced: bool

    @property
    def is_accepted(self) -> bool:
        return self.outcome.model is not None

    def as_dict(self) -> dict[str, Any]:
        verdict = self.outcome.verdict.as_dict()
        verdict.pop("is_final")
        return {
            **verdict,
            "accepted": self.outcome.verdict.accepted and self.is_accepted,
            "unchanged": self.outcome.is_unchanged,
            "forced": self.forced,
            "dry_run": self.dry_run,
            "revision": self.revision,
            "new_classes": list(self.new_classes),
            "strategy": self.outcome.strategy,
            "samples": self.samples,
            "skipped": [vars(one) for one in self.skipped],
            "ms": round(self.elapsed_ms, 1),
            "learn_ms": round(self.learn_ms, 1),
            "bytes": dict(self.bytes),
            "bytes_written": self.bytes_written,
        }


def spool_folder() -> Path | None:
    """Where a long lesson is spooled to: a folder on disk, since the usual one may be in memory."""
    on_disk = Path("/var/tmp")  # noqa: S108 (a file without a name is private)
    return on_disk if "TMPDIR" not in os.environ and os.access(on_disk, os.W_OK) else None
