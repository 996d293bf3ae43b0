"""What is piped in, kept as a file that is read like another."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from edgecl.errors import DataError

_PREFIX = "edgecl-stdin-"
_SUFFIXES = {
    b"RIFF": ".wav",
    b"RF64": ".wav",
    b"BW64": ".wav",
    b"fLaC": ".flac",
    b"OggS": ".ogg",
    b"PK\x03\x04": ".npz",
}


def is_terminal() -> bool:
    """Test whether somebody types into stdin; a closed one is no terminal."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def descriptor() -> int:
    """Return the number of stdin.

    Raises
    ------
    DataError
        It is closed.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise DataError("stdin is closed: pipe data in, or give a file")
    return sys.stdin.fileno()


def kept(ctx: click.Context) -> Path:
    """Return the path of a copy of stdin, of the kind that its first bytes show; it is gone when the command ends.

    Raises
    ------
    DataError
        Nothing is piped in.
    """
    import shutil
    import tempfile

    if sys.stdin is None or sys.stdin.isatty():
        raise DataError("- is what is piped to stdin, and nothing is: pipe data in, or give a path")
    folder = Path(ctx.with_resource(tempfile.TemporaryDirectory(prefix=_PREFIX)))
    whole = folder / "whole"
    with whole.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    with whole.open("rb") as file:
        begins = file.read(64)
    if not begins:
        raise DataError("stdin is empty")
    return whole.rename(folder / f"stdin{_suffix(begins)}")


def shown(source: str, path: Path) -> str:
    """Return where a sample of `path` comes from, without the folder of a copy of stdin."""
    return source.removeprefix(f"{path.parent}/") if path.parent.name.startswith(_PREFIX) else source


def without_folder(text: str) -> str:
    """Return a message without the folder of a copy of stdin.

    >>> without_folder("/var/tmp/edgecl-stdin-x1_y/stdin.csv is empty")
    'stdin.csv is empty'
    """
    return re.sub(rf"[^\s'\"]*/{_PREFIX}\w+/", "", text)


def _suffix(begins: bytes) -> str:
    if begins[:4] in _SUFFIXES:
        return _SUFFIXES[begins[:4]]
    if begins[:3] == b"ID3" or begins[:2] in (b"\xff\xfb", b"\xff\xf3"):
        return ".mp3"
    return ".jsonl" if begins.lstrip().startswith(b"{") else ".csv"
