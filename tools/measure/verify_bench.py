"""What tools/verify_table measures with: a stream of background, its words, and both stages of listening on them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.sounds import RATE_HZ, Clip, Logged, word_in_noise, worlds
from common.splits import data_root
from edgecl.extractors.base import FileExtractor
from edgecl.model.model import Model
from edgecl.spotting.background import Background, BackgroundScorer
from edgecl.spotting.densities import log_density
from edgecl.spotting.reference import Reference, about, clip_vector, factory_directions
from edgecl.spotting.second_stage import WEIGHT, Second, SecondStage, hearing
from edgecl.spotting.spotters import WAIT_HOPS
from edgecl.values import replace
from measure.listen_table import NEAR_HOPS, in_blocks, taught_model

SHARES, SEED = {"noise": 360, "babble": 240, "words": 420, "speech": 420}, 2  # of tools/make_stream

Latents = NDArray[np.float32]


@dataclass(frozen=True)
class Stream:
    """Minutes of background: sound (M, n) int16, latents (M, T, D), and the words in each."""

    sound: NDArray[np.int16]
    latents: NDArray[np.float16]
    words: list[list[tuple[str, int, int]]]

    @property
    def hours(self) -> float:
        return float(self.latents.shape[0] * self.latents.shape[1] * 0.08 / 3600)

    def holds(self, word: str, contract: Any) -> NDArray[np.bool_]:
        """Return which hops (M * T,) have some of a recorded word in their window."""
        mask = np.zeros(self.latents.shape[:2], bool)
        for minute, placed in enumerate(self.words):
            for name, first, last in placed:
                if name == word:
                    begin = max((first - contract.clip_samples) // contract.hop_samples, 0)
                    mask[minute, begin : last // contract.hop_samples + 1] = True
        return mask.ravel()


def made(folder: Path, extractor: FileExtractor, every: int) -> Stream:
    """Return the stream, made once and kept."""
    file = folder / f"verify-{every}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        base = worlds(data_root())[1]
        world = Logged(base.voices, base.sentences, base.clips, base.noises)
        plan = [kind for kind, count in SHARES.items() for _ in range(count)]
        sound, latents, log = [], [], []
        for index in range(0, len(plan), every):
            world.log.clear()
            minute = world.chunk(plan[index], np.random.default_rng([SEED, index]))
            sound.append((32767 * minute).astype(np.int16))
            latents.append(extractor.hop_latents(minute).astype(np.float16))
            log.append(list(world.log))
            if index % 60 == 0:
                print(f"minute {index} of {len(plan)}", file=sys.stderr, flush=True)
        np.savez(folder / "part.npz", sound=np.array(sound), latents=np.array(latents), log=json.dumps(log))
        (folder / "part.npz").replace(file)
    with np.load(file) as kept:
        words = [
            [(str(name), int(first), int(last)) for name, first, last in one] for one in json.loads(str(kept["log"]))
        ]
        return Stream(kept["sound"], kept["latents"], words)


class Ears:
    """Vectors of windows, each computed once."""

    def __init__(self, extractor: FileExtractor) -> None:
        hears = hearing()
        if hears is None:
            sys.exit("verify_table needs efficientword-net 1.0.5, and a machine that runs it within 160 ms")
        self.hears, self.contract = hears, extractor.contract
        self._directions, self._held = factory_directions(), {}  # type: ignore[var-annotated]

    def of_hop(self, key: tuple[Any, ...], sound: NDArray[Any], hop: int) -> Latents:
        if (*key, hop) not in self._held:
            middle = hop * self.contract.hop_samples + self.contract.clip_samples // 2
            whole = sound if sound.dtype == np.float32 else sound.astype(np.float32) / np.float32(32767)
            window = about(whole, middle)
            self._held[*key, hop] = self._directions(self.hears(window))
        return self._held[*key, hop]  # type: ignore[no-any-return]

    def of_clip(self, key: tuple[Any, ...], clip: Clip) -> Latents:
        if key not in self._held:
            hears = lambda window: self._directions(self.hears(window))  # noqa: E731
            self._held[key] = clip_vector(clip.signal[:, None], self.contract, hears)
        return self._held[key]  # type: ignore[no-any-return]


def candidates(scores: NDArray[np.float32], threshold: float) -> list[int]:
    """Return the peaks that a spotter would ask about if all were refused: none is followed by a pause."""
    found: list[int] = []
    peak: int | None = None
    for hop in np.flatnonzero(scores >= threshold).tolist():
        if peak is not None and (hop - peak > WAIT_HOPS or (hop - peak == WAIT_HOPS and scores[hop] <= scores[peak])):
            closed_at, peak = peak + WAIT_HOPS, None
            found.append(closed_at - WAIT_HOPS)
            if hop <= closed_at:
                continue
        if peak is None or scores[hop] > scores[peak]:
            peak = hop
    return found if peak is None else [*found, peak]


def with_reference(model: Model, word: str, vectors: list[Latents]) -> Model:
    """Return the model as a lesson leaves it where the network is installed."""
    kept = replace(model.exemplars[word], reference=Reference.of(vectors).array())
    return replace(model, exemplars={word: kept})


class Bench:
    """The stream under both stages, the clips, and what was played of them."""

    def __init__(
        self, ears: Ears, extractor: FileExtractor, background: Background, stream: Stream, clips: list[Clip]
    ) -> None:
        self.extractor, self.background, self.stream = extractor, background, stream
        self.ears, self.clips = ears, clips
        flat, densities = stream.latents.reshape(-1, extractor.contract.dimension), background.densities()
        self.of_background = in_blocks(lambda rows: densities(rows)[0], flat)
        self.whitened = in_blocks(lambda rows: densities(rows)[1], flat)
        self.clean = extractor.latents([one.signal[:, None] for one in self.clips])
        self._world = worlds(data_root())[1]
        self._played: dict[tuple[int, int, int], tuple[Latents, Latents]] = {}

    def stages(self, word: str, taught: NDArray[np.intp], scratch: Path) -> tuple[BackgroundScorer, Second]:
        """Return both stages of a word as a lesson of some clips makes them."""
        vectors = [self.ears.of_clip((self, int(at)), self.clips[at]) for at in taught]
        model = with_reference(taught_model(self.clean[taught], word, scratch), word, vectors)
        scorer = BackgroundScorer(model, self.background)
        return scorer, SecondStage(scorer, model, self.background, self.ears.hears).words[word]

    def scores(self, word: str, scorer: BackgroundScorer) -> NDArray[np.float32]:
        """Return the first stage's scores of the stream (n,), minus infinity where the word itself is heard."""
        own = scorer.word(word)
        densities = log_density(self.whitened, own.own, np.array([own.own_spread], np.float32))[:, 0]
        scores = densities - np.float32(own.half_determinant) - self.of_background
        scores[self.stream.holds(word, self.extractor.contract)] = -np.inf
        return scores

    def both(self, hops: list[int], scores: NDArray[np.float32], second: Second) -> NDArray[np.float32]:
        """Return the scores of both stages of candidates of the stream."""
        minutes = [divmod(hop, self.stream.latents.shape[1]) for hop in hops]
        vectors = [self.ears.of_hop(("stream", one), self.stream.sound[one], hop) for one, hop in minutes]
        return scores[hops] + WEIGHT * np.array([one @ second.direction for one in vectors], np.float32)

    def peaks(self, scorer: BackgroundScorer, second: Second, clip: int, level: int, take: int) -> tuple[float, float]:
        """Return the highest score of one stage and of both near the middle of a word that is played."""
        sound, latents = self.play(clip, level, take)
        scores = scorer.row_scores(latents)[:, 0]
        near = range(len(scores) // 2 - NEAR_HOPS, len(scores) // 2 + NEAR_HOPS)
        asked = [hop for hop in candidates(scores, second.candidate) if hop in near]
        vectors = [self.ears.of_hop((self, clip, level, take), sound, hop) for hop in asked]
        both = [
            float(scores[hop]) + WEIGHT * float(one @ second.direction) for hop, one in zip(asked, vectors, strict=True)
        ]
        return float(scores[near.start : near.stop].max()), max(both, default=-np.inf)

    def play(self, clip: int, level: int, take: int) -> tuple[Latents, Latents]:
        """Return a clip in noise, as sound (n,) and as latents (hops, D)."""
        if (clip, level, take) not in self._played:
            rng = np.random.default_rng([SEED, level, clip, take])
            sound = word_in_noise(self.clips[clip].signal, self._world, rng, snr_db=level, length=4 * RATE_HZ)
            self._played[clip, level, take] = sound, self.extractor.hop_latents(sound)
        return self._played[clip, level, take]
