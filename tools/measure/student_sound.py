"""What the student of the second stage is taught with: windows of FACTORY's sound and what the network says of them.

tools/common/sounds.py says which people, voices and texts FACTORY has; nothing that a table is measured on is used. Of
each window there are the nine frames that a latent is the mean of, and the vector of the network in
`edgecl.extractors.verifier`. No word that is taught or played in tools/listen_table or tools/verify_table is said on
purpose, but for the ten commands.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.sounds import ACCENTS, RATE_HZ, Clip, Signal, World, recorded, resampled, say, to_peak, word_in_noise
from common.splits import data_root
from common.windows import minutes_with
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import verifier_file
from edgecl.extractors.verifier import Verifier
from edgecl.spotting.background import factory_background
from edgecl.spotting.reference import WINDOW_SAMPLES, about

# espeak-ng's rules of other languages, spoken by the voices of FACTORY
LANGUAGES = ("de", "es", "fr-fr", "it", "pt-br", "nl", "pl", "sv", "tr", "cs", "hu", "ro", "id", "fi", "el", "ru", "hi")
FLITE = ("awb", "kal", "kal16", "rms", "slt")
CONSONANTS = (
    "b",
    "d",
    "f",
    "g",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "ch",
    "sh",
    "th",
    "y",
    "j",
)
CLUSTERS = ("bl", "br", "cl", "cr", "dr", "fl", "gr", "pl", "pr", "sk", "sl", "sn", "sp", "st", "str", "tr")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ee", "oo", "ou", "oi", "ar", "er", "or")
ENDS = ("", "", "", "n", "m", "l", "r", "s", "t", "k", "p", "d", "nd", "st", "x", "ng")
SHARES = {"clip": 0.2, "spliced": 0.2, "word": 0.25, "made-up": 0.25, "talk": 0.1}
PART, FIRST, PARTS = 2500, 11, 4  # windows that are kept in one file, the seed of the first, and those that ship
LENGTH = WINDOW_SAMPLES + 4 * 1280
SHORTEST_S, LONGEST_S = 0.1, 1.2
TALK_WINDOWS = 30  # of a minute


class Said(NamedTuple):
    """Where a window comes from."""

    kind: str
    who: str
    words: str
    """The commands in it, joined by "-"."""


@dataclass(frozen=True)
class Pupil:
    """Windows, n of them."""

    frames: NDArray[np.float16]
    """(n, 9, D)."""
    vectors: NDArray[np.float16]
    """(n, 2048)."""
    said: NDArray[np.str_]
    """(n, 3) as in `Said`."""

    def only(self, which: NDArray[np.bool_]) -> Pupil:
        return Pupil(self.frames[which], self.vectors[which], self.said[which])


def taught_with(folder: Path, world: World, extractor: FileExtractor, *, parts: int) -> Pupil:
    """Return the windows of so many parts of PART windows, each made once and kept in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in range(FIRST, FIRST + parts):
        file = folder / f"windows-{seed}.npz"
        if not file.exists():
            network = verifier_file()
            if network is None:
                sys.exit("windows need efficientword-net 1.0.5: pip install 'edgecl[verify]'")
            made = windows(world, extractor, Verifier(network), count=PART, seed=seed)
            keep(file, frames=made.frames, vectors=made.vectors, said=made.said)
        with np.load(file) as kept:
            found.append(Pupil(kept["frames"], kept["vectors"], kept["said"]))
    return Pupil(*(np.concatenate([getattr(one, name) for one in found]) for name in ("frames", "vectors", "said")))


def keep(file: Path, **arrays: Any) -> None:
    """Write arrays to a file, all or nothing."""
    part = file.with_name(f"part-{file.name}")
    np.savez(part, **arrays)
    part.replace(file)


def background_rows(
    folder: Path, world: World, extractor: FileExtractor, *, every: int
) -> tuple[NDArray[np.intp], NDArray[np.float16]]:
    """Return which rows of the background are of each Nth minute, and their frames (n, 9, D); made once and kept."""
    file = folder / f"rows-{every}.npz"
    if not file.exists():
        background = factory_background(source=extractor.contract.source, dimension=extractor.contract.dimension)
        assert background is not None
        found: dict[int, NDArray[np.float16]] = {}
        for _, frames, hops in minutes_with(world, extractor, background.rows, every=every):
            for row, hop in hops.items():
                found[row] = frames[hop : hop + extractor.contract.pool_frames].astype(np.float16)
        keep(file, of=np.array(sorted(found)), frames=np.array([found[row] for row in sorted(found)]))
    with np.load(file) as kept:
        return kept["of"], kept["frames"]


class Speakers:
    """Says something of each kind."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self._world, self._rng = world, rng
        names = {one.word for one in recorded(data_root())}
        spoken = {word for text in world.sentences for word in text.split()}
        self._vocabulary = sorted(word for word in spoken if len(word) > 2 and "'" not in word and word not in names)
        self._of: dict[str, list[Clip]] = {}
        for clip in world.clips:
            self._of.setdefault(clip.speaker, []).append(clip)
        self._pairs = [one for one in world.clips if len(self._of[one.speaker]) > 1]
        self.makers: dict[str, Callable[[], tuple[Said, Signal]]] = {
            "clip": self._clip,
            "spliced": self._spliced,
            "word": self._word,
            "made-up": self._made_up,
        }

    def _clip(self) -> tuple[Said, Signal]:
        """A recorded command, up to 15 % faster or slower."""
        clip = self._world.clips[int(self._rng.integers(len(self._world.clips)))]
        return Said("clip", clip.speaker, clip.word), self._other_speed(clip.signal)

    def _spliced(self) -> tuple[Said, Signal]:
        """The beginning of one command and the end of another, of one person."""
        first = self._pairs[int(self._rng.integers(len(self._pairs)))]
        others = self._of[first.speaker]
        second = others[int(self._rng.integers(len(others)))]
        one, other = sounding(first.signal), sounding(second.signal)
        cut, at = int(self._rng.uniform(0.3, 1) * len(one)), int(self._rng.uniform(0, 0.7) * len(other))
        joined = np.concatenate([to_peak(one)[:cut], to_peak(other)[at:]])
        return Said("spliced", first.speaker, f"{first.word}-{second.word}"), self._other_speed(joined)

    def _word(self) -> tuple[Said, Signal]:
        """A word, or two, of the texts."""
        text = " ".join(self._rng.choice(self._vocabulary, int(self._rng.choice([1, 2], p=[0.8, 0.2]))))
        return self._synthetic("word", text, ACCENTS)

    def _made_up(self) -> tuple[Said, Signal]:
        """Syllables that mean nothing, in some language."""
        syllables = int(self._rng.choice([1, 2, 3, 4], p=[0.35, 0.35, 0.2, 0.1]))
        text = "".join(self._syllable() for _ in range(syllables))
        return self._synthetic("made-up", text, (*ACCENTS, *LANGUAGES))

    def _syllable(self) -> str:
        begins = CLUSTERS if self._rng.random() < 0.25 else CONSONANTS
        return "".join(str(self._rng.choice(some)) for some in (begins, VOWELS, ENDS))

    def _synthetic(self, kind: str, text: str, accents: tuple[str, ...]) -> tuple[Said, Signal]:
        if self._rng.random() < 0.25:
            voice = str(self._rng.choice(FLITE))
            return Said(kind, f"flite-{voice}", ""), self._other_speed(flite(voice, text, self._rng))
        voice = str(self._rng.choice(self._world.voices))
        return Said(kind, voice, ""), self._other_speed(say(f"{self._rng.choice(accents)}+{voice}", text, self._rng))

    def _other_speed(self, signal: Signal) -> Signal:
        return resampled(signal, RATE_HZ, RATE_HZ * float(self._rng.uniform(0.85, 1.15)))


def windows(
    world: World, extractor: FileExtractor, verifier: Verifier, *, count: int, seed: int, every: int = 2
) -> Pupil:
    """Return about `count` windows, `every` of each word that is said."""
    rng = np.random.default_rng(seed)
    speakers, frames, vectors, said = Speakers(world, rng), [], [], []
    hop_samples, half = extractor.contract.hop_samples, extractor.contract.clip_samples // 2
    pool, kinds = extractor.contract.pool_frames, list(SHARES)

    def heard(about_it: Said, sound: Signal, hops: NDArray[np.intp], whole: NDArray[np.float32]) -> None:
        for hop in hops.tolist():
            frames.append(whole[hop : hop + pool].astype(np.float16))
            vectors.append(verifier(about(sound, hop * hop_samples + half)).astype(np.float16))
            said.append(about_it)

    while len(frames) < count * (1 - SHARES["talk"]):
        kind = str(rng.choice(kinds[:-1], p=np.array(list(SHARES.values())[:-1]) / (1 - SHARES["talk"])))
        about_it, signal = speakers.makers[kind]()
        signal = sounding(signal)
        if not SHORTEST_S * RATE_HZ < len(signal) < LONGEST_S * RATE_HZ:
            continue
        sound = word_in_noise(signal, world, rng, snr_db=float(rng.uniform(3, 35)), length=LENGTH)
        whole = extractor.frames(sound)
        heard(about_it, sound, rng.choice(len(whole) - pool + 1, every, replace=False), whole)
        if len(frames) % 1000 < every:
            print(f"{len(frames)} of {count} windows", file=sys.stderr, flush=True)
    while len(frames) < count:
        voice = str(rng.choice(world.voices))
        own = World([voice], world.sentences, world.clips, world.noises)
        sound = own.chunk("speech", rng)
        whole = extractor.frames(sound)
        heard(Said("talk", voice, ""), sound, rng.choice(len(whole) - pool + 1, TALK_WINDOWS, replace=False), whole)
    return Pupil(np.array(frames), np.array(vectors), np.array(said))


def sounding(signal: Signal) -> Signal:
    """Return a word without the silence around it: what is within 30 dB of its loudest 20 ms."""
    pieces = signal[: len(signal) // 320 * 320].reshape(-1, 320)
    if not len(pieces):
        return signal
    power = np.square(pieces).mean(axis=1)
    loud = np.flatnonzero(power > 1e-3 * power.max())
    return signal[320 * max(int(loud[0]) - 1, 0) : 320 * (int(loud[-1]) + 2)] if len(loud) else signal


def flite(voice: str, text: str, rng: np.random.Generator) -> Signal:
    """A text spoken by flite, peak 1, at some speed and pitch."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "said.wav")
        stretch, pitch = f"duration_stretch={rng.uniform(0.75, 1.3):.2f}", int(rng.integers(80, 240))
        command = ["flite", "-voice", voice, "--setf", stretch, "--setf", f"int_f0_target_mean={pitch}"]
        subprocess.run([*command, "-t", text, "-o", file], check=True, env=dict(os.environ))
        wav = file.read_bytes()
    rate_hz = int.from_bytes(wav[24:28], "little")
    return to_peak(resampled(np.frombuffer(wav[44:], "<i2").astype(np.float32), rate_hz, RATE_HZ))
