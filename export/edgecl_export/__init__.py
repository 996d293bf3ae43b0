"""Host side: builds frozen feature extractors. Needs the extra [export]; a device never does."""

from __future__ import annotations

from edgecl_export.adapt import adapt_text as adapt_text
from edgecl_export.identity import export_identity as export_identity
from edgecl_export.image import export_image as export_image
from edgecl_export.imu import export_imu as export_imu
from edgecl_export.model import export_model as export_model
from edgecl_export.table import export_table as export_table
from edgecl_export.text import export_text as export_text
from edgecl_export.voice import export_voice as export_voice
from edgecl_export.wakeword import export_wakeword as export_wakeword
from edgecl_export.wrap import export_wrap as export_wrap
from edgecl_export.wrap_image import export_wrap_image as export_wrap_image

__all__ = [
    "adapt_text",
    "export_identity",
    "export_image",
    "export_imu",
    "export_model",
    "export_table",
    "export_text",
    "export_voice",
    "export_wakeword",
    "export_wrap",
    "export_wrap_image",
]
