"""Change detectors: `Adwin`, `PageHinkley`, and what they watch; each is loaded on first use.

Examples
--------
>>> from edgecl import drift
>>> drift.Adwin.start().update([0.0] * 500 + [1.0] * 64).has_drifted
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecl.drift.adwin import Adwin as Adwin
    from edgecl.drift.detector import Change as Change
    from edgecl.drift.detector import Detector as Detector
    from edgecl.drift.detector import DriftSignal as DriftSignal
    from edgecl.drift.in_place import InPlace as InPlace
    from edgecl.drift.outlier_score import outlier_scores as outlier_scores
    from edgecl.drift.page_hinkley import PageHinkley as PageHinkley

_HOME = {
    "Adwin": "adwin",
    "Change": "detector",
    "Detector": "detector",
    "DriftSignal": "detector",
    "InPlace": "in_place",
    "PageHinkley": "page_hinkley",
    "outlier_scores": "outlier_score",
}

__all__ = sorted(_HOME)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME})
