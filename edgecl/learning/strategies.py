"""The names of the strategies, importable without numpy."""

from __future__ import annotations

STRATEGIES = ("auto", "closed-form", "replay", "ewc-replay", "ewc", "naive")
