"""The figures of tools/soak as text and as a table; standard library only."""

from __future__ import annotations

from typing import Any

from report.tables import markdown

Figures = dict[str, Any]


def as_markdown(figures: Figures) -> str:
    """Return the table of the results file, and what the soak needed."""
    return f"{markdown([['attack', 'tried', 'survived'], counts(figures)])}\n\n{peaks(figures)}"


def counts(figures: Figures) -> list[str]:
    """Return a row: how often the writer was killed, and how often a whole store was left."""
    size = figures["size"]
    lessons = f"{size['lessons']:,} lessons of {size['samples']:,} samples in {size['classes']} classes"
    return [f"killed at random in {lessons}", f"{figures['kills']:,}", f"{figures['survived']:,}"]


def peaks(figures: Figures) -> str:
    """Return what the soak needed at most, and how its last head compares."""
    mib = {name: f"{figures[name] / 2**20:.1f} MiB" for name in figures if name.endswith("_bytes")}
    return (
        f"Soak: the learner's memory peaked at {mib['most_bytes']} of {mib['memory_budget_bytes']}, the store at "
        f"{mib['most_disk_bytes']} of {mib['disk_budget_bytes']}, the process at {mib['peak_bytes']}, with "
        f"{figures['most_descriptors']} descriptors open. "
        + (f"FAULT: {figures['fault']}" if figures["fault"] else _end(figures))
    )


def _end(figures: Figures) -> str:
    return (
        f"Its last head differs from a fresh store's by {figures['head_difference']:.0e} of the largest weight; both "
        f"answer {figures['accuracy']:.2%} right."
    )


def as_text(figures: Figures) -> str:
    """Return what was done and seen, or the fault that ended it."""
    done, size = figures["done"], figures["size"]
    lines = [
        (
            f"{figures['samples']:,} samples in {done.get('teach', 0):,} lessons of {size['classes']} classes; "
            f"{figures['fewest_classes']} to {figures['most_classes']} known at a time; "
            f"{done.get('forget', 0):,} times classes forgotten, {done.get('rollback', 0):,} rollbacks, "
            f"{figures['rejected'].get('swap', 0):,} of {done.get('swap', 0):,} lessons under a wrong name refused"
        ),
        (
            f"killed {figures['kills']:,} times, of which {figures['survived']:,} left a whole store: "
            f"the old model {figures['left'].get('old', 0):,}, the new one {figures['left'].get('new', 0):,} times"
        ),
        (
            f"learner's memory at most {mib(figures['most_bytes'])} of {mib(figures['memory_budget_bytes'])}; disk at "
            f"most {mib(figures['most_disk_bytes'])} of {mib(figures['disk_budget_bytes'])} (after a kill, before the "
            f"next writer, {mib(figures['most_disk_bytes_killed'])})"
        ),
        f"process at most {mib(figures['peak_bytes'])} and {figures['most_descriptors']} descriptors",
    ]
    if figures["fault"]:
        return "\n".join([*lines, f"FAULT: {figures['fault']}"])
    return "\n".join(
        [
            *lines,
            (
                f"the last process: {figures['growth_bytes_per_step']:,.0f} bytes a step over "
                f"{figures['settled_steps']:,} steps; descriptors constant"
            ),
            (
                f"head of a fresh store taught the {figures['compared_samples']:,} samples that are left: "
                f"{figures['head_difference']:.0e} away; accuracy {figures['accuracy']:.2%}, fresh "
                f"{figures['fresh_accuracy']:.2%}"
            ),
            f"{figures['seconds']:,.0f} s",
        ]
    )


def mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
