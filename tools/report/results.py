"""Results files, `tools/results/<script>.md`: the tables of the last whole run, and the text that explains them.

A script writes what stands between two comments, and nothing else of its file::

    # What was measured
    Text by hand: what it is, what it shows, what was missed.
    <!-- tools/script -->
    the tables, written by the script
    <!-- end -->

Only the standard library is used here.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
END = "<!-- end -->"


@dataclass(frozen=True)
class Results:
    """The measured part of a script's results file."""

    script: str
    """Its name in `tools/`."""
    title: str
    """First line of a new file."""
    part: str = ""
    """Which one, where a script has several."""

    @property
    def path(self) -> Path:
        """Where a whole run writes."""
        return RESULTS / f"{self.script}.md"

    @property
    def command(self) -> str:
        """The command that writes the part."""
        return f"tools/{self.script} {self.part}".strip()

    def add_option(self, parser: argparse.ArgumentParser) -> None:
        """Add `--markdown`, which says where the tables are written."""
        about = f"write the tables there; a whole run without it writes tools/results/{self.path.name}"
        parser.add_argument("--markdown", type=Path, metavar="FILE", help=about)

    def keep(self, tables: str, *, given: Path | None, is_whole: bool) -> None:
        """Write the tables to the file that was given, or to the results file after a whole run."""
        path = given or (self.path if is_whole else None)
        if path is None:
            return
        path.write_text(self.replaced(path.read_text() if path.exists() else "", tables))
        print(f"tables written to {path}", file=sys.stderr)

    def replaced(self, text: str, tables: str) -> str:
        """Return the text of a results file with its measured part replaced, or with the part added.

        >>> results = Results("count", "Counts")
        >>> text = results.replaced("", "one")
        >>> print(results.replaced(text + "After.", "two"))
        # Counts
        <BLANKLINE>
        Written by `tools/count`.
        <BLANKLINE>
        <!-- tools/count -->
        two
        <!-- end -->
        After.
        """
        begin = f"<!-- {self.command} -->"
        measured = f"{begin}\n{tables.strip()}\n{END}"
        if begin in text:
            before, _, rest = text.partition(begin)
            return f"{before}{measured}{rest.partition(END)[2]}"
        above = f"{text.rstrip()}\n" if text.strip() else f"# {self.title}\n"
        return f"{above}\nWritten by `{self.command}`.\n\n{measured}\n"


class _Both(io.TextIOBase):
    """A stream that writes to two others."""

    def __init__(self, first: io.TextIOBase, second: io.TextIOBase) -> None:
        self._streams = first, second

    def write(self, text: str) -> int:
        for stream in self._streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        for stream in self._streams:
            stream.flush()


@contextmanager
def printed() -> Iterator[io.StringIO]:
    """Yield a copy of what this process prints meanwhile."""
    copy = io.StringIO()
    with redirect_stdout(_Both(sys.stdout, copy)):  # type: ignore[arg-type]
        yield copy


def fenced(text: str) -> str:
    """Return what a command printed as a block of Markdown."""
    return f"```\n{text.rstrip()}\n```"
