"""What learning costs on this board: every phase of a lesson of five samples timed apart, with raw samples.

Everything is done to copies next to a store, so that fsync costs what it costs there. A phase is warmed up
before it counts; a lesson always starts from the same store, flushed to the disk. Whole processes are started by a
small one (`cold_start.py`), which is what makes their peak memory their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.bench import board, cold_start
from edgecl.bench.fixture import Bed, fresh_copy
from edgecl.errors import EdgeclError
from edgecl.gate.gather import After, Before
from edgecl.gate.judge import judge
from edgecl.gate.verdict import Policy
from edgecl.learning.candidates import evidence_of
from edgecl.learning.collector import LessonCollector
from edgecl.learning.loop import take_in
from edgecl.model.head import whitened_cosine
from edgecl.model.model import MemoryObjects, factor_of
from edgecl.operations.data import Embedded
from edgecl.operations.open_store import OpenStore
from edgecl.operations.teaching import Report, teach
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample

SHORT = 10  # times as many rounds for what takes a millisecond
FEW = 4  # times fewer for whole processes
WARM_UP = 2
Samples = dict[str, list[float]]  # phase -> milliseconds


# Phases


def _loading(bed: Bed, rounds: int) -> Samples:
    return {
        "load store": _timed(lambda: OpenStore.open(bed.store).model(), rounds),
        "load extractor": _timed(lambda: OpenStore.open(bed.store).extractor, rounds),
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
        with fresh_copy(bed) as copy:
            opened = OpenStore.open(copy)
            opened.extractor  # noqa: B018 (opened before the clock runs)
            used, sent = opened.store.bytes_on_disk(), board.written_bytes()
            stages, report = _staged(opened, bed.samples)
            if number < 0:  # warm-up
                continue
            for name, spent_ms in stages.items():
                timings.setdefault(name, []).append(spent_ms)
            after = board.written_bytes()
            if sent is not None and after is not None:
                written.append(after - sent)
            grown = opened.store.bytes_on_disk() - used
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


def _staged(opened: OpenStore, samples: Sequence[Sample]) -> tuple[dict[str, float], Report]:
    """One lesson, with milliseconds by stage. "update" leaves samples out for the gate, "judge" gives the verdict."""
    marks = [("lesson: extract", time.perf_counter())]
    run = teach(opened, samples, force=True, again=True)
    for stage in run:
        name = "open for writing" if isinstance(stage, Embedded) else stage.name
        marks.append((f"lesson: {name}", time.perf_counter()))
    marks.append(("", time.perf_counter()))
    report = run.report
    if report.outcome.model is None:
        raise EdgeclError(f"the lesson could not be committed: {'; '.join(report.outcome.verdict.reasons)}")
    stages = {"lesson": 1e3 * (marks[-1][1] - marks[0][1])}
    for (name, start), (_, until) in pairwise(marks):
        stages[name] = stages.get(name, 0.0) + 1e3 * (until - start)
    return stages, report


def _starting(bed: Bed, rounds: int) -> Samples:
    """Whole processes from nothing to a committed revision or an answer; files are in the page cache."""
    timings = Samples()
    bed.memory |= board.process_memory()
    for phase, words, kind in (
        ("process: learn", ("learn", "--force"), "learn_peak_bytes"),
        ("process: predict", ("predict",), "predict_peak_bytes"),
    ):
        found = []
        for _ in range(1 + max(rounds // FEW, 3)):
            with fresh_copy(bed) as copy:
                try:
                    found.append(_process(*bed.command, *words, str(copy), str(bed.lesson)))
                except OSError as error:
                    bed.remarks.append(f"no process of its own could be started: {error}")
                    return timings
        timings[phase] = [one["ms"] for one in found[1:]]
        bed.memory[kind] = max(one["peak_bytes"] for one in found)
    return timings


def _process(*command: str) -> Mapping[str, Any]:
    """A command in a process of its own."""
    script = [sys.executable, "-I", "-S", cold_start.__file__]
    done = subprocess.run([*script, *command], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise OSError(done.stderr.strip().rpartition("\n")[2] or f"it ended with code {done.returncode}")
    told: dict[str, Any] = json.loads(done.stdout)
    if told["exit_code"]:
        raise EdgeclError(
            f"a lesson or an answer in a process of its own ended with {told['exit_code']}: {told['stderr']}"
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
