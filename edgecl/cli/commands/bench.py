"""`edgecl bench`: what a lesson costs on this board."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import warn
from edgecl.cli.options import EDGECL, Out, OutputFile, example, json_option
from edgecl.cli.text import counted, pairs, print_json, printable, table, wrapped
from edgecl.errors import EdgeclError, SettingError
from edgecl.store.files import write_output
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.bench.results import Change, Limit

FAILED = 1
QUANTILES = ("p50", "p90", "p95", "p99", "max")  # of edgecl.bench.results, not loaded for --help
FILE = click.Path(path_type=Path, dir_okay=False)


class Limits(click.ParamType["Limit"]):
    """A quantile and how much worse it may be, such as p95:10%."""

    name = "quantile:share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        from edgecl.bench.results import Limit

        try:
            return value if isinstance(value, Limit) else Limit.parse(value)
        except SettingError as error:
            self.fail(str(error), param, ctx)


class JsonFlag(click.Command):
    """A command whose --json once took a file: where one follows, it is taken as --out, with a warning."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for at, one in enumerate(args):
            after = args[at + 1] if at + 1 < len(args) else ""
            if one == "--json" and (after == "-" or after.endswith(".json")) and not Path(after).is_dir():
                return super().parse_args(ctx, [*args[:at], *_as_output(after), *args[at + 2 :]])
            if one.startswith("--json="):
                after = one.removeprefix("--json=")
                return super().parse_args(ctx, [*args[:at], *_as_output(after), *args[at + 1 :]])
        return super().parse_args(ctx, args)


def _as_output(file: str) -> list[str]:
    warn.warn(f"--json is a flag now: say --out {file}; --json FILE ends with the next version")
    return ["--json"] if file == "-" else ["--out", file]


@click.command(
    cls=JsonFlag,
    epilog=example(
        "edgecl bench",
        "edgecl bench kitchen --out after.json",
        "edgecl bench --compare before.json after.json --fail-above p95:10%",
    ),
)
@click.argument("store", metavar="[STORE]", required=False, type=click.Path(path_type=Path))
@click.option("--rounds", type=click.IntRange(3, 10_000), help="Lessons timed, short phases more often. [default: 20]")
@json_option
@click.option(
    "-o", "--out", cls=Out, metavar="FILE", type=OutputFile(), help="Write all results as JSON, raw samples included."
)
@click.option(
    "--compare",
    nargs=2,
    metavar="BEFORE AFTER",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Compare two files of --out; nothing is measured.",
)
@click.option(
    "--fail-above",
    "limits",
    multiple=True,
    metavar="p95:10%",
    type=Limits(),
    help="With --compare: exit code 1 if this quantile of any phase is worse by more.",
)
@click.option("--force", is_flag=True, help="With --compare: compare also different boards, models and marked runs.")
@click.option(
    "--reference",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Write FOLDER/<board>.csv; only from an undisturbed run on a real board.",
)
@click.pass_context
def command(
    ctx: click.Context,
    store: Path | None,
    rounds: int | None,
    as_json: bool,
    out: Path | None,
    compare: tuple[Path, Path] | None,
    limits: tuple[Limit, ...],
    force: bool,
    reference: Path | None,
) -> None:
    """Measure the cost of a lesson on this board, phase by phase.

    Uses copies next to STORE, or a store that is taught the demo's words; STORE is not changed. A run that was
    throttled, emulated or swapping is marked. --compare shows 95% intervals of each ratio, and refuses marked and busy
    runs. Exit code 1: a limit of --fail-above is exceeded.
    """
    if compare is not None:
        if store or rounds or reference:
            raise click.UsageError("--compare measures nothing: leave out STORE, --rounds and --reference")
        if _compared(*compare, limits=limits, force=force, as_json=as_json, output=out):
            ctx.exit(FAILED)
        return
    if limits or force:
        raise click.UsageError("--fail-above and --force go with --compare BEFORE AFTER")
    if store and reference:
        raise click.UsageError("a reference is of the demo's words, the same on all boards: leave out STORE")
    run = _measured(store, rounds, out, reference)
    _write(run, out)
    if as_json:
        print_json(run)
    else:
        _print(run)
    if reference:
        from edgecl.bench.results import write_reference

        click.echo(f"wrote {printable(str(write_reference(reference, run)))}", err=True)


def _measured(store: Path | None, rounds: int | None, output: Path | None, reference: Path | None) -> dict[str, Any]:
    """Refuse at once what would be refused after minutes, then measure."""
    from edgecl.bench import board
    from edgecl.bench.measure import ROUNDS, measure

    reason = board.why_not_real()
    if reference and reason:
        raise EdgeclError(f"no reference is written: {reason}")
    return measure(store, command=EDGECL, rounds=rounds or ROUNDS).finish(_show)


def _show(phase: str) -> None:
    """Print a line on stderr for a phase."""
    click.secho(f"  {phase} ...", err=True, dim=sys.stderr.isatty())


def _write(told: Mapping[str, Any], output: Path | None) -> None:
    if output is not None:
        write_output(output, f"{json.dumps(told, allow_nan=False)}\n".encode())


# What was measured


def _print(run: Mapping[str, Any]) -> None:
    environment = run["environment"]
    click.secho(f"{printable(environment['board'])}: {_model_text(run['workload'])}", bold=True)
    _print_marks(run["marks"])
    rows = {
        "processor": f"{environment['cpu']}, {environment['machine']}, {counted(environment['cores'], 'core')}",
        "state": _state_text(environment["before"], environment["after"]),
        "software": (
            f"edgecl {environment['edgecl']}, Python {environment['python']}, numpy {environment['numpy']}, "
            f"ONNX Runtime {environment['onnxruntime']}, Linux {environment['kernel']}"
        ),
        "kernels": environment["kernels"],
        "disk": f"{environment['filesystem'] or 'unknown'} file system",
    }
    if environment["virtual"]:
        rows["virtual"] = f"{environment['virtual']}: the clock and the disk are shared"
    click.echo(pairs({name: printable(text) for name, text in rows.items()}))
    phases = run["phases"]
    cells = [(name, str(len(one["samples_ms"])), *(_ms(one[q]) for q in QUANTILES)) for name, one in phases.items()]
    click.echo(table(cells, header=("phase, in ms", "samples", *QUANTILES), align="lrrrrrr"))
    _print_costs(run)
    for remark in run["remarks"]:
        click.echo(wrapped(remark, first="note: "))


def _model_text(workload: Mapping[str, Any]) -> str:
    return (
        f"a lesson of {counted(workload['samples'], 'sample')} ({workload['signals']}) for "
        f"{counted(workload['classes'], 'class', 'classes')} of {workload['dimension']} numbers"
    )


def _print_marks(marks: Sequence[str]) -> None:
    for mark in marks:
        click.secho(wrapped(f"MARKED, {mark}. These figures do not count.", first=""), fg="red", bold=True)


def _state_text(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Governor, frequency, temperature and load before and after; what is not known is left out."""
    parts = [f"governor {before['governor']}"] if before["governor"] else []
    for name, unit in (("frequency_mhz", "MHz"), ("temperature_c", "°C")):
        values = [one[name] for one in (before, after) if one[name] is not None]
        parts += [" to ".join(f"{value:.0f}" for value in values) + f" {unit}"] if values else []
    parts.append(f"load {before['load_average'][0]:.2f} to {after['load_average'][0]:.2f}")
    known = after["throttled_bits"] is not None or after["throttle_count"] is not None
    return ", ".join(parts if known else [*parts, "throttling not known here"])


def _print_costs(run: Mapping[str, Any]) -> None:
    frame, memory, lesson = run["frame"], run["memory"], run["lesson"]
    if frame:
        share = f"{frame['real_time_factor_p50']:.3f}, at worst {frame['real_time_factor_max']:.3f}"
        click.echo(f"  a frame every {frame['frame_ms']:.0f} ms: {share} of real time")
    click.echo(f"  learner's memory: {format_bytes(memory['learner_bytes'])} of {format_bytes(memory['budget_bytes'])}")
    if "learn_peak_bytes" in memory and "predict_peak_bytes" in memory:
        learn, predict = memory["learn_peak_bytes"], memory["predict_peak_bytes"]
        click.echo(f"  whole process at its peak: {format_bytes(learn)} to learn, {format_bytes(predict)} to predict")
    sent = "" if lesson["bytes_written"] is None else f"{format_bytes(lesson['bytes_written'])} written, "
    click.echo(f"  disk for a lesson: {sent}the store grows by {format_bytes(lesson['store_grows_bytes'])}")


def _ms(value: float) -> str:
    """Three digits that mean something, without rounding long times.

    >>> _ms(0.01234), _ms(3.21), _ms(1234.5)
    ('0.012', '3.21', '1234')
    """
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


# Two runs


def _compared(
    before: Path, after: Path, *, limits: Sequence[Limit], force: bool, as_json: bool, output: Path | None
) -> list[Change]:
    """Print two runs side by side, and return the phases that exceed a limit."""
    from edgecl.bench import results

    runs = [results.read(path) for path in (before, after)]
    reasons = results.why_not_comparable(*runs)
    if reasons and not force:
        raise SettingError(
            f"these runs are no measure of each other: {'; '.join(reasons)}. --force sets them side by side"
        )
    found = results.changes(*runs)
    failed = [one for one in found if any(one.exceeds(limit) for limit in limits)]
    told = _told(found, failed, reasons)
    _write(told, output)
    if as_json:
        print_json(told)
    else:
        _print_changes(found, failed, limits, [path.name for path in (before, after)], reasons)
    return failed


def _told(found: Sequence[Change], failed: Sequence[Change], reasons: Sequence[str]) -> dict[str, Any]:
    phases = {
        one.phase: {
            "before": one.before,
            "after": one.after,
            "ratio": {q: one.ratio(q) for q in QUANTILES},
            "interval": {q: one.interval(q) for q in QUANTILES},
        }
        for one in found
    }
    return {"phases": phases, "exceeded": [one.phase for one in failed], "not_comparable": list(reasons)}


def _print_changes(
    found: Sequence[Change],
    failed: Sequence[Change],
    limits: Sequence[Limit],
    names: Sequence[str],
    reasons: Sequence[str],
) -> None:
    for reason in reasons:
        click.secho(wrapped(f"FORCED: {reason}", first=""), fg="red", bold=True)
    shown = list(dict.fromkeys(["p50", "p95", *(limit.quantile for limit in limits)]))
    header = ["phase, in ms"]
    for quantile in shown:
        header += [f"{quantile} {printable(name)}" for name in names] + ["ratio", "95% interval"]
    rows = [(one.phase, *(cell for q in shown for cell in _cells(one, q))) for one in found]
    click.echo(table(rows, header=header, align="l" + "r" * (len(header) - 1), indent=0))
    for limit in limits:
        worse = [one for one in failed if one.exceeds(limit)]
        bound = f"{limit.quantile} by at most {limit.allowed:.0%}"
        if worse:
            listed = ", ".join(_excess(one, limit) for one in worse)
            click.secho(wrapped(f"EXCEEDED, {bound}: {listed}", first=""), fg="red", bold=True)
        else:
            click.secho(f"within {bound}: every phase", fg="green")


def _cells(change: Change, quantile: str) -> tuple[str, str, str, str]:
    ratio, interval = change.ratio(quantile), change.interval(quantile)
    before, after = (_ms(side[quantile]) if side else "-" for side in (change.before, change.after))
    between = "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
    return before, after, "-" if ratio is None else f"{ratio:.2f}", between


def _excess(change: Change, limit: Limit) -> str:
    ratio = change.ratio(limit.quantile)
    if ratio is None:
        return f"{change.phase} (not measured)"
    interval = change.interval(limit.quantile)
    unclear = ", which may be chance" if interval is not None and interval[0] <= 1 else ""
    return f"{change.phase} ({ratio - 1:+.0%}{unclear})"
