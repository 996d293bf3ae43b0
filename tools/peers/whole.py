"""Whole processes: wall time and peak memory of a lesson by `edgecl learn`, and of a first step with each peer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from common.splits import SETS, data_root, names_of, taking_part
from peers.rounds import Team, WorkerError, environ

WORDS, SHOTS, CLIPS = 29, 5, 10  # words that the store knows, clips of the new one and of each known one


def measured(command: Sequence[str | Path], variables: dict[str, str]) -> tuple[float, int, str]:
    """Run a command: seconds, peak of resident bytes, and what it printed."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    spent = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode:
        raise WorkerError(f"exit code {process.returncode} from {' '.join(map(str, command))}: {printed[-1000:]}")
    return spent, used.ru_maxrss * 1024, printed


def _summary(runs: list[tuple[float, int, str]]) -> dict[str, float]:
    seconds = [run[0] for run in runs]
    return {"median": median(seconds), "minimum": min(seconds), "peak_bytes": max(run[1] for run in runs)}


def cold_starts(teams: Sequence[tuple[str, str, Team]], *, rounds: int) -> dict[str, dict[str, float]]:
    """By peer: from the start of a process to its end after one step (D=384, C=150, B=32), interleaved."""
    runs: dict[str, list[tuple[float, int, str]]] = {"Python, numpy and the data alone": []}
    runs |= {name: [] for name, _, _ in teams}
    first = teams[0][2]
    for _ in range(rounds):
        for name, module, team in [("", "", first), *teams]:
            command = [str(team.python), "-m", "peers.worker", "--once", name, module]
            run = measured(command, environ(**dict(team.variables)))
            runs[name or "Python, numpy and the data alone"].append(run)
    return {name: _summary(of) for name, of in runs.items()}


def lesson(edgecl: Sequence[str | Path], scratch: Path, *, variables: dict[str, str], rounds: int) -> dict[str, Any]:
    """Five clips of a new word into a store of 29, `edgecl learn` from start to committed revision."""
    root, data = data_root(), SETS["speech_commands"]
    if not data.path(root).exists():
        return {"missing": f"there is no {data.name} in {root}: set EDGECL_DATA"}
    words, new = _words(root)
    store, variables = scratch / "store", environ(**variables)
    _link(root, words, CLIPS, scratch / "known")
    _link(root, [new], SHOTS, scratch / "new")
    measured([*edgecl, "init", store, "--extractor", "voice"], variables)
    measured([*edgecl, "learn", store, scratch / "known", "--force"], variables)
    runs = []
    for number in range(rounds):
        copy = scratch / f"copy{number}"
        shutil.copytree(store, copy)
        runs.append(measured([*edgecl, "learn", copy, scratch / "new", "--json", "--force"], variables))
        shutil.rmtree(copy)
    inside = [json.loads(printed)["ms"] / 1000 for _, _, printed in runs]
    return {"words": len(words), "new": new, **_summary(runs), "in_process": median(inside), "rounds": rounds}


def _words(root: Path) -> tuple[list[str], str]:
    """WORDS words to know and one to teach."""
    data = SETS["speech_commands"]
    labels, groups = names_of(data, root)
    taking = taking_part(data, labels, groups)
    others = (one for one in sorted(set(labels) - set(taking)) if one.isalpha() and labels.count(one) >= SHOTS)
    new = next(others, taking[-1])
    return [one for one in taking if one != new][:WORDS], new


def _link(root: Path, words: Sequence[str], clips: int, folder: Path) -> None:
    for word in words:
        (folder / word).mkdir(parents=True)
        for file in sorted((root / "speech_commands" / word).glob("*_*.*"))[:clips]:
            (folder / word / file.name).symlink_to(file)
