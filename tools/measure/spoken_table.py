"""Measure synthesised words against a part of the stream; `tools/spoken_table` runs this.

Twelve speakers of three engines say each word: those of flite and festival, recorded from five people (one who is in
both counts once), and seven formant voices of espeak-ng that are in neither world of tools/common/sounds.py. Five teach
a word, DRAWS times, and all others play it: alone in noise, and inside a sentence of the same voice, where any event
in the sentence counts; the same sentence with another word in its place says how often that is luck. Words whose
phonemes are within one of a word that the stream has are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.phonemes import phonemes, within_one
from common.sounds import RATE_HZ, TAUGHT, World, resampled, to_peak, word_in_noise, worlds
from common.splits import data_root
from common.windows import windowed
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.spotting.background import BackgroundScorer, factory_background
from edgecl.spotting.student import clip_frames, factory_student
from measure.listen_ground import Ground, part
from measure.listen_table import all_asked, events, taught_model, threshold_for, with_references

WORDS = {
    "two": (
        "jarvis", "pluto", "robot", "mango", "falcon", "velvet", "pepper", "hazel", "juno", "tango", "walnut", "cobalt",
        "wombat", "lantern", "turnip", "gremlin", "nimbus",
    ),
    "three": (
        "alexa", "gazebo", "volcano", "jupiter", "dinosaur", "kangaroo", "paprika", "minerva", "domino", "amigo",
        "pelican", "calypso", "armada", "periscope", "commodore", "magenta",
    ),
}  # fmt: skip
SENTENCES = ("we said {} and then the others left the room", "maybe the {} was never there at all")
OTHER = "something"
DRAWS, SHOTS, SEED, SNR_DB = 3, 5, 41, 20
RATES = (0.5, 1.0, 2.0, 5.0)

Signal = NDArray[np.float32]


@dataclass(frozen=True)
class Voice:
    """One voice of an engine."""

    engine: str
    name: str
    person: str

    def says(self, text: str) -> Signal:
        """Return a text at 16 kHz, peak 1."""
        commands = {
            "flite": ["flite", "-voice", self.name, "-t", text, "-o", "/dev/stdout"],
            "festival": ["text2wave", "-eval", f"(voice_{self.name})"],
            "espeak-ng": ["espeak-ng", "-v", self.name, "--stdout", "--", text],
        }
        given = text.encode() if self.engine == "festival" else None
        content = subprocess.run(commands[self.engine], check=True, capture_output=True, input=given).stdout
        rate_hz, begin = int.from_bytes(content[24:28], "little"), content.index(b"data") + 8  # lengths are of a pipe
        samples = np.frombuffer(content[begin : begin + (len(content) - begin) // 2 * 2], "<i2")
        return to_peak(resampled(samples.astype(np.float32), rate_hz, RATE_HZ))


VOICES = (
    *(Voice("flite", name, name) for name in ("kal", "awb", "rms", "slt")),
    Voice("festival", "kal_diphone", "kal"),
    Voice("festival", "ked_diphone", "ked"),
    Voice("festival", "cmu_us_slt_arctic_hts", "slt"),
    *(
        Voice("espeak-ng", f"{accent}+{name}", name)
        for accent, name in (
            ("en-us", "klatt2"), ("en-gb", "klatt5"), ("en-us", "steph3"), ("en-gb-scotland", "edward2"),
            ("en-us", "Gene2"), ("en-gb-x-rp", "iven3"), ("en-029", "RicishayMax2"),
        )
    ),
)  # fmt: skip


def alike(words: tuple[str, ...], world: World) -> set[str]:
    """Return the words whose phonemes are within one of those of a word that a world has."""
    known = sorted({word for text in world.sentences for word in text.split()} | {one.word for one in world.clips})
    said = phonemes(list(dict.fromkeys([*words, *known])))
    return {word for word in words if any(within_one(said[word], said[other]) for other in known)}


class Bench:
    """A part of the stream, and what voices say."""

    def __init__(self, folder: Path, every: int, scratch: Path) -> None:
        extractor = open_extractor(builtin_extractor("voice"))
        assert isinstance(extractor, FileExtractor)
        background = factory_background(source=extractor.contract.source, dimension=extractor.contract.dimension)
        assert background is not None
        self.extractor, self._background, self._scratch = extractor, background, scratch
        self._student = factory_student()
        self.ground = Ground(folder, extractor.contract, background, self._student, every=every)
        self.world = worlds(data_root())[1]

    def taught(self, word: str, voices: list[Voice]) -> tuple[BackgroundScorer, Signal]:
        """Return the scorer of a store that some voices taught a word, and the scores of the stream (n,)."""
        signals = [voice.says(word)[:, None] for voice in voices]
        model = taught_model(self.extractor.latents(signals), word, self._scratch)
        frames = np.array([clip_frames(one, self.extractor) for one in signals])
        names = np.array([word] * len(signals))
        model = with_references(model, frames, names, range(len(signals)), student=self._student)
        scorer, added = BackgroundScorer(model, self._background, student=self._student), part(model, word)
        assert self.ground.agrees(scorer, word, added), "the scorer does not score as the stream was scored"
        return scorer, self.ground.scores(scorer, word, added)

    def played(self, word: str) -> Iterator[tuple[Voice, str, Signal]]:
        """Yield voice, condition and windows of frames (n, P, D) of all that is played of a word."""
        for number, voice in enumerate(VOICES):
            said = voice.says(word)
            yield voice, "alone, 20 dB", self._heard(said, (number, 0), 20)
            yield voice, "alone, 10 dB", self._heard(said, (number, 1), 10)
            text = SENTENCES[number % len(SENTENCES)]
            yield voice, "in running speech, 20 dB", self._heard(voice.says(text.format(word)), (number, 2), 20)
            without = voice.says(text.format(OTHER))
            yield voice, "the same sentences without the word", self._heard(without, (number, 2), 20)

    def _heard(self, said: Signal, seed: tuple[int, int], snr_db: int) -> Signal:
        rng, length = np.random.default_rng([SEED, *seed]), max(4 * RATE_HZ, len(said) + RATE_HZ)
        sound = word_in_noise(said, self.world, rng, snr_db=snr_db, length=length)
        return windowed(self.extractor.frames(sound), self.extractor.contract.pool_frames)


def measure(bench: Bench) -> dict[str, Any]:
    """Return what each voice that did not teach misses, for each word and draw."""
    words = {word: kind for kind, own in WORDS.items() for word in own}
    left_out = alike(tuple(words), bench.world) | {word for word in words if word in TAUGHT}
    words = {word: kind for word, kind in words.items() if word not in left_out}
    people = list(dict.fromkeys(one.person for one in VOICES))
    played, cases = [], []
    for number, word in enumerate(words):
        heard = list(bench.played(word))
        for draw in range(DRAWS):
            rng = np.random.default_rng([SEED, number, draw])
            teachers = set(rng.permutation(people)[:SHOTS].tolist())
            voices = list({one.person: one for one in VOICES if one.person in teachers}.values())
            scorer, scores = bench.taught(word, voices)
            asking = all_asked(scorer)
            thresholds = {f"{rate:g}": threshold_for(scores, rate * bench.ground.hours) for rate in RATES}
            thresholds["automatic"] = float(scorer.thresholds[0])
            cases.append({"word": word, "false": len(events(scores, thresholds["automatic"]))})
            for voice, condition, windows in heard:
                if voice.person not in teachers:
                    best = float(asking(bench.extractor.pool(windows), windows).scores[:, 0].max())
                    missed = {at: float(best < threshold) for at, threshold in thresholds.items()}
                    about = {"word": word, "person": voice.person, "engine": voice.engine, "condition": condition}
                    played.append({**about, "missed": missed})
        print(f"{word}: measured", file=sys.stderr, flush=True)
    return {
        "hours": bench.ground.hours, "rates": list(RATES), "words": words, "left_out": sorted(left_out),
        "people": len(people), "played": played, "cases": cases,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", type=Path, required=True, help="a folder of tools/make_stream")
    parser.add_argument("--every", type=int, required=True, metavar="N")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecl-spoken-") as scratch:
        found = measure(Bench(chosen.stream, chosen.every, Path(scratch)))
        chosen.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
