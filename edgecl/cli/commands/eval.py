"""`edgecl eval`: accuracy on labelled samples."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import progress, warn
from edgecl.cli.commands import _eval_stream
from edgecl.cli.commands._eval_stream import StreamOptions, stream_options
from edgecl.cli.options import (
    Finite,
    OutputFile,
    choice_options,
    example,
    json_option,
    label_column_option,
    label_option,
    optional_path_argument,
    store_argument,
)
from edgecl.cli.text import counted, listed, percent, print_json, printable, table
from edgecl.store.files import write_output
from edgecl.values import replace

if TYPE_CHECKING:
    from edgecl.operations.evaluating import Evaluation
    from edgecl.sources.choices import Choices

CONFUSIONS_SHOWN = 8
CLASSES_IN_TABLE = 12


@click.command(
    epilog=example(
        "edgecl eval kitchen heldout/",
        "edgecl eval kitchen heldout/ --unknown other-words/",
        "edgecl eval kitchen --stream evening.wav --words heard/",
        "edgecl eval kitchen --stream evening.wav --words evening.csv --false-per-hour 0.5",
    )
)
@store_argument
@optional_path_argument
@label_option
@label_column_option
@click.option(
    "--unknown",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Samples of what was never taught: measure how many are answered as unknown.",
)
@click.option(
    "--at",
    metavar="SHARE",
    type=Finite(0, 1),
    help="Of two classes: count the second one (in order of the names) from this probability on.",
)
@click.option("--report", metavar="FILE", type=OutputFile(), help="Also write it as one HTML file.")
@stream_options
@choice_options
@json_option
def command(
    store: Path,
    path: Path | None,
    label: str | None,
    label_column: str | None,
    unknown: Path | None,
    at: float | None,
    report: Path | None,
    as_json: bool,
    how: Choices,
    stream: StreamOptions,
) -> None:
    """Measure accuracy on labelled samples.

    PATH has a form that `edgecl learn` reads. Use samples that were not learnt, best of people who taught nothing:
    every model is good at its own lessons. Balanced accuracy is the mean over the classes, each with equal
    weight. Accuracy is that of the best class; what it is where an answer may be unknown is printed below. Precision is
    the share of right ones among the answers of a class, recall that among its samples. Of two classes the area
    under the ROC curve (AUC) is printed too.

    With --stream, misses against false accepts an hour are measured in a recording of any length, scored as `edgecl
    listen` scores it, at thirty thresholds, and the threshold to choose is named. --words says when which word is
    spoken in it, or has clips that are mixed into it at the levels of --level; without, false accepts alone are
    counted.
    """
    if stream.file is not None:
        _eval_stream.require_alone({"PATH": path, "--unknown": unknown, "--at": at, "--report": report})
        _eval_stream.run(store, stream, label=label, label_column=label_column, how=how, as_json=as_json)
        return
    _eval_stream.require_stream(stream)
    if path is None:
        raise click.UsageError("Missing argument 'PATH': labelled samples, or --stream FILE")
    with warn.opened(store) as learner:
        as_spelt = replace(how, label_case="keep")  # the evaluation compares them, also with the classes
        samples = progress.read(
            path,
            learner.contract,
            label=label,
            label_column=label_column,
            how=as_spelt,
            checked=False,
            known=learner.classes,
        )
        untaught = None
        if unknown is not None:
            untaught = progress.read(
                unknown, learner.contract, label_column=label_column, labelled=False, how=how, checked=False
            )
        evaluation = learner.evaluate(samples, unknown=untaught, label_case=how.label_case)
    two = evaluation.at(at) if at is not None else None
    if report is not None:
        from edgecl.reporting.evaluation_report import evaluation_report

        made = evaluation_report(evaluation, store=store.absolute().name, data=path.name)
        write_output(report, made.encode())
    confusions = _confusions(evaluation)
    if as_json:
        print_json({**evaluation.as_dict(), **({"at": two} if two else {}), "confusions": confusions})
        return
    warn.skips(evaluation.skipped)
    _print(evaluation.as_dict(), two, confusions)


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


def _print(result: dict[str, Any], two: dict[str, Any] | None, confusions: list[dict[str, Any]]) -> None:
    per_class = result["per_class"]
    click.secho(
        f"balanced accuracy {percent(result['balanced_accuracy'])}, accuracy {percent(result['accuracy'])}, "
        f"on {counted(result['n'], 'sample')} of {counted(len(per_class), 'class', 'classes')}",
        bold=True,
    )
    rows = [
        (label, str(one["n"]), percent(one["recall"]), percent(one["precision"])) for label, one in per_class.items()
    ]
    click.echo(table(rows, header=("class", "samples", "recall", "precision"), align="lrrr"))
    if result["never_taught"]:
        names = printable(listed(result["never_taught"]))
        click.echo(f"never taught, so counted as answered wrong: {names}")
    _print_unknown(result)
    if result["auc"] is not None:
        click.echo(f"area under the ROC curve {result['auc']:.3f}")
    if two:
        click.echo(
            f'"{printable(two["label"])}" from a probability of {two["threshold"]:g} on: {percent(two["found"])} of it '
            f"found, {percent(two['false'])} of the other class, precision {percent(two['precision'])}"
        )
    _print_confusion(result["confusion"])
    if confusions:
        click.echo("most often mistaken:")
        pairs = [
            (one["label"], f"for {one['answered_as']}", f"{one['n']} of {per_class[one['label']]['n']}")
            for one in confusions[:CONFUSIONS_SHOWN]
        ]
        click.echo(table(pairs, header=("class", "taken", "samples"), align="llr"))


def _print_unknown(result: dict[str, Any]) -> None:
    """What it costs that an answer may be unknown, and what it gains."""
    found, never = result["with_unknown"], result["unknown"]
    click.echo(
        f"unknown above a novelty of {found['unknown_above']:.2f}: balanced accuracy "
        f"{percent(found['balanced_accuracy'])}, refused {percent(found['taught_refused'])} of what was taught"
        + (f", {percent(found['untaught_refused'])} of what was not" if result["never_taught"] else "")
    )
    if never:
        ranked = f", AUROC of the novelty {never['auroc']:.3f}" if never["auroc"] is not None else ""
        click.echo(f"of {counted(never['n'], 'sample')} of --unknown refused {percent(never['refused'])}{ranked}")


def _print_confusion(confusion: dict[str, dict[str, int]]) -> None:
    """Which class is answered as which, as a table where that is narrow enough."""
    names = sorted({*confusion, *(name for row in confusion.values() for name in row)})
    if len(names) > CLASSES_IN_TABLE:
        return
    rows = [(label, *(str(row.get(name, 0)) for name in names)) for label, row in confusion.items()]
    click.echo(table(rows, header=("class \\ answer", *names), align="l" + "r" * len(names)))
