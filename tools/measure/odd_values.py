"""Whole commands with odd values (device_tests/support/odd_values.py); `tools/fuzz` calls it.

python measure/odd_values.py --json FILE --seconds N [--runs N] [--seed N]

Counts the runs, and prints each that ended as none may, took too long, or left a store that is not sound.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: edgecl is the one that is installed

CHECKED_EVERY = 25
TOLD_EVERY = 1000
LARGEST_GROWTH_KIB = 64 << 10  # of the peak of resident memory, beyond that of the first runs
KEPT_KIB = 4  # of each run, by click: its cache of output streams lets none of those go that its test runner makes
WARM_RUNS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--runs", type=int, default=1 << 40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory, prefix="edgecl-odd-") as folder:
        figures = judged(Path(folder), arguments.seconds, arguments.runs, arguments.seed)
    arguments.json.write_text(json.dumps(figures))


def judged(folder: Path, seconds: float, runs: int, seed: int) -> dict[str, object]:
    """Make runs until there were enough of them or no time is left."""
    odd = import_module("device_tests.support.odd_values").OddValues(folder)
    until, done, found, warm = time.monotonic() + seconds, 0, 0, 0
    slowest = 0.0
    while done < runs and time.monotonic() < until:
        started = time.process_time()
        wrong = odd.judge(seed + done)
        slowest = max(slowest, time.process_time() - started)
        done += 1
        if done % CHECKED_EVERY == 0 and not odd.is_sound():
            wrong = wrong or f"a store is not sound after seed {seed + done - 1}"
        if wrong:
            found += 1
            print(f"seed {seed + done - 1}: {wrong}", file=sys.stderr, flush=True)
        if done % TOLD_EVERY == 0:
            print(f"{done:,} runs, {found} found", file=sys.stderr, flush=True)
        if done == WARM_RUNS:
            warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - warm if warm else 0
    if growth > LARGEST_GROWTH_KIB + KEPT_KIB * done:
        found += 1
        print(f"memory grew by {growth / 1024:.0f} MiB after the first {WARM_RUNS} runs", file=sys.stderr)
    return {"executions": done, "found": found, "slowest_s": round(slowest, 2), "growth_mib": round(growth / 1024, 1)}


if __name__ == "__main__":
    main()
