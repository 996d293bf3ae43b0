"""What `edgecl doctor` tries in processes of its own: an illegal instruction is a finding, not the end.

Run as `python -m edgecl.cli.probe NAME [ARGUMENT]`; prints one JSON object.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

TIMEOUT_S = 300  # the first kernels of a Pi Zero are compiled for minutes


def run(name: str, argument: str = "") -> dict[str, Any]:
    """The result of a probe; {"fault": ...} where it failed or its process was killed."""
    command = [sys.executable, "-m", "edgecl.cli.probe", name, argument]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return {"fault": f"no answer within {TIMEOUT_S} s"}
    if done.returncode < 0:
        killer = signal.Signals(-done.returncode)
        advice = ": this build is for another processor" if killer is signal.SIGILL else ""
        return {"fault": f"killed by {killer.name}{advice}"}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"fault": lines[-1] if lines else f"ended with code {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def package(module: str) -> dict[str, Any]:
    """Import a package."""
    import_module(module)
    return {}


def kernels(_: str) -> dict[str, Any]:
    """Run a small kernel, and say what runs it and why nothing better does."""
    import edgecl_kernels
    import numpy as np

    started = time.perf_counter()
    edgecl_kernels.quantise_rows(np.ones((1, 4), np.float32), np.empty((1, 4), np.int8), np.empty(1, np.float32))
    elapsed_ms = 1e3 * (time.perf_counter() - started)
    used = edgecl_kernels.implementation()
    return {"implementation": used.detail, "passed_over": used.passed_over, "first_call_ms": round(elapsed_ms, 1)}


def extractor(path: str) -> dict[str, Any]:
    """Run an extractor, or the built-in one of a name, on one clip of nothing."""
    import numpy as np

    from edgecl.extractors.opening import extractor_file, open_extractor

    opened = open_extractor(extractor_file(path))
    contract = opened.contract
    signal = np.zeros((max(contract.clip_samples, 1), len(contract.channels)), np.float32)
    opened.latents([signal])
    started = time.perf_counter()
    latents = opened.latents([signal])
    elapsed_ms = 1e3 * (time.perf_counter() - started)
    if not np.isfinite(latents).all():
        raise ValueError("it answers silence with NaN or infinity")
    return {"modality": contract.modality, "dimension": contract.dimension, "clip_ms": round(elapsed_ms, 2)}


def verifier(_: str) -> dict[str, Any]:
    """Look for the network of the second stage, and measure what a window takes."""
    from edgecl.extractors.opening import verifier_file
    from edgecl.extractors.verifier import LONGEST_MS, Verifier
    from edgecl.spotting.reference import WINDOW_SAMPLES

    file = verifier_file()
    if file is None:
        return {"installed": False, "window_ms": None, "decides": False}
    window_ms = Verifier(file).window_ms(WINDOW_SAMPLES)
    return {"installed": True, "window_ms": round(window_ms, 2), "decides": window_ms <= LONGEST_MS}


def student(_: str) -> dict[str, Any]:
    """Read the student that ships, and measure what a hop takes that it is asked about; a note where it is unusable."""
    from edgecl.spotting.student import FILE, read_student

    try:
        found = read_student()
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"decides": False, "hop_us": None, "note": f"{FILE.name} cannot be used: {error}"}
    return {"decides": True, "hop_us": round(found.hop_us(), 1)}


PROBES: dict[str, Callable[[str], dict[str, Any]]] = {
    "package": package,
    "kernels": kernels,
    "extractor": extractor,
    "verifier": verifier,
    "student": student,
}


if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]](sys.argv[2])))
