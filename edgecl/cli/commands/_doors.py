"""What `edgecl listen` and `edgecl serve` share: where events go, and who may send sound or commands."""

from __future__ import annotations

import gc
import io
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import edgecl
from edgecl.cli import warn
from edgecl.cli.options import EDGECL
from edgecl.cli.text import print_json, printable
from edgecl.live.events import Look, shown_time
from edgecl.live.fanout import Fanout, Mailbox, undelivered

if TYPE_CHECKING:
    from edgecl.learner import Learner
    from edgecl.live.events import Event
    from edgecl.live.inputs.chunks import Halt
    from edgecl.live.options import Listening
    from edgecl.service.wyoming import WyomingServer

STDOUT_CAPACITY = 1024
ROOM_S = 0.2
COLLECT_EVERY = 1000  # objects
AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any])


@dataclass(frozen=True)
class Doors:
    """What was asked for on the command line."""

    wyoming: str | None = None
    mqtt: str | None = None
    mqtt_password: Path | None = None
    mqtt_ca: Path | None = None
    mqtt_commands: bool = False
    execute: str | None = None


def door_options(command: AnyCommand) -> AnyCommand:
    """Add the options of `Doors`."""
    file = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--exec", "execute", metavar="COMMAND", help="Run COMMAND per event: a JSON line on its stdin."),
        click.option("--mqtt-commands", is_flag=True, help="Take lessons and rollbacks from the topic .../command."),
        click.option("--mqtt-ca", metavar="FILE", type=file, help="Certificates that vouch for an mqtts:// broker."),
        click.option("--mqtt-password", metavar="FILE", type=file, help="[default: $EDGECL_MQTT_PASSWORD]"),
        click.option(
            "--mqtt", metavar="URL", help="Publish events, as mqtt[s]://user@host:1883/prefix (extra [mqtt])."
        ),
        click.option(
            "--wyoming", metavar="[HOST:]PORT", help="Be a wake word service of Home Assistant (extra [wyoming])."
        ),
    ):
        command = option(command)
    return command


def require_consistent(doors: Doors) -> None:
    """Refuse options that go with one that is missing."""
    if doors.mqtt is None and (doors.mqtt_password or doors.mqtt_ca or doors.mqtt_commands):
        raise click.UsageError("--mqtt-password, --mqtt-ca and --mqtt-commands go with --mqtt URL")


@contextmanager
def opened(doors: Doors, learner: Learner, fanout: Fanout[Event], how: Listening) -> Iterator[WyomingServer | None]:
    """Attach consumers to the fan-out, and serve Wyoming; at the end everything is closed within two seconds."""
    gc.set_threshold(COLLECT_EVERY)  # a lesson ends before the collector pays; what goes on without end needs it
    with ExitStack() as stack:
        if doors.execute is not None:
            from edgecl.service.execution import Execution

            fanout.attach("--exec", Execution(doors.execute).take)
        if doors.mqtt is not None:
            _attach_mqtt(doors, learner, fanout, stack)
        server = _wyoming(doors, learner, fanout, how)
        if server is not None:
            stack.enter_context(server)
            click.echo(
                f"Wyoming: {server.address}, {', '.join(map(printable, server.labels())) or 'no word'}", err=True
            )
        stack.callback(fanout.close)  # first of all, while what delivers is still there
        yield server


def _attach_mqtt(doors: Doors, learner: Learner, fanout: Fanout[Event], stack: ExitStack) -> None:
    from edgecl.service.commands import Commands
    from edgecl.service.home_assistant import device_document
    from edgecl.service.labels import Watch
    from edgecl.service.lessons import Lessons
    from edgecl.service.mqtt import Broker, Publisher

    assert doors.mqtt is not None
    path = learner.path
    broker = Broker.from_url(doors.mqtt, password_file=doors.mqtt_password, ca_file=doors.mqtt_ca)
    if broker.is_readable:
        warn.warn(f"the password crosses the network to {broker.host} in the clear: mqtts:// encrypts it")
    topics = broker.topics(path)
    modality = str(learner.opened.described()["modality"])

    def describe(labels: tuple[str, ...], gone: Mapping[str, str]) -> dict[str, Any]:
        return device_document(
            topics,
            labels,
            name=path.absolute().name,
            model=modality,
            version=edgecl.__version__,
            takes_commands=doors.mqtt_commands,
            gone=gone,
        )

    lessons = Lessons(EDGECL, path)
    publisher = Publisher(broker, topics, describe, obey=Commands(lessons) if doors.mqtt_commands else None)
    stack.enter_context(publisher)
    stack.callback(lessons.stop)
    stack.enter_context(Watch(path, publisher.set_labels))
    fanout.attach("--mqtt", publisher.take)


def _wyoming(doors: Doors, learner: Learner, fanout: Fanout[Event], how: Listening) -> WyomingServer | None:
    if doors.wyoming is None:
        return None
    from edgecl.service.addresses import Address
    from edgecl.service.wyoming import WyomingServer

    address = Address.parse(doors.wyoming, parameter="wyoming")
    return WyomingServer(learner.opened, address, how=how, publish=fanout.publish)


def scores_to(printed: Mailbox[Any], *, is_every_hop: bool) -> Callable[[Look], None]:
    """Return what puts looks at hops into the queue of what is printed: all, or those that differ from the latest."""
    latest: list[tuple[str, str]] = []

    def take(look: Look) -> None:
        state = (look.label, look.reason)
        if is_every_hop or [state] != latest:
            latest[:] = [state]
            printed.put(look)

    return take


class Printer:
    """Prints events to stdout, and never blocks for longer than it takes to notice that the program ends."""

    def __init__(self, halt: Halt, *, as_json: bool) -> None:
        self._halt, self._as_json = halt, as_json

    def take(self, event: Event | Look) -> None:
        """Print an event, or a look at a hop, once stdout takes it; one that it does not take until the end is lost."""
        while not is_writable():
            if self._halt.is_asked:
                return
        if self._as_json:
            print_json(event.as_dict())
        elif isinstance(event, Look):
            click.echo(_look_text(event))
        else:
            start, end = map(shown_time, event.span)
            click.echo(
                f"{shown_time(event.time):>11}  {printable(event.label):20}  {event.confidence:4.0%}  "
                f"novelty {event.novelty:.2f}  ({start.removesuffix(' s')} to {end})"
            )
        sys.stdout.flush()


def _look_text(look: Look) -> str:
    threshold = "-" if look.threshold is None else f"{look.threshold:.2f}"
    score = f"{look.score:.2f} of {threshold}" if look.label else ""
    return (
        f"{shown_time(look.time):>11}  . {printable(look.label):18}  {score:>16}  {look.level_db:6.1f} dB  "
        f"{look.reason or 'reaches its threshold'}"
    )


def is_writable() -> bool:
    """Test whether a line fits into stdout, waiting for a moment."""
    try:
        descriptor = sys.stdout.fileno()
    except (io.UnsupportedOperation, ValueError):
        return True
    return bool(select.select([], [descriptor], [], ROOM_S)[1])


def notes(fanout: Fanout[Event]) -> Iterator[str]:
    """What consumers missed, for the summary."""
    for name, missed in undelivered(fanout.counts()).items():
        yield f"{name}: {missed['dropped']} events dropped, {missed['failed']} failed: it was too slow, or not there"
