"""What every change of a store reports that the gate judges and that is not a lesson: merge, resize, upgrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgecl.values import dataclass

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict


@dataclass(frozen=True)
class ChangeReport:
    """Outcome of a change, without what is its own."""

    verdict: Verdict
    revision: int | None
    """Number of the new revision; None where nothing was committed."""
    dry_run: bool
    forced: bool

    @property
    def is_accepted(self) -> bool:
        """Whether the gate let it through, or it was forced."""
        return self.verdict.accepted or self.forced

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "accepted": self.is_accepted,
            "verdict": self.verdict.name,
            "reasons": list(self.verdict.reasons),
            "revision": self.revision,
            "dry_run": self.dry_run,
            "forced": self.forced,
        }
