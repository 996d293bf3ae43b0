"""Sound that is no lesson: noise, babble, isolated words and running speech, a minute at a time, and words in noise.

Two worlds share no speaker, no word that is taught, no text and no synthetic voice:

==========  ==================================================  ====================================================
            FACTORY: statistics that ship with edgecl            STREAM: what the tables are measured on
==========  ==================================================  ====================================================
recorded    the ten command words of speech_commands, by         the other words that are not taught, by all others
            speakers who say nothing else there
voices      half of espeak-ng's formant voices                   the other half
texts       snips                                                clinc150
noise       synthetic: white, pink, brown, hum, knocks           the same, and recorded (speech_commands _silence_)
==========  ==================================================  ====================================================

The words that are taught (TAUGHT) are those of speech_commands with two or more syllables and at least 12 clips, a rule
that was set before anything was measured. Sentences that hold one of them are left out of both worlds.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample

RATE_HZ = 16_000
CHUNK_S = 60
FACTORY_MINUTES, FACTORY_SEED = {"noise": 120, "words": 120, "speech": 150, "babble": 30}, 1  # of what ships
TAUGHT = ("happy", "marvin", "seven", "sheila", "zero")
SHORT = ("bed", "eight", "five", "four", "house", "nine", "one", "six", "three", "two")  # which the stream holds, too
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMANDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
VOICES = (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee",
    "Marco", "Mario", "Michael", "Mike", "Nguyen", "Storm", "adam", "anika", "announcer", "antonio", "aunty",
    "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "f1", "f2", "f3", "f4", "f5", "grandma",
    "grandpa", "gustave", "iven", "iven2", "john", "linda", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo",
    "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby",
    "steph", "steph2", "travis", "victor", "zac",
)  # fmt: skip

Signal = NDArray[np.float32]  # (n,) at 16 kHz


@dataclass(frozen=True)
class Clip:
    """A recorded word."""

    word: str
    speaker: str
    signal: Signal


@dataclass(frozen=True)
class World:
    """The speakers, words, texts and voices of one side."""

    voices: Sequence[str]
    sentences: Sequence[str]
    clips: Sequence[Clip]
    noises: Sequence[Signal]  # recorded; may be empty

    def chunk(self, kind: str, rng: np.random.Generator) -> Signal:
        """A minute of "noise", "babble", "words" or "speech", in a room, at some level, with noise behind it."""
        length = CHUNK_S * RATE_HZ
        if kind == "noise":
            sound = self.noise(length, rng)
        else:
            sound = in_a_room(self._spoken(kind, rng), rng)
            sound = with_noise(sound, self.noise(length, rng), snr_db=float(rng.uniform(5, 30)))
        return at_level(sound, float(rng.uniform(-30, -3)))

    def noise(self, length: int, rng: np.random.Generator) -> Signal:
        """White, pink or brown, with hum or knocks, or recorded."""
        if len(self.noises) and rng.random() < 0.3:
            return tiled(self.noises[int(rng.integers(len(self.noises)))], length)
        sound = coloured(length, rng, slope=float(rng.choice([0, 1, 2])))
        if rng.random() < 0.3:
            turn = np.arange(length) * (2 * np.pi * rng.choice([50, 60]) / RATE_HZ)
            hum = np.sum([np.sin(order * turn) / order for order in (1, 2, 3, 5)], axis=0)
            sound += (rng.uniform(0.3, 2) * hum).astype(np.float32)
        if rng.random() < 0.3:
            sound += knocks(length, rng)
        return sound

    def _spoken(self, kind: str, rng: np.random.Generator) -> Signal:
        makers: dict[str, Callable[[np.random.Generator], Signal]] = {
            "speech": self._speech,
            "words": self._words,
            "babble": self._babble,
        }
        return makers[kind](rng)

    def _speech(self, rng: np.random.Generator) -> Signal:
        """One voice that goes on and on."""
        said = [say(self._voice(rng), "\n".join(rng.choice(self.sentences, 24)), rng)]
        while sum(map(len, said)) < CHUNK_S * RATE_HZ:
            said.append(say(self._voice(rng), "\n".join(rng.choice(self.sentences, 12)), rng))
        return np.concatenate(said)[: CHUNK_S * RATE_HZ]

    def _babble(self, rng: np.random.Generator) -> Signal:
        """Three to seven voices at once, none of them far above the others."""
        voices = [self._speech(rng) * 10 ** (rng.uniform(-6, 0) / 20) for _ in range(rng.integers(3, 8))]
        return np.asarray(np.sum(voices, axis=0), np.float32)

    def _words(self, rng: np.random.Generator) -> Signal:
        """Return single words, half of them recorded, with 0.2 to 1.5 s between them."""
        sound, at = np.zeros(CHUNK_S * RATE_HZ, np.float32), 0
        while True:
            name, word = self._recorded(rng) if rng.random() < 0.5 else ("", self._synthetic(rng))
            if at + len(word) > len(sound):
                return sound
            self.placed(name, at, at + len(word))
            sound[at : at + len(word)] = word * 10 ** (rng.uniform(-12, 0) / 20)
            at += len(word) + int(rng.uniform(0.2, 1.5) * RATE_HZ)

    def placed(self, word: str, first: int, last: int) -> None:
        """Say which samples of a minute are a word, empty where it is synthetic, to whoever overrides this."""

    def _recorded(self, rng: np.random.Generator) -> tuple[str, Signal]:
        """A clip, up to 10 % faster or slower, and its word."""
        clip = self.clips[int(rng.integers(len(self.clips)))]
        return clip.word, to_peak(resampled(clip.signal, RATE_HZ, RATE_HZ * float(rng.uniform(0.9, 1.1))))

    def _synthetic(self, rng: np.random.Generator) -> Signal:
        words = str(rng.choice(self.sentences)).split()
        return to_peak(say(self._voice(rng), str(rng.choice(words)), rng))

    def _voice(self, rng: np.random.Generator) -> str:
        return f"{rng.choice(ACCENTS)}+{rng.choice(self.voices)}"


@dataclass(frozen=True)
class Logged(World):
    """A world that notes which recorded word is where in a minute."""

    log: list[tuple[str, int, int]] = field(default_factory=list)

    def placed(self, word: str, first: int, last: int) -> None:
        self.log.append((word, first, last))


def worlds(root: Path) -> tuple[World, World]:
    """FACTORY and STREAM from the recordings and texts below the data folder."""
    clips = recorded(root)
    spoken = {one.speaker for one in clips if one.word not in COMMANDS and one.word != "_silence_"}
    commands = [one for one in clips if one.word in COMMANDS and one.speaker not in spoken]
    others = [one for one in clips if one.word not in (*COMMANDS, *TAUGHT, "_silence_")]
    noises = [one.signal for one in clips if one.word == "_silence_"]
    return (
        World(VOICES[::2], _sentences(root / "snips"), commands, []),
        World(VOICES[1::2], _sentences(root / "clinc150"), others, noises),
    )


def taught_clips(root: Path, words: Sequence[str] = TAUGHT) -> list[Clip]:
    """Return every clip of a word that is taught or listened for."""
    return [one for one in recorded(root) if one.word in words]


def digit_clips(root: Path, each: int) -> list[Clip]:
    """Return the first clips of fsdd of each digit by each speaker."""
    contract = open_extractor(builtin_extractor("voice")).contract
    found: dict[tuple[str, str], list[Clip]] = {}
    for item in read_samples(root / "fsdd", contract):
        if isinstance(item, Sample):
            clip = Clip(DIGITS[int(str(item.label))], str(item.group), item.signal[:, 0])
            found.setdefault((clip.word, clip.speaker), []).append(clip)
    return [one for clips in found.values() for one in clips[:each]]


@cache
def recorded(root: Path) -> tuple[Clip, ...]:
    """Every clip of speech_commands that `edgecl learn` would take."""
    contract = open_extractor(builtin_extractor("voice")).contract
    found = (one for one in read_samples(root / "speech_commands", contract) if isinstance(one, Sample))
    return tuple(
        Clip(str(one.label), Path(one.source.partition("@")[0]).stem.rpartition("_")[0], one.signal[:, 0])
        for one in found
    )


def _sentences(folder: Path) -> tuple[str, ...]:
    """Texts of at most 15 plain words, none of them taught."""
    texts = (json.loads(line)["text"] for line in (folder / "data.jsonl").read_text().splitlines())
    plain = (re.sub(r"[^a-z' ]+", " ", text.lower()).strip() for text in texts)
    taught = re.compile("|".join((*TAUGHT, "0", "7")))
    return tuple(sorted({one for one in plain if 2 <= len(one.split()) <= 15 and not taught.search(one)}))


def say(voice: str, text: str, rng: np.random.Generator) -> Signal:
    """A text spoken by espeak-ng, peak 1, at some speed and pitch."""
    speed, pitch = str(rng.integers(130, 230)), str(rng.integers(20, 81))
    command = ["espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "--stdout", "--", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    rate_hz = int.from_bytes(wav[24:28], "little")
    return to_peak(resampled(np.frombuffer(wav[44:], "<i2").astype(np.float32), rate_hz, RATE_HZ))


def resampled(signal: Signal, from_hz: float, to_hz: float) -> Signal:
    return np.asarray(soxr.resample(signal, from_hz, to_hz, quality="MQ"), np.float32)


def to_peak(signal: Signal) -> Signal:
    return signal / max(float(np.abs(signal).max(initial=0)), 1e-9)


def at_level(signal: Signal, peak_db: float) -> Signal:
    """Scale a signal so that its peak is `-peak_db` decibels below full scale."""
    return (to_peak(signal) * np.float32(10 ** (peak_db / 20))).astype(np.float32)


def tiled(signal: Signal, length: int) -> Signal:
    """A short noise repeated, every other time backwards, so that there is no click."""
    return np.resize(np.concatenate([signal, signal[::-1]]), length)


def coloured(length: int, rng: np.random.Generator, *, slope: float) -> Signal:
    """Noise of unit power that falls as 1/f^slope above 50 Hz: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length, np.float32))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / RATE_HZ), 50)
    noise = np.fft.irfft(spectrum / frequency ** (slope / 2), length)
    return np.asarray(noise / noise.std(), np.float32)


def knocks(length: int, rng: np.random.Generator) -> Signal:
    """Doors, cups and keys: bursts that die away within 20 to 300 ms, one every few seconds."""
    sound = np.zeros(length, np.float32)
    for at in rng.integers(0, length - RATE_HZ, max(length // (3 * RATE_HZ), 1)):
        decay = rng.uniform(0.02, 0.3) * RATE_HZ / 6.9
        burst = rng.standard_normal(int(6.9 * decay)) * np.exp(-np.arange(int(6.9 * decay)) / decay)
        stretch = sound[at : at + len(burst)]
        stretch += (rng.uniform(2, 20) * burst[: len(stretch)]).astype(np.float32)
    return sound


def in_a_room(signal: Signal, rng: np.random.Generator) -> Signal:
    """With an echo that dies away within 40 to 400 ms, and a microphone's tilt."""
    decay = rng.uniform(0.04, 0.4) * RATE_HZ / 6.9  # 6.9 = ln(1000): down by 60 dB at the end
    tail = rng.standard_normal(int(6.9 * decay)) * np.exp(-np.arange(int(6.9 * decay)) / decay)
    tail[: RATE_HZ // 500] = 0  # nothing arrives in the first 2 ms
    tail *= 10 ** (-rng.uniform(3, 16) / 20) / np.linalg.norm(tail)
    tail[0] = 1
    length = quick_length(len(signal) + len(tail))
    wet = np.fft.irfft(np.fft.rfft(signal, length) * np.fft.rfft(tail, length), length)[: len(signal)]
    wet[1:] += rng.uniform(-0.3, 0.3) * wet[:-1]
    return wet.astype(np.float32)


def quick_length(least: int) -> int:
    """Return a length of a transform that is quick: a power of two times 1, 3, 5, 9 or 15."""
    return min(odd << max(-(-least // odd) - 1, 0).bit_length() for odd in (1, 3, 5, 9, 15))


def loudness(signal: Signal) -> float:
    """Root mean square of the loudest tenth of its 20 ms pieces: of the speech, not of the pauses."""
    pieces = signal[: len(signal) // 320 * 320].reshape(-1, 320)
    power = np.sort(np.square(pieces).mean(axis=1))
    return float(np.sqrt(power[-max(len(power) // 10, 1) :].mean()))


def with_noise(signal: Signal, noise: Signal, *, snr_db: float) -> Signal:
    """Add noise of the same length, `snr_db` decibels below the loud parts of the signal."""
    scale = loudness(signal) / max(float(noise.std()), 1e-9) * 10 ** (-snr_db / 20)
    return (signal + np.float32(scale) * noise).astype(np.float32)


def word_in_noise(clip: Signal, world: World, rng: np.random.Generator, *, snr_db: float, length: int) -> Signal:
    """A recorded word in the middle of a stretch of noise, give or take 40 ms, in a room, at some level."""
    sound = np.zeros(length, np.float32)
    at = (length - len(clip)) // 2 + int(rng.integers(-640, 641))
    sound[at : at + len(clip)] = clip
    noise = world.noise(length, rng)
    return at_level(with_noise(in_a_room(sound, rng), noise, snr_db=snr_db), float(rng.uniform(-30, -3)))


def chunks(world: World, kinds: dict[str, int], *, seed: int) -> Iterator[tuple[str, Signal]]:
    """Minutes of each kind, as many as are wanted; each is drawn from a seed of its own."""
    plan = [kind for kind, minutes in kinds.items() for _ in range(minutes)]
    for index, kind in enumerate(plan):
        yield kind, world.chunk(kind, np.random.default_rng([seed, index]))
