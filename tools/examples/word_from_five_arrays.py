#!/usr/bin/env python3
"""Teach a voice store ten words, then one more from five numpy arrays, and undo a lesson with swapped labels.

The clips are the demo's: synthetic voices, other ones to test than to teach.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edgecl
from edgecl.demo.clips import voice_clips


def signals(split: str) -> dict[str, list[NDArray[np.float32]]]:
    """Return clips (samples, 1) at 16 kHz by word."""
    found: dict[str, list[NDArray[np.float32]]] = {}
    for clip in voice_clips(split):
        found.setdefault(str(clip.label), []).append(clip.signal)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        learner = edgecl.Learner.create(Path(folder, "kitchen"), extractor="voice")
        learner.learn(signals("teach"))

        report = learner.learn({"coffee": signals("new")["coffee"][:5]})
        print(f"coffee: accepted {report.verdict.accepted}, revision {report.revision}")

        evaluation = learner.evaluate({**signals("test"), "coffee": signals("new-test")["coffee"]})
        print(f"{len(learner.classes)} words, balanced accuracy {evaluation.balanced_accuracy:.1%}")
        answer = learner.predict(signals("new-test")["coffee"][0])[0]
        assert not isinstance(answer, edgecl.Skip)
        print(f"one clip: {answer.label} ({answer.confidence:.0%}), novelty {answer.novelty:.2f}")

        swapped = learner.learn({"yes": signals("test")["no"], "no": signals("test")["yes"]})
        print(f"labels swapped: accepted {swapped.verdict.accepted}, because {swapped.verdict.reasons[0]}")
        print(f"live: still revision {learner.revision}")


if __name__ == "__main__":
    main()
