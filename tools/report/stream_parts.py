"""Tables of the parts of `tools/drift_table` that are measured by themselves; standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from report.tables import markdown


def reliability(figures: Mapping[str, Any]) -> str:
    """Return how sure and how right the answers to each stream were, then bin by bin."""
    lines = [["set", "label delay", "accuracy", "mean confidence", "ECE"]]
    for one in figures["streams"]:
        found = one["reliability"]
        shares = [f"{one['accuracy']:.1%}", f"{found['confidence']:.1%}", f"{found['ece']:.3f}"]
        lines.append([one["set"], str(one["delay"]), *shares])
    parts = ["## Reliability of the answers", markdown(lines)]
    for one in figures["streams"]:
        if one["delay"] == 0:
            parts += [f"{one['set']}, delay 0:", markdown(_bins(one["reliability"]["bins"]))]
    return "\n\n".join(parts)


def _bins(bins: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    header = ["confidence", "rows", "mean", "right"]
    lines = [
        [f"{one['from']:.1f} to {one['to']:.1f}", f"{one['rows']:,}", f"{one['confidence']:.1%}", f"{one['right']:.1%}"]
        for one in bins
    ]
    return [header, *lines]


def memory(figures: Mapping[str, Any]) -> str:
    """Return peak memory and time for each length of a stream that is piped in."""
    lines = [["labels", "rows", "peak, MiB", "learner, KiB", "store, KiB", "µs a row", "right"]]
    for one in figures["runs"]:
        sizes = [f"{one[name] / 1024:,.0f}" for name in ("learner_bytes", "store_bytes")]
        labels = "of another file, by id" if one["by_id"] else "a column"
        rest = [f"{one['us']:.0f}", f"{one['accuracy']:.1%}"]
        lines.append([labels, f"{one['rows']:,}", f"{one['peak_mib']:.1f}", *sizes, *rest])
    about = (
        f"`edgecl follow STORE -` with rows of {figures['columns']} columns in a pipe: peak resident memory of the "
        "whole process, and its processor time, reading and committing included."
    )
    return "\n\n".join(["## Memory of long streams", about, markdown(lines)])


def rows(figures: Mapping[str, Any]) -> str:
    """Return the time of a row in blocks and one at a time."""
    lines = [["way", "µs a row", "right"]]
    lines += [[one["way"], f"{one['us']:.0f}", f"{one['accuracy']:.1%}"] for one in figures["ways"]]
    about = (
        f"Processor time of a row of {figures['set']}, predicted and learnt, reading apart: the fastest thousand of "
        f"its first {figures['ways'][0]['rows']:,} rows, all in one run."
    )
    return "\n\n".join(["## Time of a row", about, markdown(lines)])
