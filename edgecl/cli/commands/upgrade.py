"""`edgecl upgrade`: a better extractor under an old store."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import progress, warn
from edgecl.cli.commands._outcome import print_headline, print_reasons
from edgecl.cli.options import choice_options, example, json_option, label_column_option, store_argument
from edgecl.cli.text import counted, listed, percent, print_json, table, wrapped

if TYPE_CHECKING:
    from edgecl.operations.upgrading import UpgradeReport
    from edgecl.sources.choices import Choices

REJECTED = 3


@click.command(
    epilog=example(
        "edgecl upgrade kitchen --extractor better.onnx --from recordings/ --dry-run",
        "edgecl upgrade kitchen --extractor better.onnx --from recordings/",
        "edgecl rollback kitchen",
    )
)
@store_argument
@click.option("--extractor", required=True, metavar="NAME|FILE", help="New extractor, of the store's modality.")
@click.option(
    "--from",
    "path",
    required=True,
    metavar="DATA",
    type=click.Path(path_type=Path, allow_dash=False),
    help="Recordings with labels, as `learn` takes them; they are read twice.",
)
@click.option("--drop-missing", is_flag=True, help="Go on without the classes that have no recordings.")
@label_column_option
@click.option("--dry-run", is_flag=True, help="Judge the change and commit nothing.")
@click.option("--force", is_flag=True, help="Commit whatever the verdict.")
@choice_options
@json_option
def command(
    store: Path,
    extractor: str,
    path: Path,
    drop_missing: bool,
    label_column: str | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
    how: Choices,
) -> None:
    """Put a better extractor under a store, and teach its classes again from recordings.

    Samples are not kept, so the user's recordings are needed: a class without any is refused, or dropped with
    --drop-missing. The gate compares the old model and the new one on the same recordings, each left out of both, with
    its person where several have given a class. The new extractor is a part of the new revision: `edgecl rollback`
    brings the old one back. Other labels in DATA are left out. Exit code 3: the new one would cost known classes too
    much.
    """
    from edgecl.operations.upgrading import upgrade

    with warn.opened(store) as learner:
        live = learner.revision
        read = partial(progress.read, path, label_column=label_column, how=how)
        report = upgrade(
            learner.opened, extractor, read, drop_missing=drop_missing, dry_run=dry_run, force=force
        ).finish(progress.stage)
    if as_json:
        print_json(report.as_dict())
    else:
        warn.skips(report.skipped)
        _print(report, live)
    if not report.is_accepted:
        click.get_current_context().exit(REJECTED)


def _print(report: UpgradeReport, live: int) -> None:
    print_headline(report, live=live)
    print_reasons(report)
    for name, one in (("before", report.before), ("after", report.after)):
        click.echo(f"{name:7} {one['source']}, {one['dimension']} latents, sha256 {one['sha256'][:12]}")
    header = ("class", "taught from", "now from", "judged by", "right before", "after")
    click.echo(table([_row(label, report.of(label)) for label in report.taught_before], header=header, align="lrrrrr"))
    if report.dropped:
        click.echo(wrapped(f"dropped, since there are no recordings: {listed(report.dropped)}", first=""))
    if report.unknown:
        others = listed(f"{label} ({counted(count, 'sample')})" for label, count in report.unknown.items())
        click.echo(wrapped(f"not known to the store, so not taught: {others}", first=""))
    if report.left_behind:
        click.echo(wrapped(f"left behind with the old extractor: {listed(report.left_behind)}", first=""))
    if report.revision is not None:
        text = f"A running `edgecl listen` goes on with revision {live} until it is started again; `edgecl rollback` "
        click.echo(wrapped(f"{text}brings the old extractor back.", first=""))


def _row(label: str, one: dict[str, Any]) -> tuple[str, ...]:
    before, after = ("" if share is None else percent(share) for share in (one["right_before"], one["right_after"]))
    return (label, str(one["taught_before"]), str(one["taught"]), str(one["judged"]), before, after)
