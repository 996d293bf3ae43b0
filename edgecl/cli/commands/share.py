"""`edgecl share`: what a store has learnt, as a file for other devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import warn
from edgecl.cli.options import Finite, Out, OutputFile, Whole, example, is_given, json_option, store_argument
from edgecl.cli.text import counted, listed, print_json, printable, wrapped
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.operations.sharing import PlanReport, ShareReport


@click.command(
    epilog=example(
        "edgecl share kitchen -o kitchen.share",
        "edgecl share kitchen -o kitchen.share --at-least 5 --float16",
        "edgecl share kitchen --irreversible -o kitchen.counts",
        "edgecl share kitchen --irreversible --plan fleet.plan -o kitchen.share",
    )
)
@store_argument
@click.option("-o", "--out", cls=Out, type=OutputFile(), required=True, help="File to write.")
@click.option("--only", metavar="LABEL", multiple=True, help="Share this class; may be repeated. [default: all]")
@click.option("--at-least", type=Whole(min=1), default=1, help="Fewest samples of a class that is shared. [default: 1]")
@click.option("--float16", "half", is_flag=True, help="Half the size; scatters are rounded to three digits.")
@click.option("--whole", is_flag=True, help="Whole scatters of classes of few samples too: larger, and not rounded.")
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
@click.option(
    "--irreversible",
    is_flag=True,
    help="One matrix for all classes, in two rounds: no class can be forgotten alone. Without --plan: counts.",
)
@click.option(
    "--plan",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Plan that `edgecl merge --irreversible --plan` wrote of all counts.",
)
@json_option
def command(
    store: Path,
    out: Path,
    only: tuple[str, ...],
    at_least: int,
    half: bool,
    whole: bool,
    name: str | None,
    epsilon: float | None,
    delta: float,
    irreversible: bool,
    plan: Path | None,
    as_json: bool,
) -> None:
    """Write what the store has learnt to a file for other devices, without samples.

    The file has counts, means and scatters of each class, and no samples. They are sums: devices that merge each
    other's files answer as one device that was taught everything. Of a class of one or two samples the file shows
    those samples' latents: --at-least withholds it.

    With --irreversible the first of two rounds writes the counts alone; the second, with --plan, one matrix of all
    classes, 31 KB of 25 words. Who merges it can take out the device, but can never forget a single class of it.
    """
    if plan is not None and not irreversible:
        raise click.UsageError("--plan is of a sum that is --irreversible: say so")
    if irreversible and plan is None:
        for parameter, option in (("epsilon", "noise"), ("delta", "delta"), ("half", "float16"), ("whole", "whole")):
            if is_given(click.get_current_context(), parameter):
                raise click.UsageError(f"--{option} has no effect on counts, which are exact: leave it out")
        with warn.opened(store) as learner:
            counts = learner.plan(out, only=only, at_least=at_least, name=name)
        print_plan(counts, as_json=as_json)
        return
    with warn.opened(store) as learner:
        report = learner.share(
            out,
            only=only,
            at_least=at_least,
            half=half,
            compact=not whole,
            name=name,
            epsilon=epsilon,
            delta=delta,
            plan=plan,
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
    if report.irreversible:
        click.echo(
            wrapped(
                "irreversible: all its classes are one matrix, so who merges it can take out the device, and can never "
                "forget one of the classes alone"
            )
        )
    if report.unplanned:
        click.echo(
            wrapped(
                f"not in the plan, and so not in the file: {listed(report.unplanned)} (taught since the counts, or "
                "left out of them); to share them too, write the counts again and make a new plan"
            )
        )
    if report.withheld:
        click.echo(wrapped(f"withheld, with fewer samples than --at-least: {listed(report.withheld)}"))
    if report.revealing:
        click.echo(
            wrapped(
                f"of one or two samples, whose latents the file shows: {listed(report.revealing)} (--at-least 5 "
                f"{'with the counts ' if report.irreversible else ''}withholds them)"
            )
        )
    if report.noise:
        click.echo(
            wrapped(
                f"noise of ε = {report.noise['epsilon']:g}, δ = {report.noise['delta']:g} for a single sample; each "
                "file that is shared spends it again"
            )
        )


def print_plan(report: PlanReport, *, as_json: bool) -> None:
    """Print what a file of counts has."""
    if as_json:
        print_json(report.as_dict())
        return
    click.echo(
        f"{printable(report.file)} is written: counts of {counted(len(report.classes), 'class', 'classes')}, "
        f"{counted(sum(report.classes.values()), 'sample')}, {format_bytes(report.bytes)}, of "
        f"{listed(report.devices.values())}. A file of the second round, which these are for, is irreversible."
    )
    if report.withheld:
        click.echo(wrapped(f"left out, with fewer samples than --at-least: {listed(report.withheld)}"))
