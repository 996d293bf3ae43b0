"""Print what of a lesson waits for its user."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli.text import counted, printable, wrapped

if TYPE_CHECKING:
    from edgecl.gate.verdict import Ask, SetAside
    from edgecl.operations.teaching import Report

SHOWN = 5  # samples that are named


def tell(report: Report, store: Path) -> None:
    """Print what was set aside and what is asked, with the commands that answer."""
    name = printable(str(store))
    if report.set_aside:
        click.echo(wrapped(_set_aside(report), first="SET ASIDE "))
        if not report.dry_run:
            click.echo(wrapped(_teach_one(report, name), first="          "))
    for ask in report.asks:
        click.echo(wrapped(_question(ask), first="ASKS      "))
        if not report.dry_run:
            click.echo(wrapped(_answers(ask, name), first="          "))
    if report.unkept:
        text = f"{counted(report.unkept, 'sample')} that wait did not go into the inbox: keep their files"
        click.echo(wrapped(text, first="note: "))


def _set_aside(report: Report) -> str:
    named = [_named(one) for one in report.set_aside[:SHOWN]]
    more = len(report.set_aside) - len(named)
    listed = ", ".join([*named, f"and {more} more"] if more else named)
    fit = "does not fit its name" if len(report.set_aside) == 1 else "do not fit their name"
    return f"{len(report.set_aside)} of {counted(report.samples, 'sample')} {fit}: {listed}"


def _named(one: SetAside) -> str:
    source = "/".join(Path(one.source).parts[-2:]) if one.source else f"{one.label} {one.row + 1}"
    return f'{printable(source)} ({"taught before as" if one.is_taught else "more like"} "{one.like}")'


def _teach_one(report: Report, store: str) -> str:
    """The command that teaches samples after all, for each name, with the ids in the inbox."""
    ids: dict[str, list[str]] = defaultdict(list)
    for one in report.waiting:
        if one.kind == "set aside":
            ids[one.called].append(one.id.lstrip("0"))
    if not ids:
        return "They are not taught."
    commands = [
        f'`edgecl inbox {store} label {" ".join(some[:SHOWN])} "{label}"`' for label, some in sorted(ids.items())
    ]
    return f"They are not taught. {', '.join(commands)} teaches after all"


def _question(ask: Ask) -> str:
    if ask.is_live:
        return f'"{ask.label}", which is live, has become more like "{ask.like}" with this lesson: is it the same?'
    where = "which is known" if ask.odds is not None else "which is in this lesson, or all that is known"
    return f'the {counted(ask.samples, "sample")} called "{ask.label}" are like "{ask.like}", {where}: is it the same?'


def _answers(ask: Ask, store: str) -> str:
    command = f'`edgecl inbox {store} answer "{ask.label}"'
    waits = "nothing changes" if ask.is_live else "nothing of it is live"
    return (
        f'{command} --same-as "{ask.like}"` teaches it as "{ask.like}", {command} --distinct` makes it a class of its '
        f"own; {waits} until then"
    )
