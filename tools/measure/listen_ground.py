"""The stream of tools/make_stream under the background that ships, which is the same to every word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.windows import windowed
from edgecl.extractors.contract import Contract
from edgecl.model.model import Model
from edgecl.spotting.background import Background, BackgroundScorer
from edgecl.spotting.densities import gaussian
from edgecl.spotting.reference import Reference
from edgecl.spotting.student import BETA, Student

HOP_S = 0.08
CLOSE = 0.05  # of a score: it is computed in another order

Rows = NDArray[np.float32]


def part(model: Model, word: str) -> Rows | None:
    """Return the direction (K,), as long as it weighs, that a student's answers add to a word's score along."""
    stored = model.exemplars[word].student
    return None if stored is None else np.float32(BETA) * Reference.from_array(stored).direction


class Ground:
    """What every word is scored against, computed once.

    Parameters
    ----------
    folder
        Of tools/make_stream.
    every
        Each Nth minute is taken.

    Attributes
    ----------
    latents
        (n, D) float16.
    hours
    """

    def __init__(
        self, folder: Path, contract: Contract, background: Background, student: Student | None, *, every: int = 1
    ) -> None:
        with np.load(folder / "background.npz") as kept:
            self._frames, placed = kept["frames"][::every], json.loads(str(kept["placed"]))[::every]
            latents = kept["x"].reshape(len(kept["kind"]), -1, contract.dimension)[::every]
        self.latents: NDArray[np.float16] = latents.reshape(-1, contract.dimension)
        self._placed: list[list[tuple[str, int, int]]] = [[tuple(one) for one in minute] for minute in placed]
        self._contract, self.hours = contract, len(self.latents) * HOP_S / 3600
        densities, minutes = background.densities(), self._minutes()
        self._rivals, self._lengths = (np.empty(len(self.latents), np.float32) for _ in range(2))
        self._whitened = np.empty(self.latents.shape, np.float32)
        for at, latents in enumerate(minutes):
            rows = slice(at * len(latents), (at + 1) * len(latents))
            self._rivals[rows], self._whitened[rows] = densities(latents.astype(np.float32))
            self._lengths[rows] = np.square(self._whitened[rows]).sum(axis=1)
        self._answers = None
        if student is not None:
            answers = [student(windowed(one, contract.pool_frames)) for one in self._frames]
            self._answers = np.concatenate(answers)

    def words(self) -> set[str]:
        """Return the recorded words."""
        return {name for minute in self._placed for name, _, _ in minute if name}

    def holds(self, words: set[str]) -> NDArray[np.bool_]:
        """Return which hops (n,) have some of these recorded words in their window."""
        mask = np.zeros((len(self._placed), len(self.latents) // len(self._placed)), bool)
        clip, hop = self._contract.clip_samples, self._contract.hop_samples
        for minute, placed in enumerate(self._placed):
            for name, first, last in placed:
                if name in words:
                    mask[minute, max((first - clip) // hop, 0) : last // hop + 1] = True
        return mask.ravel()

    def scores(self, scorer: BackgroundScorer, label: str, added: Rows | None = None) -> Rows:
        """Return the scores (n,) of a word.

        Parameters
        ----------
        added
            (K,) of what the student answers to a hop, as in `part`: it is asked about every hop here. Those that a
            scorer does not ask about cannot reach the threshold.
        """
        word, rivals = scorer.word(label), self._rivals
        half = np.float32(word.half_determinant)
        for other, spread in zip(word.others, word.other_spreads.tolist(), strict=True):
            rivals = np.maximum(rivals, self._density(other, spread) - half)
        found: Rows = self._density(word.own[0], word.own_spread) - half - rivals
        if added is not None and self._answers is not None:
            found += self._answers @ added
        return found

    def _density(self, mean: Rows, spread: float) -> Rows:
        squared = self._lengths - 2 * (self._whitened @ mean) + np.square(mean).sum()
        return gaussian(squared, spread, self._whitened.shape[1])

    def agrees(self, scorer: BackgroundScorer, label: str, added: Rows | None) -> bool:
        """Test whether a scorer gives the first minute's hops that it asks its student about, or all, the same."""
        latents, windows = self._minutes()[0].astype(np.float32), windowed(self._frames[0], self._contract.pool_frames)
        theirs, ours = scorer(latents, windows), self.scores(scorer, label, added)[: len(latents)]
        index = scorer.labels.index(label)
        asked = slice(None) if theirs.asked is None else theirs.asked[:, index]
        return bool(np.allclose(theirs.scores[asked, index], ours[asked], atol=CLOSE))

    def _minutes(self) -> NDArray[np.float16]:
        minutes: NDArray[np.float16] = self.latents.reshape(len(self._frames), -1, self.latents.shape[1])
        return minutes
