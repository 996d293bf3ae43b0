"""Measure what a student of the second stage's network would gain; `tools/student_table` runs this.

Chosen on FACTORY's sound (tools/common/sounds.py). Its ten commands are in two halves. For each half a student is
taught without those words, without every other person and without every other voice; then each word of the half, and
words made of two of them by one person, is taught alone by five people, and played by people whom the student has not
heard. False accepts are counted in minutes by the voices that it has not heard; the commands that taught it are left
out of these. score + beta e.r is compared with score, hop by hop: e is the student's answer to the hop, r the mean of
its answers to the clips that teach, clean or in the noises of `edgecl.spotting.reference` too. The word's mean is that
of its clips, or half that of clips in noise.

What was chosen is then looked at on every twentieth minute of the background of tools/listen_table and on its words, as
tools/verify_table does, with a student of all windows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np

from common.sounds import COMMANDS, SHORT, TAUGHT, Clip, Logged, World, recorded, to_peak, worlds
from common.splits import data_root
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.spotting.background import factory_background
from edgecl.spotting.student import thirds
from edgecl.values import replace
from measure.student import taught, wanted
from measure.student_sound import PART, Pupil, keep, sounding, taught_with
from measure.student_words import RATES, SEED, Choice, Ground, Played, compared, hop_us, minutes, played
from measure.verify_bench import made
from measure.verify_table import cases

MINUTES = {"words": 36, "speech": 30, "babble": 6, "noise": 12}
HALVES = (("down", "left", "no", "off", "stop"), ("go", "on", "right", "up", "yes"))
PAIRS = (
    ("stop", "no"), ("no", "left"), ("left", "off"), ("down", "stop"), ("off", "down"),
    ("up", "yes"), ("right", "go"), ("go", "on"), ("yes", "right"), ("on", "up"),
)  # fmt: skip
SHOTS, DRAWS, EVERY = 5, 3, 20
LONGEST_PAIR = 17_000  # samples
KEPT_BACK = 0.08
BETAS = (50, 75, 100)
CHOICES: tuple[Choice, ...] = tuple(
    (mean, reference, beta)
    for mean in ("clips", "in noise")
    for reference, betas in (("clips", (0, *BETAS)), ("in noise", BETAS))
    for beta in betas
)
CHOSEN: tuple[Choice, ...] = (("clips", "clips", 0), ("clips", "in noise", 50))


class Bench:
    """What every student is compared on."""

    def __init__(self, folder: Path, *, parts: int) -> None:
        extractor = open_extractor(builtin_extractor("voice"))
        assert isinstance(extractor, FileExtractor)
        self.extractor, self._folder = extractor, folder
        self.mean = np.asarray(extractor.contract.mean, np.float32)
        background = factory_background(source=extractor.contract.source, dimension=extractor.contract.dimension)
        assert background is not None
        self.background = background
        self.world, self._stream = worlds(data_root())
        self.pupil = taught_with(folder, self.world, extractor, parts=parts)
        self.unheard = set(sorted({one.speaker for one in self.world.clips})[::2])
        self.voices = set(self.world.voices[1::2])

    def development(self) -> tuple[Ground, Played]:
        """Return the minutes and the words on which is chosen."""
        base = self.world
        world = Logged(base.voices[1::2], base.sentences, base.clips, base.noises)
        frames, placed = minutes(self._folder / "minutes.npz", world, MINUTES, self.extractor)
        others = self.background.distractors[: -len(COMMANDS)]  # the last ones are the commands, which no user taught
        ground = Ground(frames, placed, replace(self.background, distractors=others), self.extractor)
        return ground, played(self._folder / "words.npz", [*base.clips, *pairs(base)], base, self.extractor)

    def stream(self, folder: Path) -> tuple[Ground, Played]:
        """Return the minutes and the words that are looked at once."""
        file = self._folder / "stream.npz"
        if not file.exists():
            sound = made(folder, self.extractor, EVERY)
            frames = [self.extractor.frames(one.astype(np.float32) / np.float32(32767)) for one in sound.sound]
            keep(file, frames=np.array(frames, np.float16), log=json.dumps(sound.words))
        with np.load(file) as kept:
            placed = [[tuple(one) for one in log] for log in json.loads(str(kept["log"]))]
            ground = Ground(kept["frames"], placed, self.background, self.extractor)
        clips = [one for one in recorded(data_root()) if one.word in (*TAUGHT, *SHORT)]
        return ground, played(self._folder / "stream_words.npz", clips, self._stream, self.extractor)


def pairs(world: World) -> list[Clip]:
    """Return words of two commands by one person, one after the other: up to two of each pair and person."""
    rng, found = np.random.default_rng(SEED), []
    for one, other in PAIRS:
        for speaker in sorted({clip.speaker for clip in world.clips}):
            first, second = ([c for c in world.clips if (c.speaker, c.word) == (speaker, w)] for w in (one, other))
            for _ in range(min(2, len(first) * len(second))):
                parts = [some[int(rng.integers(len(some)))].signal for some in (first, second)]
                whole = np.concatenate([to_peak(sounding(part)) for part in parts])[:LONGEST_PAIR]
                found.append(Clip(f"{one}-{other}", speaker, whole))
    return found


def chosen_by(
    bench: Bench, ground: Ground, words: Played, pupil: Pupil, half: int, *, is_whole: bool
) -> Iterator[dict[str, Any]]:
    """Yield the figures of a student of some windows, and those of the words of a half with it."""
    own = set(HALVES[half])
    known = np.array([
        who not in bench.unheard | bench.voices and not own & set(said.split("-")) for _, who, said in pupil.said
    ])  # fmt: skip
    back = known & (np.random.default_rng(half).random(len(known)) < KEPT_BACK)
    z, targets = thirds(pupil.frames, bench.mean), wanted(pupil.vectors)
    student = taught(z[known & ~back], targets[known & ~back])
    cosines = {
        name: float((student(z[rows]) * targets[rows]).sum(axis=1).mean())
        for name, rows in (("kept_back", back), ("unheard", ~known))
    }
    hop = hop_us(student, pupil.frames[0].astype(np.float32), bench.mean)
    yield {"windows": int((known & ~back).sum()), **cosines, "hop_us": hop, "bytes": 2 * sum(map(np.size, student))}
    if not is_whole:
        return
    of_ground = ground.answers(student, ground.windows).reshape(-1, targets.shape[1])
    hidden_commands = set(COMMANDS) - own
    for word in sorted(own | {"-".join(pair) for pair in PAIRS if set(pair) <= own}):
        rows = np.flatnonzero(words.words == word)
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(rows)
            order = order[np.argsort(np.isin(words.speakers[order], list(bench.unheard)), kind="stable")]
            _, first = np.unique(words.speakers[order], return_index=True)
            teach = order[np.sort(first)[:SHOTS]]
            heard = rows[np.isin(words.speakers[rows], list(bench.unheard - set(words.speakers[teach])))]
            hidden = ground.holds(hidden_commands | set(word.split("-")))
            for one in compared(ground, student, of_ground, hidden, words, teach, heard, CHOICES):
                yield {"word": word, "draw": draw, **one}


def looked_at(bench: Bench, ground: Ground, words: Played, pupil: Pupil) -> Iterator[dict[str, Any]]:
    """Yield the misses of the stream's words with a student of all windows."""
    student = taught(thirds(pupil.frames, bench.mean), wanted(pupil.vectors))
    of_ground = ground.answers(student, ground.windows)
    of_ground = of_ground.reshape(-1, of_ground.shape[-1])
    names = zip(words.words.tolist(), words.speakers.tolist(), strict=True)
    clips = [Clip(word, who, np.zeros(0, np.float32)) for word, who in names]
    for word, _, teach, heard in cases(clips):
        for one in compared(ground, student, of_ground, ground.holds({word}), words, teach, heard, CHOSEN):
            yield {"word": word, "is_short": word in SHORT, **one}


def measure(folder: Path, stream: Path | None, *, parts: int) -> dict[str, Any]:
    """Students of all windows and, for the curve, of fewer; what was chosen on the stream, if one is given."""
    bench = Bench(folder, parts=parts)
    ground, words = bench.development()
    students: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for count in sorted({1, parts}):
        for half in range(len(HALVES)):
            pupil = bench.pupil.only(np.arange(len(bench.pupil.said)) < count * PART)
            figures = list(chosen_by(bench, ground, words, pupil, half, is_whole=count == parts))
            students.append(figures[0])
            found += figures[1:]
            print(students[-1], file=sys.stderr, flush=True)
    last = list(looked_at(bench, *bench.stream(stream), bench.pupil)) if stream else []
    return {"rates": list(RATES), "betas": list(BETAS), "students": students, "cases": found, "stream": last}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=Path, required=True, help="folder where sound is kept")
    parser.add_argument("--stream", type=Path, help="folder of the stream; without it, it is not looked at")
    parser.add_argument("--parts", type=int, required=True, help=f"parts of {PART} windows")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    chosen.json.write_text(json.dumps(measure(chosen.kept, chosen.stream, parts=chosen.parts), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
