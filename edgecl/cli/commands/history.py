"""`edgecl history`: revisions and decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from edgecl.cli import warn
from edgecl.cli.options import example, json_option, store_argument
from edgecl.cli.text import listed, percent, print_json, table, wrapped
from edgecl.errors import StoreDamagedError

if TYPE_CHECKING:
    from edgecl.store.body_kinds import Body, Forgotten, Note

    Entry: TypeAlias = Body | Note | Forgotten

LABELS_SHOWN = 4


@click.command(epilog=example("edgecl history kitchen", "edgecl history kitchen --json"))
@store_argument
@json_option
def command(store: Path, as_json: bool) -> None:
    """List revisions and decisions, oldest first.

    Shows the classes of each lesson, its verdict and the evidence: accuracy of new classes with each sample left
    out in turn, and the gain or loss of the old classes. A star marks the live revision; a number in brackets
    is no longer kept.
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
    from edgecl.operations.status import decision
    from edgecl.store.body_kinds import read_entry

    found = [read_entry(entry) for entry in journal]
    rows = [
        (
            _number(entry.get("revision"), live=live, kept=kept),
            entry["time"].replace("+00:00", "").replace("T", " "),
            _what(one, entry["kind"]),
            decision(entry["kind"], entry.get("body", entry)).upper(),
            _evidence(one),
        )
        for entry, one in zip(journal, found, strict=True)
    ]
    text = table(rows, header=("rev", "time (UTC)", "what", "verdict", "evidence"), align="rllll")
    lines = iter(text.splitlines())
    out = [next(lines)]
    for line, one, entry in zip(lines, found, journal, strict=True):
        out += [line, *(_reasons(one) if entry["kind"] == "rejected" else ())]
    return "\n".join(out)


def _number(revision: int | None, *, live: int, kept: list[int]) -> str:
    if revision is None:
        return "-"
    if revision == live:
        return f"*{revision}"
    return str(revision) if revision in kept else f"({revision})"


def _what(entry: Entry, kind: str) -> str:
    """Describe in a few words what a journal entry is about."""
    from edgecl.store import body_kinds as kinds
    from edgecl.store.records import LessonBody, LessonNote

    if getattr(entry, "strategy", "") == kinds.RESIZE:
        return "resized"
    if isinstance(entry, LessonNote) and entry.strategy == kinds.UPGRADE:
        return "another extractor"
    if getattr(entry, "strategy", "") == kinds.MERGE:
        return "merged other devices"
    match entry:
        case kinds.Forgotten():
            return f"{entry.kind}, its details forgotten"
        case kinds.RollbackBody():
            return f"rollback to {entry.rolled_back_to}"
        case kinds.StreamBody(drift=drift) if drift is not None:
            return entry.concept or f"drift at labelled row {drift['row']:,}: {drift['chosen']}"
        case kinds.CentreBody() | kinds.CentreNote():
            return "centred"
        case kinds.UncentreBody():
            return "no longer centred"
        case kinds.SetBody(unknown_above=above):
            return "unknown: automatic" if above is None else f"unknown above {above:.2f}"
        case kinds.KeepBody(priorities=said):
            return listed((f"{label} kept {priority}" for label, priority in (said or {}).items()), most=LABELS_SHOWN)
        case kinds.MergeBody():
            devices = (entry.others or {}).get("devices", {}).values()
            return f"merged {listed(one['name'] for one in devices)}" if devices else "no other device any more"
        case kinds.UpgradeBody(extractor=stated):
            return f"another extractor: {(stated or {})['contract']['source']}"
        case kinds.ResizeBody():
            return "resized"
        case kinds.BackgroundBody():
            return "background"
        case LessonBody() | LessonNote() | kinds.StreamBody() | kinds.StreamNote():
            return listed((f"{label} +{count}" for label, count in entry.lesson.items()), most=LABELS_SHOWN)
    return kind


def _verdict_of(entry: Entry) -> Mapping[str, Any] | None:
    """Return the verdict of a lesson, a centre or a stream; None for anything else."""
    from edgecl.store.body_kinds import RollbackBody

    return None if isinstance(entry, RollbackBody) else getattr(entry, "verdict", None)


def _evidence(entry: Entry) -> str:
    """Return how new classes are answered, and what the old ones gained or lost together."""
    verdict = _verdict_of(entry)
    if verdict is None:
        return ""
    new = [one["after"] for one in verdict["classes"].values() if one["is_new"] and one["after"] is not None]
    texts = []
    if new:
        texts.append(f"new {percent(sum(new) / len(new))}")
    if verdict["pooled_change"] is not None:
        texts.append(f"old {100 * verdict['pooled_change']:+.1f} points")
    return ", ".join(texts)


def _reasons(entry: Entry) -> Iterator[str]:
    """Yield why a lesson was rejected, below its line."""
    verdict = _verdict_of(entry)
    if verdict is not None:
        yield from (wrapped(reason, first="       ") for reason in verdict["reasons"])
