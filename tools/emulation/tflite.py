"""TFLite extractors with both runtimes, on this machine and on ARM64, beside ONNX: the same latents, the same labels.

The model is the speech embedding of the voice extractor as TFLite, from the wheel `pyopen-wakeword` (Apache-2.0). It is
installed for this test and goes nowhere else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from common.environments import CommandError, child_environ, environment
from emulation.arm64 import Arm64, beside

LESSON = Path(__file__).with_name("tflite_lesson.py")
MODEL = "lib/*/site-packages/pyopen_wakeword/models/embedding_model.tflite"
OLDER = ("tflite-runtime", "numpy<2")  # with numpy 2 it is imported, and ends the process when it is used
OLDER_PYTHON = (3, 11)  # the last that it has wheels for
TOLERANCE = 1e-4  # of latents, whose length is one, as a share of the largest number


def check_tflite(made: Arm64, scratch: Path) -> bool:
    """Teach one lesson by ONNX and by every TFLite runtime that there is, and print how far they are apart."""
    with environment("tflite", extras="export,tflite", requirements=["pyopen-wakeword"]) as host:
        python = host / "bin" / "python"
        _run(python, "prepare", scratch, next(host.glob(MODEL)))
        _teach(python, scratch, "onnx", "onnx-x86_64")
        _teach(python, scratch, "tflite", "ai-edge-litert-x86_64")
        _teach(beside(made, "ai-edge-litert", "ai-edge-litert"), scratch, "tflite", "ai-edge-litert-aarch64")
        _teach(beside(made, "tflite-runtime", *OLDER), scratch, "tflite", "tflite-runtime-aarch64")
        if sys.version_info[:2] <= OLDER_PYTHON:
            with environment("tflite-runtime", extras="", requirements=OLDER) as older:
                _teach(older / "bin" / "python", scratch, "tflite", "tflite-runtime-x86_64")
        else:
            print(f"skipped: tflite-runtime has no wheel for Python {sys.version_info[0]}.{sys.version_info[1]}")
        others = sorted(scratch.glob("answers/*-*64.npz"))
        others.remove(scratch / "answers" / "onnx-x86_64.npz")
        found = json.loads(_run(python, "compare", scratch / "answers" / "onnx-x86_64.npz", *others))
    sound = True
    for name, one in found.items():
        fits = one["other_labels"] == 0 and one["difference"] <= TOLERANCE
        sound = sound and fits
        print(
            f"{'passed' if fits else 'FAILED'} {name}: {one['samples']} clips, {one['accuracy']:.1%} right, "
            f"{one['other_labels']} other labels than ONNX, latents {one['difference']:.0e} apart"
        )
    print(f"latents may be {TOLERANCE:.0e} apart; aarch64 is emulated")
    return sound


def _teach(python: Path, scratch: Path, kind: str, name: str) -> None:
    (scratch / "answers").mkdir(exist_ok=True)
    _run(python, "teach", scratch, scratch / f"embedding.{kind}", scratch / "answers" / f"{name}.npz")


def _run(python: Path, *arguments: str | Path) -> str:
    environ = child_environ(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    command = [str(one) for one in (python, LESSON, *arguments)]
    done = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"exit code {done.returncode} from: {' '.join(command)}")
    return done.stdout
