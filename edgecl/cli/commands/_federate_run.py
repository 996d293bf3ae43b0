"""`edgecl federate run`: a federation played on this machine."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecl.cli import progress, warn
from edgecl.cli.options import Bytes, Out, example, extractor_option, json_option
from edgecl.cli.text import counted, listed, percent, print_json, printable, table, wrapped
from edgecl.errors import SettingError
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.compare.streams import Recordings
    from edgecl.extractors.base import FileExtractor
    from edgecl.federation.dealing import Dealt
    from edgecl.federation.simulation import Federated, Row


@click.command(
    epilog=example(
        "edgecl federate run clips/ --extractor voice --devices 5",
        "edgecl federate run home/ office/ --extractor voice --test heard/ -o fleet",
    )
)
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@extractor_option
@click.option(
    "--devices", type=click.IntRange(2, 1000), help="Devices of one folder. [default: one a person, at most 10]"
)
@click.option("--rounds", type=click.IntRange(1, 100), default=1, help="Rounds, and parts of the data. [default: 1]")
@click.option(
    "--test",
    "tested",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Data to test on. [default: three in ten people, of several folders samples]",
)
@click.option("--memory", type=Bytes(), help="Largest RAM of a device's learning. [default: 1MiB voice, 4MiB others]")
@click.option("--seed", type=click.IntRange(0, 1 << 31), default=0, help="Of who is dealt where. [default: 0]")
@click.option("--secure", is_flag=True, help="Sum by SecAgg+, which hides each device's part; extra [federated].")
@click.option("--flower", is_flag=True, help="Carry the files by Flower's apps; extra [federated].")
@click.option(
    "-o", "--out", cls=Out, metavar="FOLDER", type=click.Path(path_type=Path), help="Keep the devices' stores in it."
)
@json_option
def run(
    folders: tuple[Path, ...],
    extractor: str,
    devices: int | None,
    rounds: int,
    tested: Path | None,
    memory: int | None,
    seed: int,
    secure: bool,
    flower: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Play a federation on this machine: what devices gain by sharing.

    One FOLDER is dealt to devices by speaker or subject; of several, each is a device of that name. Data has a form
    that `edgecl learn` reads. Before each round every device learns a part of what it has, in a store of its own, and
    shares and merges it as `edgecl share` and `edgecl merge` do. Answers are compared with those of devices that share
    nothing, and with one store that was taught everything.
    """
    from edgecl.extractors.opening import extractor_file, open_extractor
    from edgecl.federation.simulation import simulate

    if flower or secure:
        from edgecl.federation.app import require_flower

        require_flower()
    if out is not None and out.exists():
        raise SettingError(f"{out} exists: name a new folder", parameter="out")
    opened = open_extractor(extractor_file(extractor))
    dealt = _dealt(folders, opened, devices=devices, rounds=rounds, seed=seed, tested=tested)
    with tempfile.TemporaryDirectory(prefix="edgecl-") if out is None else nullcontext(str(out)) as folder:
        playing = simulate(
            dealt,
            Path(folder, "stores") if out is None else out,
            extractor=extractor,
            memory_bytes=memory,
            seed=seed,
            engine="secure" if secure else "flower" if flower else "local",
            keep=out is not None,
        )
        first = next(playing)
        for _ in progress.watched(chain([first], playing), length=first.total, label="playing rounds"):
            pass
    skipped = [*dealt.data.skipped, *(dealt.tested.skipped if tested else ())]
    if as_json:
        print_json({**playing.report.as_dict(), "skipped": [one.as_dict() for one in skipped]})
        return
    warn.skips(skipped)
    for remark in dealt.remarks:
        warn.warn(remark)
    _print(playing.report, folders)


def _dealt(
    folders: Sequence[Path],
    opened: FileExtractor,
    *,
    devices: int | None,
    rounds: int,
    seed: int,
    tested: Path | None,
) -> Dealt:
    """Read the folders, and deal what they have."""
    from edgecl.federation.dealing import deal_folders, deal_people

    if len(folders) > 1 and devices is not None:
        raise SettingError("devices are those of one folder: of several, each is a device", parameter="devices")
    names = [folder.absolute().name for folder in folders]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SettingError(f"{twice[0]!r} is the name of {names.count(twice[0])} of the folders: each is a device")
    read = {name: _read(folder, opened) for name, folder in zip(names, folders, strict=True)}
    test = None if tested is None else _read(tested, opened)
    if len(read) == 1:
        (data,) = read.values()
        return deal_people(data, devices=devices, rounds=rounds, seed=seed, tested=test)
    return deal_folders(read, rounds=rounds, seed=seed, tested=test)


def _read(folder: Path, opened: FileExtractor) -> Recordings:
    from edgecl.compare.streams import embed

    return embed(progress.read(folder, opened.contract), opened)


def _print(found: Federated, folders: Sequence[Path]) -> None:
    whom = f" of {counted(found.people, 'person', 'people')}" if found.people else ""
    samples = sum(found.devices.values())
    click.secho(
        f"{listed(printable(str(one)) for one in folders)}: {counted(samples, 'sample')}{whom}, "
        f"{counted(len(found.classes), 'class', 'classes')}, on {counted(len(found.devices), 'device')}",
        bold=True,
    )
    others = f" of {counted(found.held_out, 'person', 'people')} of no device" if found.held_out else ""
    click.echo(wrapped(f"tested on {counted(found.tested, 'sample')}{others}", first=""))
    header = ("round", "samples", "alone", "merged", "central", "same answers", "up a device", "down", "verdicts")
    click.echo(table([_cells(one) for one in found.rounds], header=header, align="rrrrrrrrl"))
    click.echo(
        wrapped(
            "alone: balanced accuracy by what a device has learnt itself, the mean over devices. merged: after it has "
            "merged the sum of the others. central: of one store that was taught everything. same answers: merged and "
            "central.",
            first="  ",
        )
    )
    refused = {name: reason for one in found.rounds for name, reason in one.refused.items()}
    for name, reason in refused.items():
        click.echo(wrapped(f"{name} is left out: {reason}"))
    for one in dict.fromkeys(one for row in found.rounds for one in row.outcomes if ": " in one):
        click.echo(wrapped(f"{one} (memory of this run: --memory)" if "resize its memory" in one else one))
    if found.stores:
        click.echo(f"Stores: {printable(found.stores)}/{{{','.join([*found.devices, 'central'])}}}")


def _cells(one: Row) -> tuple[str, ...]:
    return (
        str(one.round),
        str(one.samples),
        *map(percent, (one.alone, one.merged, one.central, one.same_answers)),
        format_bytes(round(one.up_bytes)),
        format_bytes(round(one.down_bytes)),
        ", ".join(f"{count} {name}" for name, count in sorted(_verdicts(one).items())),
    )


def _verdicts(one: Row) -> Counter[str]:
    """Count the verdicts without their reasons."""
    found = Counter[str]()
    for outcome, count in one.outcomes.items():
        found[outcome.partition(":")[0]] += count
    return found
