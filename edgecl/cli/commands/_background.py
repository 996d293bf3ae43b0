"""`edgecl learn --background`: the sound of the room while no taught word is spoken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import progress, warn
from edgecl.cli.text import print_json

if TYPE_CHECKING:
    from edgecl.sources.choices import Choices

LABEL = "_background_noise_"  # long recordings under this name are cut into pieces
MOVEMENT_LABEL = "_background_"  # as in edgecl.operations.background
HOP_S = 0.08


def is_of_a_room(store: Path) -> bool:
    """Test whether background is sound: of movement and pictures it is a class that makes no events."""
    with warn.opened(store) as learner:
        return learner.status()["extractor"]["modality"] not in ("imu", "image")


def run(store: Path, path: Path, *, as_json: bool, how: Choices) -> None:
    """Read, take in, print."""
    with warn.opened(store) as learner:
        samples = progress.read(path, learner.contract, label=LABEL, how=how)
        report = learner.run.learn_background(samples).finish()
        calibration = learner.calibration()
    if as_json:
        print_json(report.as_dict())
        return
    warn.skips(report.skipped)
    click.secho(
        f"Revision {report.revision} is live: it knows {HOP_S * report.hops_in_all:.0f} s of the room.", bold=True
    )
    deaf = [label for label, one in calibration.items() if one.heard < 0.5]
    if deaf:
        click.echo(f"note: {', '.join(deaf)}: most of their own clips are no clearer than the background")
