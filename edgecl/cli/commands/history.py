"""`edgecl history`: revisions and decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from edgecl.cli import warn
from edgecl.cli.options import example, json_option, store_argument
from edgecl.cli.text import listed, percent, print_json, table, wrapped
from edgecl.errors import StoreDamagedError

LABELS_SHOWN = 4


@click.command(epilog=example("edgecl history kitchen", "edgecl history kitchen --json"))
@store_argument
@json_option
def command(store: Path, as_json: bool) -> None:
    """List revisions and decisions, oldest first.

    Shows what each lesson taught, its verdict and the evidence: how well new classes were answered when
    samples were left out in turn, and what the old classes gained or lost. A star marks the live revision; a
    number in brackets is no longer kept.
    """
    with warn.opened(store) as learner:
        told = learner.history()
    if as_json:
        print_json(told)
        return
    live, kept, journal = told["revision"], told["revisions"], told["journal"]
    try:
        text = _table(journal, live=live, kept=kept)
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # its CRCs fit, and no edgecl wrote it
        raise StoreDamagedError(f"the journal of {store} tells what cannot be read ({error}): try --json") from error
    click.echo(text)
    others = [str(one) for one in kept if one != live]
    if others:
        click.echo(f"revisions to roll back to: {', '.join(others)}")


def _table(journal: list[dict[str, Any]], *, live: int, kept: list[int]) -> str:
    rows = []
    for entry in journal:
        told = entry.get("body", entry)
        verdict = told.get("verdict") if entry["kind"] in ("lesson", "rejected", "unchanged") else None
        rows.append(
            (
                _number(entry.get("revision"), live=live, kept=kept),
                entry["time"].replace("+00:00", "").replace("T", " "),
                _what(entry, told),
                _verdict(entry, told) if verdict else "",
                _evidence(verdict) if verdict else "",
            )
        )
    text = table(rows, header=("rev", "time (UTC)", "what", "verdict", "evidence"), align="rllll")
    lines = iter(text.splitlines())
    out = [next(lines)]
    for line, entry in zip(lines, journal, strict=True):
        out += [line, *_reasons(entry)]
    return "\n".join(out)


def _number(revision: int | None, *, live: int, kept: list[int]) -> str:
    if revision is None:
        return "-"
    if revision == live:
        return f"*{revision}"
    return str(revision) if revision in kept else f"({revision})"


def _what(entry: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if entry.get("forgotten"):
        return f"{entry['kind']}, its details forgotten"
    if entry["kind"] == "rollback":
        return f"rollback to {told['rolled_back_to']}"
    if "drift" in told:
        drift = told["drift"]
        did = told.get("concept") or f"drift at labelled row {drift['row']:,}: {drift['chosen']}"
        return str(did)
    if told.get("strategy") in ("centre", "uncentre"):
        return "centred" if told["strategy"] == "centre" else "no longer centred"
    if told.get("room_hops"):
        return "background"
    if "lesson" not in told:
        return str(entry["kind"])
    return listed((f"{label} +{count}" for label, count in told["lesson"].items()), most=LABELS_SHOWN)


def _verdict(entry: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    if told.get("forced"):
        return "forced"
    if entry["kind"] == "rejected":
        return "REJECTED"
    if entry["kind"] == "unchanged":
        return "nothing new"
    return "accepted" if told["verdict"]["proven"] else "unproven"


def _evidence(verdict: Mapping[str, Any]) -> str:
    """How new classes are answered, and what the old ones gained or lost together."""
    new = [one["after"] for one in verdict["classes"].values() if one["is_new"] and one["after"] is not None]
    texts = []
    if new:
        texts.append(f"new {percent(sum(new) / len(new))}")
    if verdict["pooled_change"] is not None:
        texts.append(f"old {100 * verdict['pooled_change']:+.1f} points")
    return ", ".join(texts)


def _reasons(entry: Mapping[str, Any]) -> Iterator[str]:
    """Why a lesson was rejected, below its line."""
    if entry["kind"] == "rejected" and "verdict" in entry:
        yield from (wrapped(reason, first="       ") for reason in entry["verdict"]["reasons"])
