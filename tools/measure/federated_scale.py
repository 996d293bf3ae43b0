"""Ten thousand devices summed on one machine: run by tools/federated_scale where edgecl is installed.

Devices are simulated: unit latents of 200 classes around means of their own, D = 96, of which each device has a few.
Every share is taken by the fleet of the Flower app: checked and kept on disk; then all are screened and summed, one in
memory at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np

from edgecl.federation.fleet import Fleet
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.sharing.share_file import Shape, encode

D, CLASSES, OWN, SAMPLES = 96, 200, 20, 5
SHAPE = Shape("0" * 64, D, D, 0, 0, 0)
DRAWN = 50  # devices that are drawn; the others share the same under names of their own
STEPS = 8  # at which memory is looked at
SUMS = 40  # devices whose sum of the others is made
FLOOR = 0.03


@cache
def drawn(number: int) -> dict[str, ClassStatistics]:
    """Return what a simulated device has learnt."""
    means = np.random.default_rng(0).standard_normal((CLASSES, D))
    draw, held = np.random.default_rng(number + 1), {}
    for label in draw.choice(CLASSES, OWN, replace=False):
        rows = means[label] + 0.5 * draw.standard_normal((SAMPLES, D))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        scatter = np.empty(packed_length(D))
        count, mean = accumulate(None, [rows.astype(np.float32)], scatter)
        held[f"word {label:03d}"] = ClassStatistics(count, mean, scatter.astype(np.float32))
    return held


def file_of(number: int) -> bytes:
    """Return the file of a simulated device."""
    return encode(Share(f"{number:016x}", "device", 1, "", drawn(number % DRAWN)), SHAPE, half=True, compact=True)


def summed(devices: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Have a server's fleet take so many devices, screen them and make the sums of others for some of them."""
    fleet, rows, size, cpu = Fleet(folder, floor=FLOOR), [], 0, 0.0
    for number in range(devices):
        data = file_of(number)
        started = time.process_time()
        assert fleet.take(data, source="device") is not None, fleet.refused
        cpu, size = cpu + time.process_time() - started, size + len(data)
        if (number + 1) % max(devices // STEPS, 1) == 0:
            rows.append(
                {
                    "devices": number + 1,
                    "KB a device": round(size / (number + 1) / 1e3, 1),
                    "taking, CPU ms a device": round(1e3 * cpu / (number + 1), 1),
                    "on disk, MB": round(size / 1e6),
                    "peak RSS, MB": _peak_mb(),
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return {"taken": rows, "round": [_round(fleet)]}


def _round(fleet: Fleet) -> dict[str, Any]:
    """Screen and sum what a fleet has, and make every n-th device's sum of the others."""
    started = time.process_time()
    sums = fleet.sums(round_number=1)
    screened = time.process_time() - started
    some = list(sums)[:: max(len(sums) // SUMS, 1)]
    started = time.process_time()
    size = sum(len(sums[device]) for device in some)
    made = time.process_time() - started
    return {
        "devices": len(sums),
        "left out": len(fleet.refused),
        "screening and summing, CPU s": round(screened),
        "a device's sum of the others, CPU ms": round(1e3 * made / len(some), 1),
        "its MB": round(size / len(some) / 1e6, 2),
        "all of them, CPU s": round(made / len(some) * len(sums)),
        "all of them, GB": round(size / len(some) * len(sums) / 1e9, 1),
        "peak RSS, MB": _peak_mb(),
    }


def _peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arguments.json.write_text(json.dumps(summed(arguments.devices, Path(folder)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
