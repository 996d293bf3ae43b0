"""Teach a small device new classes from a few examples, without the cloud and without forgetting.

Every public name is loaded on first use, so that ``import edgecl`` costs nothing and needs no runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecl.config import Settings as Settings
    from edgecl.device import Device as Device
    from edgecl.errors import EdgeclError as EdgeclError
    from edgecl.extractor import Contract as Contract
    from edgecl.extractor import open_extractor as open_extractor
    from edgecl.gate import Policy as Policy
    from edgecl.gate import Verdict as Verdict
    from edgecl.gate import judge as judge
    from edgecl.learner import learn as learn
    from edgecl.lesson import Lesson as Lesson
    from edgecl.lesson import LessonCollector as LessonCollector
    from edgecl.model import Model as Model
    from edgecl.sources import Sample as Sample
    from edgecl.sources import Skip as Skip
    from edgecl.sources import read_samples as read_samples
    from edgecl.store import Store as Store

__version__ = "0.1.0"

# public name -> the module that defines it; each is imported once more above, for type checkers
_HOME = {
    "Contract": "edgecl.extractor",
    "Device": "edgecl.device",
    "EdgeclError": "edgecl.errors",
    "Lesson": "edgecl.lesson",
    "LessonCollector": "edgecl.lesson",
    "Model": "edgecl.model",
    "Policy": "edgecl.gate",
    "Sample": "edgecl.sources",
    "Settings": "edgecl.config",
    "Skip": "edgecl.sources",
    "Store": "edgecl.store",
    "Verdict": "edgecl.gate",
    "judge": "edgecl.gate",
    "learn": "edgecl.learner",
    "open_extractor": "edgecl.extractor",
    "read_samples": "edgecl.sources",
}

__all__ = sorted(_HOME)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME})
