"""`edgecl wrong`: a detection that was wrong."""

from __future__ import annotations

from pathlib import Path

import click

from edgecl.cli import warn
from edgecl.cli.commands._teaching import teach
from edgecl.cli.options import example, json_option, store_argument
from edgecl.errors import SettingError


@click.command(
    epilog=example("edgecl wrong kitchen", 'edgecl wrong kitchen --label "lights on"', "edgecl wrong kitchen --last 3")
)
@store_argument
@click.option(
    "--last", metavar="N", type=click.IntRange(min=1), default=1, help="Latest detections to correct. [default: 1]"
)
@click.option("--label", metavar="NAME", help="Correct class. [default: background]")
@click.option("--force", is_flag=True, help="Commit whatever the verdict.")
@json_option
def command(store: Path, last: int, label: str | None, force: bool, as_json: bool) -> None:
    """Correct the last detection: teach it as another class or as background.

    Uses the latest ten detections that `edgecl listen --inbox` kept. Without --label the recording becomes a sample of
    the class _background_noise_, which is an answer and never an event. The gate judges it like any lesson; exit
    code 3: it would have cost more than it fixes.
    """
    from edgecl.sources.labels import NEGATIVE

    with warn.opened(store) as learner:
        kept = learner.inbox().items("detection")
        if not kept:
            raise SettingError(f"{store} has kept no detection: `edgecl listen {store} --inbox` keeps the latest ten")
        if last > len(kept):
            raise SettingError(f"{store} has kept {len(kept)} detections, not {last}")
        teach(learner, kept[-last:], label=label or NEGATIVE, force=force, as_json=as_json)
