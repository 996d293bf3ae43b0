"""Ten thousand devices summed on one machine: run by tools/federated_scale where edgecl is installed.

Devices are simulated: unit latents of 200 classes around means of their own, D = 96, of which each device has a few.
Every share is written and read as its file is, checked, and added to the streamed sums; nothing of it is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np

from edgecl.model.shares import Share
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.sharing.checks import require_fits
from edgecl.sharing.share_file import Shape, decode, encode
from edgecl.sharing.sums import Sums

D, CLASSES, OWN, SAMPLES = 96, 200, 20, 5
SHAPE = Shape("0" * 64, D, D, 0, 0, 0)
STEPS = 8  # at which memory is looked at


def file_of(number: int, means: np.ndarray[Any, np.dtype[np.float64]]) -> bytes:
    """Return the file of a simulated device."""
    draw, held = np.random.default_rng(number), {}
    for label in draw.choice(CLASSES, OWN, replace=False):
        rows = means[label] + 0.5 * draw.standard_normal((SAMPLES, D))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        scatter = np.empty(packed_length(D))
        count, mean = accumulate(None, [rows.astype(np.float32)], scatter)
        held[f"word {label:03d}"] = ClassStatistics(count, mean, scatter.astype(np.float32))
    return encode(Share(f"{number:08d}", "device", 1, "", held), SHAPE, half=True, compact=True)


def summed(devices: int) -> list[dict[str, Any]]:
    """Sum so many devices, and return what that took so far at each step."""
    means = np.random.default_rng(0).standard_normal((CLASSES, D))
    sums, rows, size, cpu = Sums(), [], 0, 0.0
    for number in range(devices):
        data = file_of(number, means)
        started = time.process_time()
        found = decode(data, source="device")
        require_fits(found, SHAPE, own="server", is_unit=True)
        sums.add(found.share.statistics)
        cpu, size = cpu + time.process_time() - started, size + len(data)
        if (number + 1) % max(devices // STEPS, 1) == 0:
            rows.append(
                {
                    "devices": number + 1,
                    "KB a device": round(size / (number + 1) / 1e3, 1),
                    "CPU ms a device": round(1e3 * cpu / (number + 1), 2),
                    "sums, MB": round(sums.nbytes / 1e6, 1),
                    "peak RSS, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
                }
            )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.json.write_text(json.dumps(summed(arguments.devices), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
