"""The command line `edgecl`: one module a command, loaded when it is called.

`edgecl --help` therefore loads neither numpy nor a runtime. A command is options, one call of the library,
one print; results go to stdout, progress and warnings to stderr.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know the name; to load `typing` takes longer than all else of a start

if TYPE_CHECKING:
    from edgecl.cli.app import main as main

__all__ = ["main"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name != "main":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from edgecl.cli.app import main  # with click, which is loaded once an interrupt can be held: __main__.py

        return main
