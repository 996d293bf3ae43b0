"""`edgecl demo`: the whole loop on clips that ship with edgecl."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli.options import example, json_option
from edgecl.cli.text import counted, milliseconds, percent, print_json, printable, wrapped
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.demo.scenarios import Scenario, Step

SCENARIOS = ("voice", "fitness")
PICTURES = "pictures"  # whose extractor does not ship
COLUMNS = "{:41}  {:>7}  {:10}  {:>6}  {:>6}  {:>9}  {:>7}"
CAPTION = (
    "old, new: balanced accuracy, on clips and windows that taught nothing, of what was known before the lesson\n"
    "and of what it teaches; memory: all that the learner holds, its workspace included\n"
)
UNPROVEN = "unproven: accepted, though too few samples are kept to prove that nothing known was lost"
REASONS_SHOWN = 2
# by scenario: the form of the user's own data, and the commands for it
OWN = {
    "voice": (
        "recordings, clips/<word>/*.wav, five or more of each word",
        ("init kitchen --extractor voice", "learn kitchen clips/", "predict kitchen clip.wav"),
    ),
    "fitness": (
        "movement, windows.npz with X [n, time, channels] and y, or a CSV with a timestamp column",
        ("init gym --extractor imu", "learn gym windows.npz", "predict gym windows.npz"),
    ),
    PICTURES: (
        "pictures, photos/<class>/*.jpg, five or more of each class",
        (
            "export image -o image.onnx",
            "init door --extractor image.onnx",
            "learn door photos/",
            "predict door photo.jpg",
        ),
    ),
}
COLOURS = {"accepted": "green", "unproven": "green", "rejected": "red", "rolled back": "yellow"}


@click.command(
    epilog=example(
        "edgecl demo",
        "edgecl demo voice --keep shown",
        "edgecl history shown/voice",
        "edgecl demo pictures --extractor image.onnx",
    )
)
@click.argument(
    "scenario", metavar="[voice|fitness|pictures]", required=False, type=click.Choice((*SCENARIOS, PICTURES))
)
@click.option(
    "--extractor",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Extractor of pictures. [default: one is built, which needs the extra [export-image]]",
)
@click.option(
    "--keep",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Keep the stores in this new folder, for the other commands.",
)
@json_option
def command(scenario: str | None, extractor: Path | None, keep: Path | None, as_json: bool) -> None:
    """Show the loop on spoken commands, then on exercises; `pictures` on drawn road signs under weather.

    Teaches classes lesson by lesson and evaluates all of them after each, then new ones from a few samples of one
    user, then a lesson with two labels swapped, which is rejected, and rolls back. The voices are synthetic, the
    movement is simulated and the pictures are drawn: this shows the loop, not its accuracy on people or cameras. Takes
    less than a minute.
    """
    from edgecl.demo.clips import NOTICE
    from edgecl.demo.scenarios import SCENARIOS as MAKERS
    from edgecl.demo.scenarios import lasting, run

    if extractor is not None and scenario != PICTURES:
        raise click.UsageError("--extractor is of pictures: say `edgecl demo pictures`")
    shown: dict[str, Any] = {}
    with _folder(keep) as folder:
        for name in [scenario] if scenario else SCENARIOS:
            made = MAKERS[name]()
            if name == PICTURES:
                made = replace(made, extractor=str(extractor or _image_extractor(folder)))
            steps = _played(made, run(made, folder / name), quiet=as_json)
            shown[name] = {"forgetting": lasting(steps), "steps": [vars(step) for step in steps]}
            if not as_json:
                _print_summary(steps, shown[name]["forgetting"])
    if as_json:
        print_json({"notice": NOTICE, "scenarios": shown})
    else:
        print_next(keep, list(shown))


def _image_extractor(folder: Path) -> Path:
    from edgecl_export import export_image

    folder.mkdir(parents=True, exist_ok=True)
    export_image(folder / "image.onnx")
    return folder / "image.onnx"


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="edgecl-demo-") as folder:
            yield Path(folder)
        return
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def _played(scenario: Scenario, steps: Iterator[Step], *, quiet: bool) -> list[Step]:
    """All steps, each printed when it is done."""
    if not quiet:
        click.secho(f"\n{scenario.about}", bold=True)
        click.echo(CAPTION)
        click.echo(COLUMNS.format("lesson", "samples", "verdict", "old", "new", "memory", "time"))
    played = []
    for step in steps:
        if not quiet:
            _print_step(step)
        played.append(step)
    return played


def _print_step(step: Step) -> None:
    samples = f"{step.samples:,}" if step.samples else ""
    line = COLUMNS.format(
        step.title,
        samples,
        step.verdict,
        percent(step.old_accuracy),
        percent(step.new_accuracy),
        format_bytes(step.state_bytes),
        milliseconds(step.elapsed_ms),
    )
    click.secho(line, fg=COLOURS[step.verdict] if step.verdict in ("rejected", "rolled back") else None)
    if step.verdict == "rejected":
        for reason in step.reasons[:REASONS_SHOWN]:
            click.echo(wrapped(reason, first="     "))
        click.echo(f"     the live model is untouched: revision {step.revision}")


def _print_summary(steps: Sequence[Step], forgetting: float) -> None:
    if any(step.verdict == "unproven" for step in steps):
        click.echo(UNPROVEN)
    last = [step for step in steps if step.taught][-1]
    click.echo(
        f"\n{counted(len(last.per_class), 'class', 'classes')} learnt in lessons; what was taught before the last one "
        f"is answered at {percent(last.old_accuracy)}, and lost {100 * forgetting:.1f} points since its best."
    )


def print_next(keep: Path | None, names: Sequence[str]) -> None:
    """Print what to do next: look at the stores that are kept, and the same on data of the user's own."""
    data, lines = OWN[names[0]]
    click.echo(f"\nNow on your own {data}:")
    kept = () if keep is None else (f"history {printable(str(keep / name))}" for name in names)
    for line in (*kept, *lines):
        click.echo(f"  edgecl {line}")
