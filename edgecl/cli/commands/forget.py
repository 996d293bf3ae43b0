"""`edgecl forget`: take a class out for good."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import warn
from edgecl.cli.options import example, json_option, store_argument
from edgecl.cli.text import counted, listed, print_json, printable, wrapped

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.operations.forgetting import Receipt, State

HEADS = {
    "whitened-cosine": "closed form",
    "lda": "linear discriminant",
    "refined": "refined",
    "refined-closed-form": "refined closed form",
}


class Age(click.ParamType[timedelta]):
    """A time span such as 90d, 12w or 36h."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,5}) ?([hdw])", value)
        if not match or not int(match[1]):
            self.fail(f"{value!r} is no time span: write it as 90d, 12w or 36h", param, ctx)
        return int(match[1]) * {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]


@click.command(
    epilog=example(
        'edgecl forget kitchen "lights off"',
        "edgecl forget kitchen --older-than 90d --dry-run",
    )
)
@store_argument
@click.argument("labels", metavar="[LABEL]...", nargs=-1)
@click.option(
    "--older-than",
    type=Age(),
    help="Forget classes whose last lesson is older: 36h, 90d, 12w; only times of a trusted clock count.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed and remove nothing.")
@json_option
def command(store: Path, labels: tuple[str, ...], older_than: timedelta | None, dry_run: bool, as_json: bool) -> None:
    """Remove a class for good, as if it had never been taught.

    Removes its statistics and exemplars, every revision that knew it with its evidence, and the inbox. The
    closed-form head that is left is bit for bit that of a store which never saw LABEL. Prints a receipt:
    what was removed, digests before and after, and what cannot be promised. It cannot be undone.
    """
    if bool(labels) == (older_than is not None):
        raise click.UsageError("name the classes to forget, or say --older-than: one of the two")
    with warn.opened(store) as learner:
        receipt = learner.forget(labels, older_than=older_than, dry_run=dry_run)
        if receipt is None:
            _print_none(learner, as_json=as_json)
            return
    if as_json:
        print_json(receipt.as_dict())
    else:
        _print(receipt)


def _print_none(learner: Learner, *, as_json: bool) -> None:
    from edgecl.operations.forgetting import undated

    left_alone = undated(learner.opened)
    if as_json:
        print_json({"forgotten": {}, "revision": learner.revision, "left_alone": left_alone})
    else:
        click.echo(f"No class is known to be that old: revision {learner.revision} stays live, untouched.")
        _print_left_alone(left_alone)


def _print_left_alone(left_alone: Mapping[str, str]) -> None:
    """Name the classes whose age is not known, for each reason."""
    by_reason: dict[str, list[str]] = {}
    for label, reason in left_alone.items():
        by_reason.setdefault(reason, []).append(label)
    for reason, labels in by_reason.items():
        click.echo(wrapped(f"{listed(labels)}: {reason}. To forget one, name it", first="left alone: "))


def _print(receipt: Receipt) -> None:
    names = listed(f"{label} ({counted(count, 'sample')})" for label, count in receipt.classes.items())
    what = names or "what only older revisions or the journal knew"
    trial = "DRY RUN: would forget " if receipt.dry_run else "Forgotten: "
    click.secho(printable(f"{trial}{what}."), bold=True, fg=None if receipt.dry_run else "green")
    removed = receipt.removed
    revisions = f" ({', '.join(map(str, removed.revisions))})" if removed.revisions else ""
    click.echo("to be removed:" if receipt.dry_run else "removed:")
    click.echo(wrapped(f"{counted(len(removed.revisions), 'revision')} that knew it{revisions}"))
    click.echo(wrapped(f"statistics, and {counted(receipt.exemplars, 'exemplar')} of the live model"))
    if receipt.had_ewc:
        click.echo(wrapped("the EWC state, which was made from all classes"))
    if receipt.had_experts:
        click.echo(wrapped("the experts of the stream, which were made from all classes: `follow` begins them again"))
    if not receipt.dry_run:
        click.echo(wrapped(f"{counted(len(removed.objects), 'object file')} that no revision needs any more"))
    click.echo(wrapped(f"the details of {counted(removed.journal_lines, 'journal line')}"))
    if removed.inbox_files:
        click.echo(wrapped(f"{counted(removed.inbox_files, 'file')} of the inbox, which have no label"))
    if receipt.head_restarted:
        click.echo("The refined head was made from all classes: the model restarts from the closed form.")
    _print_left_alone(receipt.left_alone)
    if not receipt.dry_run:
        click.echo(f"before: {_state(receipt.before)}\nafter:  {_state(receipt.after)}")
        click.echo("not promised, since it is not in the store's hands:")
        for one in receipt.as_dict()["not_promised"]:
            click.echo(wrapped(one))


def _state(state: State) -> str:
    head = HEADS.get(state.head or "", "no head")
    known = counted(state.classes, "class", "classes")
    return f"revision {state.revision} ({state.sha256[:16]}), {known}, {head}, {state.disk_bytes:,} bytes on disk"
