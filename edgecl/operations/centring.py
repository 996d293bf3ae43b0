"""Centre: samples without labels adapt a store to its user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgecl.sources.samples import Skip

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict


@dataclass(frozen=True)
class CentringReport:
    """What became of samples without labels."""

    verdict: Verdict
    revision: int | None
    samples: int
    samples_in_all: int
    nearer: float  # by which share they lie nearer to what is known
    skipped: tuple[Skip, ...]
    dry_run: bool
    forced: bool

    def as_dict(self) -> dict[str, Any]:
        told = {**vars(self), "skipped": [vars(one) for one in self.skipped], "reasons": list(self.verdict.reasons)}
        told.pop("verdict")
        return {"accepted": self.verdict.accepted, **told}
