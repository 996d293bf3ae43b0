"""Words of an outcome: the verdict of a change that is no lesson, and what would teach a lesson with nothing new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import click

from edgecl.cli.text import counted, wrapped

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict
    from edgecl.operations.teaching import Report


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


def nevertheless(report: Report) -> str:
    """Return which options teach a lesson that has nothing new."""
    if not report.taught_before:
        return "--force teaches it nevertheless."
    if report.samples == report.taught_before:  # all of it
        return "--again teaches it nevertheless; if the model then has nothing to learn from it, --again --force."
    others = counted(report.samples, "other sample")
    return f"--force teaches the {others}, --again also the {report.taught_before} that were taught before."


def advice(report: Report) -> str:
    """What to do about a lesson that is not taught."""
    verdict = report.verdict
    if verdict.waits:
        return "Nothing of it is live until you answer. --force commits the lesson as it is."
    if verdict.accepted:
        return "Record more samples, or leave out --require-proof."
    if report.forced:
        return "No memory was set aside for it: the reason above says what has to change first."
    if not verdict.classes:  # it was not judged: the reason states what to do
        return "--dry-run tries a lesson without writing."
    if verdict.is_final:
        return "Put the labels right, or leave these samples out. --force commits the lesson as it is."
    return (
        "More samples of the classes named above, in one lesson with these, help most; --dry-run tries without "
        "writing. --force commits the lesson as it is."
    )
