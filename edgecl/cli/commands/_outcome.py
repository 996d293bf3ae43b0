"""What `edgecl merge` and `edgecl resize` share: the verdict of a change that is no lesson."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import click

from edgecl.cli.text import wrapped

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict


class Judged(Protocol):
    """A report of what the gate judged."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def revision(self) -> int | None: ...
    @property
    def dry_run(self) -> bool: ...
    @property
    def forced(self) -> bool: ...
    @property
    def is_accepted(self) -> bool: ...


def print_headline(report: Judged, *, live: int, is_unchanged: bool = False) -> None:
    """Print the verdict in a word, and which revision is live."""
    trial = "DRY RUN: " if report.dry_run else ""
    word = "FORCED" if report.forced else "NOTHING NEW" if is_unchanged else report.verdict.name.upper()
    stays = (
        f"revision {live} stays live, untouched" if report.revision is None else f"revision {report.revision} is live"
    )
    outcome = "nothing is written" if report.dry_run else stays
    click.secho(f"{trial}{word}, {outcome}.", bold=True, fg="green" if report.is_accepted else "red")


def print_reasons(report: Judged) -> None:
    """Print why."""
    for reason in report.verdict.reasons:
        click.echo(wrapped(reason.removeprefix("unproven: ")))
