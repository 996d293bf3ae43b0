"""The time that is written into a store."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Return the present time in UTC: ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
