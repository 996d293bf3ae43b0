"""Measure what a lesson costs as a whole process; run by tools/lesson_cost where edgecl is installed."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from edgecl.demo.clips import KNOWN_WORDS, NEW_WORDS, voice_clips
from edgecl.sources.sound import encode_wav

CLIPS = 5
STARTED = """
import os, sys
os.environ.update(OPENBLAS_NUM_THREADS="1", ORT_DISABLE_TELEMETRY="1")
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 3
onnxruntime.InferenceSession(open(sys.argv[1], "rb").read(), options, providers=["CPUExecutionProvider"])
"""
# without its bytecode, edgecl would be compiled at each start; the first round writes it
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
EDGECL = [sys.executable, "-m", "edgecl.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), rounds=arguments.rounds)
    arguments.json.write_text(json.dumps(figures, indent=1))


def measured(folder: Path, *, rounds: int) -> dict[str, str]:
    """Run each kind of process in turn, so that all have the same neighbours; the first round is left out."""
    words = written(folder / "known", KNOWN_WORDS, most=20)
    lesson = written(folder / "new", NEW_WORDS[:1], most=CLIPS)
    kept, store = folder / "kept", folder / "kitchen"
    run([*EDGECL, "init", str(kept), "--extractor", "voice"])
    run([*EDGECL, "learn", str(kept), str(words), "--no-via"])
    kinds = {"started": [], "lesson": [], "handed over": []}  # type: dict[str, list[tuple[float, float, float]]]
    for _ in range(rounds + 1):
        kinds["started"].append(run([sys.executable, "-c", STARTED, str(kept / "extractor.onnx")]))
        fresh(kept, store)
        kinds["lesson"].append(run([*EDGECL, "learn", str(store), str(lesson), "--no-via"]))
        fresh(kept, store)
        kinds["handed over"].append(by_a_listener(store, lesson, folder / "control"))
    return shown({name: found[1:] for name, found in kinds.items()})


def by_a_listener(store: Path, lesson: Path, control: Path) -> tuple[float, float, float]:
    """A lesson that a listener, which has been running for a second, is given by its client."""
    command = [*EDGECL, "listen", str(store), "--control", str(control)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as listener:
        while not (store / "listener.json").exists():
            time.sleep(0.05)
        time.sleep(1)
        cost = run([*EDGECL, "learn", str(store), str(lesson), "--via", str(control)])
        listener.terminate()
    return cost


def run(command: Sequence[str]) -> tuple[float, float, float]:
    """Wall and processor time in ms and peak memory in MB of a process."""
    begins = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return (time.perf_counter() - begins) * 1e3, (used.ru_utime + used.ru_stime) * 1e3, used.ru_maxrss / 1e3


def shown(kinds: dict[str, list[tuple[float, float, float]]]) -> dict[str, str]:
    """Medians of each kind, the least processor time, and the median of the rounds' ratios to the start."""
    figures = {}
    for name, found in kinds.items():
        wall, processor, memory = (statistics.median(one) for one in zip(*found, strict=True))
        ratio = statistics.median(one[1] / base[1] for one, base in zip(found, kinds["started"], strict=True))
        least = min(one[1] for one in found)
        figures[f"{name}: wall, processor (least), ms"] = f"{wall:.0f}, {processor:.0f} ({least:.0f})"
        figures[f"{name}: peak memory, MB; processor time to that of starting"] = f"{memory:.0f}; {ratio:.2f}"
    figures["rounds; load of the machine"] = f"{len(kinds['lesson'])}; {os.getloadavg()[0]:.1f}"
    return figures


def written(folder: Path, words: Sequence[str], *, most: int) -> Path:
    """Clips of the demo as <word>/<number>.wav."""
    for split in ("teach", "new"):
        for word in words:
            found = [one for one in voice_clips(split) if one.label == word][:most]
            for number, one in enumerate(found):
                path = folder / word / f"{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode_wav(one.signal, rate_hz=16_000))
    return folder


def fresh(kept: Path, store: Path) -> None:
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(kept, store)


if __name__ == "__main__":
    main()
