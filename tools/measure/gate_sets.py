"""Texts and rows as cases of tools/gate_rates: what has no speakers is divided at random, or by time.

The rules of the gate were chosen on half of clinc150's intents; its other half and hwu64 are read off, elec2 as well.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from edgecl_export.table import export_table

from common.splits import OUT_OF_SCOPE, TEXT_SETS, DataSet, Split
from edgecl.extractors.opening import open_extractor
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample
from measure.cases import Case, Latents, command
from measure.text_table import read

PEOPLE = 12  # parts into which what teaches is divided
TESTED = "tested"
ROWS, ROW_LABEL, ROWS_EVERY = "elec2", "class", 6  # neighbouring half hours are much the same
TESTED_SHARE = 0.2  # of the rows, the latest


@dataclass(frozen=True)
class Part:
    """A set of texts or rows; of intents a half."""

    source: str
    half: int | None = None  # 0: those that rules were chosen on


MORE_SETS = {
    "clinc150-chosen-on": Part("clinc150", 0),
    "clinc150-others": Part("clinc150", 1),
    "hwu64": Part("hwu64"),
    ROWS: Part(ROWS),
}


def more_cases(name: str, *, root: Path, cache: Path, scratch: Path) -> list[Case]:
    """Return the one case of a set of texts or rows, with its latents."""
    part = MORE_SETS[name]
    latents = _rows(root, scratch) if part.source == ROWS else _texts(part, cache, scratch)
    classes = tuple(sorted(set(latents.labels.tolist())))
    data = DataSet(name, "table" if part.source == ROWS else "text", None)
    return [Case(data, Split("all", frozenset([TESTED])), latents, classes, scratch)]


def _texts(part: Part, cache: Path, scratch: Path) -> Latents:
    """The texts of a set, or of half of its intents; each that teaches is by one of PEOPLE, at random."""
    made = scratch / "text.onnx"
    command("export", "text", "-o", made, "--json")
    extractor = cache / f"text-{hashlib.sha256(made.read_bytes()).hexdigest()[:16]}.onnx"
    made.replace(extractor)
    found = read(TEXT_SETS[part.source], extractor, cache=cache, scratch=scratch)
    intents = np.random.default_rng(0).permutation(found.classes)
    chosen = intents if part.half is None else np.array_split(intents, 2)[part.half]
    rows = np.flatnonzero(np.isin(found.labels, chosen) & (found.labels != OUT_OF_SCOPE))
    people = np.random.default_rng(1).integers(PEOPLE, size=len(rows)).astype(str)
    groups = np.where(found.parts[rows] == "test", TESTED, people)
    sources = np.array([f"{part.source}:{row}" for row in rows])
    return Latents(extractor, found.x[rows], found.labels[rows], groups, sources)


def _rows(root: Path, scratch: Path) -> Latents:
    """Rows of a table in their order: the latest are tested, the others come from PEOPLE stretches of time."""
    path, extractor = root / ROWS / "data.csv", scratch / "rows.onnx"
    export_table(extractor, path, label_column=ROW_LABEL)
    opened = open_extractor(extractor)
    items = read_samples(path, opened.contract, label_column=ROW_LABEL, labelled=True)
    samples = [one for one in items if isinstance(one, Sample)][::ROWS_EVERY]
    first_tested = round((1 - TESTED_SHARE) * len(samples))
    stretch = np.arange(len(samples)) * PEOPLE // first_tested
    groups = np.where(np.arange(len(samples)) < first_tested, stretch.astype(str), TESTED)
    x = opened.latents([one.signal for one in samples])
    labels = np.array([str(one.label) for one in samples])
    return replace(Latents(extractor, x, labels, groups, labels), sources=np.array([one.source for one in samples]))
