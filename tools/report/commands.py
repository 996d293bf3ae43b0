"""A script of `tools/` that measures where edgecl is installed, prints a table and keeps it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.environments import CommandError, cache_folder, environment, run_module
from report.results import Results
from report.tables import of_records


def measure_and_keep(
    results: Results,
    about: str | None,
    *,
    name: str,
    extras: str,
    as_text: Callable[[Any], str] = of_records,
    has_sets: bool = False,
) -> int:
    """Run `tools/measure/<script>.py` in an environment of edgecl, and return the script's exit code.

    Parameters
    ----------
    about
        What the script says of itself.
    name, extras
        Of the environment.
    as_text
        Makes the tables of the figures, in Markdown.
    has_sets
        Whether some of the sets can be chosen; the latents of sets are kept between runs.
    """
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, formatter_class=layout, allow_abbrev=False)
    if has_sets:
        parser.add_argument("--sets", nargs="+", metavar="SET", default=[], help="some of the sets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    results.add_option(parser)
    given = parser.parse_args()
    sets = given.sets if has_sets else []
    options: list[str | Path] = ["--cache", cache_folder() / "accuracy"] if has_sets else []
    options += ["--sets", *sets] if sets else []
    try:
        with tempfile.TemporaryDirectory() as folder, environment(name, extras=extras) as installed:
            output = Path(folder, "figures.json")
            run_module(installed / "bin" / "python", f"measure.{results.script}", "--json", output, *options)
            figures = json.loads(output.read_text())
    except CommandError as error:
        print(f"FAILED with {error}", file=sys.stderr)
        return 1
    text = as_text(figures)
    print(text)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    results.keep(text, given=given.markdown, is_whole=not sets)
    return 0
