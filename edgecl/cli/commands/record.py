"""`edgecl record`: clips to teach from, taken one after another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from edgecl.cli import interrupts, warn
from edgecl.cli.options import Finite, Out, Whole, example, json_option, layout_options, rate_option
from edgecl.cli.stdin import descriptor, is_terminal
from edgecl.cli.text import counted, print_json, printable
from edgecl.errors import DataError, SettingError

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.live.inputs.chunks import Halt, Piece
    from edgecl.live.inputs.pcm import Layout

QUIET_DB = -30.0  # of full scale; a peak below is usable, and not what it could be
METER_DB = 60


@click.command(
    epilog=example(
        'arecord -q -t raw -f S16_LE -r 16000 -c 1 | edgecl record kitchen -o clips --label "lights off"',
        "edgecl record voice -o clips --label coffee --count 10 --microphone",
    )
)
@click.argument("store", metavar="STORE|EXTRACTOR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    cls=Out,
    required=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the clips, FOLDER/NAME/*.wav; `edgecl learn STORE FOLDER` reads it.",
)
@click.option("--label", required=True, metavar="NAME", help="Word that is spoken.")
@click.option("--count", type=Whole(min=1), default=5, help="Number of usable takes. [default: 5]")
@click.option("--seconds", type=Finite(min=0.5, max=30), default=2.0, help="Length of one take. [default: 2]")
@click.option("--microphone", is_flag=True, help="Record from the default microphone (extra [mic]) in place of stdin.")
@rate_option
@layout_options
@json_option
def command(
    store: Path,
    out: Path,
    label: str,
    count: int,
    seconds: float,
    microphone: bool,
    rate: float | None,
    layout: Layout,
    as_json: bool,
) -> None:
    """Record clips of one word from raw PCM on stdin or from a microphone.

    Shows the level while you speak, reports why a take cannot be used, and repeats it. Ends after
    enough usable takes; exit code 4: the input ended before.
    """
    from edgecl.live.inputs.chunks import Halt
    from edgecl.live.takes import why_unusable

    contract = _contract(store)
    if not contract.is_sound:
        raise SettingError(f"{store} takes {contract.modality}: record takes sound")
    if not microphone and is_terminal():
        raise click.UsageError(
            "nothing is piped to stdin: say --microphone, or `arecord -q -t raw ... | edgecl record`"
        )
    folder = out / _cleaned(label)
    folder.mkdir(parents=True, exist_ok=True)
    halt, usable = Halt(), 0
    with interrupts.asking(halt.ask):
        takes = _takes(
            _pieces(contract, halt, microphone=microphone, rate=rate, layout=layout), contract, seconds=seconds
        )
        _prompt(label, usable, count)
        for take in takes:
            reason = why_unusable(take, contract)
            usable += reason is None
            _tell(take, _written(folder, take, contract) if reason is None else None, reason, as_json=as_json)
            if usable == count:
                return
            _prompt(label, usable, count)
    raise DataError(f"the input ended after {counted(usable, 'usable take')} of {count}: they are in {folder}")


def _contract(store: Path) -> Contract:
    from edgecl.extractors.opening import builtin_extractor, open_extractor

    if store.is_dir():
        with warn.opened(store) as learner:
            return learner.contract
    return open_extractor(builtin_extractor("voice") if str(store) == "voice" else store).contract


def _cleaned(label: str) -> str:
    """The label as the name of a folder."""
    from edgecl.sources.labels import clean_label
    from edgecl.sources.samples import UnusableError

    try:
        name = clean_label(label)
    except UnusableError as error:
        raise SettingError(f"--label {ascii(label)[:80]} can't be used: {error}") from error
    if "/" in name:
        raise SettingError(f"--label {label!a} becomes the name of a folder: leave out the /")
    return name


def _pieces(contract: Contract, halt: Halt, *, microphone: bool, rate: float | None, layout: Layout) -> Iterator[Piece]:
    from edgecl.live.inputs.chunks import Arrival
    from edgecl.live.inputs.microphone import microphone as recorded
    from edgecl.live.inputs.pcm import raw_pcm

    arrival = Arrival()
    if microphone:
        return recorded(contract, halt=halt, arrival=arrival)
    rate_hz = rate or contract.sample_rate_hz
    return raw_pcm(descriptor(), contract, rate_hz=rate_hz, halt=halt, arrival=arrival, layout=layout)


def _takes(pieces: Iterator[Piece], contract: Contract, *, seconds: float) -> Iterator[NDArray[np.float32]]:
    """Yield stretches (n, 1) of a fixed length in seconds; the level is shown while they come."""
    wanted, held, length = round(seconds * contract.sample_rate_hz), [], 0
    for piece in pieces:
        held.append(piece.signal)
        length += len(piece.signal)
        _show_level(piece.signal)
        if length >= wanted:
            yield np.concatenate(held)[:wanted]
            held, length = [], 0


def _written(folder: Path, take: NDArray[np.float32], contract: Contract) -> Path:
    """Write a take under the next number that is free."""
    from edgecl.sources.sound import encode_wav

    numbers = [int(path.stem) for path in folder.glob("*.wav") if path.stem.isdecimal()]
    path = folder / f"{max(numbers, default=0) + 1:03d}.wav"
    with path.open("xb") as file:
        file.write(encode_wav(take, rate_hz=contract.sample_rate_hz))
    return path


def _show_level(signal: NDArray[np.float32]) -> None:
    from edgecl.live.takes import peak_db

    if sys.stderr.isatty():
        level = peak_db(signal)
        bar = "#" * max(round((level + METER_DB) / 2), 0)
        click.echo(f"\r  {bar:{METER_DB // 2}} {level:6.1f} dBFS", err=True, nl=False)


def _prompt(label: str, usable: int, count: int) -> None:
    click.echo(f"say {printable(label)!r} now: {usable + 1} of {count}", err=True)


def _tell(take: NDArray[np.float32], path: Path | None, reason: str | None, *, as_json: bool) -> None:
    from edgecl.live.takes import peak_db

    peak = peak_db(take)
    if sys.stderr.isatty():
        click.echo(err=True)
    if as_json:
        print_json({"file": str(path) if path else None, "peak_dbfs": round(peak, 1), "unusable": reason})
    elif reason:
        click.echo(f"unusable, {reason}")
    else:
        quiet = ": quiet, come closer" if peak < QUIET_DB else ""
        click.echo(f"{printable(str(path))}, peak {peak:.1f} dBFS{quiet}")
    sys.stdout.flush()
