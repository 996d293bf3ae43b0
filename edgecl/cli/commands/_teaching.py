"""What `edgecl inbox label` and `edgecl wrong` share: kept recordings through the gate of `edgecl learn`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from edgecl.cli import progress
from edgecl.cli.commands import learn

if TYPE_CHECKING:
    from edgecl.live.inbox import Item
    from edgecl.operations.open_store import Device


def teach(device: Device, items: Sequence[Item], *, label: str, force: bool, as_json: bool) -> None:
    """Teach recordings as one class; they leave the inbox if the lesson is accepted, else the exit code is 3."""
    from edgecl.live.inbox import open_inbox

    inbox = open_inbox(device)
    samples = [inbox.sample(one, label=label) for one in items]
    live = device.store.current().number
    report = progress.finish(device.teach(samples, force=force))
    taught = Counter(str(one.label) for one in samples)
    learn.tell(report, taught, live=live, budget_bytes=device.settings.memory_bytes, as_json=as_json)
    if not report.is_accepted:
        click.get_current_context().exit(learn.REJECTED)
    for one in items:
        inbox.remove(one)
