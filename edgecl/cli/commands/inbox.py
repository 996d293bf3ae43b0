"""`edgecl inbox`: what a listener kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import progress, warn
from edgecl.cli.commands import learn
from edgecl.cli.commands._teaching import teach
from edgecl.cli.options import Out, OutputFile, example, json_option, label_case_option, store_argument
from edgecl.cli.text import print_json, printable, table
from edgecl.errors import SettingError
from edgecl.store.files import write_output

if TYPE_CHECKING:
    from edgecl.operations.inbox import Item


class StoreFirst(click.Group):
    """A group whose --json may come after STORE, where a group would look for a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[1:2] == ["--json"]:
            args = [args[1], args[0], *args[2:]]
        return super().parse_args(ctx, args)


@click.group(
    cls=StoreFirst,
    invoke_without_command=True,
    subcommand_metavar="[export ID -o FILE | label ID... NAME | answer NAME --same-as LABEL | accept-suggestions]",
    epilog=example(
        "edgecl inbox kitchen",
        "edgecl inbox kitchen export 12 -o heard.wav",
        'edgecl inbox kitchen label 12 15 16 "lights off"',
        "edgecl inbox kitchen answer yeah --same-as yes",
        "edgecl inbox kitchen accept-suggestions",
    ),
)
@store_argument
@json_option
@click.pass_context
def command(ctx: click.Context, store: Path, as_json: bool) -> None:
    """List what waits for you, export one recording, or teach some.

    `edgecl listen --inbox` keeps sound or movement that resembles nothing taught, and the latest ten detections.
    `edgecl learn` keeps samples that do not fit their label, and those of new labels that resemble a known class.
    Nothing is learnt from it until you label it.
    """
    ctx.obj = store
    if ctx.invoked_subcommand is not None:
        return
    with warn.opened(store) as learner:
        items = learner.inbox().items()
    if as_json:
        print_json({"items": [asdict(one) for one in items]})
    else:
        _print(items, store)


def _print(items: Sequence[Item], store: Path) -> None:
    if not items:
        click.echo(f"Nothing there: `edgecl listen {printable(str(store))} --inbox` keeps what it has never heard.")
        return
    has_names = any(one.called for one in items)
    rows = [
        (
            one.id.lstrip("0"),
            one.kind,
            one.kept.replace("+00:00", "").replace("T", " "),
            f"{one.count}x",
            f"{one.label} ({one.confidence:.0%})",
            *([one.called] if has_names else []),
            f"{one.novelty:.2f}",
            f"{one.seconds:.1f} s" if one.seconds else "-",
        )
        for one in items
    ]
    taught = ("taught as",) if has_names else ()
    header = ("id", "what", "last heard (UTC)", "times", "answered", *taught, "novelty", "length")
    click.echo(table(rows, header=header, align="lllrllrr" if has_names else "lllrlrr", indent=0))


@command.command()
@click.argument("name", metavar="ID")
@click.option(
    "-o",
    "--out",
    cls=Out,
    required=True,
    metavar="FILE",
    type=OutputFile(),
    help="File to write: .wav of sound, .npz or .csv of movement, .jsonl of text.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE where it exists.")
@click.pass_obj
def export(store: Path, name: str, out: Path, overwrite: bool) -> None:
    """Export a recording as a file of the kind that its name ends in."""
    with warn.opened(store) as learner:
        inbox = learner.inbox()
        content = inbox.exported(inbox.item(name), out.suffix.lower())
    if out.exists() and not overwrite:
        raise SettingError(f"{out} exists: --overwrite replaces it")
    write_output(out, content)
    click.echo(f"{out} written", err=True)


@command.command()
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@click.argument("label", metavar="NAME")
@label_case_option
@click.option("--force", is_flag=True, help="Commit whatever the verdict.")
@json_option
@click.pass_obj
def label(store: Path, names: tuple[str, ...], label: str, label_case: str | None, force: bool, as_json: bool) -> None:
    """Teach recordings as class NAME, judged as by `edgecl learn`; they leave the inbox if accepted."""
    with warn.opened(store) as learner:
        inbox = learner.inbox()
        items = [inbox.item(one) for one in dict.fromkeys(names)]
        teach(learner, items, label=label, label_case=label_case, force=force, as_json=as_json)


@command.command()
@click.argument("name", metavar="NAME")
@click.option("--same-as", metavar="LABEL", help="The known class that it is.")
@click.option("--distinct", is_flag=True, help="It is a class of its own; remembered for the pair.")
@json_option
@click.pass_obj
def answer(store: Path, name: str, same_as: str | None, distinct: bool, as_json: bool) -> None:
    """Say whether a new name that was asked about is a known class, or one of its own; what waits is then taught."""
    if (same_as is not None) == distinct:
        raise click.UsageError("say --same-as LABEL or --distinct")
    with warn.opened(store) as learner:
        live = learner.revision
        report = learner.answer(name, same_as=same_as, distinct=distinct, progress=progress.stage)
        learn.tell(report, {same_as or name: report.samples}, live=live, learner=learner, as_json=as_json)
    if not report.is_accepted:
        click.get_current_context().exit(learn.REJECTED)


@command.command("accept-suggestions")
@click.option("--dry-run", is_flag=True, help="Judge, commit nothing.")
@json_option
@click.pass_obj
def accept_suggestions(store: Path, dry_run: bool, as_json: bool) -> None:
    """Teach what `edgecl listen --suggest` kept, under the label that was answered, with a quarter of the weight."""
    with warn.opened(store) as learner:
        live = learner.revision
        taught = Counter(one.label for one in learner.inbox().items("suggestion"))
        report = learner.accept_suggestions(dry_run=dry_run, progress=progress.stage)
        learn.tell(report, taught, live=live, learner=learner, as_json=as_json)
    if not report.is_accepted:
        click.get_current_context().exit(learn.REJECTED)
