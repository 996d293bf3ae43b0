"""Sets, splits and their latents, shared by the tables of accuracy, of the gate and of intents."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgecl
from common.splits import (
    DataSet,
    Split,
    names_of,
    splits,
    taking_part,
)
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.learner import Learner
from edgecl.model.settings import Settings
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample

BUDGETS = ("32KiB", "64KiB", "128KiB", "256KiB", "1MiB", "4MiB")
SHOTS = 5
EMBEDDED_AT_ONCE = 16
READERS = ("extractors", "sources")  # packages that latents depend on
UNLIMITED = 1 << 62
REJECTED = 3  # exit code of a lesson that the gate rejects


@dataclass(frozen=True)
class Latents:
    """Every sample of a set that takes part, under one extractor, in the order in which a command would read them."""

    extractor: Path
    x: NDArray[np.float32]  # (n, D)
    labels: NDArray[np.str_]  # (n,)
    groups: NDArray[np.str_]  # (n,) speaker or subject
    sources: NDArray[np.str_]  # (n,) a file; of windows file[index]

    def rows(self, *, unseen: frozenset[str], of: Sequence[str], tested: bool) -> NDArray[np.intp]:
        """Rows of the classes `of`, by unseen groups (tested) or by all others."""
        side = np.isin(self.groups, sorted(unseen)) == tested
        return np.flatnonzero(side & np.isin(self.labels, of))


@dataclass(frozen=True)
class Case:
    """One split of one set."""

    data: DataSet
    split: Split
    latents: Latents
    classes: tuple[str, ...]
    scratch: Path

    @cached_property
    def owners(self) -> dict[bytes, str]:
        """Who gave each latent, by its bytes."""
        latents = self.latents
        return {one.tobytes(): str(who) for one, who in zip(latents.x, latents.groups, strict=True)}

    def taught(self, classes: Sequence[str] | None = None) -> NDArray[np.intp]:
        chosen = self.classes if classes is None else classes
        return self.latents.rows(unseen=self.split.unseen, of=chosen, tested=False)

    def tested(self, classes: Sequence[str] | None = None) -> NDArray[np.intp]:
        chosen = self.classes if classes is None else classes
        return self.latents.rows(unseen=self.split.unseen, of=chosen, tested=True)

    def numbers(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Labels of rows as indices into `classes`."""
        return np.searchsorted(self.classes, self.latents.labels[rows])

    def settings(self, **given: Any) -> Settings:
        """Return the settings that `edgecl init` would choose.

        Raises
        ------
        SettingError
            When the budget cannot work.
        """
        store = self.scratch / "settings"
        try:
            return Learner.create(store, extractor=self.latents.extractor, **given).settings
        finally:
            shutil.rmtree(store, ignore_errors=True)


def cases(data: DataSet, *, root: Path, cache: Path, scratch: Path, quick: bool) -> list[Case]:
    """Every split of a set (quick: two) with its latents."""
    labels, groups = names_of(data, root)
    classes = taking_part(data, labels, groups)
    kept = [(label, group) for label, group in zip(labels, groups, strict=True) if label in classes]
    found = splits(data, *zip(*kept, strict=True))
    made = []
    for split in found[:2] if quick else found:
        extractor = _extractor(data, split, root=root, cache=cache, scratch=scratch)
        made.append(Case(data, split, _embedded(data, extractor, classes, root, cache), classes, scratch))
    return made


def _extractor(data: DataSet, split: Split, *, root: Path, cache: Path, scratch: Path) -> Path:
    """The voice extractor that ships; for movement one made from the windows of taught subjects, without labels."""
    if data.modality == "voice":
        return builtin_extractor("voice")
    like = scratch / "calibration.npz"
    with np.load(data.path(root), allow_pickle=False) as windows:
        seen = ~np.isin(windows["subject"].astype(str), sorted(split.unseen))
        np.savez(like, X=windows["X"][seen], channels=windows["channels"], rate_hz=windows["rate_hz"])
    made = scratch / "imu.onnx"
    command("export", "imu", "--like", like, "-o", made, "--json")
    kept = cache / f"imu-{hashlib.sha256(made.read_bytes()).hexdigest()[:16]}.onnx"
    made.replace(kept)
    return kept


def _embedded(data: DataSet, extractor: Path, classes: tuple[str, ...], root: Path, cache: Path) -> Latents:
    """Latents of a set, from the cache where the extractor and the data are the same."""
    path = data.path(root)
    key = hashlib.sha256(extractor.read_bytes())
    for one in sorted([path] if path.is_file() else path.rglob("*.*")):
        key.update(f"{one} {one.stat().st_size}".encode())
    for module in (one for name in READERS for one in sorted(Path(edgecl.__file__).with_name(name).rglob("*.py"))):
        key.update(module.read_bytes())
    file = cache / f"{data.name}-{key.hexdigest()[:16]}.npz"
    if not file.exists():
        arrays: dict[str, Any] = _embed(path, extractor, classes)
        np.savez(file.with_suffix(".part.npz"), **arrays)
        file.with_suffix(".part.npz").replace(file)
    with np.load(file, allow_pickle=False) as kept:
        return Latents(extractor, **kept)


def _embed(path: Path, extractor: Path, classes: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    opened = open_extractor(extractor)
    samples = [one for one in read_samples(path, opened.contract) if isinstance(one, Sample) and one.label in classes]
    batches = [samples[first : first + EMBEDDED_AT_ONCE] for first in range(0, len(samples), EMBEDDED_AT_ONCE)]
    return {
        "x": np.concatenate([opened.latents([one.signal for one in batch]) for batch in batches]),
        "labels": np.array([one.label for one in samples]),
        "groups": np.array([one.group for one in samples]),
        "sources": np.array([one.source for one in samples]),
    }


def command(*words: str | Path, refusable: bool = False) -> Any:
    """Run a command with --json and return what it prints.

    Raises
    ------
    RuntimeError
        When it fails; where `refusable`, not when a lesson is rejected.
    """
    line = [sys.executable, "-m", "edgecl.cli", *map(str, words)]
    environ = {**os.environ, "PYTHONSAFEPATH": "1"}  # the installed edgecl, whatever the working folder
    done = subprocess.run(line, capture_output=True, text=True, env=environ, check=False)
    if done.returncode and not (refusable and done.returncode == REJECTED):
        raise RuntimeError(f"exit code {done.returncode} from {' '.join(line)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
