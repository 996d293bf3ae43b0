"""The command line `edgecl`: one module a command, loaded when it is called.

`edgecl --help` therefore loads neither numpy nor a runtime. A command is options, one call of the library,
one print; results go to stdout, progress and warnings to stderr.
"""

from __future__ import annotations

from edgecl.cli._main import main

__all__ = ["main"]
