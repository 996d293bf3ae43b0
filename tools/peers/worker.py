"""A process that times some peers: it reads a JSON line, does what it says, and answers with one.

Usage: python -m peers.worker MODULE...        serve until the input ends
       python -m peers.worker --once NAME MODULE   one step of a 150-class head, then end (cold start)

{"prepare": NAME, "task": ..., "case": [D, C, B]}  ->  {"error": ...} or {"missing": reason}
{"run": NAME, "at_least": seconds}                 ->  {"seconds": for one unit}
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import resource
import sys
import time
from typing import Any

from peers.check import TOLERANCE, error
from peers.contestant import Contestant, Ready
from peers.workloads import SIZES, Case

WARM = 0.05  # seconds of a run that need no other before it


class Worker:
    """The peers of some modules, and what they were last made ready for."""

    def __init__(self, modules: list[str]) -> None:
        self.peers: dict[str, Contestant] = {}
        for name in modules:
            self.peers |= {one.name: one for one in importlib.import_module(f"peers.{name}").CONTESTANTS}
        self.ready: dict[str, Ready] = {}
        self.case: Case | None = None

    def prepare(self, name: str, task: str, sizes: list[int]) -> dict[str, Any]:
        """Make a peer ready, run it once, and check its answer."""
        self.ready.pop(name, None)
        case = Case(*sizes)
        if self.case != case:
            self.case = case
        assert self.case is not None
        if task not in self.peers[name].tasks:
            return {"missing": "has no such thing"}
        ready = self.peers[name].tasks[task](self.case)
        ready.run()
        found = error(task, self.case, ready)
        if found is not None and not found < TOLERANCE:
            raise RuntimeError(f"{name} is wrong by {found:.2g} in {task} {sizes}")
        self.ready[name] = ready
        return {"error": found}

    def run(self, name: str, at_least: float) -> dict[str, Any]:
        """Time a peer for about `at_least` seconds, one run at least."""
        ready = self.ready[name]
        started = time.perf_counter()
        ready.run()
        first = time.perf_counter() - started
        if first > WARM:
            return {"seconds": first / ready.units}
        repeats = math.ceil(at_least / max(first, 1e-7))  # the first, in caches that another peer filled, is left out
        gc.disable()
        started = time.perf_counter()
        for _ in range(repeats):
            ready.run()
        spent = time.perf_counter() - started
        gc.enable()
        return {"seconds": spent / repeats / ready.units}


def serve(modules: list[str]) -> None:
    answers = os.fdopen(os.dup(1), "w")  # what a peer prints must not get between
    os.dup2(2, 1)
    worker = Worker(modules)
    print(
        json.dumps({"peers": {name: list(peer.tasks) for name, peer in worker.peers.items()}}), file=answers, flush=True
    )
    for line in sys.stdin:
        told = json.loads(line)
        if "prepare" in told:
            answer = worker.prepare(told["prepare"], told["task"], told["case"])
        else:
            answer = worker.run(told["run"], told["at_least"])
        print(json.dumps(answer), file=answers, flush=True)


def once(name: str, module: str) -> None:
    """Import a peer, take one step, and print the peak of resident memory in bytes."""
    case = Case(*SIZES["text"])
    if name:
        Worker([module]).peers[name].tasks["step"](case).run()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    if sys.argv[1] == "--once":
        once(*sys.argv[2:])
    else:
        serve(sys.argv[1:])
