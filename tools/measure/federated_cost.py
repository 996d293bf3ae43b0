"""What sharing costs a device and a server: run by tools/federated_cost where edgecl and Flower are installed.

Processes are started as users start them. Of one command: CPU by `wait4`, and its highest resident memory. Programs of
a round start others, and are looked at five times a second: resident memory of all of them together, at its highest.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np

from edgecl.federation.app import quiet_environment, write_app
from edgecl.learner import Learner
from measure.cases import note
from measure.plugged_processes import free_port

BIN = Path(sys.executable).parent
NODES = 3
WAIT_S = 600
STEP_S, LOOK_S = 0.2, 0.005
FLEET = {"25 words": ("voice", 96, 25, 12), "12 movements": ("imu", 936, 12, 50)}  # extractor, D, classes, samples


def taught(store: Path, kind: str, seed: int) -> None:
    """Make a store of latents around means that all stores have."""
    extractor, dimension, classes, samples = FLEET[kind]
    means = np.random.default_rng(0).standard_normal((classes, dimension))
    draw, lesson = np.random.default_rng(seed + 1), {}
    for number, mean in enumerate(means):
        rows = mean + draw.standard_normal((samples, dimension))
        lesson[f"class {number:02d}"] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    learner = Learner.create(store, extractor=extractor)
    learner.learn(lesson, latents=True, force=True, strategy="closed-form", distinct=True)


def spent(*arguments: object) -> tuple[float, float]:
    """Run a command of edgecl; return its CPU seconds and peak memory in MB."""
    with Path(os.devnull).open("wb") as nowhere:
        process = subprocess.Popen([BIN / "edgecl", *map(str, arguments)], stdout=nowhere)
    peak = 0.0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak = max(peak, _peak_mb(process.pid))
        time.sleep(LOOK_S)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):  # a rejected merge has done all of the work
        raise RuntimeError(f"edgecl {arguments[0]} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, peak


def _peak_mb(pid: int) -> float:
    """Return the highest resident memory of a process so far; that of `wait4` begins with its parent's."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1e3
    return 0.0


def file_rows(folder: Path) -> list[dict[str, Any]]:
    """Return what share and merge cost, of words and of movement."""
    rows = []
    for kind in FLEET:
        place = folder / kind
        place.mkdir()
        names = [f"device {number}" for number in range(5)]
        for seed, name in enumerate(names):
            taught(place / name, kind, seed)
        shares = [place / f"{name}.share" for name in names]
        for name, file in list(zip(names, shares, strict=True))[1:]:
            spent("share", place / name, "-o", file)
        figures = {
            "share": spent("share", place / names[0], "-o", shares[0]),
            "merge one": spent("merge", place / names[0], shares[1], "--distinct"),
            "merge three more": spent("merge", place / names[0], *shares[2:], "--distinct"),
            "status": spent("status", place / names[0]),
        }
        for what, (cpu, peak) in figures.items():
            size = f"{shares[0].stat().st_size / 1e3:.0f}"
            cost = {"CPU s": f"{cpu:.2f}", "peak RSS, MB": f"{peak:.0f}"}
            rows.append({"of": kind, "command": what, **cost, "file, KB": size})
    return rows


class Tree:
    """A program and all that it has started, looked at until it ends."""

    def __init__(self, pid: int) -> None:
        self._known, self.peak_mb, self._cpu = {pid}, 0.0, dict[int, float]()

    @property
    def cpu_s(self) -> float:
        """Seconds of all that were seen."""
        return sum(self._cpu.values())

    def look(self, found: dict[int, tuple[int, float, float]]) -> None:
        """Take in the processes of the machine: parent, CPU seconds and resident MB by number."""
        grown = True
        while grown:
            fresh = {pid for pid, (parent, _, _) in found.items() if parent in self._known} - self._known
            self._known |= fresh
            grown = bool(fresh)
        self._cpu.update({pid: found[pid][1] for pid in self._known & found.keys()})
        self.peak_mb = max(self.peak_mb, sum(found[pid][2] for pid in self._known & found.keys()))


def processes() -> dict[int, tuple[int, float, float]]:
    """Return parent, CPU seconds and resident MB of every process."""
    tick, page, found = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"), {}
    for one in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = one.read_text().rpartition(")")[2].split()
            cpu = (int(fields[11]) + int(fields[12])) / tick
            found[int(one.parent.name)] = (int(fields[1]), cpu, int(fields[21]) * page / 1e6)
    return found


@contextmanager
def watched(trees: dict[str, Tree]) -> Iterator[None]:
    """Look at the trees meanwhile."""
    ended = Event()

    def look() -> None:
        while not ended.wait(STEP_S):
            found = processes()
            for tree in list(trees.values()):
                tree.look(found)

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def round_rows(folder: Path) -> list[dict[str, Any]]:
    """Return what a round with three nodes costs each of its programs."""
    port, home, app = free_port(), folder / "home", folder / "fleet"
    home.mkdir()
    link = f'address = "127.0.0.1:{port}"\ninsecure = true\n'
    (home / "config.toml").write_text(f'[superlink]\ndefault = "lo"\n\n[superlink.lo]\n{link}')
    environ = quiet_environment(
        {**os.environ, "FLWR_HOME": str(home), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    )
    write_app(app, nodes=NODES, timeout_s=200)
    for number in range(NODES):
        taught(folder / f"device {number}", "25 words", number)
    trees, started = dict[str, Tree](), list[subprocess.Popen[bytes]]()

    def start(name: str, *line: object) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("wb") as log:
            made = subprocess.Popen(list(map(str, line)), env=environ, stdout=log, stderr=log, start_new_session=True)
        trees[name] = Tree(made.pid)
        started.append(made)
        return made

    with watched(trees):
        try:
            start("server", BIN / "edgecl", "federate", "serve", "--port", port)
            _wait_for(port)
            for number in range(NODES):
                where = (folder / f"device {number}", f"127.0.0.1:{port}", "--port", free_port(), "--distinct")
                start(f"node {number}", BIN / "edgecl", "federate", "join", *where)
            time.sleep(20)  # until nothing starts any more
            before = {name: tree.cpu_s for name, tree in trees.items()}
            begun = time.monotonic()
            run = start("flwr run", BIN / "flwr", "run", app, "lo", "--stream")
            run.wait(WAIT_S)
            took = time.monotonic() - begun
            log = (folder / "flwr run.log").read_text(errors="replace")
            if f"round 1: {NODES} of {NODES} nodes replied" not in log:
                raise RuntimeError(f"the round was not whole: {log[-2000:]}")
            note(f"the round took {took:.0f} s")
        finally:
            for one in reversed(started):
                with suppress(ProcessLookupError):
                    one.send_signal(signal.SIGTERM)
            for one in started:
                one.wait(60)
    rows = []
    for name, tree in trees.items():
        idle = before.get(name, 0.0)
        rows.append(
            {
                "program": name,
                "starting, CPU s": f"{idle:.1f}",
                "the round, CPU s": f"{tree.cpu_s - idle:.1f}",
                "peak RSS of all its processes, MB": f"{tree.peak_mb:.0f}",
            }
        )
    return rows


def _wait_for(port: int) -> None:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.3)
    raise RuntimeError("the SuperLink does not listen")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=("files", "flower"), required=True)
    arguments = parser.parse_args()
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for part, rows_of in (("files", file_rows), ("flower", round_rows)):
            if part in arguments.only:
                (Path(folder) / part).mkdir()
                tables[part] = rows_of(Path(folder) / part)
    arguments.json.write_text(json.dumps(tables, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
