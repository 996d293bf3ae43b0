"""Measure how cost grows with classes, columns and the length of a stream."""

from __future__ import annotations

import json
from typing import Any

from peers.rounds import Process, Team, environ, side_by_side, summary
from peers.whole import measured

CLASSES = (10, 30, 100, 300, 1000)
COLUMNS = (96, 256, 640, 1536, 4096)
AT = {"dimension": 384, "classes": 30}  # the other, while one grows
PEERS = ("edgecl", "hand-fused C", "numpy", "torch closed form")


def steps(processes: dict[str, Process], *, rounds: int, quick: bool) -> dict[str, list[dict[str, Any]]]:
    """Steps of 32 rows by number of classes, and of columns."""
    names = [name for name in PEERS if name in processes]
    every = 2 if quick else 1
    sizes = {
        "classes": [(count, AT["dimension"], count) for count in CLASSES[::every]],
        "columns": [(count, count, AT["classes"]) for count in COLUMNS[::every]],
    }
    out: dict[str, list[dict[str, Any]]] = {}
    for over, cases in sizes.items():
        out[over] = []
        for value, dimension, classes in cases:
            times = side_by_side(processes, "step", (dimension, classes, 32), rounds=rounds, names=names)
            out[over].append({over: value, "peers": summary(times)})
    return out


def stream(team: Team, *, latents: int) -> list[dict[str, Any]]:
    """Resident memory and time along a stream."""
    printed = measured([team.python, "-m", "peers.stream", str(latents)], environ(**dict(team.variables)))[2]
    return [json.loads(line) for line in printed.splitlines()]
