"""Latents without end: every one goes into its class's statistics and is offered as an exemplar; memory is watched.

Usage: python -m peers.stream COUNT, where edgecl is installed; prints a JSON line at each twentieth of the way.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from edgecl.model.exemplars import Exemplars, dequantise, herd, quantise, quotas
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length

DIMENSION, CLASSES = 96, 29
AT_ONCE = 500  # latents of one class that come together
EXEMPLAR_BYTES = 1 << 18
POINTS = 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def taken_in(
    latents: np.ndarray, known: ClassStatistics | None, kept: Exemplars | None, keep: int
) -> tuple[ClassStatistics, Exemplars]:
    """A class's statistics and exemplars after more of its latents."""
    rows = quantise(latents)
    scatter = np.empty(packed_length(DIMENSION), np.float64)
    count, mean = accumulate(known, [dequantise(rows.rows, rows.scales)], scatter)
    if kept is not None:
        rows = Exemplars(np.concatenate([kept.rows, rows.rows]), np.concatenate([kept.scales, rows.scales]))
    return ClassStatistics(count, mean, scatter.astype(np.float32)), herd(rows, mean, keep=keep)


def main() -> None:
    total = int(sys.argv[1])
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CLASSES, DIMENSION), np.float32)
    statistics: dict[int, ClassStatistics] = {}
    exemplars: dict[int, Exemplars] = {}
    labels = {str(one): AT_ONCE for one in range(CLASSES)}
    keep = min(quotas(labels, capacity_bytes=EXEMPLAR_BYTES, row_dimension=DIMENSION).values())
    seen, spent, told = 0, 0.0, 0
    while seen < total:
        one = seen // AT_ONCE % CLASSES
        latents = centres[one] + generator.standard_normal((AT_ONCE, DIMENSION), np.float32)
        started = time.perf_counter()
        statistics[one], exemplars[one] = taken_in(latents, statistics.get(one), exemplars.get(one), keep)
        spent += time.perf_counter() - started
        seen, told = seen + AT_ONCE, told + AT_ONCE
        if told * POINTS >= total:
            point = {"latents": seen, "resident_bytes": resident_bytes(), "seconds_each": spent / told}
            print(json.dumps(point), flush=True)
            told, spent = 0, 0.0
    assert sum(known.count for known in statistics.values()) == seen


if __name__ == "__main__":
    main()
