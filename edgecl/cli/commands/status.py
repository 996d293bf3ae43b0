"""`edgecl status`: what a store knows and how full it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from edgecl.cli import warn
from edgecl.cli.options import example, json_option, store_argument
from edgecl.cli.text import counted, listed, of_ten, other_student_text, pairs, print_json, printable, table, wrapped
from edgecl.units import format_bytes

# scores above the background: to be heard, of the word's own clips (each left out in turn); how many of these are heard
SPOTTING = ("to be heard", "its clips", "heard", "others")


@click.command(epilog=example("edgecl status kitchen", "edgecl status kitchen --json"))
@store_argument
@json_option
def command(store: Path, as_json: bool) -> None:
    """Show what the store knows and how full it is."""
    with warn.opened(store) as learner:
        status = learner.status()
    if as_json:
        print_json(status)
    else:
        _print(store, status)


def _print(store: Path, status: Mapping[str, Any]) -> None:
    parts = {name: size for name, size in status["bytes"].items() if name != "total" and size}
    extractor, kept = status["extractor"], status["revisions"]
    click.secho(
        f"{printable(str(store))}: revision {status['revision']}, "
        f"{counted(len(status['classes']), 'class', 'classes')} of {status['max_classes']} at most",
        bold=True,
    )
    rows = {
        "since": f"{status['time']} ({status['kind']}{_made_by(status)})",
        "extractor": f"{extractor['modality']}, {extractor['dimension']} latents",
        "centred": f"on {counted(status['centred_on'], 'sample')} without labels" if status["centred_on"] else "",
        "memory": _share(status["bytes"]["total"], status["budget_bytes"]),
        "": ", ".join(f"{name} {format_bytes(count)}" for name, count in parts.items()) or "nothing learnt yet",
        "disk": _share(status["disk_bytes"], status["disk_budget_bytes"]),
        "student": _student(status),
        "second stage": _second_stage(status),
        "unknown": _unknown(status["unknown"]),
        "remembered": _remembered(status["remembered"]) if status["classes"] else "",
        "kept": _kept(status["classes"]),
        "waiting": _waiting(status["waiting"], store),
        "devices": _devices(status["devices"].values()),
        "irreversible": _irreversible(status["irreversible"]),
        "rollback to": ", ".join(str(one) for one in kept if one != status["revision"]) or "nothing yet",
    }
    click.echo(pairs({name: value for name, value in rows.items() if value}))
    if status["classes"]:
        cells = [
            (
                label,
                str(one["samples"]),
                str(one["exemplars"]),
                one["taught"].replace("+00:00", "").replace("T", " ") + _doubt(one),
                *_spotting(status["spotting"].get(label)),
            )
            for label, one in status["classes"].items()
        ]
        header = ("class", "samples", "exemplars kept", "last taught (UTC)", *SPOTTING[: len(cells[0]) - 4])
        click.echo(table(cells, header=header, align="lrrlrrrr"[: len(header)]))
        for line in _promises(status["spotting"]):
            click.echo(wrapped(line, first="  "))
        decided = [label for label, one in status["spotting"].items() if one["decided_by"] == "second stage"]
        if decided:
            named = ", ".join(map(printable, decided))
            note = f"Shares, scores and thresholds are of the first stage; the second decides on {named}"
            click.echo(wrapped(note, first="  "))
        if any(_doubt(one) for one in status["classes"].values()):
            click.echo("  ? the clock was not known to be right; `forget --older-than` leaves these alone")


def _doubt(one: Mapping[str, Any]) -> str:
    """Return the mark of a time that was read from a clock which could not be trusted."""
    return " ?" if one["taught"] and not one["taught_trusted"] else ""


def _student(status: Mapping[str, Any]) -> str:
    """Return on which words in a stream the student has a say; empty of a store that spots none."""
    words = [one for one in status["spotting"] if not one.startswith("_")]
    heard = [one for one in words if status["spotting"][one]["decided_by"] == "student"]
    strange = other_student_text(status["second_stage"]["other_student_words"])
    if not words:
        return ""
    if not heard and any(status["spotting"][one]["decided_by"] == "second stage" for one in words):
        return "has no part in any word's score: the second stage decides"
    if not heard:
        return "has no part in any word's score: " + (
            strange or "teach them again, with some new clips, if `edgecl doctor` finds it"
        )
    return f"has a part in the score of {_named(words, heard)}" + (f"; {strange}" if strange else "")


def _second_stage(status: Mapping[str, Any]) -> str:
    """Which words in a stream the network decides on; empty of a store that spots none."""
    second, words = status["second_stage"], [one for one in status["spotting"] if not one.startswith("_")]
    if not words:
        return ""
    if not second["installed"]:
        return "not installed: decides on no word"
    if not second["words"]:
        return "decides on no word: teach them again, with some new clips"
    return f"decides on {_named(words, second['words'])}, where `edgecl doctor` finds it quick enough"


def _named(words: Sequence[str], some: Sequence[str]) -> str:
    return "all words" if set(words) <= set(some) else ", ".join(map(printable, some))


def _unknown(unknown: Mapping[str, Any] | None) -> str:
    """From which novelty on an answer is "unknown"."""
    if unknown is None:
        return ""
    by = "found by the store" if unknown["set_by"] == "store" else "set by `edgecl set`"
    return f"above a novelty of {unknown['above']:.2f}, {by}"


def _remembered(remembered: Mapping[str, int]) -> str:
    """How many samples would be skipped if they were taught again."""
    size = f"{format_bytes(remembered['bytes'])} of {format_bytes(remembered['most_bytes'])}"
    return f"{counted(remembered['samples'], 'sample')} that would be skipped as taught before ({size})"


def _kept(classes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what `edgecl keep` has said of classes, and the use of those that are kept while they are used."""
    said = []
    for label, one in classes.items():
        if one["kept"] == "while-used":
            said.append(f"{label} while used ({counted(round(one['use']), 'event')})")
        elif one["kept"]:
            said.append(f"{label} {one['kept'] if one['kept'] == 'always' else 'until ' + one['kept']}")
    return printable(listed(said))


def _devices(devices: Iterable[Mapping[str, Any]]) -> str:
    """Return the devices whose shares are merged, each with what it has shared."""
    return listed(
        f"{one['name']} ({counted(one['samples'], 'sample')} of {counted(len(one['classes']), 'class', 'classes')})"
        for one in devices
    )


def _irreversible(names: Sequence[str]) -> str:
    """Return the devices of which no class can be forgotten alone."""
    return f"no class that {listed(names)} shared can be forgotten alone" if names else ""


def _waiting(waiting: Mapping[str, Any], store: Path) -> str:
    """What its user has still to say."""
    asked = [f'is "{one["label"]}" the same as "{one["like"]}"?' for one in waiting["questions"]]
    if waiting["set_aside"]:
        asked.append(f"{counted(waiting['set_aside'], 'sample')} set aside")
    return f"{', '.join(asked)} (`edgecl inbox {printable(str(store))}`)" if asked else ""


def _spotting(found: Mapping[str, float] | None) -> tuple[str, ...]:
    """What `edgecl listen` asks of a word, and how its own clips do."""
    if not found:
        return ()
    others = "" if found["unseen"] is None else f"{found['unseen']:.0%}"
    return (f"{found['threshold']:.0f}", f"{found['typical']:.0f}", f"{found['heard']:.0%}", others)


def _promises(spotting: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what people who did not teach may expect of each word, and by how many people it was taught."""
    found = []
    for label, one in spotting.items():
        if one["unseen"] is None or label.startswith("_"):
            continue
        who = "one person taught it" if one["people"] == 1 else f"{one['people']} people taught it"
        whom = "; its threshold is for those who did" if one["is_mine"] else ""
        found.append(
            f"{printable(label)}: {who}{whom}. Others are expected to be heard {one['unseen']:.0%} of the time in "
            f"quiet (nine people in ten: {of_ten(one['unseen_least'], one['unseen_most'])}), "
            f"{one['unseen_in_noise']:.0%} with noise 20 dB below the word"
        )
    return found


def _made_by(status: Mapping[str, Any]) -> str:
    said = [one for one in (status["strategy"], status["verdict"].upper()) if one]
    return "".join(f", {one}" for one in said)


def _share(used: int, granted: int) -> str:
    return f"{format_bytes(used)} of {format_bytes(granted)} ({used / granted:.0%})"
