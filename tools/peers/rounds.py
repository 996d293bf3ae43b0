"""Peers side by side: one process for each environment, one core for all of them, rounds in which each has a turn.

On a machine that others use too, times drift; peers that are timed within the same second drift together, so ratios
hold. A ratio here is the median over rounds of the ratio within a round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common.environments import child_environ

TOOLS = Path(__file__).resolve().parent.parent
AT_LEAST = 0.003  # seconds that a turn takes, where a unit takes less
SLOW = 0.1  # a peer whose turn takes longer has a turn only every SLOW_EVERY rounds
SLOW_EVERY = 5
BLAS = "OPENBLAS_CORETYPE"  # whose kernels OpenBLAS uses
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def environ(**variables: str) -> dict[str, str]:
    """Return the environment of a process that is timed: one thread, `peers` to import, BLAS as it finds itself."""
    own = {"PYTHONPATH": str(TOOLS), **dict.fromkeys(THREADS, "1"), **variables}
    return {
        name: value for name, value in child_environ(**own).items() if not name.startswith("OPENBLAS") or name in own
    }


@dataclass(frozen=True)
class Team:
    """Modules with peers, and the interpreter that can import them."""

    python: Path
    modules: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()


class WorkerError(Exception):
    """A process with peers ended before its time; the message ends with what it complained of."""


class Process:
    """A worker that serves."""

    def __init__(self, team: Team) -> None:
        self.command = [str(team.python), "-m", "peers.worker", *team.modules]
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            text=True,
            env=environ(**dict(team.variables)),
        )
        self.names: dict[str, list[str]] = self._answer()["peers"]

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.complaints.seek(0)
            raise WorkerError(
                f"{' '.join(self.command)} ended with code {code}: {self.complaints.read()[-2000:].strip()}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.complaints.close()


@contextmanager
def workers(teams: Sequence[Team]) -> Iterator[dict[str, Process]]:
    """Start a process for each team; yield them by the name of each peer."""
    with ExitStack() as stack:
        by_name: dict[str, Process] = {}
        for team in teams:
            process = Process(team)
            stack.callback(process.close)
            by_name |= dict.fromkeys(process.names, process)
        yield by_name


def pin() -> int:
    """Keep this process and those that it starts on the last core that it may use."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def side_by_side(
    processes: dict[str, Process], task: str, sizes: Sequence[int], *, rounds: int, names: Iterable[str] | None = None
) -> dict[str, list[float | None]]:
    """Seconds for a unit by peer and round; None in a round in which a slow peer had no turn."""
    taking_part = [name for name in (names or processes) if task in processes[name].names[name]]
    for name in taking_part:
        processes[name].ask(prepare=name, task=task, case=list(sizes))
    seconds: dict[str, list[float | None]] = {name: [] for name in taking_part}
    spent: dict[str, float] = dict.fromkeys(taking_part, 0.0)
    for number in range(rounds):
        for name in taking_part:
            if number % SLOW_EVERY and spent[name] > SLOW:
                seconds[name].append(None)
                continue
            started = time.perf_counter()
            seconds[name].append(processes[name].ask(run=name, at_least=AT_LEAST)["seconds"])
            spent[name] = time.perf_counter() - started
    print(f"  {task} {'x'.join(map(str, sizes))}", file=sys.stderr, flush=True)
    return seconds


def summary(seconds: dict[str, list[float | None]], ours: str = "edgecl") -> dict[str, dict[str, float]]:
    """By peer: median and smallest time of a unit, and the median of its ratio to ours within a round."""
    out = {}
    for name, values in seconds.items():
        held = [value for value in values if value is not None]
        ratios = [value / mine for value, mine in zip(values, seconds[ours], strict=True) if value and mine]
        out[name] = {"median": median(held), "minimum": min(held), "ratio": median(ratios), "rounds": len(held)}
    return out
