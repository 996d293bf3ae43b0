"""`edgecl eval --stream`: misses against false accepts an hour, and the threshold to choose."""

from __future__ import annotations

import functools
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import progress, warn
from edgecl.cli.options import Finite, OutputFile, Whole
from edgecl.cli.text import counted, listed, percent, print_json, printable, table, wrapped
from edgecl.store.files import write_output

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.live.evaluating import Played
    from edgecl.live.spotted import Point, StreamEvaluation
    from edgecl.sources.choices import Choices

SHOWN = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # thresholds of the table
LISTED = 6  # false accepts
FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class StreamOptions:
    """What `eval` is told of a stream."""

    file: Path | None
    words: Path | None
    levels_db: tuple[float, ...]
    false_per_hour: float | None
    preset: str | None
    seed: int | None
    curve: Path | None
    plot: Path | None

    def how(self) -> dict[str, Any]:
        """Return what is given, by the names of `evaluate_stream`."""
        given = {
            "levels_db": self.levels_db or None, "false_per_hour": self.false_per_hour, "preset": self.preset,
            "seed": self.seed,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}


_OPTIONS = (
    click.option("--stream", "stream_file", metavar="FILE", type=FILE, help="Recording to listen to: .wav or .flac."),
    click.option(
        "--words",
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="Of --stream: a label file (label, begin, end in seconds: .csv, .jsonl, or Audacity's .txt), or clips.",
    ),
    click.option(
        "--level",
        metavar="DB",
        type=Finite(-40, 60),
        multiple=True,
        help="Level of clips above that of the stream; may be given again. [default: 20 and 10]",
    ),
    click.option(
        "--false-per-hour", metavar="F", type=Finite(0.001, 10_000), help="False accepts an hour at most. [default: 1]"
    ),
    click.option(
        "--preset",
        metavar="NAME",
        type=click.Choice(["picovoice", "mlperf-tiny"]),
        help="Setting of a benchmark. picovoice: clips at 10 dB, one false accept in ten hours. mlperf-tiny: clips at "
        "0 dB or a label file, at most 8 of 50 words missed and 8 false accepts in 20 minutes.",
    ),
    click.option("--seed", type=Whole(min=0), help="Random seed of the places of clips. [default: 0]"),
    click.option("--curve", metavar="FILE.csv", type=OutputFile(), help="Write the curve over the thresholds."),
    click.option("--plot", metavar="FILE.svg", type=OutputFile(), help="Draw the curve."),
)


def stream_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a stream; the command gets them as one `stream`."""

    @functools.wraps(command)
    def with_stream(*arguments: Any, stream_file: Path | None, level: tuple[float, ...], **options: Any) -> None:
        names = ("words", "false_per_hour", "preset", "seed", "curve", "plot")
        given = {name: options.pop(name) for name in names}
        return command(*arguments, stream=StreamOptions(stream_file, levels_db=level, **given), **options)

    for option in reversed(_OPTIONS):
        with_stream = option(with_stream)
    return with_stream


def require_alone(others: Mapping[str, object]) -> None:
    """Refuse what is for labelled samples."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise click.UsageError(f"--stream measures events in a recording: leave out {', '.join(given)}")


def require_stream(stream: StreamOptions) -> None:
    """Refuse what is for a stream where there is none."""
    given = [f"--{one.replace('_', '-')}" for one in ("words", "curve", "plot", *stream.how()) if _has(stream, one)]
    if given:
        raise click.UsageError(f"{', '.join(given)} is about a recording: add --stream FILE")


def _has(stream: StreamOptions, name: str) -> bool:
    return bool(stream.levels_db) if name == "levels_db" else getattr(stream, name) is not None


def run(
    store: Path, stream: StreamOptions, *, label: str | None, label_column: str | None, how: Choices, as_json: bool
) -> None:
    """Evaluate a store on a recording, and print what came of it."""
    from edgecl.sources.spans import LABEL_FILES

    assert stream.file is not None
    words = stream.words
    is_labels = words is not None and words.suffix.lower() in LABEL_FILES and not words.is_dir()
    if stream.preset and (stream.levels_db or stream.false_per_hour is not None):
        raise click.UsageError("--preset states the level and the false accepts: leave out --level, --false-per-hour")
    if (stream.preset == "picovoice" or stream.levels_db) and (words is None or is_labels):
        raise click.UsageError("--level and --preset are about clips that are mixed in: give them as --words")
    if stream.preset and words is None:
        raise click.UsageError("--preset is about words: give a label file or clips as --words")
    if label is not None and (words is None or is_labels):
        raise click.UsageError("--label names the clips of --words")
    with warn.opened(store) as learner, _drawn(stream.file) as drawn:
        given: dict[str, Any] = {"label_case": how.label_case}
        if is_labels:
            given["words"] = words
        elif words is not None:
            as_spelt = replace(how, label_case="keep")  # the evaluation compares them, also with the classes
            given["clips"] = progress.read(
                words,
                learner.contract,
                label=label,
                label_column=label_column,
                how=as_spelt,
                known=learner.classes,
            )
        found = learner.evaluate_stream(stream.file, **given, **stream.how(), progress=drawn)
        _finish(learner, store, stream, found, as_json=as_json)


def _finish(learner: Learner, store: Path, stream: StreamOptions, found: StreamEvaluation, *, as_json: bool) -> None:
    """Write the files that are wished, and print."""
    for file, text in ((stream.curve, found.as_csv), (stream.plot, found.as_svg)):
        if file is not None:
            write_output(file, text().encode())
    if as_json:
        print_json(found.as_dict())
        return
    for line in _notes(found):
        warn.warn(line)
    _print(found)
    _print_chosen(found, store)
    if found.is_met is not None:
        bounds = f"{found.most_missed:.0%} missed, {counted_rate(found.wished_per_hour)} an hour"
        click.secho(f"{stream.preset} (at most {bounds}): {'met' if found.is_met else 'NOT MET'}", bold=True)


@contextmanager
def _drawn(file: Path) -> Iterator[Callable[[Played], None]]:
    """What draws how far it is: a bar on a terminal, else a line every ten seconds."""
    is_terminal, due, width = sys.stderr.isatty(), time.monotonic() + progress.LOG_EVERY_S, 0

    def draw(played: Played) -> None:
        nonlocal due, width
        text = f"{played.name} {printable(file.name)}: {played.seconds / max(played.of_seconds, 1e-9):.0%}"
        if is_terminal:
            width = max(width, len(text))
            click.echo(f"\r{text:<{width}}", err=True, nl=False)
        elif time.monotonic() > due:
            due += progress.LOG_EVERY_S
            click.echo(text, err=True)

    try:
        yield draw
    finally:
        if width:
            click.echo("\r" + " " * width + "\r", err=True, nl=False)


def _notes(found: StreamEvaluation) -> Iterator[str]:
    if found.never_taught:
        yield f"words that were never taught are left out: {listed(found.never_taught)}"
    for reason, count in found.skipped.items():
        yield f"{counted(count, 'clip')} skipped: {reason}"
    for kind, count in found.clipped.items():
        if count:
            yield f"at {kind} {count} of {len(found.words[kind])} words go beyond full scale and are clipped"


def _print(found: StreamEvaluation) -> None:
    """The curve, at some of its thresholds."""
    sizes = ", ".join(
        counted(len(words), "word") + (" in it" if kind == "recorded" else f" mixed in at {kind}")
        for kind, words in found.words.items()
    )
    click.secho(f"{printable(found.file)}: {_hours(found.hours)}, {sizes or 'no words'}", bold=True)
    chosen = found.chosen()
    shown = [one for one in found.points() if one.threshold in SHOWN or one == chosen]
    rows = [
        (f"{one.threshold:g}", str(one.false), rate(one.false_per_hour), *map(percent, one.missed.values()))
        for one in shown
    ]
    missed = ("missed",) if list(found.words) == ["recorded"] else tuple(f"missed at {kind}" for kind in found.words)
    header = ("threshold", "false accepts", "an hour", *missed)
    click.echo(table(rows, header=header, align="r" * len(header)))


def _print_chosen(found: StreamEvaluation, store: Path) -> None:
    """The threshold to choose and what sets it, what is missed there and what is wrong."""
    chosen, wished = found.chosen(), f"at most {counted_rate(found.wished_per_hour)} an hour"
    if chosen is None:
        click.secho(f"No threshold gives {wished}: teach more clips, or other words.", bold=True)
        return
    click.secho(f"For {wished}: threshold {chosen.threshold:g}, {_said(chosen)}.", bold=True)
    sure = found.at_most_per_hour(chosen.false)
    click.echo(f"  {counted(chosen.false, 'false accept')} in {_hours(found.hours)}: with 95 % confidence fewer than "
               f"{rate(sure)} an hour")  # fmt: skip
    if found.is_too_short:
        hours = 1 / found.wished_per_hour
        click.echo(wrapped(f"this stream is too short to show that rate: that takes {_hours(hours)} or more, and "
                           f"{_hours(3 * hours)} without one to prove it with 95 % confidence"))  # fmt: skip
    click.echo(f"  edgecl listen {shlex.quote(str(store))} --threshold {chosen.threshold:g}")
    at = found.thresholds.index(chosen.threshold)
    classes = found.per_class(at)
    if classes:
        kinds = ("words" if one == "recorded" else one for one in found.words)
        header = ("class", *kinds, "false accepts")
        click.echo(table(_class_rows(found, classes), header=header, align="l" + "r" * (len(header) - 1)))
    if found.false[at]:
        places = [f"{printable(one.label)} at {one.time:.1f} s" for one in found.false[at][:LISTED]]
        click.echo(wrapped("false: " + ", ".join(places) + (" ..." if len(found.false[at]) > LISTED else "")))


def _class_rows(found: StreamEvaluation, classes: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Rows of class, missed of its words by kind, false accepts."""
    for label, one in classes.items():
        missed = (f"{one['missed'][kind]} of {one['words'][kind]} missed" for kind in found.words)
        yield (label, *missed, str(one["false"]))


def _said(point: Point) -> str:
    shares = {kind: percent(share) for kind, share in point.missed.items()}
    missed = ", ".join(f"{share} missed" + f" at {kind}" * (kind != "recorded") for kind, share in shares.items())
    return missed or "lower ones make more, or are below the default"


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{3600 * hours:.1f} s"
    return f"{60 * hours:.1f} min" if hours < 1 else f"{hours:.1f} h"


def rate(per_hour: float) -> str:
    """Return a rate as short as its size allows.

    >>> rate(0.25), rate(7.66), rate(1147.2)
    ('0.25', '7.7', '1,147')
    """
    return f"{per_hour:.2f}" if per_hour < 1 else f"{per_hour:.1f}" if per_hour < 100 else f"{per_hour:,.0f}"


def counted_rate(per_hour: float) -> str:
    """Return a rate of false accepts in words."""
    return f"{per_hour:g} false accept{'s' * (per_hour != 1)}"
