"""`edgecl share`: what a store has learnt, as a file for other devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import warn
from edgecl.cli.options import Finite, Whole, example, json_option, store_argument
from edgecl.cli.text import counted, listed, print_json, printable, wrapped
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.operations.sharing import ShareReport


@click.command(
    epilog=example(
        "edgecl share kitchen -o kitchen.share",
        "edgecl share kitchen -o kitchen.share --at-least 5 --float16",
    )
)
@store_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--only", metavar="LABEL", multiple=True, help="Share this class; may be repeated. [default: all]")
@click.option("--at-least", type=Whole(min=1), default=1, help="Fewest samples of a class that is shared. [default: 1]")
@click.option("--float16", "half", is_flag=True, help="Half the size; scatters are rounded to three digits.")
@click.option("--compact", is_flag=True, help="Smaller for classes of few samples, up to rounding.")
@click.option("--name", metavar="TEXT", help="Name that others know the device by. [default: name of the folder]")
@click.option(
    "--noise",
    "epsilon",
    metavar="EPSILON",
    type=Finite(0.01, 100),
    help="Add noise by which the file is differentially private for each sample.",
)
@click.option(
    "--delta", type=Finite(1e-12, 0.1), default=1e-5, help="Probability left open by --noise. [default: 1e-5]"
)
@json_option
def command(
    store: Path,
    output: Path,
    only: tuple[str, ...],
    at_least: int,
    half: bool,
    compact: bool,
    name: str | None,
    epsilon: float | None,
    delta: float,
    as_json: bool,
) -> None:
    """Write what the store has learnt to a file for other devices, without samples.

    The file has counts, means and scatters of each class, and no samples. They are sums: devices that merge each
    other's files answer as one device that was taught everything. Of a class of one or two samples the file shows
    those samples' latents: --at-least withholds it.
    """
    with warn.opened(store) as learner:
        report = learner.share(
            output,
            only=only,
            at_least=at_least,
            half=half,
            compact=compact,
            name=name,
            epsilon=epsilon,
            delta=delta,
        )
    if as_json:
        print_json(report.as_dict())
    else:
        _print(report)


def _print(report: ShareReport) -> None:
    click.echo(
        f"{printable(report.file)} is written: {counted(len(report.classes), 'class', 'classes')}, "
        f"{counted(sum(report.classes.values()), 'sample')}, {format_bytes(report.bytes)}, as {report.name!r}."
    )
    if report.withheld:
        click.echo(wrapped(f"withheld, with fewer samples than --at-least: {listed(report.withheld)}"))
    if report.revealing:
        click.echo(
            wrapped(
                f"of one or two samples, whose latents the file shows: {listed(report.revealing)} (--at-least 5 "
                "withholds them)"
            )
        )
    if report.noise:
        click.echo(
            wrapped(
                f"noise of ε = {report.noise['epsilon']:g}, δ = {report.noise['delta']:g} for a single sample; each "
                "file that is shared spends it again"
            )
        )
