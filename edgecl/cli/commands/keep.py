"""`edgecl keep`: what is kept, and what gives way first, when a device learns for years."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from edgecl.cli import warn
from edgecl.cli.options import example, json_option, store_argument
from edgecl.cli.text import listed, print_json, printable


@click.command(
    epilog=example(
        "edgecl keep kitchen yes no --always",
        "edgecl keep kitchen happy --while-used",
        "edgecl keep kitchen tree --until 2027-01-06",
    )
)
@store_argument
@click.argument("labels", metavar="LABEL...", nargs=-1, required=True)
@click.option("--always", is_flag=True, help="It never gives way, not to `forget --older-than` either.")
@click.option("--while-used", is_flag=True, help="It gives its place to a new class when it is the least used.")
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="After that day it is the first to give way."
)
@json_option
def command(
    store: Path, labels: tuple[str, ...], always: bool, while_used: bool, until: datetime | None, as_json: bool
) -> None:
    """Say which classes are kept, and which give way first.

    A store has room for --max-classes classes and for so many exemplars. By default a lesson with one class too many
    is rejected, and exemplars are shared evenly. With `keep`, what is past its date gives way first, then the least
    used of the --while-used classes: `listen` counts events in memory, and the next lesson writes the counts. The
    change is a revision: `edgecl rollback` undoes it, and brings back classes that gave way.
    """
    if always + while_used + (until is not None) != 1:
        raise click.UsageError("say --always, --while-used or --until DATE: one of the three")
    given = until.date() if until else "always" if always else "while-used"
    with warn.opened(store) as learner:
        report = learner.keep(labels, given)
    if as_json:
        print_json(report.as_dict())
        return
    how = f"until {report.priority}" if until else report.priority
    text = f"Revision {report.revision} is live: {listed(report.labels)} kept {how}."
    click.secho(printable(text), bold=True)
