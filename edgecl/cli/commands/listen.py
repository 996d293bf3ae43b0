"""`edgecl listen`: events of a stream, as they happen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import interrupts, warn
from edgecl.cli.commands import _camera, _doors, _input
from edgecl.cli.commands._doors import Doors, Printer, door_options
from edgecl.cli.options import (
    EDGECL,
    Bytes,
    Finite,
    Whole,
    example,
    json_option,
    layout_options,
    rate_option,
    row_options,
    store_argument,
)
from edgecl.cli.text import counted, milliseconds
from edgecl.errors import SettingError
from edgecl.live.fanout import Fanout

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.live.events import Event, Summary
    from edgecl.live.inputs.chunks import Arrival
    from edgecl.live.inputs.pcm import Layout
    from edgecl.service.resident import Resident
    from edgecl.sources.choices import Choices

LARGEST_OFFSET = 0.01  # of full scale, that is not worth a word


@click.command(
    epilog=example(
        "arecord -q -t raw -f S16_LE -r 16000 -c 1 | edgecl listen kitchen",
        "edgecl listen kitchen evening.wav --json",
        "edgecl listen wrist movement.csv",
        "edgecl listen kitchen --microphone --wake marvin --span 4",
        "edgecl listen kitchen --wyoming 0.0.0.0:10400",
        "edgecl listen kitchen --microphone --mqtt mqtt://edge@homeassistant.local",
        "ffmpeg -v error -f v4l2 -i /dev/video0 -r 2 -f mjpeg - | edgecl listen door --camera -",
        "edgecl listen door --camera /run/snapshots",
    )
)
@store_argument
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--microphone", is_flag=True, help="Read the default microphone (extra [mic]).")
@click.option(
    "--camera",
    metavar="-|FOLDER",
    help="Frames of a camera: MJPEG on stdin (-), or pictures that appear in FOLDER.",
)
@click.option("--frame", metavar="WIDTHxHEIGHT", help="Size of frames of raw RGB on stdin, in place of MJPEG.")
@rate_option
@layout_options
@row_options
@click.option("--realtime", is_flag=True, help="Read FILE at its own speed in place of full speed.")
@click.option("--threshold", type=Finite(0, 1), help="Confidence from which a label counts, 0 to 1. [default: 0.5]")
@click.option(
    "--patience",
    metavar="HOPS",
    type=Whole(min=1),
    help="Consecutive hops that must answer a label. [default: 1, for movement 2]",
)
@click.option(
    "--refractory",
    metavar="SECONDS",
    type=Finite(min=0),
    help="Pause after an event; for movement the pause that ends one. [default: 10 hops, for movement 3]",
)
@click.option("--inbox", is_flag=True, help="Keep surprises and the latest detections for `edgecl inbox`.")
@click.option(
    "--suggest",
    metavar="[PER DAY]",
    type=Whole(min=1),
    is_flag=False,
    flag_value=20,
    help="Keep detections that are sure and new in kind for `edgecl inbox STORE accept-suggestions`. [20 a day]",
)
@click.option("--inbox-size", type=Bytes(), help="Largest size of the inbox. [default: 2MiB]")
@click.option(
    "--novelty", type=Finite(0, 1), help="Novelty from which a sample is a surprise. [default: 0.5, for movement 0.5]"
)
@click.option("--wake", metavar="LABEL", help="Taught word after which the others count, for --span seconds.")
@click.option("--span", metavar="SECONDS", type=Finite(min=0.1), help="Time after the wake word. [default: 4]")
@click.option(
    "--control",
    metavar="SOCKET",
    type=click.Path(path_type=Path),
    help='Socket on which its owner requests lessons: a line {"learn": "/path", "label": "name"}.',
)
@click.option(
    "--scores",
    metavar="[change|hop]",
    type=click.Choice(["change", "hop"]),
    is_flag=False,
    flag_value="change",
    help="Also print the best word, its score and threshold, the level and why there is no event.",
)
@door_options
@click.option("--avahi", is_flag=True, help="Print the file by which Home Assistant finds --wyoming, and end.")
@json_option
def command(
    store: Path,
    file: Path | None,
    microphone: bool,
    camera: str | None,
    frame: str | None,
    rate: float | None,
    layout: Layout,
    how: Choices,
    realtime: bool,
    threshold: float | None,
    patience: int | None,
    refractory: float | None,
    inbox: bool,
    suggest: int | None,
    inbox_size: int | None,
    novelty: float | None,
    wake: str | None,
    span: float | None,
    control: Path | None,
    scores: str | None,
    avahi: bool,
    as_json: bool,
    **doors: Any,
) -> None:
    """Follow a stream of sound, movement or pictures and print its events.

    Reads raw PCM on stdin, FILE (.wav, .flac; for movement .csv or .jsonl with timestamps), a microphone, or of
    pictures the frames of --camera. Prints one event per line: time, label, confidence, novelty (0: typical of its
    class, 1: unlike all of it) and span. Never learns; what `edgecl learn` teaches the store is detected from the next
    hop on. Ends with its input, on Ctrl-C or on SIGTERM, with a summary on stderr. With --wyoming the sound comes from
    its clients, and also from the microphone where --microphone is given.
    """
    from edgecl.live.events import Summary
    from edgecl.live.inputs.chunks import Arrival, Halt
    from edgecl.live.options import WAKE_SPAN_S, Listening
    from edgecl.service.control import Control
    from edgecl.service.systemd import Notifier

    if span and wake is None:
        raise click.UsageError("--span is the time after a wake word: add --wake LABEL")
    inbox = inbox or suggest is not None
    if not inbox and (inbox_size or novelty is not None):
        raise click.UsageError("--inbox-size and --novelty say what is kept: add --inbox")
    open_doors = Doors(**doors)
    _doors.require_consistent(open_doors)
    if avahi:
        _print_avahi(store, open_doors)
        return
    _input.refuse_contradictions(
        file,
        microphone=microphone,
        rate=rate,
        realtime=realtime,
        has_clients=open_doors.wyoming is not None,
        camera=camera,
    )
    _camera.require_consistent(camera, frame, refractory)
    halt, arrival, summary, systemd = Halt(), Arrival(), Summary(), Notifier()
    fanout: Fanout[Event] = Fanout()
    with fanout, warn.opened(store) as learner:
        contract = learner.contract
        if not learner.classes:
            warn.warn(f"{store} has learnt nothing yet: `edgecl learn {store} PATH` teaches it, also while this runs")
        resident = _resident() if control else None  # before threads: it is forked
        if open_doors.wyoming is not None and not (microphone or file):
            pieces = _input.no_pieces(halt, systemd.alive)
        elif camera is not None or contract.is_picture:
            pieces = _camera.frames(contract, camera, frame, halt=halt, arrival=arrival)
        else:
            pieces = _input.pieces_of(
                contract,
                file,
                microphone=microphone,
                rate=rate,
                layout=layout,
                rows_how=how,
                gravity=None if contract.is_sound else learner.opened.gravity(),
                realtime=realtime,
                halt=halt,
                arrival=arrival,
            )
        noticer = None
        if inbox:
            noticer = learner.noticer(capacity_bytes=inbox_size, novelty=novelty, suggestions_per_day=suggest)
        _require_wake_word(learner, wake)
        printed = fanout.attach(
            "stdout", Printer(halt, as_json=as_json).take, capacity=_doors.STDOUT_CAPACITY, when_gone=halt.ask
        )
        requests = Control(control, store, command=EDGECL, resident=resident) if control else None
        if requests is not None:
            systemd.watch(requests.is_alive)
        listening = Listening(
            threshold,
            patience,
            refractory,
            wake=wake,
            span_s=span or WAKE_SPAN_S,
            look=None if scores is None else _doors.scores_to(printed, is_every_hop=scores == "hop"),
        )
        events = learner.listen(pieces, how=listening, summary=summary, noticer=noticer, beat=systemd.alive)
        with (
            interrupts.asking(halt.ask),
            requests or nullcontext(),
            _doors.opened(open_doors, learner, fanout, listening) as server,
        ):
            systemd.send("READY=1")
            for event in events:
                if file is not None and not realtime:  # played as fast as it goes: what reads may set the pace
                    while not printed.wait_for_room(_doors.ROOM_S) and not halt.is_asked:
                        pass
                fanout.publish(event)
            systemd.send("STOPPING=1")
        _drop_unread_output()
    if server is not None:
        summary.add(server.summary)
    print_summary(summary, arrival, fanout, is_camera=camera is not None)


def _resident() -> Resident:
    """The process that `edgecl learn --via` has its lessons taught by."""
    from edgecl.cli.commands import _via
    from edgecl.service.resident import Resident

    return Resident(_via.taught, prepare=_via.prepare)


def _drop_unread_output() -> None:
    """Give up what nobody reads any more, or the interpreter would try again at its end and fail there."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_avahi(store: Path, doors: Doors) -> None:
    from edgecl.service.addresses import Address
    from edgecl.service.wyoming import PORT, avahi_service

    port = Address.parse(doors.wyoming, parameter="wyoming").port if doors.wyoming else PORT
    click.echo(avahi_service(store, port), nl=False)


def _require_wake_word(learner: Learner, wake: str | None) -> None:
    if wake is None:
        return
    if not learner.contract.is_sound:
        raise click.UsageError(f"--wake is for sound, the store takes {learner.contract.modality}")
    known = learner.classes
    if wake not in known:
        raise SettingError(
            f"--wake {wake}: the store knows {', '.join(known) or 'nothing yet'}; teach the wake word first"
        )


def print_summary(summary: Summary, arrival: Arrival, fanout: Fanout[Event], *, is_camera: bool) -> None:
    told = summary.as_dict()
    revisions = ", ".join(map(str, summary.revisions)) or "none"
    followed = f"saw {counted(summary.frames, 'frame')} in" if is_camera else "heard"
    click.echo(
        f"{followed} {summary.seconds:,.1f} s, {counted(summary.events, 'event')}; at work "
        f"{told['real_time_factor']:.2%} of the time, worst hop {milliseconds(summary.worst_hop_ms)}; "
        f"revision {revisions}",
        err=True,
    )
    for note in [*_notes(summary, arrival), *_doors.notes(fanout)]:
        click.echo(f"  - {note}", err=True)


def _notes(summary: Summary, arrival: Arrival) -> Iterator[str]:
    """Yield what was wrong with the input."""
    offset = summary.offset
    if summary.breaks:
        yield f"{counted(summary.breaks, 'gap')}: there the stream started again"
    if arrival.late:
        yield f"{counted(arrival.late, 'pause')} of the input, the longest {arrival.late_s:.1f} s: taken as no gap"
    if arrival.torn_bytes:
        yield f"{counted(arrival.torn_bytes, 'byte')} of a torn sample at the end: left out"
    for reason, count in arrival.rows.counts.items():
        yield f"{counted(count, 'row' if not summary.frames else 'frame')} skipped: {reason}"
    if summary.dark_frames:
        yield f"{counted(summary.dark_frames, 'frame')} black or of one colour: is the lens covered?"
    if summary.silent_s:
        yield f"{summary.silent_s:,.1f} s of digital silence: is it muted? Nothing was predicted there"
    elif summary.quiet_s:
        yield f"{summary.quiet_s:,.1f} s of silence, below -60 dBFS: nothing was predicted there"
    if summary.clipped_s:
        yield f"{summary.clipped_s:,.1f} s clipped, with samples at full scale: turn the gain down"
    if abs(offset) > LARGEST_OFFSET:
        yield f"an offset of {offset:+.1%} of full scale, which the extractor does not hear"
