"""Measure what people who did not teach get, against what is promised; `tools/people_table` runs this.

fsdd: each of the six speakers is left out in turn; the others teach the ten digits to one store, EACH clips of a digit,
and the sixth is played. speech_commands: each word of two or more syllables (TAUGHT) is taught alone, by two, three or
five people, DRAWS times (fewer where the same clips come again), and all others are played. In a room, with noise 45
and 20 dB below the word. False accepts are those of a stream of tools/make_stream in which the word is not spoken;
digits of one syllable are spoken in it, so they have none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.sounds import DIGITS, TAUGHT, digit_clips, taught_clips, worlds
from common.splits import data_root
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.learner import Learner
from edgecl.learning.collector import LessonCollector
from edgecl.learning.loop import learn
from edgecl.model.model import MemoryObjects, Model
from edgecl.spotting.background import Background, BackgroundScorer, factory_background
from edgecl.spotting.student import factory_student
from measure.listen_ground import Ground, part
from measure.listen_table import events, with_references
from measure.people import LEVELS_DB, Played, played

EACH, HEARD_EACH, DRAWS = 5, 10, 6  # clips of a digit that teach and are played: status promises what is heard of ten
PLANS = ((2, 1), (2, 2), (3, 1), (5, 1))  # people, and clips of each


@dataclass(frozen=True)
class Row:
    """A word, who taught it, and what came of it."""

    data: str
    word: str
    left_out: str
    people: int
    taught_by: int
    clips: int
    promised: float
    promised_least: float
    promised_most: float
    promised_in_noise: float
    own: float
    heard: float
    heard_in_noise: float
    false_accepts_per_hour: float | None


@dataclass(frozen=True)
class Taught:
    """A store's scorer, and what its student's answers add to each word along."""

    scorer: BackgroundScorer
    added: dict[str, NDArray[np.float32] | None]


class Bench:
    """Teaches stores, and plays what it is given to their scorers."""

    def __init__(self, data: Played, ground: Ground, background: Background, scratch: Path) -> None:
        self.data, self._ground, self._scratch = data, ground, scratch
        self._background, self._student = background, factory_student()
        self._settings = Learner.create(scratch / "store", extractor="voice").settings

    def taught(self, taught: Sequence[int] | NDArray[np.intp]) -> Taught:
        """Return the scorer of a store that was taught clips, which know who said them."""
        collector = LessonCollector(self._settings.features, limit_bytes=1 << 40, spool=self._scratch)
        for row in taught:
            word, person = str(self.data.words[row]), str(self.data.speakers[row])
            collector.add(word, self.data.clean[row][None], person=person)
        model = learn(Model(self._settings), collector.finish(), objects=MemoryObjects(), force=True).model
        assert model is not None
        model = with_references(model, self.data.own_frames, self.data.words, taught, student=self._student)
        scorer = BackgroundScorer(model, self._background, student=self._student)
        return Taught(scorer, {label: part(model, label) for label in scorer.labels})

    def row(self, taught: Taught, word: str, played_rows: NDArray[np.intp], **what: Any) -> Row:
        """Return what becomes of a word."""
        scorer = taught.scorer
        index, one = scorer.labels.index(word), scorer.calibration[word]
        heard = {level: self._heard(scorer, index, level, played_rows) for level in LEVELS_DB}
        return Row(
            word=word, people=one.people, promised=_known(one.unseen), promised_least=_known(one.unseen_least),
            promised_most=_known(one.unseen_most), promised_in_noise=_known(one.unseen_in_noise), own=one.heard,
            heard=heard[45], heard_in_noise=heard[20],
            false_accepts_per_hour=self._accepts(taught, word) if word in TAUGHT else None, **what,
        )  # fmt: skip

    def _heard(self, scorer: BackgroundScorer, index: int, level_db: int, rows: NDArray[np.intp]) -> float:
        heard, windows = self.data.heard[level_db][rows], self.data.windows(level_db)[rows]
        latents, frames = heard.reshape(-1, heard.shape[-1]), windows.reshape(-1, *windows.shape[-2:])
        scores = scorer(latents.astype(np.float32), frames).scores[:, index]
        return float((scores.reshape(heard.shape[:3]).max(axis=2) >= scorer.thresholds[index]).mean())

    def _accepts(self, taught: Taught, word: str) -> float:
        scorer, added = taught.scorer, taught.added[word]
        assert self._ground.agrees(scorer, word, added), "the scorer does not score as the stream was scored"
        threshold = float(scorer.thresholds[scorer.labels.index(word)])
        return len(events(self._ground.scores(scorer, word, added), threshold)) / self._ground.hours


def _known(share: float | None) -> float:
    assert share is not None, "the voice extractor has an allowance"
    return share


def left_out(bench: Bench) -> Iterator[Row]:
    """Teach the digits by five of the six speakers, and play the sixth."""
    words, speakers = bench.data.words, bench.data.speakers
    groups = [np.flatnonzero((words == w) & (speakers == s)) for w in DIGITS for s in np.unique(speakers)]
    teaching = np.concatenate([rows[:EACH] for rows in groups])
    for speaker in np.unique(speakers):
        taught = bench.taught(teaching[speakers[teaching] != speaker])
        for word in DIGITS:
            rows = np.flatnonzero((words == word) & (speakers == speaker))[EACH:]
            yield bench.row(taught, word, rows, data="fsdd", left_out=str(speaker), taught_by=5, clips=EACH * 5)


def alone(bench: Bench) -> Iterator[Row]:
    """Teach each word of speech_commands by a few people, and play all others."""
    words, speakers = bench.data.words, bench.data.speakers
    rng = np.random.default_rng(0)
    for word in TAUGHT:
        rows = np.flatnonzero(words == word)
        names, counts = np.unique(speakers[rows], return_counts=True)
        for people, each in PLANS:
            able, found = names[counts >= each], set()
            for _ in range(DRAWS if len(able) >= people and len(names) > people else 0):
                chosen = rng.choice(able, people, replace=False)
                clips = np.concatenate([rng.choice(rows[speakers[rows] == one], each, replace=False) for one in chosen])
                if frozenset(clips) in found:
                    continue
                found.add(frozenset(clips))
                rest, taught = rows[~np.isin(speakers[rows], chosen)], bench.taught(clips)
                about = {"data": "speech_commands", "left_out": "all others", "taught_by": people}
                yield bench.row(taught, word, rest, clips=people * each, **about)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", type=Path, required=True, help="a folder of tools/make_stream")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="count false accepts in each Nth minute")
    chosen = parser.parse_args()
    root = data_root()
    contract = open_extractor(builtin_extractor("voice")).contract
    background = factory_background(source=contract.source, dimension=contract.dimension)
    assert background is not None
    ground = Ground(chosen.stream, contract, background, factory_student(), every=chosen.every)
    _, world = worlds(root)
    rows: list[Row] = []
    for clips, plan in ((digit_clips(root, EACH + HEARD_EACH), left_out), (taught_clips(root), alone)):
        with tempfile.TemporaryDirectory(prefix="edgecl-people-") as scratch:
            rows += plan(Bench(played(world, clips, takes=1), ground, background, Path(scratch)))
        figures = {"hours": ground.hours, "rows": [asdict(one) for one in rows]}
        chosen.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
