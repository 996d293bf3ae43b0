"""`edgecl merge`: what other devices have learnt, through the gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import warn
from edgecl.cli.commands._outcome import print_headline, print_reasons
from edgecl.cli.commands.share import print_plan
from edgecl.cli.options import Finite, Whole, example, is_given, json_option, store_argument
from edgecl.cli.text import counted, listed, print_json, wrapped

if TYPE_CHECKING:
    from edgecl.operations.merging import MergeReport

REJECTED = 3


@click.command(
    epilog=example(
        "edgecl merge kitchen bath.share attic.share",
        "edgecl merge kitchen --without attic",
        "edgecl merge kitchen --irreversible bath.counts attic.counts --plan fleet.plan",
        "edgecl merge kitchen --irreversible bath.share attic.share",
    )
)
@store_argument
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--without", metavar="DEVICE", multiple=True, help="Take out what a device has shared; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Judge and commit nothing.")
@click.option("--require-proof", is_flag=True, help="Reject what is only unproven.")
@click.option("--force", is_flag=True, help="Commit whatever the verdict.")
@click.option(
    "--same-as", metavar="LABEL", multiple=True, help="Known class that names are which resemble it; may be repeated."
)
@click.option("--distinct", is_flag=True, help="All other names that resemble known classes are classes of their own.")
@click.option("--no-screen", is_flag=True, help="Keep devices that the others contradict.")
@click.option(
    "--cap", metavar="TIMES", type=Finite(1, 1000), help="Largest weight of a device's class, over the median's."
)
@click.option(
    "--combine", type=click.Choice(["sum", "median"]), help="How devices become one. [default: sum, or as before]"
)
@click.option("--irreversible", is_flag=True, help="Take in shares of which no class can be forgotten alone.")
@click.option(
    "--plan",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the plan of an irreversible sum, of this store and of files of counts; nothing is merged.",
)
@click.option(
    "--at-least", type=Whole(min=1), default=1, help="Fewest samples of a class of this store in --plan. [default: 1]"
)
@json_option
def command(
    store: Path,
    files: tuple[Path, ...],
    without: tuple[str, ...],
    dry_run: bool,
    require_proof: bool,
    force: bool,
    same_as: tuple[str, ...],
    distinct: bool,
    no_screen: bool,
    cap: float | None,
    combine: str | None,
    irreversible: bool,
    plan: Path | None,
    at_least: int,
    as_json: bool,
) -> None:
    """Take in what other devices have learnt; commit only if known classes do not get worse.

    A device's share is kept apart and replaces its earlier one, so the same file twice is as once, and --without
    takes it out again. From three devices on, one whose classes are not what the others call so is left out and
    named. Exit code 3: known classes would get worse, or a name has to be settled by --same-as or --distinct.
    """
    if plan is not None:
        given = click.get_current_context()
        others = ("without", "force", "dry_run", "require_proof", "same_as", "distinct", "no_screen", "cap", "combine")
        if not irreversible or any(is_given(given, name) for name in others):
            raise click.UsageError(
                "--plan is of a sum that is --irreversible, and merges nothing: leave the others out"
            )
        with warn.opened(store) as learner:
            print_plan(learner.plan(plan, files, at_least=at_least), as_json=as_json)
        return
    if is_given(click.get_current_context(), "at_least"):
        raise click.UsageError("--at-least is of the counts of --plan: what others have shared is withheld by them")
    if not files and not without and combine is None:
        raise click.UsageError("name the files to merge, or a device to take out: --without")
    with warn.opened(store) as learner:
        live = learner.revision
        report = learner.merge(
            files,
            without=without,
            dry_run=dry_run,
            require_proof=require_proof,
            force=force,
            same_as=same_as,
            distinct=distinct,
            screen=not no_screen,
            cap=cap,
            combine=combine,
            irreversible=irreversible,
        )
    if as_json:
        print_json(report.as_dict())
    else:
        _print(report, live)
    if not report.is_accepted:
        click.get_current_context().exit(REJECTED)


def _print(report: MergeReport, live: int) -> None:
    print_headline(report, live=live, is_unchanged=report.unchanged)
    for one in report.shares.values():
        reason = f": {one['reason']}" if one["reason"] else ""
        click.echo(wrapped(f"{one['name']}: {one['became']}, {counted(one['samples'], 'sample')}{reason}"))
    for name in report.removed:
        click.echo(wrapped(f"{name}: taken out"))
    for ask in report.verdict.asks:
        click.echo(
            wrapped(f"is their {ask.label!r} the class {ask.like!r}? Answer with --same-as {ask.like!r} or --distinct")
        )
    print_reasons(report)
    if report.irreversible:
        names = listed(report.irreversible)
        click.echo(wrapped(f"irreversible: no class of {names} can be forgotten alone, --without takes out a device"))
    if report.unplanned:
        more = listed(f"{label} ({count})" for label, count in report.unplanned.items())
        click.echo(
            wrapped(
                f"samples that the plan lacks: {more}: the sum weighs scatters by the counts of the plan, so it is "
                "not exact for these; counts of all samples, and a new plan, make it so"
            )
        )
    then = "" if report.unchanged or report.revision else ", once merged"
    click.echo(f"  devices    {listed(sorted(report.devices.values())) or 'none but this one'}{then}")
    click.echo(f"  classes    {listed(report.classes) or 'none'}")
