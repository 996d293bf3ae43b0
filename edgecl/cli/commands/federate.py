"""`edgecl federate`: rounds over many devices, on Flower."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import click

from edgecl.cli.commands._federate_run import run
from edgecl.cli.options import Out, Whole, example
from edgecl.cli.text import printable
from edgecl.errors import SettingError

GRACE_S = 10


@click.group(epilog=example("edgecl federate run clips/ --extractor voice", "edgecl federate app -o fleet --nodes 3"))
def command() -> None:
    """Merge many devices in rounds, on Flower.

    Statistics travel, samples stay. `run` plays it on this machine, with your data; the others need the extra
    [federated], which is Flower.

    A server starts `serve` and runs the app with `flwr run`; every device starts `join`. In each round a device hands
    in what its store has learnt and merges the sum of the others through its own gate. Devices that are late or away
    are left out of the round. `edgecl help federated` has the steps.
    """


command.add_command(run)


@command.command(epilog=example("edgecl federate app -o fleet --nodes 3", "flwr run fleet"))
@click.option("-o", "--out", cls=Out, type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=1, help="Rounds of one run. [default: 1]")
@click.option("--nodes", type=click.IntRange(1, 100_000), default=2, help="Nodes that a round waits for. [default: 2]")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(1, 86_400), default=120.0, help="Seconds of waiting. [default: 120]"
)
@click.option("--secure", metavar="LABEL", multiple=True, help="Sum this class by SecAgg+; may be repeated.")
@click.option(
    "--bound", type=click.IntRange(1, 1_000_000), default=64, help="Most samples of a class in it. [default: 64]"
)
def app(out: Path, rounds: int, nodes: int, timeout_s: float, secure: tuple[str, ...], bound: int) -> None:
    """Write the Flower app of the federation to a folder.

    With --secure the server sees the sum of all devices and none of their parts: the labels and a bound are agreed
    before, and nobody can screen devices or take one out again.
    """
    from edgecl.federation.app import write_app

    files = write_app(out, rounds=rounds, nodes=nodes, timeout_s=timeout_s, secure=secure, bound=bound)
    click.echo(f"{printable(str(out))} is written, {len(files)} files: run it with flwr run, once serve is up.")


@command.command(
    epilog=example("edgecl federate serve", "edgecl federate serve --host 0.0.0.0 --tls ca.crt:s.pem:s.key --keys")
)
@click.option("--host", default="127.0.0.1", help="Address that nodes reach. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65_535), default=9092, help="Port of it. [default: 9092]")
@click.option("--tls", metavar="CA:CERT:KEY", help="Files of the CA, of the certificate and of its key.")
@click.option("--keys", is_flag=True, help="Take only nodes whose public key was registered.")
def serve(host: str, port: int, tls: str | None, keys: bool) -> None:
    """Start Flower's SuperLink, without installing anything, until interrupted."""
    from edgecl.federation.app import serve_command

    files = tuple(Path(one) for one in tls.split(":")) if tls else None
    if files is not None and len(files) != 3:
        raise SettingError(f"{tls!r} are not three files: wanted CA:CERT:KEY")
    _run(serve_command(host=host, port=port, tls=files, keys=keys))


_JOIN = (
    click.argument("superlink", metavar="HOST:PORT"),
    click.option("--port", type=click.IntRange(1, 65_535), default=9094, help="Port on this machine. [default: 9094]"),
    click.option("--ca", type=click.Path(path_type=Path), help="Certificate of the SuperLink's CA."),
    click.option("--key", type=click.Path(path_type=Path), help="Private key of this node."),
)


def _joins(function: click.decorators.FC) -> click.decorators.FC:
    for one in reversed(_JOIN):
        function = one(function)
    return function


@command.command(epilog=example("edgecl federate join kitchen 127.0.0.1:9092"))
@click.argument("store", type=click.Path(path_type=Path))
@_joins
@click.option("--at-least", type=Whole(min=1), default=1, help="Fewest samples of a class. [default: 1]")
@click.option("--distinct", is_flag=True, help="Names that resemble known classes are classes of their own.")
def join(
    store: Path, superlink: str, port: int, ca: Path | None, key: Path | None, at_least: int, distinct: bool
) -> None:
    """Take part with a store, until interrupted: start Flower's SuperNode (460 MiB while a round runs)."""
    from edgecl.federation.app import join_command
    from edgecl.store.store import Store

    path = str(Store.open(store).path)
    config: dict[str, str | int] = {"store": path, "at-least": at_least, "distinct": int(distinct)}
    _run(join_command(superlink, config, port=port, root_certificate=ca, key=key))


@command.command(epilog=example("edgecl federate gateway boards 127.0.0.1:9092"))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@_joins
@click.option("--sum", "is_sum", is_flag=True, help="Hand in the sum of the boards, screened here, in place of files.")
def gateway(folder: Path, superlink: str, port: int, ca: Path | None, key: Path | None, is_sum: bool) -> None:
    """Take part for boards that are too small: they leave share files in FOLDER and find theirs in FOLDER/for.

    A board runs `edgecl share`, copies the file to FOLDER, and merges the file of the same name from FOLDER/for. With
    --sum the server knows the gateway as one device: it sees no board's file, and it is the gateway that screens them.
    """
    from edgecl.federation.app import join_command
    from edgecl.federation.node import node_of

    config: dict[str, str | int] = {"folder": str(folder.absolute()), "sum": int(is_sum)}
    node_of(config)  # what would be refused in every round is refused now
    _run(join_command(superlink, config, port=port, root_certificate=ca, key=key))


def _run(line: list[str]) -> None:
    """Run one of Flower's programs with its children in a group of their own, which ends with this command."""
    from edgecl.federation.app import quiet_environment, require_flower

    require_flower()
    process = subprocess.Popen(line, env=quiet_environment(), process_group=0)  # noqa: S603 (no shell)
    previous = signal.signal(signal.SIGTERM, lambda *_: _end(process))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        _end(process)
    if code > 0:
        click.get_current_context().exit(1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started; its group is gone when all of them are."""
    import os
    from contextlib import suppress

    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
