"""`edgecl resize`: other budgets for a store that has learnt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import warn
from edgecl.cli.commands._outcome import print_headline, print_reasons
from edgecl.cli.options import Bytes, Whole, example, json_option, store_argument
from edgecl.cli.text import print_json
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.operations.resizing import ResizeReport

REJECTED = 3


@click.command(
    epilog=example(
        "edgecl resize kitchen --max-classes 70 --dry-run",
        "edgecl resize kitchen --memory 600KiB",
        "edgecl rollback kitchen",
    )
)
@store_argument
@click.option("--memory", "memory_bytes", type=Bytes(), help="Largest RAM of learning.")
@click.option("--disk", "disk_bytes", type=Bytes(), help="Largest size of the store.")
@click.option("--max-classes", type=Whole(min=2), help="Largest number of classes.")
@click.option("--dry-run", is_flag=True, help="Judge the change and commit nothing.")
@click.option("--force", is_flag=True, help="Commit whatever the verdict.")
@json_option
def command(
    store: Path,
    memory_bytes: int | None,
    disk_bytes: int | None,
    max_classes: int | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Change memory, disk or number of classes of a store that has learnt.

    The change is a revision that the gate judges like a lesson: `edgecl rollback` brings the budgets back. A smaller
    memory keeps fewer exemplars and may make the features narrower; a memory with room for wider features is refused,
    since they need every class to be taught again in a new store. Less disk may remove older revisions. Exit code 3:
    it would cost known classes too much.
    """
    if memory_bytes is disk_bytes is max_classes is None:
        raise click.UsageError("say what to change: --memory, --disk or --max-classes")
    with warn.opened(store) as learner:
        live = learner.revision
        report = learner.resize(
            memory_bytes=memory_bytes, disk_bytes=disk_bytes, max_classes=max_classes, dry_run=dry_run, force=force
        )
    if as_json:
        print_json(report.as_dict())
    else:
        _print(report, live)
    if not report.is_accepted:
        click.get_current_context().exit(REJECTED)


def _print(report: ResizeReport, live: int) -> None:
    print_headline(report, live=live)
    print_reasons(report)
    before, after = report.before, report.after
    for name, old, new in (
        ("memory", format_bytes(before.memory_bytes), format_bytes(after.memory_bytes)),
        ("disk", format_bytes(before.disk_bytes), format_bytes(after.disk_bytes)),
        ("classes", str(before.max_classes), str(after.max_classes)),
        ("features", str(before.features.dimension), str(after.features.dimension)),
        ("solved in", before.precision, after.precision),
        ("exemplars", str(report.exemplars_before), str(report.exemplars_after)),
    ):
        click.echo(f"  {name:10} {old} to {new}" if old != new else f"  {name:10} {old}")
