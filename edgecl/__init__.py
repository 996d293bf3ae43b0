"""Teach a small device new classes from a few examples, without the cloud and without forgetting.

Every public name is loaded on first use, so that ``import edgecl`` costs nothing and needs no runtime.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know the name; to load `typing` takes longer than all else of a start

if TYPE_CHECKING:
    from edgecl import drift as drift
    from edgecl import metrics as metrics
    from edgecl.errors import ContractError as ContractError
    from edgecl.errors import DataError as DataError
    from edgecl.errors import EdgeclError as EdgeclError
    from edgecl.errors import ModelError as ModelError
    from edgecl.errors import SettingError as SettingError
    from edgecl.errors import StoreDamagedError as StoreDamagedError
    from edgecl.errors import StoreLockedError as StoreLockedError
    from edgecl.errors import StoreMissingError as StoreMissingError
    from edgecl.extractors.base import Extractor as Extractor
    from edgecl.extractors.contract import Contract as Contract
    from edgecl.extractors.opening import open_extractor as open_extractor
    from edgecl.gate.judge import judge as judge
    from edgecl.gate.verdict import Policy as Policy
    from edgecl.gate.verdict import Verdict as Verdict
    from edgecl.learner import Learner as Learner
    from edgecl.learning.collector import LessonCollector as LessonCollector
    from edgecl.learning.loop import learn as learn
    from edgecl.model.model import Lesson as Lesson
    from edgecl.model.model import MemoryObjects as MemoryObjects
    from edgecl.model.model import Model as Model
    from edgecl.model.settings import Settings as Settings
    from edgecl.progress import Run as Run
    from edgecl.sources.reading import read_samples as read_samples
    from edgecl.sources.samples import Sample as Sample
    from edgecl.sources.samples import Skip as Skip
    from edgecl.store.store import Store as Store

    Device = Learner

__version__ = "0.1.0"

# public name -> the module that defines it; each is imported once more above, for type checkers
_HOME = {
    "Contract": "edgecl.extractors.contract",
    "ContractError": "edgecl.errors",
    "DataError": "edgecl.errors",
    "EdgeclError": "edgecl.errors",
    "Extractor": "edgecl.extractors.base",
    "Learner": "edgecl.learner",
    "Lesson": "edgecl.model.model",
    "LessonCollector": "edgecl.learning.collector",
    "MemoryObjects": "edgecl.model.model",
    "Model": "edgecl.model.model",
    "ModelError": "edgecl.errors",
    "Policy": "edgecl.gate.verdict",
    "Run": "edgecl.progress",
    "Sample": "edgecl.sources.samples",
    "SettingError": "edgecl.errors",
    "Settings": "edgecl.model.settings",
    "Skip": "edgecl.sources.samples",
    "Store": "edgecl.store.store",
    "StoreDamagedError": "edgecl.errors",
    "StoreLockedError": "edgecl.errors",
    "StoreMissingError": "edgecl.errors",
    "Verdict": "edgecl.gate.verdict",
    "judge": "edgecl.gate.judge",
    "learn": "edgecl.learning.loop",
    "open_extractor": "edgecl.extractors.opening",
    "read_samples": "edgecl.sources.reading",
}
_MODULES = ("drift", "metrics")
_RENAMED = {"Device": "Learner"}

__all__ = sorted([*_HOME, *_MODULES])  # without the old names, of which `import *` would warn

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _RENAMED:
            import warnings

            warnings.warn(f"edgecl.{name} is now edgecl.{_RENAMED[name]}", DeprecationWarning, stacklevel=2)
            name = _RENAMED[name]
        if name in _MODULES:
            return import_module(f"edgecl.{name}")
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME, *_MODULES})
