"""Host side: builds frozen feature extractors. Needs the extra [export]; a device never does."""

from __future__ import annotations

from edgecl_export.voice import export_voice as export_voice

__all__ = ["export_voice"]
