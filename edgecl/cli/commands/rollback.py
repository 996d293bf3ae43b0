"""`edgecl rollback`: make an earlier revision the live one."""

from __future__ import annotations

from pathlib import Path

import click

from edgecl.cli import warn
from edgecl.cli.options import Whole, example, json_option, store_argument
from edgecl.cli.text import counted, listed, print_json, printable


@click.command(epilog=example("edgecl rollback kitchen", "edgecl rollback kitchen 4"))
@store_argument
@click.argument("revision", required=False, type=Whole(min=0))
@json_option
def command(store: Path, revision: int | None, as_json: bool) -> None:
    """Make an earlier revision the live one.

    REVISION is one that `edgecl history` lists, by default the one that the live one was learnt from: a second
    rollback goes one further back. Its model becomes a new revision, so that `edgecl rollback STORE REVISION`
    undoes a rollback.
    """
    from edgecl.store.body_kinds import RollbackBody, body_of

    with warn.opened(store) as learner:
        before, old = learner.store.current(), set(learner.classes)
        now = learner.rollback(revision)
    body = body_of(now)
    assert isinstance(body, RollbackBody)
    new, target = set(body.classes), body.rolled_back_to
    if as_json:
        told = {"revision": now.number, "rolled_back_to": target, "replaced": before.number}
        print_json({**told, "classes_gone": sorted(old - new), "classes_back": sorted(new - old)})
        return
    known = counted(len(new), "class", "classes")
    click.secho(f"Revision {now.number} is live: the model of revision {target}, {known}.", bold=True)
    if old - new:
        click.echo(f"no longer known: {printable(listed(sorted(old - new)))}")
    if new - old:
        click.echo(f"known again: {printable(listed(sorted(new - old)))}")
    click.echo(f"To undo: edgecl rollback {printable(str(store))} {before.number}")
