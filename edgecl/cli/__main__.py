"""The program `edgecl`, also `python -m edgecl.cli` where the script is not on the path."""

from __future__ import annotations

from edgecl.cli import _interrupt


def run() -> None:
    """Run the command line; an interrupt ends it with 130, wherever it falls."""
    _interrupt.hold()
    try:
        from edgecl.cli._main import main

        main(prog_name="edgecl")
    finally:
        _interrupt.ignore()


if __name__ == "__main__":
    run()
