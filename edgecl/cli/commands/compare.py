"""`edgecl compare`: every strategy on the user's own data."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import progress, warn
from edgecl.cli.options import (
    Bytes,
    OutputFile,
    Whole,
    choice_options,
    example,
    extractor_option,
    json_option,
    label_column_option,
    path_argument,
)
from edgecl.cli.text import counted, milliseconds, print_json, printable, table, wrapped
from edgecl.learning.strategies import COMPARABLE, COMPARED, GENERATED
from edgecl.store.files import write_output
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.compare.results import Comparison, Estimate, Result
    from edgecl.compare.run import Progress
    from edgecl.progress import Run
    from edgecl.sources.choices import Choices


PEOPLE = ("speaker", "subject")
PERSON = {"voice": "speaker"}  # modality -> whom samples are of


class Names(click.ParamType[tuple[str, ...]]):
    """Strategies with commas."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = value if isinstance(value, tuple) else tuple(part.strip() for part in value.split(","))
        for one in names:
            if one not in COMPARABLE:
                self.fail(f"{one!r} is not one of {', '.join(COMPARABLE)}", param, ctx)
        return names


class Shares(click.ParamType[tuple[float, ...]]):
    """Shares with commas: "5%,10%" or "0.05,0.1"."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(self._share(part.strip(), param, ctx) for part in value.split(","))

    def _share(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is not a share: write 5%,10% or 0.05,0.1", param, ctx)
        if not 0 <= share <= 1:
            self.fail(f"{text} is not between 0 and 100 %", param, ctx)
        return share


@click.command(
    epilog=example(
        "edgecl compare clips/ --extractor voice --by speaker",
        "edgecl compare windows.npz --extractor imu.onnx --scenario domain --by subject",
    )
)
@path_argument
@extractor_option
@click.option(
    "--scenario",
    type=click.Choice(["class", "domain"]),
    default="class",
    help="Content of a lesson: new classes, or the same classes of new people. [default: class]",
)
@click.option(
    "--by",
    type=click.Choice([*PEOPLE, "none"]),
    help="Test on people who taught nothing; none splits at random. [default: by people, if all samples name one]",
)
@click.option(
    "--experiences",
    type=Whole(min=2),
    help="Number of lessons. [default: 5; domain: one per person, at most 10]",
)
@click.option("--seeds", type=click.IntRange(1, 100), help="Number of runs with other splits and orders. [default: 5]")
@click.option("--memory", type=Bytes(), help="Largest RAM of learning. [default: 1MiB voice, 4MiB others]")
@click.option(
    "--strategies",
    type=Names(),
    help=f"Names, separated by commas, also {GENERATED}. [default: {','.join(COMPARED)}]",
)
@click.option(
    "--budgets",
    type=Shares(),
    help="Shares of old data to keep, besides none and all. [default: 5%,10%,20%,30%]",
)
@click.option("--report", metavar="FILE", type=OutputFile(), help="Also write it as one HTML file.")
@label_column_option
@choice_options
@json_option
def command(
    path: Path,
    extractor: str,
    scenario: str,
    by: str | None,
    experiences: int | None,
    seeds: int | None,
    memory: int | None,
    strategies: tuple[str, ...] | None,
    budgets: tuple[float, ...] | None,
    report: Path | None,
    label_column: str | None,
    as_json: bool,
    how: Choices,
) -> None:
    """Compare all strategies on your own data.

    Answers whether to use replay or EWC, and how much old data to keep. PATH has a form that `edgecl learn` reads, with
    several classes and, best, several people. Lessons are learnt in several orders, evaluated on people who taught
    nothing, and compared with joint training: one model fitted to everything at once. Nothing is written.
    """
    from edgecl.compare.advice import paired, recommend
    from edgecl.compare.results import BUDGETS, SEEDS, Options
    from edgecl.compare.run import compare, settings_for
    from edgecl.compare.streams import embed
    from edgecl.extractors.opening import extractor_file, open_extractor

    file = extractor_file(extractor)
    opened = open_extractor(file)
    data = embed(progress.read(path, opened.contract, label_column=label_column, how=how), opened)
    settings = settings_for(
        opened.contract,
        classes=len(data.names),
        memory_bytes=memory,
        extractor_bytes=file.stat().st_size,
    )
    options = Options(
        scenario=scenario,
        by=by,
        experiences=experiences,
        seeds=seeds or SEEDS,
        strategies=strategies or COMPARED,
        budgets=BUDGETS if budgets is None else budgets,
    )
    found = _played(compare(data, settings, options))
    if report is not None:
        from edgecl.reporting.comparison_report import comparison_report

        write_output(report, comparison_report(found, name=path.name).encode())
    if as_json:
        skipped = [one.as_dict() for one in data.skipped]
        pairs = [one.as_dict() for one in paired(found)]
        print_json({**found.as_dict(), "recommendation": recommend(found), "paired": pairs, "skipped": skipped})
        return
    warn.skips(data.skipped)
    for remark in found.remarks:
        warn.warn(remark)
    _print(found, path, person=by if by in PEOPLE else PERSON.get(opened.contract.modality, "subject"))


def _played(run: Run[Progress, Comparison]) -> Comparison:
    """Run the comparison under a progress bar."""
    first = next(run)
    for _ in progress.watched(chain([first], run), length=first.total, label="playing lessons"):
        pass
    return run.report


def _print(found: Comparison, path: Path, *, person: str) -> None:
    from edgecl.compare.advice import recommend

    people = f" by {counted(found.groups, person)}" if found.groups else ""
    what = f"{counted(found.samples, 'sample')} of {counted(found.classes, 'class', 'classes')}{people}"
    click.secho(f"{printable(str(path))}: {what}", bold=True)
    click.echo(wrapped(_protocol(found, person), first=""))
    _print_accuracy(found, person)
    _print_pairs(found)
    _print_cost(found)
    if found.budgets:
        _print_budgets(found)
    if found.weights:
        _print_weights(found)
    click.secho("\nWhat it says", bold=True)
    for sentence in recommend(found):
        click.echo(wrapped(sentence))


def _protocol(found: Comparison, person: str) -> str:
    test = "tests on three in ten samples, drawn at random, and learns from the others"
    if found.groups:
        test = f"tests on {counted(found.held_out, person)} and learns from the others"
    brings = f"the same classes of another {person} each time"
    if found.options.scenario == "class":
        brings = "new classes each time"
    elif found.experiences < found.groups - found.held_out:
        brings = f"the same classes of other {person}s each time"
    return (
        f"{counted(found.options.seeds, 'stream')}: each {test}, {found.training:,.0f} samples in {found.experiences} "
        f"lessons, {brings}. Memory granted: {format_bytes(found.settings.memory_bytes)}."
    )


def _spread(found: Comparison) -> str:
    from edgecl.compare.results import FEWEST_STREAMS

    if found.options.seeds == 1:
        return " (one seed)"
    interval = " ± 95 % interval" if found.options.seeds >= FEWEST_STREAMS else ""
    return f" (mean{interval} over {found.options.seeds} seeds)"


def _share(one: Estimate) -> str:
    spread = "" if one.interval is None else f" ± {100 * one.interval:4.1f}"
    return f"{100 * one.mean:.1f}{spread}"


def _print_accuracy(found: Comparison, person: str) -> None:
    click.secho(f"\nAfter the last lesson, in %{_spread(found)}", bold=True)
    measures = ("accuracy", "old", "new", "forgetting", "bwt", "joint_loss")
    rows = [(row.name, *(_share(row.estimate(one)) for one in measures)) for row in (*found.strategies, found.joint)]
    header = ("strategy", "all", "old", "new", "forgetting", "BWT", "below joint")
    click.echo(table(rows, header=header, align="lrrrrrr"))
    parts = "the classes of earlier lessons and of the last"
    if found.options.scenario == "domain":
        parts = f"a kept-back quarter of what the {person}s of earlier lessons recorded, and those of the last"
    click.echo(
        wrapped(
            f"all: balanced accuracy on {f'{person}s who taught nothing' if found.groups else 'samples held out'}. "
            f"old, new: on {parts}. forgetting: the best accuracy on a lesson, less the final one. BWT: the final one, "
            f"less that just after the lesson. Both are means over all lessons but the last. below joint: what one "
            f"model fitted to everything at once has more.",
            first="  ",
        )
    )


def _print_pairs(found: Comparison) -> None:
    from edgecl.compare.advice import choose, paired

    chosen = choose(found)
    kept = "" if chosen.budget is None else f" with {100 * chosen.budget:g}% of old data"
    click.secho(f"\nBeside {chosen.name}{kept}, stream by stream, in points of balanced accuracy", bold=True)
    rows = [(one.name, _signed(one.difference), str(one.better), str(one.worse)) for one in paired(found)]
    click.echo(table(rows, header=("strategy", "difference", "better in", "worse in"), align="lrrr"))


def _signed(one: Estimate) -> str:
    spread = "" if one.interval is None else f" ± {100 * one.interval:4.1f}"
    return f"{100 * one.mean:+.1f}{spread}"


def _print_cost(found: Comparison) -> None:
    click.secho("\nWhat it costs", bold=True)
    rows = [(row.name, *_cost(row, found)) for row in (*found.strategies, found.joint)]
    header = ("strategy", "memory", "on disk", "a lesson", f"all {found.experiences}", "cheaper than joint", "refused")
    click.echo(table(rows, header=header, align="lrrrrlr"))
    first, last = (milliseconds(float(found.joint.median_ms[index])) for index in (0, -1))
    click.echo(
        wrapped(
            f"memory, on disk: what has to be remembered from lesson to lesson (head, means, exemplars, EWC state; the "
            f"scatter of each class stays on disk). joint: all latents at 8 bits a number, and a new fit of everything "
            f"with each lesson: {first} for the first, {last} for the last. The others include judging, it does not. "
            f"Times are of this machine, the median over streams.",
            first="  ",
        )
    )


def _cost(row: Result, found: Comparison) -> tuple[str, ...]:
    from edgecl.compare.results import JOINT, break_even

    since = break_even(row, found.joint)
    cheaper = "" if row.name == JOINT else f"from lesson {since}" if since else "not so far"
    memory, disk = (row.mean(one) for one in ("memory_bytes", "disk_bytes"))
    refused = f"{len(row.refusals)} of {row.lesson_ms.size}" if row.refusals else ""
    return (
        format_bytes(round(memory)),
        format_bytes(round(disk)) if disk else "-",
        milliseconds(float(row.median_ms.mean())),
        milliseconds(float(row.median_ms.sum())),
        cheaper,
        refused,
    )


def _print_budgets(found: Comparison) -> None:
    from edgecl.model.settings import herding_candidates

    names = list(dict.fromkeys(row.name for row in found.budgets))
    click.secho("\nHow much old data to keep? Balanced accuracy in %, by what is kept between lessons", bold=True)
    rows = []
    for budget in dict.fromkeys(row.budget for row in found.budgets):
        same = [row for row in found.budgets if row.budget == budget]
        kept = same[0].mean("exemplars")
        rows.append(
            (
                f"{100 * (budget or 0):g}%",
                f"{kept:.0f}",
                f"{kept / found.training:.0%}",
                *(
                    cell
                    for row in same
                    for cell in (_share(row.estimate("accuracy")), format_bytes(round(row.mean("memory_bytes"))))
                ),
            )
        )
    header = ["allowed", "exemplars", "of all", *(cell for name in names for cell in (name, "memory"))]
    click.echo(table(rows, header=header, align="r" * len(header)))
    most = herding_candidates(found.settings)
    if found.budgets[-1].mean("exemplars") < 0.99 * found.training:
        click.echo(f"  No class keeps more than {most}: as many as can be ranked within the solver's workspace.")
    closed = found.row("closed-form")
    if closed:
        click.echo(f"  closed-form keeps none: {_share(closed.estimate('accuracy'))}")


def _print_weights(found: Comparison) -> None:
    name = found.weights[0].name
    click.secho(f"\nHow much should old data weigh in a gradient step ({name})? In %", bold=True)
    measures = ("accuracy", "old", "new")
    rows = [(f"{row.replay_weight:g}", *(_share(row.estimate(one)) for one in measures)) for row in found.weights]
    default = found.row(name)
    if default:
        rows.append(("default", *(_share(default.estimate(one)) for one in measures)))
    click.echo(table(rows, header=("replay_weight", "all", "old", "new"), align="lrrr"))
