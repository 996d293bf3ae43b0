"""`edgecl wrong`: a detection that was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import warn
from edgecl.cli.commands import _prompt
from edgecl.cli.commands._teaching import teach
from edgecl.cli.options import Whole, example, json_option, label_case_option, store_argument
from edgecl.cli.text import counted, printable
from edgecl.errors import SettingError

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.operations.inbox import Item


@click.command(
    epilog=example(
        "edgecl wrong kitchen",
        'edgecl wrong kitchen --label "lights on"',
        "edgecl wrong kitchen 12",
        "edgecl wrong kitchen --last 3 --yes",
    )
)
@store_argument
@click.argument("name", metavar="[ID]", required=False)
@click.option("--last", metavar="N", type=Whole(min=1), help="Latest detections to correct. [default: 1]")
@click.option("--label", metavar="NAME", help="Correct class. [default: background]")
@label_case_option
@click.option("--force", is_flag=True, help="Commit whatever the verdict.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@json_option
def command(
    store: Path,
    name: str | None,
    last: int | None,
    label: str | None,
    label_case: str | None,
    force: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Correct the last detection: teach it as another class or as background.

    Uses the latest ten detections that `edgecl listen --inbox` kept; ID is that of an event, or its number in
    `edgecl inbox`. Prints which detection it takes, and on a terminal asks first. Without --label the recording becomes
    a sample of the class _background_noise_, which is an answer and never an event. The gate judges it like any lesson;
    exit code 3: it would have cost more than it fixes.
    """
    from edgecl.sources.labels import NEGATIVE

    if name is not None and last is not None:
        raise click.UsageError("give the ID of a detection or --last N, not both")
    with warn.opened(store) as learner:
        items = _chosen(learner, store, name, last or 1)
        for one in items:
            click.echo(_described(one), err=True)
        if not yes and _prompt.is_possible():
            what = counted(len(items), "detection")
            click.confirm(f'Teach {what} as "{label or NEGATIVE}"?', abort=True, err=True)
        teach(learner, items, label=label or NEGATIVE, label_case=label_case, force=force, as_json=as_json)


def _chosen(learner: Learner, store: Path, name: str | None, last: int) -> list[Item]:
    """Return the detection of an id, or the latest ones."""
    inbox = learner.inbox()
    kept = inbox.items("detection")
    if not kept:
        raise SettingError(f"{store} has kept no detection: `edgecl listen {store} --inbox` keeps the latest ten")
    if name is not None:
        item = inbox.item(name)
        if item.kind != "detection":
            raise SettingError(f"{name} is no detection but a {item.kind}: `edgecl inbox {store} label {name} NAME`")
        return [item]
    if last > len(kept):
        raise SettingError(f"{store} has kept {counted(len(kept), 'detection')}, not {last}")
    return kept[-last:]


def _described(item: Item) -> str:
    """Return which detection it is: number, label, confidence and wall time."""
    kept = item.kept.replace("+00:00", "").replace("T", " ")
    return f"detection {item.id.lstrip('0')}: {printable(item.label)} ({item.confidence:.0%}), {kept} UTC"
