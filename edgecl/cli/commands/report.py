"""`edgecl report`: one HTML file about a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import progress, warn
from edgecl.cli.options import Out, OutputFile, example, json_option, label_column_option, label_option, store_argument
from edgecl.cli.text import print_json, printable
from edgecl.store.files import write_output
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.reporting.store_report import Test

FILE = click.Path(path_type=Path)


@click.command(
    epilog=example(
        "edgecl report kitchen -o report.html",
        "edgecl report kitchen -o report.html --test heldout/",
    )
)
@store_argument
@click.option("-o", "--out", cls=Out, required=True, metavar="FILE", type=OutputFile(), help="HTML to write.")
@click.option(
    "--test", "test_path", metavar="PATH", type=click.Path(path_type=Path), help="Labelled samples to measure on."
)
@click.option(
    "--bench", metavar="FILE", type=click.Path(path_type=Path), help="What `edgecl bench` wrote: adds its times."
)
@label_option
@label_column_option
@json_option
def command(
    store: Path,
    out: Path,
    test_path: Path | None,
    bench: Path | None,
    label: str | None,
    label_column: str | None,
    as_json: bool,
) -> None:
    """Write one HTML file about a store: decisions, accuracy, memory and time.

    Also confusions, a map of exemplars, and thresholds. The file holds no scripts and asks for nothing: it can be
    mailed, and read in ten years. With --test every kept revision is evaluated on labelled samples that were not
    learnt, best of people who taught nothing.
    """
    from edgecl.reporting.store_report import store_report

    with warn.opened(store) as learner:
        test = _embedded(learner, test_path, label, label_column) if test_path else None
        made = store_report(learner.opened, test=test, bench=_read(bench) if bench else None)
    write(out, made, as_json=as_json)


def _embedded(learner: Learner, path: Path, label: str | None, label_column: str | None) -> Test:
    from edgecl.reporting.store_report import embedded_test

    samples = progress.read(path, learner.contract, label=label, label_column=label_column, known=learner.classes)
    test, skipped = embedded_test(learner.opened, samples, name=path.name)
    warn.skips(skipped)
    return test


def _read(path: Path) -> dict[str, Any]:
    from edgecl.bench.results import read

    return read(path)


def write(out: Path, made: str, *, as_json: bool) -> None:
    """Write a report and say so; with `as_json` on stdout, else as a sentence."""
    content = made.encode()
    write_output(out, content)
    if as_json:
        print_json({"file": str(out), "bytes": len(content)})
    else:
        click.echo(f"{printable(str(out))} is written, {format_bytes(len(content))}")
