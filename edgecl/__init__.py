"""Teach a small device new classes from a few examples, without the cloud and without forgetting.

Every public name is loaded on first use, so that ``import edgecl`` costs nothing and needs no runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecl.errors import EdgeclError as EdgeclError

__version__ = "0.1.0"

# public name -> the module that defines it; each is imported once more above, for type checkers
_HOME = {
    "EdgeclError": "edgecl.errors",
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
