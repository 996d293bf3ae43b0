"""Progress on stderr: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.sources.choices import Choices
    from edgecl.sources.samples import Sample, Skip

LOG_EVERY_S = 10.0
Item = TypeVar("Item")


def read(
    path: Path,
    contract: Contract,
    *,
    label: str | None = None,
    label_column: str | None = None,
    labelled: bool = True,
    how: Choices | None = None,
    checked: bool | None = None,
    known: Collection[str] = (),
) -> Iterator[Sample | Skip]:
    """The labelled samples of a path, with progress while they are taken."""
    from edgecl.sources.reading import count_samples, read_samples

    items = read_samples(  # says what is wrong with the path before it is counted
        path,
        contract,
        label=label,
        label_column=label_column,
        labelled=labelled,
        how=how,
        checked=checked,
        known=known,
    )

    def length() -> int:
        return count_samples(path, contract, label_column=label_column, how=how)

    return watched(items, length=length, label=f"reading {path}")


def watched(items: Iterable[Item], *, length: int | Callable[[], int], label: str) -> Iterator[Item]:
    """The items as they come, drawn as a bar of about `length` steps, which is asked for where it is shown."""
    if not sys.stderr.isatty():
        yield from _logged(items, length=length, label=label)
        return
    length = length() if callable(length) else length
    steps = max(length // 100, 1)
    with click.progressbar(
        length=max(length, 1), label=label, file=sys.stderr, show_pos=True, update_min_steps=steps
    ) as bar:
        for item in items:
            yield item
            bar.update(1)


def _logged(items: Iterable[Item], *, length: int | Callable[[], int], label: str) -> Iterator[Item]:
    due = time.monotonic() + LOG_EVERY_S
    for done, item in enumerate(items):
        if time.monotonic() > due:
            length = length() if callable(length) else length
            click.echo(f"{label}: {done} of about {length}", err=True)
            due += LOG_EVERY_S
        yield item


def stage(one: object) -> None:
    """Print a stage of the learner as a line on a terminal."""
    name = getattr(one, "name", None)  # a Stage; an Embedded is what the bar shows already
    if name and sys.stderr.isatty():
        click.secho(f"  {name}: {one.detail}", err=True, dim=True)  # type: ignore[attr-defined]
