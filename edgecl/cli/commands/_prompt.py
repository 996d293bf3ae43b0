"""Ask on a terminal what a lesson left open."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from edgecl.cli import progress
from edgecl.cli.stdin import is_terminal

if TYPE_CHECKING:
    from edgecl.gate.verdict import Ask
    from edgecl.learner import Learner
    from edgecl.operations.teaching import Report

SAME, DISTINCT, LATER = "same", "distinct", "later"


def is_possible() -> bool:
    """Test whether there is somebody to answer."""
    return is_terminal() and sys.stdout is not None and sys.stdout.isatty()


def ask(learner: Learner, report: Report) -> bool:
    """Ask about names and about single samples of small new classes; return whether anything is taught."""
    taught = False
    for one in report.asks:
        taught |= _answered(learner, one)
    few = {one.label for one in report.set_aside if one.is_asked}
    for label in sorted(few):
        items = [one for one in report.waiting if one.called == label and one.kind == "set aside"]
        text = f'Teach the {len(items)} that do not fit as "{label}" all the same?'
        if items and click.confirm(text, default=False):
            taught |= _told(learner.learn_items(items, label=label, progress=progress.stage))
    return taught


def _answered(learner: Learner, one: Ask) -> bool:
    text = f'Is "{one.label}" the same as "{one.like}"?'
    choice = click.prompt(text, type=click.Choice([SAME, DISTINCT, LATER]), default=LATER)
    if choice == LATER:
        return False
    same_as = one.like if choice == SAME else None
    report = learner.answer(one.label, same_as=same_as, distinct=choice == DISTINCT, progress=progress.stage)
    return _told(report)


def _told(report: Report) -> bool:
    if report.is_accepted:
        click.echo(f"Taught: revision {report.revision} is live." if report.revision else "Nothing new.")
    else:
        click.echo("; ".join(report.verdict.reasons))
    return report.is_accepted
