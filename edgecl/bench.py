"""What learning costs on this board: every phase of a lesson of five samples timed apart, with raw samples.

Everything is done to copies of a store, beside it, so that fsync costs what it costs there. A phase is warmed up
before it counts; a lesson always starts from the same store, flushed to the disk. Whole processes are started by a
small one (`_cold_start.py`), which is what makes their peak memory their own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgecl
from edgecl import _board, _cold_start, _timings
from edgecl._durable import TEMPORARY, locked
from edgecl.demo import NEW_WORDS, voice_clips
from edgecl.device import Device, Embedded, Report
from edgecl.errors import DataError, EdgeclError, ModelError
from edgecl.evidence import After, Before, evidence_of, factor_of
from edgecl.extractor import Contract, FileExtractor
from edgecl.gate import Policy, judge
from edgecl.head import whitened_cosine
from edgecl.learner import Stage, take_in
from edgecl.lesson import LessonCollector
from edgecl.model import MemoryObjects, Model
from edgecl.sources import Sample, read_samples

ROUNDS = 20
CLIPS = 5  # of a lesson
SHORT = 10  # times as many rounds for what takes a millisecond
FEW = 4  # times fewer for whole processes
WARM_UP = 2
DEMO_RATE_HZ = 16_000

Samples = dict[str, list[float]]  # phase -> milliseconds


@dataclass
class Bed:
    """A copy of the store to measure on, and the lesson that it is taught."""

    folder: Path
    store: Path  # never taught: lessons go to copies of it
    lesson: Path  # as `edgecl learn` takes it
    label: str
    signals: str  # where the lesson's signals are from
    device: Device
    model: Model
    extractor: FileExtractor
    samples: Sequence[Sample]
    remarks: list[str] = field(default_factory=list)
    memory: dict[str, int | None] = field(default_factory=dict)
    lesson_report: dict[str, Any] = field(default_factory=dict)


def measure(store: Path | None = None, *, rounds: int = ROUNDS) -> Generator[str, None, dict[str, Any]]:
    """Time every phase, as a generator of what is being done that returns the run as plain JSON.

    Parameters
    ----------
    store
        Measured on copies in a temporary folder beside it, and left as it is; None: one that is taught the demo's
        words.
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
        Device.open(store)  # says what is wrong with the path before a folder is made beside it
    with tempfile.TemporaryDirectory(prefix=".edgecl-bench-", dir=_beside(store)) as name:
        yield "preparing a store"
        bed = _prepared(store, Path(name))
        before, timings = _board.state(), Samples()
        for what, phase in PHASES.items():
            yield what
            timings |= phase(bed, rounds)
        after = _board.state()
        environment = {**_environment(bed), "before": before, "after": after}
    return {
        "schema_version": _timings.SCHEMA_VERSION,
        "time": started,
        "marks": _board.marks(environment, before, after),
        "remarks": [*_board.remarks(before, os.cpu_count() or 1), *bed.remarks],
        "environment": environment,
        "workload": _workload(bed),
        "rounds": rounds,
        "phases": {name: {**_timings.summary(one), "samples_ms": one} for name, one in timings.items()},
        "frame": _real_time(timings, bed.extractor.contract),
        "memory": bed.memory,
        "lesson": bed.lesson_report,
    }


# Setting up


def _beside(store: Path | None) -> Path | None:
    """Where a copy has the file system of the store; for a store of our own a disk rather than memory."""
    if store is not None:
        return store.absolute().parent
    disk = Path("/var/tmp")  # noqa: S108 (a private folder is made in it)
    return disk if "TMPDIR" not in os.environ and os.access(disk, os.W_OK) else None


def _prepared(given: Path | None, folder: Path) -> Bed:
    store = folder / "store"
    if given is None:
        _finished(Device.create(store, extractor="voice").teach(voice_clips("teach")))
    else:
        _copied(given, store)
    device = Device.open(store)
    _, model = device.model()
    if model.head is None:
        raise ModelError(f"{given} has learnt nothing yet: teach it with `edgecl learn`, or leave out STORE")
    extractor = device.extractor
    assert isinstance(extractor, FileExtractor)
    label = _label(model)
    lesson, signals = _write_lesson(folder / "lesson", extractor.contract, label)
    samples = [one for one in read_samples(lesson, extractor.contract) if isinstance(one, Sample)]
    if len(samples) < CLIPS:
        raise DataError("this extractor cannot be benchmarked: it takes neither sound nor windows of numbers")
    bed = Bed(folder, store, lesson, label, signals, device, model, extractor, samples)
    if _board.filesystem(folder) == "tmpfs":
        bed.remarks.append(f"{folder.parent} is in memory: what a commit costs on a disk was not measured")
    return bed


def _copied(store: Path, target: Path) -> None:
    """A copy that no commit of another process runs through; the lock is held, nothing is written."""
    lock = store / "lock"
    with locked(lock, timeout_s=10) if lock.exists() else nullcontext():
        shutil.copytree(store, target, ignore=shutil.ignore_patterns(f"*{TEMPORARY}"))


def _label(model: Model) -> str:
    """A new class, or a known one where no new one fits."""
    if len(model.labels) >= model.settings.max_classes:
        return model.labels[0]
    return next(name for name in _names() if name not in model.labels)


def _names() -> Iterator[str]:
    yield NEW_WORDS[0]
    number = 1
    while True:
        yield f"bench {number}"
        number += 1


def _write_lesson(folder: Path, contract: Contract, label: str) -> tuple[Path, str]:
    """Five samples of one label as files, and where they are from: speech for what hears speech, else noise."""
    folder.mkdir()
    if contract.is_sound and contract.sample_rate_hz == DEMO_RATE_HZ:
        clips = [one.signal for one in voice_clips("new") if one.label == NEW_WORDS[0]][:CLIPS]
        return _write_sound(folder, clips, contract, label), "demo clips"
    shape = (CLIPS, contract.clip_samples, len(contract.channels))
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    if contract.is_sound:
        return _write_sound(folder, list(noise / 10), contract, label), "noise"
    rate = {"rate_hz": np.float32(contract.sample_rate_hz)} if contract.sample_rate_hz else {}
    path = folder / "windows.npz"
    np.savez(path, X=noise, y=np.zeros(CLIPS, np.int64), label_names=np.array([label]), **rate)  # type: ignore[arg-type]
    return path, "noise"


def _write_sound(folder: Path, signals: Sequence[NDArray[np.float32]], contract: Contract, label: str) -> Path:
    (folder / label).mkdir()
    for number, signal in enumerate(signals):
        with wave.open(str(folder / label / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(round(contract.sample_rate_hz))
            file.writeframes((np.clip(signal[:, 0], -1, 1) * 32767).astype("<i2").tobytes())
    return folder


# Phases


def _loading(bed: Bed, rounds: int) -> Samples:
    return {
        "load store": _timed(lambda: Device.open(bed.store).model(), rounds),
        "load extractor": _timed(lambda: Device.open(bed.store).extractor, rounds),
    }


def _decoding(bed: Bed, rounds: int) -> Samples:
    return {"decode lesson": _timed(lambda: list(read_samples(bed.lesson, bed.extractor.contract)), rounds)}


def _extracting(bed: Bed, rounds: int) -> Samples:
    clips = cycle([one.signal for one in bed.samples])
    timings = {"extract clip": _timed(lambda: bed.extractor.latents([next(clips)]), SHORT * rounds)}
    contract = bed.extractor.contract
    if contract.sample_rate_hz:
        stream = bed.extractor.stream()
        stream.push(np.resize(bed.samples[0].signal, (contract.window_samples, len(contract.channels))))
        hops = cycle(_hops(bed))
        timings["extract frame"] = _timed(lambda: stream.push(next(hops)), SHORT * rounds)
    return timings


def _hops(bed: Bed) -> list[NDArray[np.float32]]:
    """The lesson's signals one after another, in pieces that each complete one frame."""
    hop = bed.extractor.contract.hop_samples
    signal = np.concatenate([one.signal for one in bed.samples])
    return [signal[start : start + hop] for start in range(0, len(signal) - hop + 1, hop)]


def _predicting(bed: Bed, rounds: int) -> Samples:
    latent = bed.extractor.latents([bed.samples[0].signal])
    return {"predict": _timed(lambda: bed.model.predict(latent), SHORT * rounds)}


def _judging(bed: Bed, rounds: int) -> Samples:
    """The gate alone: kept samples and the lesson's, each left out under the old head and the new, and the verdict."""
    model, features = bed.model, bed.model.settings.features
    collector = LessonCollector(features, limit_bytes=model.plan().lesson, spool=bed.folder)
    collector.add(bed.label, bed.extractor.latents([one.signal for one in bed.samples]))
    lesson = collector.finish()
    taught = take_in(model, lesson, objects=MemoryObjects())
    factor = factor_of(taught)
    candidate = replace(taught, head=whitened_cosine(factor))

    def once() -> None:
        before = Before.of(model, lesson)
        after = After.left_out(factor, model, taught, lesson, before)
        judge(evidence_of(model, candidate, lesson, before, after), Policy())

    return {"judge": _timed(once, rounds)}


def _teaching(bed: Bed, rounds: int) -> Samples:
    """Whole lessons from samples in memory to a committed revision, and their stages."""
    timings = Samples()
    written: list[int] = []
    for number in range(-1, rounds):
        with _fresh(bed) as copy:
            device = Device.open(copy)
            device.extractor  # noqa: B018 (opened before the clock runs)
            used, sent = device.store.bytes_on_disk(), _board.written_bytes()
            stages, report = _staged(device, bed.samples)
            if number < 0:  # warm-up
                continue
            for name, spent_ms in stages.items():
                timings.setdefault(name, []).append(spent_ms)
            after = _board.written_bytes()
            if sent is not None and after is not None:
                written.append(after - sent)
            grown = device.store.bytes_on_disk() - used
    verdict = report.outcome.verdict
    bed.memory |= {"learner_bytes": report.bytes["total"], "budget_bytes": bed.model.settings.memory_bytes}
    bed.lesson_report = {
        "samples": report.samples,
        "strategy": report.outcome.strategy,
        "accepted": verdict.accepted,
        "proven": verdict.proven,
        "bytes_written": int(np.median(written)) if written else None,
        "store_grows_bytes": grown,
    }
    if not verdict.accepted:
        bed.remarks.append("the gate rejects the lesson, which was committed by force: only its cost means anything")
    return timings


def _staged(device: Device, samples: Sequence[Sample]) -> tuple[dict[str, float], Report]:
    """One lesson, with milliseconds by stage. "update" leaves samples out for the gate, "judge" gives the verdict."""
    marks = [("lesson: extract", time.perf_counter())]
    steps = device.teach(samples, force=True)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            report: Report = end.value
            break
        name = "open for writing" if isinstance(step, Embedded) else step.name
        marks.append((f"lesson: {name}", time.perf_counter()))
    marks.append(("", time.perf_counter()))
    if report.outcome.model is None:
        raise EdgeclError(f"the lesson could not be committed: {'; '.join(report.outcome.verdict.reasons)}")
    stages = {"lesson": 1e3 * (marks[-1][1] - marks[0][1])}
    for (name, start), (_, until) in pairwise(marks):
        stages[name] = stages.get(name, 0.0) + 1e3 * (until - start)
    return stages, report


def _starting(bed: Bed, rounds: int) -> Samples:
    """Whole processes from nothing to a committed revision or an answer; files are in the page cache."""
    timings = Samples()
    bed.memory |= _board.process_memory()
    for phase, words, kind in (
        ("process: learn", ("learn", "--force"), "learn_peak_bytes"),
        ("process: predict", ("predict",), "predict_peak_bytes"),
    ):
        found = []
        for _ in range(1 + max(rounds // FEW, 3)):
            with _fresh(bed) as copy:
                try:
                    found.append(_process(*words, str(copy), str(bed.lesson)))
                except OSError as error:
                    bed.remarks.append(f"no process of its own could be started: {error}")
                    return timings
        timings[phase] = [one["ms"] for one in found[1:]]
        bed.memory[kind] = max(one["peak_bytes"] for one in found)
    return timings


def _process(*words: str) -> Mapping[str, Any]:
    """`edgecl` in a process of its own, with these arguments."""
    script = [sys.executable, "-I", "-S", _cold_start.__file__]
    command = [sys.executable, "-m", "edgecl.cli", *words]
    done = subprocess.run([*script, *command], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise OSError(done.stderr.strip().rpartition("\n")[2] or f"it ended with code {done.returncode}")
    told: dict[str, Any] = json.loads(done.stdout)
    if told["exit_code"]:
        raise EdgeclError(
            f"`edgecl {words[0]}` in a process of its own ended with {told['exit_code']}: {told['stderr']}"
        )
    return told


PHASES: dict[str, Callable[[Bed, int], Samples]] = {
    "loading": _loading,
    "decoding": _decoding,
    "extracting": _extracting,
    "predicting": _predicting,
    "judging": _judging,
    "teaching": _teaching,
    "starting processes": _starting,
}


def _timed(call: Callable[[], object], rounds: int) -> list[float]:
    for _ in range(WARM_UP):
        call()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        found.append(1e3 * (time.perf_counter() - started))
    return found


@contextmanager
def _fresh(bed: Bed) -> Iterator[Path]:
    """A copy of the store that is on the disk: its own pages are not flushed at the lesson's expense."""
    copy = Path(shutil.copytree(bed.store, bed.folder / "taught"))
    os.sync()
    try:
        yield copy
    finally:
        shutil.rmtree(copy)


def _finished(steps: Generator[Embedded | Stage, None, Report]) -> Report:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report: Report = end.value
            return report


# What is told beside the timings


def _environment(bed: Bed) -> dict[str, Any]:
    from edgecl_kernels import implementation

    return {
        **_board.machine(),
        "edgecl": edgecl.__version__,
        "numpy": metadata.version("numpy"),
        "onnxruntime": _version("onnxruntime"),
        "kernels": implementation().detail,
        "extractor_digest": bed.extractor.digest,
        "head_digest": bed.model.digests["head"],
        "filesystem": _board.filesystem(bed.folder),
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
    quantiles = _timings.summary(timings["extract frame"])
    return {"frame_ms": frame_ms, **{f"real_time_factor_{name}": one / frame_ms for name, one in quantiles.items()}}
