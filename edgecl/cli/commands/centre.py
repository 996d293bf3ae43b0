"""`edgecl centre`: samples without labels fit the model to who wears it, or where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import progress, warn
from edgecl.cli.options import choice_options, example, json_option, label_column_option, store_argument
from edgecl.cli.text import counted, print_json, printable, wrapped

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.operations.centring import CentringReport
    from edgecl.sources.choices import Choices

REJECTED = 3


@click.command(
    epilog=example(
        "edgecl centre wrist monday.csv", "edgecl centre wrist monday.csv --dry-run", "edgecl centre wrist --off"
    )
)
@store_argument
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--off", is_flag=True, help="Remove the centre: use samples as they are.")
@click.option("--dry-run", is_flag=True, help="Judge and commit nothing.")
@click.option("--force", is_flag=True, help="Commit whatever the verdict.")
@label_column_option
@choice_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    store: Path,
    path: Path | None,
    off: bool,
    dry_run: bool,
    force: bool,
    label_column: str | None,
    as_json: bool,
    how: Choices,
) -> None:
    """Adapt to a user or place with samples that have no labels.

    PATH has a form that `edgecl learn` reads, without labels: some minutes of all that the model knows, by the person
    who will use it. The difference of their mean to that of the teachers is subtracted from every sample that is
    predicted or taught from then on. For movement and other data, not for words.

    Samples of a few classes alone are rejected, since their mean is that of the classes (exit code 3).
    """
    if path is None and not off:
        raise click.UsageError("give samples to centre on, or --off")
    if off and (path is not None or dry_run or force):
        raise click.UsageError("--off takes neither samples nor other options")
    with warn.opened(store) as learner:
        if path is None:
            _take_off(learner, as_json=as_json)
            return
        learner.require_centrable()  # before the samples are looked at
        samples = progress.read(
            path, learner.contract, label_column=label_column, labelled=False, how=how, checked=True
        )
        report = learner.centre(samples, dry_run=dry_run, force=force)
        live = learner.revision
    if as_json:
        print_json(report.as_dict())
    else:
        _print(report, live=live)
    if not report.verdict.accepted and not report.forced:
        ctx.exit(REJECTED)


def _take_off(learner: Learner, *, as_json: bool) -> None:
    revision = learner.uncentre()
    if as_json:
        print_json({"revision": revision.number})
    else:
        click.secho(f"Revision {revision.number} is live: samples are taken as they are.", bold=True)


def _print(report: CentringReport, *, live: int) -> None:
    warn.skips(report.skipped)
    trial = "DRY RUN: " if report.dry_run else ""
    outcome = f"revision {report.revision} is live" if report.revision else "nothing is written"
    if report.forced:
        click.secho(f"{trial}FORCED against the gate, {outcome}.", bold=True, fg="yellow")
    elif report.verdict.accepted:
        click.secho(f"{trial}CENTRED on {counted(report.samples_in_all, 'sample')}, {outcome}.", bold=True, fg="green")
    else:
        click.secho(f"{trial}REJECTED, revision {live} stays live, untouched.", bold=True, fg="red")
    for reason in report.verdict.reasons:
        click.echo(wrapped(printable(reason), first="  "))
