"""How results are written for people: numbers, tables, colour where a terminal takes it."""

from __future__ import annotations

import json
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

WIDTH = 100


def printable(text: str) -> str:
    r"""The text with control characters escaped: a file's name must not steer the terminal.

    >>> print(printable("a" + chr(27) + "[2J.wav"))
    a\x1b[2J.wav
    """
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def print_json(value: Mapping[str, Any]) -> None:
    """One object on one line of stdout."""
    click.echo(json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """One object as a line of JSON."""
    return json.dumps(value, allow_nan=False)


def percent(share: float | None) -> str:
    """A share as "97.5%", nothing measured as "-".

    >>> percent(1.0), percent(0.975), percent(None)
    ('100%', '97.5%', '-')
    """
    if share is None:
        return "-"
    return "100%" if share == 1 else f"{share:.1%}"


def wrapped(text: str, *, first: str = "  - ", width: int = WIDTH) -> str:
    """A sentence as lines of at most `width` columns, behind a bullet.

    >>> print(wrapped("one two three", first="- ", width=9))
    - one two
      three
    """
    return textwrap.fill(
        printable(text),
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,  # a path can be copied
    )


def milliseconds(value: float) -> str:
    """A duration as people say it.

    >>> milliseconds(3.21), milliseconds(340.4), milliseconds(12345.0)
    ('3.2 ms', '340 ms', '12.3 s')
    """
    if value < 10:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def of_ten(least: float, most: float) -> str:
    """Return a range of shares in tenths, in words.

    >>> of_ten(0.4, 1.0), of_ten(1.0, 1.0)
    ('4 to 10 of ten times', '10 of ten times')
    """
    low, high = round(10 * least), round(10 * most)
    return f"{low} of ten times" if low == high else f"{low} to {high} of ten times"


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "class", "classes"), counted(2, "clip"), counted(12000, "clip")
    ('1 class', '2 clips', '12,000 clips')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(names: Iterable[str], *, most: int = 12) -> str:
    """Names with commas, the end of a long list as a number.

    >>> listed(["no", "yes"]), listed("abcd", most=2)
    ('no, yes', 'a, b and 2 more')
    """
    names = list(names)
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def other_student_text(words: Sequence[str]) -> str:
    """Name the words whose references are of another student; empty where there is none."""
    if not words:
        return ""
    named = printable(listed(words))
    return f"references of another student, of {named}, are not compared: teach these again, with some new clips"


def table(rows: Iterable[Sequence[str]], *, header: Sequence[str], align: str, indent: int = 2) -> str:
    """Columns two blanks apart; `align` has a letter a column, "l" or "r". The last column is not padded.

    >>> print(table([("yes", "20"), ("no", "5")], header=("class", "clips"), align="lr", indent=0))
    class  clips
    yes       20
    no         5
    """
    lines = [tuple(header), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    text = []
    for line in lines:
        cells = [_padded(*one) for one in zip(line, widths, align, strict=True)]
        text.append(" " * indent + "  ".join(cells).rstrip())
    return "\n".join(text)


def _columns(text: str) -> int:
    """How many columns a terminal gives the text."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _padded(text: str, width: int, align: str) -> str:
    blanks = " " * (width - _columns(text))
    return blanks + text if align == "r" else text + blanks


def pairs(rows: Mapping[str, str], *, indent: int = 2) -> str:
    """Names and what they are, one a line.

    >>> print(pairs({"memory": "1 MiB", "disk": "64 MiB"}, indent=0))
    memory  1 MiB
    disk    64 MiB
    """
    width = max(map(len, rows))
    return "\n".join(f"{' ' * indent}{name:{width}}  {what}" for name, what in rows.items())
