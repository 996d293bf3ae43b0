"""The store, clips and sounds that a measurement works on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.bench import board
from edgecl.demo.clips import NEW_WORDS, voice_clips
from edgecl.errors import DataError, ModelError
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.contract import Contract
from edgecl.model.model import Model
from edgecl.operations.creation import create
from edgecl.operations.open_store import OpenStore
from edgecl.operations.teaching import teach
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample
from edgecl.sources.sound import encode_wav
from edgecl.store.files import TEMPORARY, locked

CLIPS = 5  # of a lesson
DEMO_RATE_HZ = 16_000


@dataclass
class Bed:
    """A copy of the store to measure on, and the lesson that it is taught."""

    folder: Path
    store: Path
    """Never taught: lessons go to copies of it."""
    lesson: Path
    """A folder of clips, or a file."""
    label: str
    signals: str
    """Where the lesson's signals are from."""
    opened: OpenStore
    model: Model
    extractor: FileExtractor
    samples: Sequence[Sample]
    command: Sequence[str]
    """What starts a process of edgecl; a verb and its arguments follow."""
    remarks: list[str] = field(default_factory=list)
    memory: dict[str, int | None] = field(default_factory=dict)
    lesson_report: dict[str, Any] = field(default_factory=dict)


# Setting up


def scratch_folder(store: Path | None) -> Path | None:
    """Where a copy has the file system of the store; for a store of our own a disk rather than memory."""
    if store is not None and os.access(store.absolute().parent, os.W_OK):
        return store.absolute().parent
    disk = Path("/var/tmp")  # noqa: S108 (a private folder is made in it)
    return disk if "TMPDIR" not in os.environ and os.access(disk, os.W_OK) else None


def prepare_bed(given: Path | None, folder: Path, *, command: Sequence[str]) -> Bed:
    store = folder / "store"
    if given is None:
        teach(create(store, extractor="voice"), voice_clips("teach")).finish()
    else:
        _copied(given, store)
    opened = OpenStore.open(store)
    _, model = opened.model()
    if model.head is None:
        raise ModelError(f"{given} has learnt nothing yet: teach it first, or measure without a store", remedy="learn")
    extractor = opened.extractor
    assert isinstance(extractor, FileExtractor)
    label = _label(model)
    lesson, signals = _write_lesson(folder / "lesson", extractor.contract, label)
    samples = [one for one in read_samples(lesson, extractor.contract) if isinstance(one, Sample)]
    if len(samples) < CLIPS:
        raise DataError("this extractor cannot be benchmarked: it takes neither sound nor windows of numbers")
    bed = Bed(folder, store, lesson, label, signals, opened, model, extractor, samples, command)
    if board.filesystem(folder) == "tmpfs":
        bed.remarks.append(f"{folder.parent} is in memory: what a commit costs on a disk was not measured")
    return bed


def _copied(store: Path, target: Path) -> None:
    """A copy that no commit of another process runs through: the lock is held where it can be, nothing is written."""
    lock = store / "lock"
    with locked(lock, timeout_s=10) if os.access(lock, os.W_OK) else nullcontext():
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
    """Five samples of one label as files, and where they are from: speech for a voice extractor, else noise."""
    folder.mkdir()
    if contract.is_sound and contract.sample_rate_hz == DEMO_RATE_HZ:
        clips = [one.signal for one in voice_clips("new") if one.label == NEW_WORDS[0]][:CLIPS]
        return _write_sound(folder, clips, contract, label), "demo clips"
    shape = (CLIPS, contract.clip_samples, len(contract.channels))
    noise = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    if contract.is_sound:
        return _write_sound(folder, list(noise / 10), contract, label), "noise"
    if contract.is_picture:
        noise = (128 + 50 * noise).clip(0, 255)
    rate = {"rate_hz": np.float32(contract.sample_rate_hz)} if contract.sample_rate_hz else {}
    path = folder / "windows.npz"
    np.savez(path, X=noise, y=np.zeros(CLIPS, np.int64), label_names=np.array([label]), **rate)  # type: ignore[arg-type]
    return path, "noise"


def _write_sound(folder: Path, signals: Sequence[NDArray[np.float32]], contract: Contract, label: str) -> Path:
    (folder / label).mkdir()
    for number, signal in enumerate(signals):
        (folder / label / f"{number}.wav").write_bytes(encode_wav(signal, rate_hz=contract.sample_rate_hz))
    return folder


@contextmanager
def fresh_copy(bed: Bed) -> Iterator[Path]:
    """A copy of the store that is on the disk: its own pages are not flushed at the lesson's expense."""
    copy = Path(shutil.copytree(bed.store, bed.folder / "taught"))
    os.sync()
    try:
        yield copy
    finally:
        shutil.rmtree(copy)
