"""`edgecl serve`: a page by which a phone teaches the device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli import interrupts, warn
from edgecl.cli.commands import _doors
from edgecl.cli.commands._doors import Doors, Printer, door_options
from edgecl.cli.options import EDGECL, example, json_option, store_argument
from edgecl.cli.text import print_json, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgecl.extractors.contract import Contract
    from edgecl.learner import Learner
    from edgecl.live.events import Event, Summary
    from edgecl.live.fanout import Fanout
    from edgecl.live.inputs.chunks import Halt, Piece
    from edgecl.live.takes import Tap
    from edgecl.service.addresses import Address
    from edgecl.service.page.desk import Desk
    from edgecl.service.page.notices import Notices
    from edgecl.service.page.server import PageServer

MICROPHONE, STDIN = "microphone", "-"
POLL_S = 0.2


@click.command(
    epilog=example(
        "edgecl serve kitchen --listen",
        "edgecl serve kitchen --host 0.0.0.0 --tls --listen",
        "arecord -q -t raw -f S16_LE -r 16000 -c 1 | edgecl serve kitchen --listen -",
    )
)
@store_argument
@click.option("--host", default="127.0.0.1", help="Address to serve at; 0.0.0.0 is all. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, help="0 takes a free one. [default: 8765]")
@click.option(
    "--name", "names", multiple=True, metavar="NAME", help="Another name by which browsers find this machine."
)
@click.option("--tls", is_flag=True, help="Encrypt, with a certificate of our own (made by openssl).")
@click.option("--cert", metavar="FILE", type=click.Path(path_type=Path), help="Encrypt with this certificate.")
@click.option("--key", metavar="FILE", type=click.Path(path_type=Path), help="The key of --cert.")
@click.option(
    "--listen",
    "source",
    metavar="[microphone|-|FILE]",
    is_flag=False,
    flag_value=MICROPHONE,
    help="Also follow a stream: the microphone, raw PCM or rows on stdin, or a FILE played at its own speed.",
)
@door_options
@json_option
def command(
    store: Path,
    host: str,
    port: int,
    names: tuple[str, ...],
    tls: bool,
    cert: Path | None,
    key: Path | None,
    source: str | None,
    as_json: bool,
    **doors: Any,
) -> None:
    """Serve a page by which a phone teaches the device.

    Or a computer: record takes of a word, teach them and see the verdict; follow detections as they come; name what
    the inbox kept; undo; forget. Prints an address and a pairing code of eight digits, good for one browser and ten
    minutes. Beyond this machine say --host 0.0.0.0, and --tls: a browser hands out its microphone to encrypted pages
    alone.
    """
    from edgecl.live.events import Summary
    from edgecl.live.fanout import Fanout
    from edgecl.live.inputs.chunks import Halt
    from edgecl.service.addresses import Address
    from edgecl.service.systemd import Notifier

    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key go together")
    asked = Doors(**doors)
    _doors.require_consistent(asked)
    halt, systemd, fanout, summary = Halt(), Notifier(), Fanout[Any](), Summary()
    address = Address(host, port)
    with ExitStack() as stack, warn.opened(store) as learner:
        stack.enter_context(interrupts.asking(halt.ask))
        pieces = None if source is None else _pieces(learner.contract, source, halt=halt)
        pages = _Pages(learner, address, names, as_json=as_json)
        stack.callback(pages.close)
        files = pages.certificate(tls=tls, cert=cert, key=key)
        pages.open(files, halt, has_stream=pieces is not None)
        fanout.attach("page", pages.tell)
        if pieces is not None:
            fanout.attach("stdout", Printer(halt, as_json=as_json).take, when_gone=halt.ask)
        from edgecl.live.options import Listening

        stack.callback(fanout.close)
        stack.enter_context(_doors.opened(asked, learner, fanout, Listening()))
        systemd.send("READY=1")
        if pieces is None:
            while not halt.wait(POLL_S):
                systemd.alive()
        else:
            _listen(learner, pages.tap, pieces, fanout, summary, beat=systemd.alive)
            while not halt.wait(POLL_S):  # the input has ended, the page has not
                systemd.alive()
        systemd.send("STOPPING=1")


class _Pages:
    """The page with all that it needs, opened and closed as one."""

    def __init__(self, learner: Learner, address: Address, names: tuple[str, ...], *, as_json: bool) -> None:
        from edgecl.service.page.notices import Notices

        self._learner, self._address, self._as_json = learner, address, as_json
        self._extra = names
        self._notices: Notices = Notices()
        self._stack = ExitStack()
        self.tap: Tap | None = None

    def certificate(self, *, tls: bool, cert: Path | None, key: Path | None) -> tuple[Path, Path] | None:
        """Return the files to encrypt with, or None."""
        from edgecl.service.page import tls as encryption
        from edgecl.service.page.pairing import token_file

        if cert is not None and key is not None:
            return cert, key
        if not tls:
            if not self._address.is_loopback:
                warn.warn("without --tls everybody in the network can read what is sent, and the token with it")
            return None
        return encryption.certificate(token_file(self._learner.path).parent, self._names())

    def open(self, files: tuple[Path, Path] | None, halt: Halt, *, has_stream: bool) -> None:
        """Begin to serve."""
        from edgecl.live.takes import Tap
        from edgecl.service.labels import Watch
        from edgecl.service.lessons import Lessons
        from edgecl.service.page import tls as encryption
        from edgecl.service.page.desk import Desk
        from edgecl.service.page.pairing import Pairing, token_file
        from edgecl.service.page.routes import Routes
        from edgecl.service.page.server import PageServer

        learner, path = self._learner, self._learner.path
        contract = learner.contract
        self._scheme = "https" if files else "http"
        listening = self._address.bound(parameter="port")
        self._stack.callback(listening.close)
        if has_stream:
            self.tap = Tap(contract, look=lambda signal: desk.look(signal))
        record = self.tap.record if self.tap else _microphone_take(contract, halt)
        desk: Desk = Desk(learner, Lessons(EDGECL, path), self._notices, record=record)
        self._stack.callback(desk.close)
        pairing = Pairing(self._show, path=token_file(path))
        server: PageServer = PageServer(
            listening,
            names=self._names(),
            handle=Routes(desk, pairing, is_secure=files is not None, cookie_name=lambda: f"edgecl_{server.port}"),
            notices=self._notices,
            pairing=pairing,
            tls=encryption.context(*files) if files else None,
        )
        self._port = server.port
        self._stack.enter_context(server)
        self._stack.callback(self._notices.close)
        self._stack.enter_context(Watch(path, lambda labels, number: self._tell_state(labels, number)))
        if files and not self._as_json:
            click.echo(f"fingerprint of the certificate: {encryption.fingerprint(files[0])}", err=True)
        pairing.offer()

    def tell(self, event: Event) -> None:
        """Tell the pages that are open of a detection."""
        self._notices.tell("event", event.as_dict())

    def close(self) -> None:
        """Stop serving."""
        self._stack.close()

    def _tell_state(self, labels: tuple[str, ...], number: int) -> None:
        self._notices.tell("state", {"revision": number, "labels": list(labels)})

    def _names(self) -> list[str]:
        from edgecl.service.page.tls import names_of

        return [*names_of(self._address), *self._extra]

    def _show(self, code: str) -> None:
        if not _doors.is_writable():
            raise BlockingIOError("stdout takes nothing")
        host = _reachable(self._names()) if self._address.is_wildcard else self._address.host
        url = f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{self._port}/"
        if self._as_json:
            print_json({"url": url, "code": code})
        else:
            click.echo(f"Open {url} and type the code {code[:4]} {code[4:]} (good for ten minutes)")
        sys.stdout.flush()


def _reachable(names: list[str]) -> str:
    """The name that a phone finds: the one of mDNS, where there is one."""
    return next((one for one in names if one.endswith(".local")), names[0])


def _microphone_take(contract: Contract, halt: Halt) -> Any:
    """Take clips from the default microphone, where there is one; else None."""
    if not contract.is_sound:
        return None
    try:
        import sounddevice

        if not any(one["max_input_channels"] for one in sounddevice.query_devices()):
            return None
    except (ImportError, OSError):
        return None
    return lambda seconds: _taken(contract, halt, seconds)


def _taken(contract: Contract, halt: Halt, seconds: float) -> NDArray[np.float32]:
    import numpy as np

    from edgecl.live.inputs.chunks import Arrival
    from edgecl.live.inputs.microphone import microphone

    wanted, held, length = round(seconds * contract.sample_rate_hz), [], 0
    for piece in microphone(contract, halt=halt, arrival=Arrival()):
        held.append(piece.signal)
        length += len(piece.signal)
        if length >= wanted:
            break
    return np.concatenate(held)[:wanted]


def _listen(
    learner: Learner, tap: Tap | None, pieces: Iterator[Piece], fanout: Fanout[Event], summary: Summary, *, beat: Any
) -> None:
    """Follow a stream until it ends."""
    assert tap is not None
    for event in learner.listen(tap.through(pieces), summary=summary, noticer=learner.noticer(), beat=beat):
        fanout.publish(event)


def _pieces(contract: Contract, source: str, *, halt: Halt) -> Iterator[Piece]:
    """Return the stream that is to be followed; a store that takes none, and a FILE that is not there, are refused."""
    from edgecl.cli.commands import _input
    from edgecl.live.inputs.chunks import Arrival
    from edgecl.live.inputs.pcm import Layout

    file = None if source in (MICROPHONE, STDIN) else Path(source)
    if file is not None and not file.exists():
        raise click.UsageError(f"--listen {printable(source)}: wanted microphone, - for stdin, or a file")
    return _input.pieces_of(
        contract,
        file,
        microphone=source == MICROPHONE,
        rate=None,
        layout=Layout(),
        realtime=file is not None,
        halt=halt,
        arrival=Arrival(),
    )
