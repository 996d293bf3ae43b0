"""What the gate asks about a lesson: whether a new name is the same thing as one that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def questions(answer: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return pairs of names that may be one thing, as {"label", "like"}, from what `learn --json` printed."""
    asked = [one for one in answer.get("asks") or () if isinstance(one, Mapping) and {"label", "like"} <= set(one)]
    return [{"label": str(one["label"]), "like": str(one["like"])} for one in asked]
