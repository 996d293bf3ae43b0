"""Space: old revisions and unused objects make room for new ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecl.errors import SettingError


def require_within(settings: Mapping[str, Any], need: int, path: Path) -> None:
    """Raise SettingError when `need` bytes are more than `disk_bytes` allows."""
    limit = settings.get("disk_bytes")
    if isinstance(limit, int) and need > limit:
        raise SettingError(
            f"{path} would need {need:,} bytes, its disk_bytes allow {limit:,}: make a store with more --disk"
        )


KEEP_REVISIONS = 10
