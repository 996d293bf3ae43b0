"""The same lesson on this machine and on ARM64: the same answers, and each opens the other's store."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.environments import CommandError, child_environ
from emulation.arm64 import Arm64

LESSON = Path(__file__).with_name("lesson.py")
SHIPPED = ("words", "exercises")
RECORDED = ("speech_commands", "fsdd")
TOLERANCE = 1e-4  # of a head, as a share of its largest weight


def check_answers(made: Arm64, host: Path, scratch: Path, sets: Sequence[str], *, few: bool) -> bool:
    """Teach both machines, let each visit the other's store, and print what they have in common.

    Parameters
    ----------
    host
        Python of an environment on this machine with the same wheel.
    few
        A few clips of each class.
    """
    here, there = scratch / "host", scratch / "arm64"
    emulated = made.program("python")
    size = ["--few"] if few else []
    _lesson(host, "teach", here, *size, *sets)
    _lesson(emulated, "teach", there, "--visit", here, *size, *sets)
    _lesson(host, "teach", here, "--visit", there, *size, *sets)
    found = json.loads(_lesson(host, "compare", here, there, *sets))
    judged = [_judge(name, one) for name, one in found.items()]
    return all(judged)


def _lesson(python: Path, *arguments: str | Path) -> str:
    environ = child_environ(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    command = [str(one) for one in (python, LESSON, *arguments)]
    done = subprocess.run(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"exit code {done.returncode} from: {' '.join(command)}")
    return done.stdout


def _judge(name: str, found: dict[str, Any]) -> bool:
    differences = found["differences"]
    heads = [value for key, value in differences.items() if key.startswith("head")]
    faults = []
    if found["other_labels"] or any(found["visited_other_labels"]):
        faults.append(f"other labels: {found['other_labels']}, in visited stores {found['visited_other_labels']}")
    if any(value is None or value > TOLERANCE for value in heads):
        faults.append(f"heads differ by more than {TOLERANCE}")
    faults += [f"a visited store is damaged: {one}" for one in found["visited_damage"]]
    if len(set(found["visited_lesson_accepted"])) > 1:
        faults.append("a lesson is accepted on one machine and rejected on the other")
    same = [key for key, value in differences.items() if value == 0]
    others = [
        f"{key} {value:.0e}" if value else f"{key} of another shape" for key, value in differences.items() if value != 0
    ]
    machines = " and ".join(found["machines"])
    print(f"{name}: {found['samples']} samples, {found['accuracy']:.1%} right, {machines} (emulated)")
    print(f"  the same bits: {', '.join(same) or 'nothing'}; largest difference: {', '.join(others) or 'none'}")
    good = "the same labels; each opened, checked and taught the store of the other"
    print(f"  {'FAILED: ' + '; '.join(faults) if faults else good}")
    return not faults
