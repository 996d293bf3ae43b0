"""All phases of a lesson, measured on this board: rounds, environment, workload."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import edgecl
from edgecl.bench import board, results
from edgecl.bench.fixture import Bed, prepare_bed, scratch_folder
from edgecl.bench.phases import PHASES, Samples
from edgecl.extractors.contract import Contract
from edgecl.operations.open_store import OpenStore
from edgecl.progress import watched

ROUNDS = 20


@watched
def measure(
    store: Path | None = None, *, command: Sequence[str], rounds: int = ROUNDS
) -> Generator[str, None, dict[str, Any]]:
    """Time every phase; its stages say what is being done, its report is the run as plain JSON.

    Parameters
    ----------
    store
        Measured on copies in a temporary folder next to it, and left as it is; None: one that is taught the demo's
        words.
    command
        How a process of edgecl is started: a verb and its arguments follow.
    rounds
        Lessons; ten times as many of short phases, a quarter as many processes.

    Raises
    ------
    ModelError
        When the store has learnt nothing yet, is damaged or missing.
    EdgeclError
        When a lesson fails in a process of its own.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    if store is not None:
        OpenStore.open(store)  # reports what is wrong with the path before a folder is made next to it
    with tempfile.TemporaryDirectory(prefix=".edgecl-bench-", dir=scratch_folder(store)) as name:
        yield "preparing a store"
        bed = prepare_bed(store, Path(name), command=command)
        before, timings = board.state(), Samples()
        for what, phase in PHASES.items():
            yield what
            timings |= phase(bed, rounds)
        after = board.state()
        environment = {**_environment(bed), "before": before, "after": after}
    return {
        "schema_version": results.SCHEMA_VERSION,
        "time": started,
        "marks": board.marks(environment, before, after),
        "remarks": [*board.remarks(before, os.cpu_count() or 1), *bed.remarks],
        "environment": environment,
        "workload": _workload(bed),
        "rounds": rounds,
        "phases": {name: {**results.summary(one), "samples_ms": one} for name, one in timings.items()},
        "frame": _real_time(timings, bed.extractor.contract),
        "memory": bed.memory,
        "lesson": bed.lesson_report,
    }


# What is reported next to the timings


def _environment(bed: Bed) -> dict[str, Any]:
    from edgecl_kernels import implementation

    return {
        **board.machine(),
        "edgecl": edgecl.__version__,
        "numpy": metadata.version("numpy"),
        "onnxruntime": _version("onnxruntime"),
        "kernels": implementation().detail,
        "extractor_digest": bed.extractor.digest,
        "head_digest": bed.model.digests["head"],
        "filesystem": board.filesystem(bed.folder),
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _workload(bed: Bed) -> dict[str, Any]:
    """What was measured: runs that differ in it are no measure of each other."""
    settings = bed.model.settings
    return {
        "extractor": bed.extractor.digest,
        "classes": len(bed.model.labels),
        "dimension": settings.features.dimension,
        "memory_bytes": settings.memory_bytes,
        "signals": bed.signals,
        "samples": len(bed.samples),
    }


def _real_time(timings: Samples, contract: Contract) -> dict[str, float] | None:
    """Time for a frame over the time that it lasts: below 1 it keeps up with the signal."""
    if "extract frame" not in timings:
        return None
    frame_ms = 1e3 * contract.hop_samples / contract.sample_rate_hz
    quantiles = results.summary(timings["extract frame"])
    return {"frame_ms": frame_ms, **{f"real_time_factor_{name}": one / frame_ms for name, one in quantiles.items()}}
