"""Where the sound or the rows of `edgecl listen` and `edgecl serve` come from: a file, a microphone or stdin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli.commands import _camera
from edgecl.cli.stdin import descriptor, is_terminal
from edgecl.errors import DataError
from edgecl.sources.folders import require_data

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.live.inputs.chunks import Arrival, Halt, Piece
    from edgecl.live.inputs.pcm import Layout
    from edgecl.sources.choices import Choices
    from edgecl.sources.gravity import Gravity

POLL_S = 0.2


def refuse_contradictions(
    file: Path | None,
    *,
    microphone: bool,
    rate: float | None,
    realtime: bool,
    has_clients: bool,
    camera: str | None = None,
) -> None:
    if camera is not None:
        _camera.require_alone(camera, is_alone=not (file or microphone or rate or realtime or has_clients))
        return
    if has_clients and (file is not None or rate is not None):
        raise click.UsageError("--wyoming takes sound from its clients: leave out FILE and --rate, or say --microphone")
    if file is not None and microphone:
        raise click.UsageError("give FILE or --microphone, not both")
    if rate is not None and (file is not None or microphone):
        raise click.UsageError("--rate is for raw PCM on stdin: a file states its own, a microphone is set to one")
    if realtime and file is None:
        raise click.UsageError("--realtime plays a FILE: stdin and microphones come at their own speed")
    if file is None and not microphone and not has_clients and is_terminal():
        raise click.UsageError(
            "nothing is piped to stdin: give a FILE, --microphone or --camera, "
            "or `arecord -q -t raw -f S16_LE -r 16000 -c 1 | edgecl listen STORE`"
        )


def pieces_of(
    contract: Contract,
    file: Path | None,
    *,
    microphone: bool,
    rate: float | None,
    layout: Layout,
    realtime: bool,
    halt: Halt,
    arrival: Arrival,
    rows_how: Choices | None = None,
    gravity: Gravity | None = None,
) -> Iterator[Piece]:
    """Open a file, the microphone or stdin as the extractor takes it, sound or rows."""
    from edgecl.live.inputs.microphone import microphone as recorded
    from edgecl.live.inputs.pcm import raw_pcm
    from edgecl.live.inputs.sound_file import sound_file

    if not contract.is_sound:
        if contract.modality not in ("imu", "custom") or microphone or rate:
            raise click.UsageError(f"the store takes {contract.modality}: listen follows rows with timestamps or sound")
        from edgecl.live.inputs.rows import movement

        follow = partial(movement, contract=contract, halt=halt, arrival=arrival, how=rows_how, gravity=gravity)
        return _rows(follow, file, realtime=realtime)
    if microphone:
        return recorded(contract, halt=halt, arrival=arrival)
    if file is not None:
        return sound_file(file, contract, halt=halt, realtime=realtime, channel=layout.channel)
    return raw_pcm(
        descriptor(),
        contract,
        rate_hz=rate or contract.sample_rate_hz,
        halt=halt,
        arrival=arrival,
        layout=layout,
    )


def _rows(follow: Callable[..., Iterator[Piece]], file: Path | None, *, realtime: bool) -> Iterator[Piece]:
    if file is None:
        yield from follow(descriptor(), "stdin")
        return
    try:
        require_data(file)
        number = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror}") from error
    try:
        yield from follow(number, str(file), realtime=realtime)
    finally:
        os.close(number)


def no_pieces(halt: Halt, beat: Callable[[], None]) -> Iterator[Piece]:
    """No sound of our own: wait for the end."""
    while not halt.wait(POLL_S):
        beat()
    yield from ()
