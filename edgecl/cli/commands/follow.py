"""`edgecl follow`: a stream of rows, each answered first and learnt from when its label comes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli.commands import _prequential
from edgecl.cli.options import (
    Finite,
    OutputFile,
    Whole,
    choice_options,
    example,
    json_option,
    label_column_option,
    path_or_stdin,
    store_argument,
)

if TYPE_CHECKING:
    from edgecl.sources.choices import Choices

REJECTED = 3


@click.command(
    epilog=example(
        "edgecl follow prices stream.csv --label-column class",
        "edgecl follow prices stream.csv --label-column class --label-delay 100 --plot prices.svg",
        "edgecl follow cards payments.csv --watch fraud --cost missed=50,false=1",
        "edgecl follow cards payments.csv --watch fraud --alerts-per-1000 20 --json",
        "tail -f payments.csv | edgecl follow cards - --id-column id --labels chargebacks.fifo",
        "tail -n +1 -f prices.csv | edgecl follow prices - --label-column class --live",
    )
)
@store_argument
@click.argument("path", type=click.Path(path_type=Path))
@label_column_option
@click.option(
    "--label-delay",
    metavar="ROWS",
    type=Whole(min=0),
    default=0,
    help="Rows between a row and its label. [default: 0]",
)
@click.option("--id-column", metavar="NAME", help="Column of PATH by which --labels names its rows.")
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Labels that come later: a .csv or a pipe with the columns id and label.",
)
@click.option(
    "--waiting",
    metavar="ROWS",
    type=Whole(min=1),
    default=1000,
    help="Rows that may wait for their label in --labels. [default: 1000]",
)
@click.option(
    "--live", is_flag=True, help="Answer and print each row as it comes, and learn from the label that it has."
)
@click.option(
    "--prior",
    metavar="stream|balanced|A=0.01,B=0.99",
    default="stream",
    help="How frequent the classes are taken to be in an answer. [default: as in the stream]",
)
@click.option("--watch", metavar="NAME", help="Class to raise alerts for, such as fraud.")
@click.option(
    "--cost",
    metavar="missed=M,false=F",
    help="Alert where it costs less than none: what a missed row and a false alert cost.",
)
@click.option(
    "--alerts-per-1000", metavar="N", type=Finite(0, 1000), help="Alert on the likeliest rows, at most N of 1,000."
)
@click.option("--curve", metavar="FILE.csv", type=OutputFile(), help="Write accuracy, kappas and classes over time.")
@click.option(
    "--plot", metavar="FILE.svg", type=OutputFile(), help="Draw accuracy over time, with a mark at each drift."
)
@click.option("--dry-run", is_flag=True, help="Answer and learn, but commit nothing.")
@choice_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    store: Path,
    path: Path,
    label_column: str | None,
    label_delay: int,
    id_column: str | None,
    labels: Path | None,
    waiting: int,
    live: bool,
    prior: str,
    watch: str | None,
    cost: str | None,
    alerts_per_1000: float | None,
    curve: Path | None,
    plot: Path | None,
    dry_run: bool,
    as_json: bool,
    how: Choices,
) -> None:
    """Answer each row of a stream, then learn from its label.

    PATH is a table (.csv); a row with an empty label is only answered. Experts at several time scales answer together,
    and those that have been right of late count most. With --labels, rows and labels are read as they come, from files
    or pipes, and each prediction is printed at once; with --live too, where rows have their labels in a column. Else a
    pipe is read to its end first. Exit code 3: the revision in the store answers the latest rows
    better, and stays live.
    """
    if watch is None and (cost or alerts_per_1000 is not None):
        raise click.UsageError("--cost and --alerts-per-1000 are about one class: add --watch NAME")
    if cost and alerts_per_1000 is not None:
        raise click.UsageError("alerts by --cost or by --alerts-per-1000: choose one")
    if (id_column is None) != (labels is None):
        raise click.UsageError("--id-column and --labels go together")
    if labels is not None and (live or label_column is not None or label_delay):
        raise click.UsageError(
            "labels come by --labels, or in a column (--label-column, --label-delay, --live): choose one"
        )
    alerts = {"prior": prior, "watch": watch, "cost": cost, "alerts_per_1000": alerts_per_1000}
    if live or labels is not None:
        from edgecl.cli.commands import _by_id

        if labels is not None and id_column is not None:
            arriving = _by_id.by_id(path, labels, id_column=id_column, waiting_rows=waiting)
        else:
            waiting = label_delay + 1  # a label is known when its row is, and no row waits longer
            arriving = _by_id.live(path, label_column=label_column or "label", label_delay=label_delay)
        report, budget = _by_id.run(
            store, arriving, waiting_rows=waiting, as_json=as_json, dry_run=dry_run, label_case=how.label_case, **alerts
        )
        accepted = _prequential.finish(report, budget, curve=curve, plot=plot, as_json=as_json)
        ctx.exit(0 if accepted else REJECTED)
    accepted = _prequential.run(
        store,
        path_or_stdin(ctx, path),
        label_column=label_column,
        label_delay=label_delay,
        dry_run=dry_run,
        as_json=as_json,
        how=how,
        curve=curve,
        plot=plot,
        prior=prior,
        watch=watch,
        cost=cost,
        alerts_per_1000=alerts_per_1000,
    )
    ctx.exit(0 if accepted else REJECTED)
