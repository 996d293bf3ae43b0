"""`edgecl learn`: one lesson, from labelled samples to a committed revision or a reason why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import progress, warn
from edgecl.cli.options import (
    Finite,
    Whole,
    choice_options,
    example,
    json_option,
    label_column_option,
    label_option,
    path_argument,
    store_argument,
)
from edgecl.cli.text import counted, listed, milliseconds, percent, print_json, table, wrapped
from edgecl.learning.strategies import STRATEGIES
from edgecl.units import format_bytes
from edgecl.values import replace

if TYPE_CHECKING:
    from edgecl.gate.verdict import ClassVerdict
    from edgecl.learner import Learner
    from edgecl.learning.strategies import RefineSettings
    from edgecl.operations.teaching import Report
    from edgecl.sources.choices import Choices
    from edgecl.sources.samples import Sample, Skip
    from edgecl.spotting.calibration import Calibration

REJECTED = 3
HARD_TO_HEAR = 0.5  # share of a word's clips
DRAWN_AWAY = 0.1  # share of its kept samples from which an accepted loss of an old class is pointed out


@click.command(
    epilog=example(
        "edgecl learn kitchen clips/",
        'edgecl learn kitchen recordings/ --label "lights off"',
        "edgecl learn kitchen clips/ --for me",
        "edgecl learn kitchen clips/ --dry-run --json",
        "edgecl learn kitchen --background room.wav",
        "edgecl learn prices stream.csv --prequential --label-column y",
    )
)
@store_argument
@path_argument
@label_option
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="auto",
    help="Method of updating the head; auto chooses, and adapts after a rejection. [default: auto]",
)
@click.option("--dry-run", is_flag=True, help="Judge the lesson and commit nothing.")
@click.option("--require-proof", is_flag=True, help="Reject also what is unproven for lack of samples to judge by.")
@click.option("--force", is_flag=True, help="Commit whatever the verdict, also nothing new; repeats need --again.")
@click.option("--same-as", metavar="LABEL", help="Teach new labels that resemble this known class as that class.")
@click.option("--distinct", is_flag=True, help="Teach new labels that resemble a known class as classes of their own.")
@click.option("--again", is_flag=True, help="Teach also samples that were taught before; --force alone skips them.")
@click.option(
    "--for",
    "detect_for",
    type=click.Choice(("me", "anyone")),
    help="Whom `listen` is to detect these words of: the people who teach them, or others too. [default: anyone]",
)
@click.option(
    "--replay-weight",
    type=Finite(0, 1),
    help="Weight of old classes against new ones in gradient steps, 0 to 1. [default: their share]",
)
@click.option(
    "--ewc-strength",
    type=Finite(min=0),
    help="Strength of the penalty that keeps gradient steps near their start. [default: 30 with auto, else 1]",
)
@click.option(
    "--prequential", is_flag=True, help="Read a .csv as a stream: predict each row, then learn from its label."
)
@click.option(
    "--background",
    is_flag=True,
    help="PATH is sound of a room without taught words, or movement that is none of the classes.",
)
@label_column_option
@click.option(
    "--label-delay",
    metavar="ROWS",
    type=Whole(min=0),
    default=0,
    help="With --prequential: number of rows between a row and its label. [default: 0]",
)
@click.option("--seed", type=Whole(min=0), default=0, help="Random seed of the gradient steps. [default: 0]")
@click.option(
    "--via",
    metavar="SOCKET",
    type=click.Path(path_type=Path),
    help="Hand the lesson to `edgecl listen --control SOCKET`. [default: what runs on STORE, if any]",
)
@click.option("--no-via", is_flag=True, help="Teach in this process, also where a listener runs on STORE.")
@choice_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    store: Path,
    path: Path,
    label: str | None,
    strategy: str,
    dry_run: bool,
    require_proof: bool,
    force: bool,
    same_as: str | None,
    distinct: bool,
    again: bool,
    detect_for: str | None,
    replay_weight: float | None,
    ewc_strength: float | None,
    prequential: bool,
    background: bool,
    label_column: str | None,
    label_delay: int,
    seed: int,
    via: Path | None,
    no_via: bool,
    as_json: bool,
    how: Choices,
) -> None:
    """Learn from labelled samples; commit only if known classes do not get worse.

    PATH is a folder of <label>/<file>, .wav or .flac and for movement .csv, one file or flat folder with --label, an
    .npz of windows (X and y), a .csv with a timestamp column, a table, JSON Lines, or - for stdin. A lesson may contain
    new classes and more samples of known ones; one with nothing new leaves the model unchanged. Samples that do not
    fit their label are set aside, and a new label that resembles a known class is asked about; both wait in the inbox.
    Exit code 3: the lesson was rejected, or all of it waits, and the model is unchanged.
    """
    if same_as is not None and distinct:
        raise click.UsageError("--same-as and --distinct are two answers: choose one")
    if force and require_proof:
        raise click.UsageError("--force commits whatever the verdict, --require-proof rejects doubt: choose one")
    if label_delay and not prequential:
        raise click.UsageError("--label-delay is for streams: add --prequential")
    if not no_via and (code := _handed_over(ctx, store, path, via)) is not None:
        ctx.exit(code)
    if prequential:
        from edgecl.cli.commands import _prequential

        _refuse_options(ctx, "--prequential", also=("background",))
        accepted = _prequential.run(
            store, path, label_column=label_column, label_delay=label_delay, dry_run=dry_run, as_json=as_json, how=how
        )
        ctx.exit(0 if accepted else REJECTED)
    if background:
        from edgecl.cli.commands import _background

        _refuse_options(ctx, "--background", also=("dry_run",))
        if _background.is_of_a_room(store):
            _background.run(store, path, as_json=as_json, how=how)
            return
        label = _background.MOVEMENT_LABEL
    refine = _refine_settings(strategy, replay_weight, ewc_strength)
    taught: Counter[str] = Counter()
    with warn.opened(store) as learner:
        live = learner.revision
        as_spelt = replace(how, label_case="keep")  # the lesson compares them, also with the classes
        samples = progress.read(
            path, learner.contract, label=label, label_column=label_column, how=as_spelt, known=learner.classes
        )
        report = learner.learn(
            _tallied(samples, taught),
            strategy=strategy,
            refine=refine,
            dry_run=dry_run,
            require_proof=require_proof,
            force=force,
            seed=seed,
            same_as=same_as,
            distinct=distinct,
            again=again,
            detect_for=detect_for,
            label_case=how.label_case,
            progress=progress.stage,
        )
    tell(report, taught, live=live, learner=learner, as_json=as_json)
    if report.revision and not as_json:
        _print_hard_to_hear(learner, report)
        _print_reload(store, report.new_classes)
    is_taught = report.is_accepted
    if not as_json and not dry_run and (report.asks or report.set_aside):
        from edgecl.cli.commands import _prompt  # few lessons leave something open

        is_taught |= _prompt.is_possible() and _prompt.ask(learner, report)
    if not is_taught:
        ctx.exit(REJECTED)


def _handed_over(ctx: click.Context, store: Path, path: Path, via: Path | None) -> int | None:
    """The exit code of a lesson that a listener taught; None where none runs on the store."""
    if via is None and not (store / "listener.json").exists():
        return None
    from edgecl.cli.commands import _via

    return _via.handed_over(ctx, store, path, via=via)


def _refuse_options(ctx: click.Context, option: str, *, also: tuple[str, ...]) -> None:
    """A stream has one strategy, and is judged as it goes; a room is not judged."""
    for name in (
        "label",
        "strategy",
        "require_proof",
        "force",
        "same_as",
        "distinct",
        "again",
        "detect_for",
        "replay_weight",
        "ewc_strength",
        "seed",
        *also,
    ):
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with {option}")


def _tallied(items: Iterable[Sample | Skip], taught: Counter[str]) -> Iterator[Sample | Skip]:
    """Pass samples on and count them by label."""
    for item in items:
        label = getattr(item, "label", None)
        if label is not None:
            taught[label] += 1
        yield item


def _refine_settings(strategy: str, replay_weight: float | None, ewc_strength: float | None) -> RefineSettings | None:
    if replay_weight is None and ewc_strength is None:
        return None
    if strategy == "closed-form":
        raise click.UsageError(
            "--strategy closed-form takes no gradient steps: leave out --replay-weight and --ewc-strength"
        )
    from edgecl.learning.candidates import default_steps

    settings = replace(default_steps(strategy), replay_weight=replay_weight)
    return settings if ewc_strength is None else replace(settings, ewc_strength=ewc_strength)


def tell(report: Report, taught: Mapping[str, int], *, live: int, learner: Learner, as_json: bool) -> None:
    """Print the outcome of a lesson, with its samples by label, on top of revision `live`."""
    if as_json:
        print_json(report.as_dict())
    else:
        warn.skips(report.skipped)
        _print(report, report.counts or taught, live=live, learner=learner)
        if report.set_aside or report.asks or report.unkept:
            from edgecl.cli.commands import _waiting  # few lessons leave something out

            _waiting.tell(report, learner.path)


def _print(report: Report, taught: Mapping[str, int], *, live: int, learner: Learner) -> None:
    verdict = report.verdict
    headline, colour = _headline(report, live=live)
    click.secho(headline, bold=True, fg=colour)
    for reason in verdict.reasons:
        click.echo(wrapped(reason.removeprefix("unproven: ")))
    what = listed(
        f"{label} ({count}{', new' if label in report.new_classes else ''})" for label, count in sorted(taught.items())
    )
    if report.outcome.is_unchanged:
        from edgecl.cli.commands._outcome import nevertheless  # few lessons have nothing new

        click.echo(wrapped(nevertheless(report), first=""))
    click.echo(wrapped(f"lesson of {counted(report.samples, 'sample')}: {what}", first=""))
    if report.gave_way:
        click.echo(wrapped(f"gave way, as `edgecl keep` allows: {listed(report.gave_way)}", first=""))
    _print_classes(verdict.classes, taught, of="groups" if learner.contract.is_picture else "people")
    if verdict.pooled_change is not None and verdict.pooled_bound is not None:
        click.echo(
            f"old classes together: {100 * verdict.pooled_change:+.1f} points of balanced accuracy "
            f"(at worst {100 * verdict.pooled_bound:+.1f}, with 95% confidence)"
        )
    _print_cost(report, learner.settings.memory_bytes)
    if report.is_accepted:
        _print_drawn_away(verdict.classes)
    else:
        from edgecl.cli.commands._outcome import advice

        click.echo(wrapped(advice(report), first=""))


def _headline(report: Report, *, live: int) -> tuple[str, str]:
    trial = "DRY RUN: " if report.dry_run else ""
    if report.outcome.is_unchanged:
        return f"{trial}NOTHING NEW, revision {live} stays live.", "green"
    outcome = "nothing is written" if report.dry_run else f"revision {report.revision} is live"
    if report.forced and report.is_accepted:
        return f"{trial}FORCED against the gate, {outcome}.", "yellow"
    if report.is_accepted and report.verdict.proven:
        return f"{trial}ACCEPTED, {outcome}.", "green"
    if report.is_accepted:
        return f"{trial}UNPROVEN but accepted, {outcome}.", "green"
    if report.verdict.waits:
        return f"{trial}ASKS first, nothing is taught: revision {live} stays live, untouched.", "yellow"
    why = " for lack of proof" if report.verdict.accepted else ", and --force cannot help" if report.forced else ""
    return f"{trial}REJECTED{why}, revision {live} stays live, untouched.", "red"


def _print_classes(classes: Mapping[str, ClassVerdict], taught: Mapping[str, int], *, of: str) -> None:
    """Those that were taught, and those that changed; `of` is what gave their samples."""
    shown = {
        label: one
        for label, one in sorted(classes.items(), key=lambda item: (not item[1].is_new, item[0]))
        if label in taught or one.before != one.after
    }
    if shown:
        rows = [
            (label, _judged_by(one, of), "new" if one.is_new else percent(one.before), percent(one.after))
            for label, one in shown.items()
        ]
        click.echo("right on kept samples, each left out in turn:")
        click.echo(table(rows, header=("class", "samples", "before", "after"), align="lrrr"))
    if len(classes) > len(shown):
        click.echo(f"  {counted(len(classes) - len(shown), 'other class', 'other classes')}: unchanged")


def _judged_by(one: ClassVerdict, of: str) -> str:
    """How many samples a class is judged by, and of how many people, where each of these is left out too."""
    return f"{one.samples} of {one.people} {of}" if one.people else str(one.samples)


def _print_drawn_away(classes: Mapping[str, ClassVerdict]) -> None:
    """Old classes that the gate lets new ones draw from: words that sound alike do that in any model."""
    drawn = [
        label
        for label, one in sorted(classes.items())
        if one.before is not None and one.after is not None and one.before - one.after >= DRAWN_AWAY
    ]
    if drawn and any(one.is_new for one in classes.values()):
        text = f"{listed(drawn)} may now be taken for what is new: more samples of both help"
        click.echo(wrapped(text, first="note: "))


def _print_hard_to_hear(learner: Learner, report: Report) -> None:
    """Words that are too short for open talk, what it would cost to hear them there, and what others may expect."""
    found = learner.calibration(report.counts, model=report.outcome.model)
    words = {label: one for label, one in sorted(found.items()) if not label.startswith("_")}
    for label, one in words.items():
        if one.heard < HARD_TO_HEAR:
            text = (
                f"{label!r} is short for open talk: `listen` would hear {percent(one.heard)} of its clips, and to hear "
                f"nine of ten would cost {one.accepts_per_hour:.0f} false accepts an hour or more. After a wake word "
                f"(`listen --wake LABEL`) it is heard"
            )
            click.echo(wrapped(text, first="note: "))
    if others := [f"{label!r} {percent(one.unseen)}" for label, one in words.items() if _is_doubtful(one)]:
        text = f"of what people say who did not teach, so much is expected to be heard in quiet: {', '.join(others)}. "
        click.echo(wrapped(f"{text}Clips of other people help most; see `edgecl status`", first="note: "))


def _is_doubtful(one: Calibration) -> bool:
    """Test whether other people are expected to be heard much less than those who taught."""
    if one.unseen is None or one.is_mine or one.heard < HARD_TO_HEAR:
        return False
    return one.unseen < one.heard - DRAWN_AWAY


def _print_reload(store: Path, new_labels: Iterable[str]) -> None:
    """Home Assistant asks for the list of words once, when it sets Wyoming up."""
    from edgecl.service.presence import is_running

    new = [label for label in new_labels if not label.startswith("_")]
    if new and is_running("wyoming", store):
        text = f"a Wyoming listener runs: reload its integration in Home Assistant, which then lists {listed(new)}"
        click.echo(wrapped(text, first="note: "))


def _print_cost(report: Report, budget_bytes: int) -> None:
    click.echo(
        f"strategy {report.outcome.strategy}; {milliseconds(report.elapsed_ms)}, of which learning "
        f"{milliseconds(report.learn_ms)}; memory {format_bytes(report.bytes['total'])} of {format_bytes(budget_bytes)}"
        + (f"; {format_bytes(report.bytes_written)} written" if report.revision else "")
    )
