"""Measure one lesson into a store of a given size; run by tools/lesson_growth where edgecl is installed."""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from edgecl.extractors.opening import extractor_file
from edgecl.model.model import Model
from edgecl.model.settings import Settings, smallest_memory
from edgecl.operations.data import Latent
from edgecl.operations.open_store import OpenStore
from edgecl.operations.teaching import Report, teach
from edgecl.store.body_kinds import InitBody
from edgecl.store.store import Store

TAUGHT = 10  # samples of each class that the store knows
SPREAD = 0.3  # of samples about the mean of their class, whose own spread is 1
LOOK_S = 0.002  # between two looks at the memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("classes", "dimension", "samples", "memory"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.json.parent) as folder:
        measured(Path(folder, "small"), classes=3, dimension=32, samples=5, memory=1 << 20)  # loads what a lesson loads
        figures = measured(Path(folder, "store"), **{one: getattr(arguments, one) for one in SIZES})
    arguments.json.write_text(json.dumps(figures))


SIZES = ("classes", "dimension", "samples", "memory")


def measured(path: Path, *, classes: int, dimension: int, samples: int, memory: int) -> dict[str, Any]:
    """A store of so many classes, taught in one lesson, and a lesson of one class more."""
    settings = made(path, classes=classes, dimension=dimension, memory=memory)
    means = np.random.default_rng(0).normal(size=(classes + 1, dimension)).astype(np.float32)
    first = apart(lambda: taught(path, about(means[:classes], TAUGHT, first=0)), path.with_suffix(".json"))
    before, items = files(path), about(means[classes:], samples, first=classes)
    with written() as calls, memory_peak() as peak:
        lesson = taught(path, items)
    after = files(path)
    changed = [name for name in after if after[name] != before.get(name)]
    appended = "journal.jsonl"  # extended in place: what it had stays
    size = sum(after[one][0] - (before[one][0] if one == appended else 0) for one in changed)
    return {
        "first": first,
        "lesson": lesson,
        "least_bytes": smallest_memory(settings),
        "peak_bytes": peak["bytes"],
        "fsyncs": calls["fsync"],
        "files": len(changed),
        "written_bytes": calls["bytes"],
        "changed_bytes": size,
    }


def apart(work: Callable[[], dict[str, float]], output: Path) -> dict[str, float]:
    """Do something in a process of its own, so that what it needed is not in this one's memory."""
    child = os.fork()
    if not child:
        with suppress(BaseException):
            output.write_text(json.dumps(work()))
            os._exit(0)
        os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the first lesson failed")
    return dict(json.loads(output.read_text()))


def made(path: Path, *, classes: int, dimension: int, memory: int) -> Settings:
    """A store without a projection; the latents that it is taught come from no extractor."""
    settings = Settings(
        memory_bytes=memory,
        disk_bytes=1 << 38,
        max_classes=classes + 1,
        latent_dimension=dimension,
        shrinkage_floor=0.03,
    )
    stored = {"learner": settings.as_dict(), "disk_bytes": settings.disk_bytes, "keep_revisions": 10}
    body = InitBody(**Model(settings).body()).as_dict()
    Store.create(path, extractor=extractor_file("voice"), settings=stored, revision_body=body)
    return settings


def about(means: NDArray[np.float32], samples: int, *, first: int) -> list[Latent]:
    """So many samples about each mean, of classes that are numbered from `first` on."""
    generator = np.random.default_rng(first)
    return [
        Latent(f"{number}/{index}", f"class {number:04}", one, None)
        for number, mean in enumerate(means, start=first)
        for index, one in enumerate(mean + generator.normal(0, SPREAD, (samples, len(mean))).astype(np.float32))
    ]


def taught(path: Path, items: Sequence[Latent]) -> dict[str, float]:
    """Teach samples; the seconds of the processor and of the clock that this takes, and the memory by plan."""
    begins, spent = time.perf_counter(), processor_s()
    report: Report = teach(OpenStore.open(path), items).finish(None)
    if not report.is_accepted:
        raise SystemExit(f"a lesson was refused: {report.verdict.reasons}")
    return {
        "processor_s": processor_s() - spent,
        "wall_s": time.perf_counter() - begins,
        "planned_bytes": report.bytes["total"],
    }


def processor_s() -> float:
    """Processor time of this thread, in seconds: the one that looks at the memory is not counted."""
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime


@contextmanager
def written() -> Iterator[dict[str, int]]:
    """Count what this process flushes and writes: every change of a store goes through these calls."""
    calls = {"fsync": 0, "bytes": 0}
    fsync, write = os.fsync, os.write

    def counted_fsync(descriptor: int) -> None:
        calls["fsync"] += 1
        fsync(descriptor)

    def counted_write(descriptor: int, data: bytes) -> int:
        done = write(descriptor, data)
        calls["bytes"] += done
        return done

    with patch.object(os, "fsync", counted_fsync), patch.object(os, "write", counted_write):
        yield calls


@contextmanager
def memory_peak() -> Iterator[dict[str, int]]:
    """Look often at the memory that is no file's page, and note the most above what there was."""
    peak, ended, base = {"bytes": 0}, threading.Event(), anonymous()

    def look() -> None:
        while not ended.wait(LOOK_S):
            peak["bytes"] = max(peak["bytes"], anonymous() - base)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def anonymous() -> int:
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def files(path: Path) -> dict[str, tuple[int, int]]:
    """Length and time of each file of a store."""
    found = ((one, one.stat()) for one in path.rglob("*") if one.is_file())
    return {str(one.relative_to(path)): (status.st_size, status.st_mtime_ns) for one, status in found}


if __name__ == "__main__":
    main()
