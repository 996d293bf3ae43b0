"""`python -m edgecl.cli`, where the script `edgecl` is not on the path."""

from __future__ import annotations

from edgecl.cli import main

main(prog_name="edgecl")
