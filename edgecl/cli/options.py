"""Arguments and options that several commands share."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.errors import SettingError

if TYPE_CHECKING:
    from edgecl.sources.choices import Choices

# starts a process of edgecl; a command and its arguments follow
EDGECL = (sys.executable, "-m", "edgecl.cli")
LONGEST_CHANNEL = 6  # digits: Python reads some thousands as no number
LARGEST = 2**32 - 1  # whole number of an option: every seed


class Bytes(click.ParamType[int]):
    """A size such as 300000, 512KiB or 1MiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        from edgecl.units import parse_bytes

        try:
            return parse_bytes(value)
        except SettingError as error:
            self.fail(str(error), param, ctx)


class Finite(click.FloatRange):
    """A number in a range; neither NaN nor infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Whole(click.IntRange):
    """A whole number from a least one; far more than anything is counted to is refused, since it overflows later."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = super().convert(value, param, ctx)
        if number > LARGEST:
            self.fail(f"a number of {len(str(value))} digits is too large: at most {LARGEST}", param, ctx)
        return number


class Pairs(click.ParamType[dict[str, str]]):
    """Pairs such as x=accel_x,y=accel_y."""

    name = "NAME=VALUE,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        if isinstance(value, dict):
            return value
        pairs = [one.partition("=") for one in value.split(",")]
        if not all(name.strip() and text.strip() for name, _, text in pairs):
            self.fail(f"{value!r} is not of the form NAME=VALUE,NAME=VALUE", param, ctx)
        return {name.strip(): text.strip() for name, _, text in pairs}


class Factors(Pairs):
    """Pairs of a name and a number, such as acc=9.80665."""

    name = "NAME=FACTOR,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            factors = {name: float(text) for name, text in super().convert(value, param, ctx).items()}
        except ValueError:
            self.fail(f"{value!r} holds a factor that is no number", param, ctx)
        if not all(math.isfinite(one) and one for one in factors.values()):
            self.fail(f"{value!r} holds a factor that is zero or not finite", param, ctx)
        return factors


class OutputFile(click.Path):
    """A file to write: refused at once where its folder is missing, not after the work."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "-":
            self.fail("'-' is stdout elsewhere, and no file here: name a file, or ./- for one of that name", param, ctx)
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.is_dir():
            self.fail(f"{str(path)!a} is a folder: name a file", param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"{str(path)!a} cannot be written: its folder does not exist", param, ctx)
        return path

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str | None:
        """Show where the file goes: what was given without options, a folder as the store, and the file after it."""
        if ctx is None:
            return None
        from shlex import quote

        from edgecl.cli.text import printable

        wanted = [one.make_metavar(ctx) for one in ctx.command.params if isinstance(one, click.Argument)]
        given: list[str] = ctx.meta["edgecl.arguments"][len(ctx.command_path.split()) - 1 :]
        given = [] if any(one.startswith("-") for one in given) else given
        given = [quote(one) for one in sorted(given, key=os.path.isdir, reverse=True)]
        words, file = given[: len(wanted)] or wanted, [*given[len(wanted) :], "FILE"][0]
        return printable(f"The file to write goes after it: `{' '.join([ctx.command_path, *words, '-o', file])}`")


def replaceable(path: Path) -> Path:
    """Refuse what no finished file can replace before anything is made."""
    from edgecl.store.files import require_replaceable

    require_replaceable(path)
    return path


class Channel(click.ParamType[int]):
    """A channel of sound: left, right, or its number from 1."""

    name = "left|right|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        is_number = value.isdecimal() and len(value) <= LONGEST_CHANNEL
        number = {"left": 1, "right": 2}.get(value.lower(), int(value) if is_number else 0)
        if number < 1:
            self.fail(f"{value!r} is neither left nor right nor a number from 1", param, ctx)
        return number - 1


def _path_or_stdin(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Return a path as it is; of `-` one to what stdin holds, until the command ends."""
    if value is None or "-" not in map(str, value if isinstance(value, tuple) else (value,)):
        return value
    from edgecl.cli.stdin import kept

    paths = value if isinstance(value, tuple) else (value,)
    held = [kept(ctx) if str(one) == "-" else one for one in paths]
    return tuple(held) if isinstance(value, tuple) else held[0]


def path_or_stdin(ctx: click.Context, path: Path) -> Path:
    """Return a path as it is; of `-` one to what stdin holds, until the command ends."""
    from edgecl.cli.stdin import kept

    return kept(ctx) if str(path) == "-" else path


class Out(click.Option):
    """An option `--out`, which is also taken as `--output`."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        if not any("--output" in one.opts for one in ctx.command.params):  # as of `export wrap`, which is another
            parser.add_option(self, ["--output"], dest=self.name)


store_argument = click.argument("store", type=click.Path(path_type=Path))
path_argument = click.argument("path", type=click.Path(path_type=Path), callback=_path_or_stdin)
optional_path_argument = click.argument(
    "path", required=False, type=click.Path(path_type=Path), callback=_path_or_stdin
)
paths_argument = click.argument(
    "paths", metavar="PATH...", nargs=-1, type=click.Path(path_type=Path), callback=_path_or_stdin
)
out_option = click.option(
    "-o",
    "--out",
    cls=Out,
    required=True,
    type=OutputFile(),
    callback=lambda _ctx, _param, value: replaceable(value),
    metavar="FILE",
    help="File to write.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
extractor_option = click.option(
    "--extractor",
    required=True,
    metavar="voice|imu|FILE",
    help="Network that turns signals into numbers: one that ships with edgecl, or a file of your own.",
)
label_option = click.option(
    "--label", metavar="NAME", help="Class of every sample in PATH, if PATH has no labels of its own."
)
label_column_option = click.option(
    "--label-column", metavar="NAME", help="Column of a table that contains the class. [default: label]"
)

rate_option = click.option(
    "--rate", metavar="HZ", type=Finite(1000, 768_000), help="Rate of raw PCM on stdin. [default: the extractor's]"
)
_LAYOUT = (
    click.option(
        "--channels",
        metavar="N",
        type=click.IntRange(1, 64),
        default=1,
        help="Number of channels of raw PCM on stdin. [default: 1]",
    ),
    click.option(
        "--format",
        "pcm_format",
        type=click.Choice(["S16_LE", "S24_3LE", "S24_LE", "S32_LE", "FLOAT_LE"]),
        default="S16_LE",
        help="Samples of raw PCM on stdin, in the words of arecord. [default: S16_LE]",
    ),
    click.option("--channel", type=Channel(), help="Channel of raw PCM or a file to take. [default: the mean of all]"),
)


def layout_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that state how raw PCM is laid out; the command gets them as one `layout`."""

    @functools.wraps(command)
    def with_layout(*arguments: Any, channels: int, pcm_format: str, channel: int | None, **options: Any) -> None:
        from edgecl.live.inputs.pcm import Layout

        return command(*arguments, layout=Layout(pcm_format, channels, channel), **options)

    for option in reversed(_LAYOUT):
        with_layout = option(with_layout)
    return with_layout


_ROW_CHOICES = (
    click.option("--time-column", metavar="NAME", help="Column of times. [default: timestamp, time, ts, ...]"),
    click.option(
        "--time-unit", type=click.Choice(["s", "ms", "us", "ns", "d"]), help="Unit of the times. [default: what fits]"
    ),
    click.option(
        "--columns",
        type=Pairs(),
        help="Column of each channel, such as x=accel_x,y=accel_y, or of texts: text=message. [default: by name]",
    ),
    click.option("--scale", type=Factors(), help="Factors of channels, such as acc=9.80665 where acc is in g."),
)
label_case_option = click.option(
    "--label-case",
    type=click.Choice(["keep", "lower"]),
    help="Labels that differ in case alone, from each other or a class: keep, or turn to lower case (or to the class). "
    "[default: refuse]",
)
_CHOICES = (
    *_ROW_CHOICES,
    click.option(
        "--labels-from", type=click.Choice(["0", "1"]), help="Index in y of the first of label_names. [default: 0]"
    ),
    click.option(
        "--label-folder", metavar="DEPTH", type=click.IntRange(1, 8), help="Depth of the label's folder. [default: 1]"
    ),
    label_case_option,
    click.option("--channel", type=Channel(), help="Channel of sound to take. [default: the mean of all]"),
)
_CHOICE_NAMES = ("time_column", "time_unit", "columns", "scale", "labels_from", "label_folder", "label_case", "channel")


def choice_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that settle how data is read; the command gets them as one `how`."""

    @functools.wraps(command)
    def with_choices(*arguments: Any, **options: Any) -> None:
        settled = {name: options.pop(name) for name in _CHOICE_NAMES}
        return command(*arguments, how=_choices(settled), **options)

    for option in reversed(_CHOICES):
        with_choices = option(with_choices)
    return with_choices


def row_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that settle how rows of movement are read; the command gets them as one `how`."""

    @functools.wraps(command)
    def with_choices(*arguments: Any, **options: Any) -> None:
        settled = {name: options.pop(name) for name in _CHOICE_NAMES[: len(_ROW_CHOICES)]}
        return command(*arguments, how=_choices(settled), **options)

    for option in reversed(_ROW_CHOICES):
        with_choices = option(with_choices)
    return with_choices


def _choices(settled: dict[str, Any]) -> Choices:
    from edgecl.sources.choices import Choices

    if settled.get("labels_from") is not None:
        settled["labels_from"] = int(settled["labels_from"])
    return Choices(**{name: value for name, value in settled.items() if value is not None})


def example(*lines: str) -> str:
    """The end of a command's help: lines that can be typed as they stand."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def usable_key(key: Path | None) -> Path | None:
    """Refuse a key that cannot sign before anything is built."""
    if key is not None:
        from edgecl.signatures import private_key

        private_key(key)
    return key


sign_option = click.option(
    "--sign",
    metavar="KEY",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=lambda _ctx, _param, value: usable_key(value),
    help="Private Ed25519 key (PEM): writes the signature FILE.sig; extra [sign].",
)


def is_given(ctx: click.Context, name: str) -> bool:
    """Test whether an option was given, on the command line or by the environment."""
    return ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
