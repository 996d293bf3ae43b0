"""The program `edgecl` as `python -m edgecl`."""

from __future__ import annotations

from edgecl.cli.__main__ import run

if __name__ == "__main__":
    run()
