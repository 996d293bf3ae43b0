"""Teach a small device new classes from a few examples, without the cloud and without forgetting.

Every public name is loaded on first use, so that ``import edgecl`` costs nothing and needs no runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecl.errors import EdgeclError as EdgeclError
    from edgecl.extractors.contract import Contract as Contract
    from edgecl.extractors.opening import open_extractor as open_extractor
    from edgecl.gate.judge import judge as judge
    from edgecl.gate.verdict import Policy as Policy
    from edgecl.gate.verdict import Verdict as Verdict
    from edgecl.learning.collector import LessonCollector as LessonCollector
    from edgecl.learning.loop import learn as learn
    from edgecl.model.model import Lesson as Lesson
    from edgecl.model.model import Model as Model
    from edgecl.model.settings import Settings as Settings
    from edgecl.operations.open_store import Device as Device
    from edgecl.sources.reading import read_samples as read_samples
    from edgecl.sources.samples import Sample as Sample
    from edgecl.sources.samples import Skip as Skip
    from edgecl.store.store import Store as Store

__version__ = "0.1.0"

# public name -> the module that defines it; each is imported once more above, for type checkers
_HOME = {
    "Contract": "edgecl.extractors.contract",
    "Device": "edgecl.operations.open_store",
    "EdgeclError": "edgecl.errors",
    "Lesson": "edgecl.model.model",
    "LessonCollector": "edgecl.learning.collector",
    "Model": "edgecl.model.model",
    "Policy": "edgecl.gate.verdict",
    "Sample": "edgecl.sources.samples",
    "Settings": "edgecl.model.settings",
    "Skip": "edgecl.sources.samples",
    "Store": "edgecl.store.store",
    "Verdict": "edgecl.gate.verdict",
    "judge": "edgecl.gate.judge",
    "learn": "edgecl.learning.loop",
    "open_extractor": "edgecl.extractors.opening",
    "read_samples": "edgecl.sources.reading",
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
