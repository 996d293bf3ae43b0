"""`edgecl listen`: events of a stream, as they happen."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import _warn
from edgecl.cli._options import Bytes, Finite, example, json_option, store_argument
from edgecl.cli._text import counted, milliseconds, print_json, printable
from edgecl.errors import DataError

if TYPE_CHECKING:
    from edgecl._live import Arrival, Halt, Piece
    from edgecl.device import Device
    from edgecl.extractor import Contract
    from edgecl.listening import Event, Summary
    from edgecl.noticing import Noticer


@click.command(
    epilog=example(
        "arecord -q -t raw -f S16_LE -r 16000 -c 1 | edgecl listen kitchen",
        "edgecl listen kitchen evening.wav --json",
        "edgecl listen wrist movement.csv",
        "edgecl listen kitchen --microphone --threshold 0.8",
    )
)
@store_argument
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--microphone", is_flag=True, help="Listen to the default microphone (extra [mic]).")
@click.option("--rate", metavar="HZ", type=Finite(min=1), help="Of raw PCM on stdin. [default: the extractor's]")
@click.option("--realtime", is_flag=True, help="Play FILE at its own speed, not as fast as it goes.")
@click.option("--threshold", type=Finite(0, 1), help="Confidence from which a label counts. [default: .5]")
@click.option(
    "--patience",
    metavar="HOPS",
    type=click.IntRange(min=1),
    help="Hops in a row that must answer a label. [default: 1; of movement 2]",
)
@click.option(
    "--refractory",
    metavar="SECONDS",
    type=Finite(min=0),
    help="No other event so soon after one; of movement: the pause that ends one. [default: 10 hops; of movement 3]",
)
@click.option("--inbox", is_flag=True, help="Keep surprises and the latest detections: see `edgecl inbox`.")
@click.option("--inbox-size", type=Bytes(), help="Of all that is kept. [default: 2MiB]")
@click.option("--novelty", type=Finite(0, 1), help="From which on something is a surprise. [default: 0.5]")
@json_option
def command(
    store: Path,
    file: Path | None,
    microphone: bool,
    rate: float | None,
    realtime: bool,
    threshold: float | None,
    patience: int | None,
    refractory: float | None,
    inbox: bool,
    inbox_size: int | None,
    novelty: float | None,
    as_json: bool,
) -> None:
    """Follow a stream of sound or movement, and print what is heard.

    Listens to raw S16_LE mono PCM on stdin, to FILE (.wav, .flac; for movement .csv or .jsonl with timestamps), or to
    a microphone. Prints an event a line: when, which label, how sure, how novel (0: typical of its class, 1: nothing
    of it). Never learns: what `edgecl learn` teaches the store meanwhile is heard from the next hop on. Ends with
    its input, by Ctrl-C or by SIGTERM, with a summary on stderr.
    """
    from edgecl._live import Arrival, Halt
    from edgecl._notify import Notifier
    from edgecl.listening import Listening, Summary, listen

    if not inbox and (inbox_size or novelty is not None):
        raise click.UsageError("--inbox-size and --novelty say what is kept: add --inbox")
    _refuse_contradictions(file, microphone=microphone, rate=rate, realtime=realtime)
    halt, arrival, summary, systemd = Halt(), Arrival(), Summary(), Notifier()
    with _warn.opened(store) as device:
        contract = device.extractor.contract
        pieces = _pieces(
            contract, file, microphone=microphone, rate=rate, realtime=realtime, halt=halt, arrival=arrival
        )
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, halt.ask)
        systemd.send("READY=1")
        noticer = _noticer(device, size=inbox_size, novelty=novelty) if inbox else None
        how = Listening(threshold=threshold, patience=patience, refractory_s=refractory)
        try:
            for event in listen(device, pieces, how=how, summary=summary, noticer=noticer, beat=systemd.alive):
                _print(event, as_json=as_json)
        except BrokenPipeError:  # nobody reads on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        systemd.send("STOPPING=1")
    _print_summary(summary, arrival)


def _noticer(device: Device, *, size: int | None, novelty: float | None) -> Noticer:
    from edgecl.noticing import Noticer

    kept = device.inbox() if size is None else device.inbox(capacity_bytes=size)
    return Noticer(kept, device.extractor, novelty=novelty)


def _refuse_contradictions(file: Path | None, *, microphone: bool, rate: float | None, realtime: bool) -> None:
    if file is not None and microphone:
        raise click.UsageError("give FILE or --microphone, not both")
    if rate is not None and (file is not None or microphone):
        raise click.UsageError("--rate is for raw PCM on stdin: a file says its own, a microphone is asked for one")
    if realtime and file is None:
        raise click.UsageError("--realtime plays a FILE: stdin and microphones come at their own speed")
    if file is None and not microphone and sys.stdin.isatty():
        raise click.UsageError(
            "nothing is piped to stdin: give a FILE or --microphone, "
            "or `arecord -q -t raw -f S16_LE -r 16000 -c 1 | edgecl listen STORE`"
        )


def _pieces(
    contract: Contract,
    file: Path | None,
    *,
    microphone: bool,
    rate: float | None,
    realtime: bool,
    halt: Halt,
    arrival: Arrival,
) -> Iterator[Piece]:
    from edgecl import _live

    if not contract.is_sound:
        if contract.modality not in ("imu", "custom") or microphone or rate:
            raise click.UsageError(f"the store takes {contract.modality}: listen follows rows with timestamps or sound")
        descriptor = sys.stdin.fileno() if file is None else _opened(file)
        name = "stdin" if file is None else str(file)
        return _live.movement(descriptor, name, contract, halt=halt, arrival=arrival, realtime=realtime)
    if microphone:
        return _live.microphone(contract, halt=halt, arrival=arrival)
    if file is not None:
        return _live.sound_file(file, contract, halt=halt, realtime=realtime)
    return _live.raw_pcm(
        sys.stdin.fileno(), contract, rate_hz=rate or contract.sample_rate_hz, halt=halt, arrival=arrival
    )


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error


def _print(event: Event, *, as_json: bool) -> None:
    if as_json:
        print_json(event.as_dict())
    else:
        start, end = event.span
        click.echo(
            f"{event.time:9.2f} s  {printable(event.label):20}  {event.confidence:4.0%}  novelty {event.novelty:.2f}  "
            f"({start:.2f} to {end:.2f} s)"
        )
    sys.stdout.flush()


def _print_summary(summary: Summary, arrival: Arrival) -> None:
    told = summary.as_dict()
    revisions = ", ".join(map(str, summary.revisions)) or "none"
    click.echo(
        f"heard {summary.seconds:,.1f} s, {counted(summary.events, 'event')}; at work {told['real_time_factor']:.2%} "
        f"of the time, worst hop {milliseconds(summary.worst_hop_ms)}; revision {revisions}",
        err=True,
    )
    notes = {
        "digital silence": summary.silent_s,
        "clipped": summary.clipped_s,
    }
    for what, seconds in notes.items():
        if seconds:
            click.echo(f"{what}: {seconds:,.1f} s", err=True)
