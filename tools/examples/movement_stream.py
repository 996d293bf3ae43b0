#!/usr/bin/env python3
"""Teach exercises from wrist movement, then follow a stream of somebody else, chunk by chunk.

The movement is simulated (acceleration and rotation, 50 Hz); it resembles a wrist, and is no person's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edgecl
from edgecl.demo.movement import RATE_HZ, recording, windows

EXERCISES = ("biceps curl", "squat", "rest")
WORKOUT = ("rest", "biceps curl", "rest", "squat", "rest")
SECONDS = 20.0
UNSEEN = 100  # a subject who taught nothing


def chunks() -> Iterator[NDArray[np.float32]]:
    """Yield a workout (samples, 6) in pieces of a quarter of a second, as a driver would hand it over."""
    for number, name in enumerate(WORKOUT):
        signal = recording(name, UNSEEN, seconds=SECONDS, seed=number)
        yield from np.array_split(signal, round(4 * len(signal) / RATE_HZ))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        learner = edgecl.Learner.create(Path(folder, "wrist"), extractor="imu")
        report = learner.learn(windows(EXERCISES, range(8), seconds=20.0))
        print(f"taught {report.samples} windows, accepted {report.verdict.accepted}")
        print(f"the stream: {', '.join(f'{name} {SECONDS:.0f} s' for name in WORKOUT)}")
        for event in learner.listen(chunks()):
            start, end = event.span
            print(f"{start:5.1f} to {end:5.1f} s: {event.label} ({event.confidence:.0%})")


if __name__ == "__main__":
    main()
