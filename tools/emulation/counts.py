"""Count the ARM instructions of the shipped kernels, and of C compiled by gcc for the same processor.

QEMU's plugin counts what the emulated program executes: the same number at each run, on any host. It knows no caches
and no pipeline, so a count is no time.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.environments import CommandError, child_environ, run
from emulation.arm64 import DEFAULT, QEMU, Arm64

FOLDER = Path(__file__).with_name("counts")
RECORD = FOLDER / "expected.json"
# what a workload is like, (classes, dimension)
WORKLOADS = {"words": (29, 96), "exercises": (12, 936), "intents": (151, 384), "digits": (10, 64)}
# (what, label of the shipped kernel in workload.c, of its reference, units in a call)
KERNELS = (("update step of 32", 2, 3, 1), ("Fisher row", 4, 5, 64), ("herding pick of 100", 6, 7, 20))
FRAME = "80 ms frame"
BAND = 0.10  # a compiler's next version may change that much; what a kernel gains or loses by a mistake is more
HIGHEST_RATIO = 1.5  # to gcc
REFERENCE_FLAGS = ("-O3", f"-mcpu={DEFAULT}", "-ffast-math")


def check_counts(made: Arm64, *, record: bool = False) -> bool:
    """Print the table; False where a count has left its band, or is too far above gcc's.

    Parameters
    ----------
    record
        Take what is counted for what is expected from now on.
    """
    with tempfile.TemporaryDirectory() as scratch:
        counted, references = _counted(made, Path(scratch))
    if record:
        RECORD.write_text(json.dumps(counted, indent=1) + "\n")
    expected = json.loads(RECORD.read_text())
    if expected.keys() != counted.keys():
        raise CommandError("comparing counts: others are expected, use tools/arm count --record")
    print(f"ARM64 instructions on {DEFAULT} (emulated; a count is no time), gcc {' '.join(REFERENCE_FLAGS)}\n")
    print("| what | shipped | gcc | shipped / gcc | expected | change |\n|---|---|---|---|---|---|")
    faults = []
    for what, count in counted.items():
        change, reference = count / expected[what] - 1, references.get(what)
        beside = f"{reference:,} | {count / reference:.2f}" if reference else "– | –"
        print(f"| {what} | {count:,} | {beside} | {expected[what]:,} | {change:+.1%} |")
        if abs(change) > BAND:
            faults.append(f"{what}: {change:+.1%}, the band is ±{BAND:.0%}: see why, then tools/arm count --record")
        if reference and count / reference > HIGHEST_RATIO:
            faults.append(f"{what}: {count / reference:.2f} times what gcc takes, wanted at most {HIGHEST_RATIO}")
    for fault in faults:
        print(f"FAILED: {fault}")
    return not faults


def _counted(made: Arm64, scratch: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Instructions of what is shipped and of the references, by what they do."""
    plugin, program, reference = scratch / "counter.so", scratch / "workload", scratch / "reference.o"
    cross = "aarch64-linux-gnu-gcc"
    run(["gcc", "-O2", "-shared", "-fPIC", "-o", plugin, FOLDER / "counter.c"])
    run([cross, *REFERENCE_FLAGS, "-c", FOLDER / "reference.c", "-o", reference])
    run([cross, "-O2", FOLDER / "workload.c", reference, "-o", program, "-lm", "-ldl"])
    library = next(made.venv.glob("lib/*/site-packages/edgecl_kernels/libedgecl_kernels.so"))
    shipped, references = {}, {}
    for name, (classes, dimension) in WORKLOADS.items():
        words: list[str | Path] = [program, library, DEFAULT.replace("-", "_"), str(classes), str(dimension)]
        labels = _run(made, plugin, words)
        for what, one, other, units in KERNELS:
            key = f"{what}, {name} ({classes} × {dimension})"
            shipped[key], references[key] = round(labels[one] / units), round(labels[other] / units)
    python = next((made.root / "usr" / "bin").glob("python3.*[0-9]"))
    shipped[FRAME] = _run(made, plugin, ["-0", made.program("python"), python, FOLDER / "frame.py"])[2]
    return shipped, references


def _run(made: Arm64, plugin: Path, words: Sequence[str | Path]) -> Mapping[int, int]:
    """Run a program under the plugin: the last count of each label, less that of an empty stretch (label 1)."""
    options = ["-cpu", DEFAULT, "-plugin", str(plugin), "-L", str(made.folder / DEFAULT)]
    command = [QEMU, *options, *map(str, words)]
    environ = child_environ(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", PYTHONHASHSEED="0")
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"exit code {done.returncode} from {Path(str(words[0])).name}: {done.stderr[-2000:]}")
    lines = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("instructions ")]
    labels = {int(label): int(count) for label, count in lines}
    return {label: count - labels[1] for label, count in labels.items()}
