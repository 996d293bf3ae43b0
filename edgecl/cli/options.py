"""Arguments and options that several commands share."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from edgecl.errors import SettingError

# starts a process of edgecl; a command and its arguments follow
EDGECL = (sys.executable, "-m", "edgecl.cli")


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


store_argument = click.argument("store", type=click.Path(path_type=Path))
path_argument = click.argument("path", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
label_option = click.option(
    "--label", metavar="NAME", help="Class of every sample in PATH, if PATH has no labels of its own."
)
label_column_option = click.option(
    "--label-column", metavar="NAME", help="Column of a .csv that contains the class. [default: label]"
)


def example(*lines: str) -> str:
    """The end of a command's help: lines that can be typed as they stand."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
