"""The table of tools/trust_table, from the figures of the tools that it runs; standard library only."""

from __future__ import annotations

from typing import Any

from report.gate_rates import accepted, harmful, refused
from report.soak import counts as soak_counts
from report.soak import peaks
from report.tables import markdown

# row: how the counts of tools/power_cuts begin that it adds up
ROWS = {
    "killed at a file-changing system call of `init`, `learn`, `rollback`, `forget`": ("killed",),
    "the call fails instead: ENOSPC, EROFS, EIO": ("ENOSPC", "EROFS", "EIO"),
    "power cut with what was not flushed lost, reordered or torn": ("unflushed",),
    "a bit of a byte flipped, or a file cut at a length: noticed": ("flipped",),
    "`forget` against a model that never saw the class, bit for bit": ("exact",),
}


def as_markdown(
    cuts: dict[str, dict[str, int]], fuzzed: dict[str, Any], soaked: dict[str, Any], lessons: list[dict[str, Any]]
) -> str:
    """Return the table, and what the soak needed."""
    rows = [["attack", "tried", "survived"]]
    for row, begins in ROWS.items():
        chosen = [one for name, one in cuts.items() if name.startswith(begins)]
        rows.append(_row(row, sum(one["tried"] for one in chosen), sum(one["survived"] for one in chosen)))
    tried = fuzzed["executions"]
    rows += [_row(f"fuzzed input of {len(fuzzed['targets'])} parsers", tried, tried - fuzzed["found"])]
    rows += [soak_counts(soaked)]
    bad, good = harmful(lessons, accepted), refused(lessons, accepted)
    rows += [_row("lessons that do harm (wrong labels, renamed classes, noise): kept out", len(bad), bad.count(False))]
    rows += [_row("good lessons: let in", len(good), good.count(False))]
    return f"{markdown(rows)}\n\n{peaks(soaked)}"


def _row(name: str, tried: int, survived: int) -> list[str]:
    return [name, f"{tried:,}", f"{survived:,}"]
