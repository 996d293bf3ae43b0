"""The program `edgecl`, also `python -m edgecl.cli` where the script is not on the path."""

from __future__ import annotations

from edgecl.cli import interrupts


def run() -> None:
    """Run the command line; an interrupt ends it with 130, wherever it falls."""
    interrupts.hold()
    try:
        from edgecl.cli.app import main

        main(prog_name="edgecl")
    finally:
        interrupts.ignore()


if __name__ == "__main__":
    run()
