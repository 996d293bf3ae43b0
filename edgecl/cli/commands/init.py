"""`edgecl init`: make a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecl.cli.options import Bytes, Whole, example, json_option, store_argument
from edgecl.cli.text import counted, pairs, print_json, printable, table
from edgecl.extractors.opening import BUILTIN
from edgecl.units import format_bytes

if TYPE_CHECKING:
    from edgecl.learner import Learner


# what depends on its user's data, and so does not ship with edgecl -> the command that makes it
MADE = {
    "image": "edgecl export image -o image.onnx",
    "table": "edgecl export identity --like stream.csv --label-column NAME -o table.onnx",
    "text": "edgecl export text -o text.onnx",
}


def _check_extractor(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if value not in BUILTIN and not Path(value).exists():
        made = MADE.get(value.lower(), "edgecl export")
        raise click.BadParameter(f"{value!r} is neither {' nor '.join(BUILTIN)}, nor a file: `{made}` makes others")
    return value


@click.command(
    epilog=example(
        "edgecl init kitchen --extractor voice",
        "edgecl init wrist --extractor imu --memory 2MiB --max-classes 12",
    )
)
@store_argument
@click.option(
    "--extractor",
    required=True,
    callback=_check_extractor,
    metavar="voice|imu|FILE",
    help="Network that turns signals into numbers: one that ships with edgecl, or a file (see `edgecl export`).",
)
@click.option(
    "--memory",
    type=Bytes(),
    help="Largest RAM of learning. [default: 1MiB voice, 4MiB others; tables what a stream takes, 1MiB to at most 16]",
)
@click.option(
    "--disk", type=Bytes(), help="Largest size of the store. [default: 64MiB, for movement, text and image 128MiB]"
)
@click.option(
    "--max-classes",
    type=Whole(min=2),
    help="Largest number of classes. [default: 64 voice and image, 24 imu, 128 text]",
)
@click.option(
    "--lift",
    type=Whole(min=0),
    default=0,
    help="Number of random features in front of the latents; costs memory. [default: 0]",
)
@click.option("--seed", type=Whole(min=0), default=0, help="Random seed of projection and lift. [default: 0]")
@click.option(
    "--require-signature",
    metavar="PUBLIC_KEY",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Refuse an extractor that this Ed25519 key (PEM) has not signed, in FILE.sig; extra [sign].",
)
@json_option
def command(
    store: Path,
    extractor: str,
    memory: int | None,
    disk: int | None,
    max_classes: int | None,
    lift: int,
    seed: int,
    require_signature: Path | None,
    as_json: bool,
) -> None:
    """Make a store: one model in one folder.

    STORE is the folder to make. It contains a copy of the extractor and everything that is learnt; nothing outside
    of it is needed later. `edgecl resize` changes memory, disk and the number of classes later, within the features
    that are chosen here.
    """
    from edgecl.learner import Learner

    learner = Learner.create(
        store,
        extractor=extractor,
        memory_bytes=memory,
        disk_bytes=disk,
        max_classes=max_classes,
        lift_width=lift,
        seed=seed,
        require_signature=require_signature,
    )
    made = _made(store, learner)
    if as_json:
        print_json(made)
    else:
        _print(made, _refused(learner))


def _made(store: Path, learner: Learner) -> dict[str, Any]:
    """What was made, and what other budgets would make."""
    from edgecl.model.exemplars import row_bytes
    from edgecl.model.settings import at_least, has_room_for_steps, plan_memory, smallest_memory_for_steps

    settings = learner.settings
    row = row_bytes(settings.features.row_dimension)
    status = learner.status()
    told = ("revision", "extractor", "features", "budget_bytes", "disk_bytes", "disk_budget_bytes", "max_classes")
    return {
        "store": str(store),
        "exemplars_per_class": {
            str(classes): max(plan_memory(settings, classes).exemplars, 0) // (row * classes)
            for classes in sorted({min(10, settings.max_classes), settings.max_classes})
        },
        "has_room_for_steps": has_room_for_steps(settings),
        "steps_memory_bytes": None if (least := smallest_memory_for_steps(settings)) is None else at_least(least),
        "tiers": _tiers(learner),
        **{name: status[name] for name in told},
    }


def _tiers(learner: Learner) -> list[dict[str, Any]]:
    """The smallest memory and disk of every width of features for this number of classes, richest first."""
    from dataclasses import replace

    from edgecl.model.settings import PROJECTIONS, WAYS, at_least, smallest_choice, smallest_disk

    settings = learner.settings
    overhead = learner.store.extractor_path.stat().st_size + (64 << 10)
    tiers = []
    for projection in (0, *(width for width in PROJECTIONS if width < settings.latent_dimension)):
        for precision, paged in WAYS:
            tier = replace(settings, projection=projection, precision=precision, paged=paged)
            at_smallest = replace(tier, memory_bytes=at_least(smallest_choice(tier)))
            tiers.append(
                {
                    "features": tier.features.dimension,
                    "precision": precision,
                    "paged": paged,
                    "memory_bytes": at_smallest.memory_bytes,
                    "disk_bytes": at_least(smallest_disk(at_smallest, overhead)),
                    "chosen": tier == settings,
                }
            )
    return tiers


def _print(made: Mapping[str, Any], refused: str) -> None:
    extractor, features = made["extractor"], made["features"]
    fits = " or ".join(
        f"{each:,} of each of {classes} classes" for classes, each in made["exemplars_per_class"].items()
    )
    click.echo(f"{printable(made['store'])} is made: revision {made['revision']}, which knows nothing yet.\n")
    rows = {
        "extractor": f"{extractor['modality']}: {_takes(extractor)}",
        "features": _features(features),
        "memory": f"{format_bytes(made['budget_bytes'])}; exemplars that fit: {fits}",
        "disk": f"{format_bytes(made['disk_bytes'])} of {format_bytes(made['disk_budget_bytes'])} taken",
        "classes": f"{made['max_classes']} at most",
    }
    if made["steps_memory_bytes"]:
        least = format_bytes(made["steps_memory_bytes"])
        rows["refined"] = "by gradient steps" if made["has_room_for_steps"] else f"not, but from {least} on: --memory"
    click.echo(pairs(rows))
    click.echo(f"\nThe smallest budgets for {made['max_classes']} classes (* is what you have):")
    click.echo(_tier_table(made["tiers"]))
    if refused:
        click.echo(f"\nThere is no room to follow a stream in it: {refused}.")
    click.echo(f"\nNext, teach it:\n  edgecl {_example(printable(made['store']), extractor['modality'], refused)}")


def _refused(learner: Learner) -> str:
    """Return why a store for tables cannot follow a stream; empty where it can."""
    from edgecl.errors import SettingError
    from edgecl.learning.stream_memory import StreamMemory

    if learner.contract.modality == "table":
        try:
            StreamMemory.within(learner.settings, label_delay=0)
        except SettingError as error:
            return str(error)
    return ""


def _tier_table(tiers: Sequence[Mapping[str, Any]]) -> str:
    """A line for each width of features, with the memory that it takes in float64, in float32 and paged from disk."""
    rows = []
    for several in zip(tiers[::3], tiers[1::3], tiers[2::3], strict=True):
        budgets: list[str] = []
        for one in several:
            chosen = "* " if one["chosen"] else ""
            budgets += [f"{chosen}{format_bytes(one['memory_bytes'])}", format_bytes(one["disk_bytes"])]
        rows.append((str(several[0]["features"]), *budgets))
    header = ("features", "--memory in float64", "--disk", "in float32", "--disk", "paged from disk", "--disk")
    return table(rows, header=header, align="rrrrrrr")


def _takes(extractor: Mapping[str, Any]) -> str:
    channels = counted(len(extractor["channels"]), "channel")
    rate = f" at {extractor['sample_rate_hz']:g} Hz" if extractor["sample_rate_hz"] else ""
    return f"{channels}{rate} to {extractor['dimension']} latents ({extractor['licence']})"


def _features(features: Mapping[str, Any]) -> str:
    text = f"{features['dimension']}"
    if features["projection"]:
        text += f", projected from {features['latent_dimension']} to fit the budget"
    if features["lift_width"]:
        text += f", {features['lift_width']} of them a random lift"
    return f"{text}; solved in {features['precision']}{', paged from disk' if features['paged'] else ''}"


def _example(store: str, modality: str, refused: str) -> str:
    if modality == "table" and not refused:
        return f"follow {store} stream.csv --label-column NAME   answers each row, then learns from its label"
    if modality == "table":
        return f"learn {store} rows.csv --label-column NAME   learns from all of its rows at once"
    if modality == "voice":
        return f"learn {store} clips/        where clips/<word>/ holds five or more .wav files of each word"
    if modality == "image":
        return f"learn {store} photos/        where photos/<class>/ holds five or more .jpg or .png files of each class"
    if modality == "text":
        return f'learn {store} lesson.jsonl   with lines of {{"text": ..., "label": ...}}'
    return f"learn {store} windows.npz   with X [n, time, channels] and y, or a CSV with a timestamp column"
