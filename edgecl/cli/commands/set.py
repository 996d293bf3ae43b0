"""`edgecl set`: what may be changed of a store that has learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecl.cli import warn
from edgecl.cli.options import Finite, example, json_option, store_argument
from edgecl.cli.text import print_json

AUTOMATIC = "auto"


class Novelty(Finite):
    """A number from 0 to 1, or "auto"."""

    name = "novelty"

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == AUTOMATIC else super().convert(value, param, ctx)


@click.command(
    epilog=example(
        "edgecl set kitchen --unknown-above 0.6", "edgecl set kitchen --unknown-above auto", "edgecl rollback kitchen"
    )
)
@store_argument
@click.option(
    "--unknown-above",
    metavar="NOVELTY",
    type=Novelty(),
    required=True,
    help='Novelty, 0 to 1, above which an answer is "unknown"; 1 for never, auto for the threshold of the store.',
)
@json_option
def command(store: Path, unknown_above: Any, as_json: bool) -> None:
    """Set from which novelty on an answer is unknown.

    The change is a revision: `edgecl rollback` undoes it. Without it the store finds the threshold by itself, so that
    at most one in twenty samples of what it knows is refused; `edgecl status` shows it, `edgecl eval --unknown` what it
    does to your own data.
    """
    with warn.opened(store) as learner:
        revision = learner.set(unknown_above=unknown_above)
        unknown = learner.status()["unknown"]
    if as_json:
        print_json({"revision": revision.number, "unknown": unknown})
        return
    above = f" above a novelty of {unknown['above']:.2f}" if unknown else f" above: {unknown_above}, once it has learnt"
    click.secho(f"Revision {revision.number} is live: an answer is unknown{above}.", bold=True)
