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
    from edgecl.live.inbox import Item


def teach(learner: Learner, items: Sequence[Item], *, label: str, force: bool, as_json: bool) -> None:
    """Teach recordings as one class; they leave the inbox if the lesson is accepted, else the exit code is 3."""
    inbox = learner.inbox()
    samples = [inbox.sample(one, label=label) for one in items]
    live = learner.revision
    report = learner.learn(samples, force=force, progress=progress.stage)
    taught = Counter(str(one.label) for one in samples)
    learn.tell(report, taught, live=live, budget_bytes=learner.settings.memory_bytes, as_json=as_json)
    if not report.is_accepted:
        click.get_current_context().exit(learn.REJECTED)
    for one in items:
        inbox.remove(one)
