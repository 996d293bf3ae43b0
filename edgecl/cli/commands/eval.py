"""`edgecl eval`: accuracy on labelled samples."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import progress, warn
from edgecl.cli.options import (
    choice_options,
    example,
    json_option,
    label_column_option,
    label_option,
    path_argument,
    store_argument,
)
from edgecl.cli.text import counted, listed, percent, print_json, printable, table

if TYPE_CHECKING:
    from edgecl.operations.evaluating import Evaluation
    from edgecl.sources.choices import Choices

CONFUSIONS_SHOWN = 8


@click.command(epilog=example("edgecl eval kitchen heldout/", "edgecl eval kitchen heldout/ --json"))
@store_argument
@path_argument
@label_option
@label_column_option
@click.option("--report", metavar="FILE", type=click.Path(path_type=Path), help="Also write it as one HTML file.")
@choice_options
@json_option
def command(
    store: Path,
    path: Path,
    label: str | None,
    label_column: str | None,
    report: Path | None,
    as_json: bool,
    how: Choices,
) -> None:
    """Measure accuracy on labelled samples.

    PATH has a form that `edgecl learn` reads. Use samples that were not learnt, best of people who taught nothing:
    every model is good at its own lessons. Balanced accuracy is the mean over the classes, each with equal
    weight.
    """
    with warn.opened(store) as learner:
        samples = progress.read(path, learner.contract, label=label, label_column=label_column, how=how, checked=False)
        evaluation = learner.evaluate(samples)
    if report is not None:
        from edgecl.reporting.evaluation_report import evaluation_report

        report.write_text(evaluation_report(evaluation, store=store.absolute().name, data=path.name))
    confusions = _confusions(evaluation)
    if as_json:
        print_json({**evaluation.as_dict(), "confusions": confusions})
        return
    warn.skips(evaluation.skipped)
    _print(evaluation.as_dict(), confusions)


def _confusions(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Which class was taken for which, and how often, most frequent first."""
    pairs = Counter(
        (evaluation.labels[truth], evaluation.labels[answer])
        for truth, answer in zip(evaluation.truth, evaluation.answers, strict=True)
        if truth != answer
    )
    return [
        {"label": label, "answered_as": other, "n": count}
        for (label, other), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    ]


def _print(result: dict[str, Any], confusions: list[dict[str, Any]]) -> None:
    per_class = result["per_class"]
    click.secho(
        f"balanced accuracy {percent(result['balanced_accuracy'])}, accuracy {percent(result['accuracy'])}, "
        f"on {counted(result['n'], 'sample')} of {counted(len(per_class), 'class', 'classes')}",
        bold=True,
    )
    rows = [(label, str(one["n"]), percent(one["accuracy"])) for label, one in per_class.items()]
    click.echo(table(rows, header=("class", "samples", "accuracy"), align="lrr"))
    if result["never_taught"]:
        names = printable(listed(result["never_taught"]))
        click.echo(f"never taught, so counted as answered wrong: {names}")
    if confusions:
        click.echo("most often mistaken:")
        rows = [
            (one["label"], f"for {one['answered_as']}", f"{one['n']} of {per_class[one['label']]['n']}")
            for one in confusions[:CONFUSIONS_SHOWN]
        ]
        click.echo(table(rows, header=("class", "taken", "samples"), align="llr"))
