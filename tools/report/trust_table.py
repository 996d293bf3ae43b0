"""The table of tools/trust_table, from the figures of the tools that it runs; standard library only."""

from __future__ import annotations

from typing import Any

from report.gate_rates import accepted, harmful, refused
from report.hostile import is_within
from report.soak import counts as soak_counts
from report.soak import peaks
from report.tables import markdown

# row: how the counts of tools/power_cuts begin that it adds up
ROWS = {
    "killed at a file-changing system call of `init`, `learn`, `rollback`, `forget`, `follow`": ("killed",),
    "the call fails instead: ENOSPC, EROFS, EIO": ("ENOSPC", "EROFS", "EIO"),
    "that call and all later ones of its name fail": ("lasting",),
    "power cut with what was not flushed lost, reordered or torn": ("unflushed",),
    "a bit of a byte flipped, or a file cut at a length: noticed": ("flipped",),
    "`forget` against a model that never saw the class, bit for bit": ("exact",),
}


def as_markdown(
    cuts: dict[str, dict[str, int]],
    fuzzed: dict[str, Any],
    soaked: dict[str, Any],
    lessons: list[dict[str, Any]],
    *,
    contended: dict[str, Any],
    hostile: dict[str, Any],
) -> str:
    """Return the table, and what the soak needed."""
    rows = [["attack", "tried", "survived"]]
    for row, begins in ROWS.items():
        chosen = [one for name, one in cuts.items() if name.startswith(begins)]
        rows.append(_row(row, sum(one["tried"] for one in chosen), sum(one["survived"] for one in chosen)))
    commands = [one for one in fuzzed["targets"] if one["target"] == "commands"]
    parsers = [one for one in fuzzed["targets"] if one not in commands]
    rows += [_fuzzed(f"fuzzed input of {len(parsers)} parsers", parsers)]
    rows += [_fuzzed("whole commands with odd cells, labels and options", commands)]
    inputs, clients = hostile["inputs"], hostile["clients"]
    within = sum(map(is_within, inputs))
    rows += [_row("hostile inputs refused within 1 s and 64 MiB (tools/hostile)", len(inputs), within)]
    rows += [_row("an honest client of the control socket after a hostile one", clients["tried"], clients["survived"])]
    places = hostile["places"]
    rows += [_row("commands with a pipe, device, loop or odd name as a file", places["tried"], places["survived"])]
    if options := hostile.get("options"):  # figures of earlier runs have none
        rows += [_row("commands with an odd value in an option", options["tried"], options["survived"])]
    if around := hostile.get("surroundings"):
        row = "commands on a full or read-only disk, with little memory, few descriptors, odd umasks, closed streams"
        rows += [_row(row, around["tried"], around["survived"])]
    writers = f"lessons of {contended['writers']} writers at once, while `lock` is removed and replaced"
    rows += [_row(writers, contended["commits"], contended["commits"] - contended["lost"])]
    rows += [soak_counts(soaked)]
    bad, good = harmful(lessons, accepted), refused(lessons, accepted)
    rows += [_row("lessons that do harm (wrong labels, renamed classes, noise): kept out", len(bad), bad.count(False))]
    rows += [_row("good lessons: let in", len(good), good.count(False))]
    return f"{markdown(rows)}\n\n{peaks(soaked)}"


def _fuzzed(name: str, targets: list[dict[str, Any]]) -> list[str]:
    tried = sum(one["executions"] for one in targets)
    return _row(name, tried, tried - sum(one["found"] for one in targets))


def _row(name: str, tried: int, survived: int) -> list[str]:
    return [name, f"{tried:,}", f"{survived:,}"]
