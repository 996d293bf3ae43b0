"""`edgecl predict`: answers, one line a sample."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import warn
from edgecl.cli.advice import advice
from edgecl.cli.options import Whole, choice_options, example, json_option, paths_argument, store_argument
from edgecl.cli.stdin import shown
from edgecl.cli.text import json_text, printable
from edgecl.errors import DataError

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.operations.answering import Answer
    from edgecl.sources.choices import Choices
    from edgecl.sources.samples import Sample, Skip

WIDEST_LABEL = 40
MOST_HELD = 1 << 20  # bytes of answers in memory; more are held in a file


@click.command(
    epilog=example(
        "edgecl predict kitchen clip.wav",
        "edgecl predict kitchen clips/ --json",
        'edgecl predict support --text "where is my parcel"',
        "edgecl predict kitchen clip.wav --top 3",
    )
)
@store_argument
@paths_argument
@click.option("--text", "texts", metavar="TEXT", multiple=True, help="A text to predict; may be given again.")
@click.option("--top", metavar="K", type=Whole(min=1), help="Also print the best K classes of each sample.")
@choice_options
@json_option
def command(
    store: Path, paths: tuple[Path, ...], texts: tuple[str, ...], top: int | None, as_json: bool, how: Choices
) -> None:
    """Predict the class of clips, windows, rows or texts.

    Each PATH has a form that `edgecl learn` reads, - is stdin; labels in it are ignored. Prints one line per sample:
    label, confidence, novelty (0: typical of its class, 1: unlike all of it) and source; "unknown (most like X)" where
    the novelty is above the threshold of the store, see `edgecl set`. With --json one object per line, "label" the best
    class and "known" whether it is meant; a sample that cannot be used is {"source", "skipped"}. With --top the number
    of classes, the probability of each. A PATH or TEXT that cannot be used does not stop the others;
    exit code 4: there was one.
    """
    if not paths and not texts:
        raise click.UsageError("give a PATH, - for stdin, or --text")
    with warn.opened(store) as learner:
        names = ("label", *(_unknown(label) for label in learner.classes))
        width = min(max(map(len, names)), WIDEST_LABEL)
        has_header, failures = not as_json, list[DataError]()
        shown_as = partial(_lines, width=width, as_json=as_json)
        for line in _answers(learner, paths, texts, how, failures, top=top or 0, shown_as=shown_as):
            if has_header:
                click.echo(f"{'label':{width}}  confidence  novelty  source")
                has_header = False
            click.echo(line)
    if failures:
        raise DataError("; ".join(map(str, failures)), parameter=failures[0].parameter)


def _answers(
    learner: Learner,
    paths: tuple[Path, ...],
    texts: tuple[str, ...],
    how: Choices,
    failures: list[DataError],
    *,
    top: int,
    shown_as: Callable[[Iterable[Answer | Skip]], Iterator[str]],
) -> Iterator[str]:
    """Yield the lines of all answers; why a path or a text cannot be used goes to the failures."""
    from edgecl.sources.reading import read_samples

    if texts:
        yield from shown_as(learner.run.predict(_samples(texts, learner, failures), top=top))
    for path in paths:
        try:
            samples = read_samples(path, learner.contract, labelled=False, how=how)
            answers = learner.run.predict(samples, top=top)
            lines = shown_as(replace(answer, source=shown(answer.source, path)) for answer in answers)
            yield from _at_the_end(lines) if learner.contract.modality == "imu" else lines
        except DataError as error:
            is_text = learner.contract.modality == "text" and not os.path.exists(path)  # noqa: PTH110 (a Path raises where a text is too long for a name)
            failures.append(DataError(f"{error}: a text itself goes after --text") if is_text else error)
            if len(paths) == 1 and not texts:
                raise failures[-1] from error.__cause__


def _samples(texts: tuple[str, ...], learner: Learner, failures: list[DataError]) -> Iterator[Sample]:
    """Yield the texts as samples; why one cannot be used goes to the failures."""
    from edgecl.sources.json_lines import text_signal
    from edgecl.sources.labels import is_missing
    from edgecl.sources.samples import Sample, UnusableError

    if learner.contract.modality != "text":
        raise click.UsageError(f"--text is for a store of text, this one takes {learner.contract.modality}")
    for text in texts:
        try:
            yield Sample(text, None, text_signal(text), None)
        except UnusableError as error:
            wanted = ": give what is to be predicted" if is_missing(text) else ""
            failures.append(DataError(f"--text {text[:WIDEST_LABEL]!a}: {error}{wanted}"))


def _at_the_end(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines once all are there: movement may be refused further on, and then no answer of it is printed."""
    from tempfile import SpooledTemporaryFile

    from edgecl.operations.data import spool_folder

    folder = spool_folder()
    with SpooledTemporaryFile(MOST_HELD, "w+", encoding="utf-8", dir=str(folder) if folder else None) as held:
        for line in lines:
            held.write(f"{line}\n")
        held.seek(0)
        yield from (line.removesuffix("\n") for line in held)


def _lines(answers: Iterable[Answer | Skip], *, width: int, as_json: bool) -> Iterator[str]:
    """Yield what is printed of answers; what is skipped is a line of JSON, or a warning."""
    from edgecl.sources.samples import Skip

    for answer in answers:
        if isinstance(answer, Skip):
            if as_json:
                yield json_text({"source": answer.source, "skipped": answer.reason})
            else:
                warn.warn(f"skipped {answer.source}: {answer.reason}{advice(answer.parameter)}")
        elif as_json:
            yield json_text(answer.as_dict())
        else:
            label = printable(answer.label if answer.known else _unknown(answer.label))
            source = printable(answer.source)
            yield f"{label:{width}}  {answer.confidence:10.0%}  {answer.novelty:7.2f}  {source}"
            yield from (f"  {printable(name):{width - 2}}  {share:10.1%}" for name, share in answer.top)


def _unknown(label: str) -> str:
    """What is printed of an answer that is not meant."""
    return f"unknown (most like {label})"
