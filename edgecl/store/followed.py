"""Bodies of models whose stream goes on: what the revision states of its experts, and of the streams that taught it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecl.store.records import ModelBody, member


@dataclass(frozen=True, kw_only=True)
class FollowedBody(ModelBody):
    """The body of a model that the experts of a stream may answer for."""

    experts: Mapping[str, Any] | None = None
    """What is stated of the experts, next to their arrays; None where the head answers alone."""
    began: Sequence[str] = ()
    """Digests of the first rows of the streams that taught it."""

    @staticmethod
    def stream_of(body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members of any body that are of its stream; raises StoreDamagedError where they cannot be."""
        experts = {"experts": member(body, "experts", dict)} if "experts" in body else {}
        return {**experts, **({"began": member(body, "began", list)} if "began" in body else {})}

    def of_stream(self) -> dict[str, Any]:
        """Return these members in the order in which they are written."""
        experts = {"experts": self.experts} if self.experts is not None else {}
        return {**experts, **({"began": [*self.began]} if self.began else {})}
