"""What `edgecl inbox label` and `edgecl wrong` share: kept recordings through the gate of `edgecl learn`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from edgecl.cli import progress
from edgecl.cli.commands import learn

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.operations.inbox import Item


def teach(
    learner: Learner, items: Sequence[Item], *, label: str, label_case: str | None, force: bool, as_json: bool
) -> None:
    """Teach recordings as one class; those that are taught leave the inbox, where none is the exit code is 3."""
    live = learner.revision
    report = learner.learn_items(items, label=label, label_case=label_case, force=force, progress=progress.stage)
    taught = Counter({label: len(items)})
    learn.tell(report, taught, live=live, learner=learner, as_json=as_json)
    if not report.is_accepted:
        click.get_current_context().exit(learn.REJECTED)
