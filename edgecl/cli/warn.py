"""Warnings on stderr: what could not be used, what is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli.text import printable

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.sources.samples import Skip

BEGUN: dict[Path, int] = {}
"""Stores that the command has opened, with the revision that was live then."""
SKIPS_LISTED = 3  # for each reason


@contextmanager
def opened(path: Path) -> Iterator[Learner]:
    """An open store; at the end a warning for all damage that could be got round."""
    # first, and near the bottom of the stack: on top of edgecl's own imports, numpy's calls come to the end of a chunk
    # of Python's stack, and each maps a new one and gives it back: 1,200 times, 10 ms of a lesson
    import numpy as np  # noqa: F401

    from edgecl.learner import Learner

    learner = Learner.open(path)
    BEGUN[path] = learner.revision
    try:
        yield learner
    finally:
        for damage in learner.store.damage:
            warn(f"{damage}; see `edgecl doctor {path}`")
        if learner.store.stand_in is not None:
            warn(f"revision {learner.store.stand_in}, the newest intact one, stands in")


def of_the_library() -> None:
    """From here on print what the library logs as warnings."""
    import logging

    class Handler(logging.Handler):
        """What the library logs, as warnings."""

        def emit(self, record: logging.LogRecord) -> None:
            warn(record.getMessage())

    logging.getLogger("edgecl").handlers = [Handler(logging.WARNING)]


def warn(text: str) -> None:
    """One warning."""
    click.secho(f"Warning: {printable(text)}", fg="yellow", err=True)


def skips(skipped: Sequence[Skip]) -> None:
    """How many samples were skipped for each reason, and the first of each."""
    if not skipped:
        return
    from edgecl.cli.advice import advice  # most lessons skip nothing

    by_reason: dict[str, list[Skip]] = {}
    for one in skipped:
        by_reason.setdefault(one.reason.partition(":")[0], []).append(one)
    for reason, found in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        count = sum(one.count for one in found)
        warn(f"skipped {count}: {reason}")
        for one in found[:SKIPS_LISTED]:
            click.echo(f"  {printable(one.source)}: {printable(one.reason)}{advice(one.parameter)}", err=True)
        if len(found) > SKIPS_LISTED:
            some = "which --json lists" if count == len(found) else "of which --json lists some"
            click.echo(f"  and {count - SKIPS_LISTED} more, {some}", err=True)
