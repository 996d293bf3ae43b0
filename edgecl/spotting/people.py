"""People who did not teach: how far their clips lie from a word that others taught.

A word of many speakers has two variances in the coordinates that whiten words: β between speakers and ω within one
(both summed over the columns). For a word taught by people with k_t of n clips, the squared distance of a clip of
somebody else to the word's mean has the expectation

    E d² = β (1 + Σ (k_t / n)²) + ω (1 + 1 / n)

A taught clip that is left out by itself comes closer, the more so the fewer people taught: its own speaker is still in
the mean. With one speaker E d² = ω (1 + 1 / (n - 1)), without any β. Where several speakers are known, all clips of a
speaker are left out together, and β counts 1 + Σ (k_t / (n - k_s))² times over the others. The difference of the
expectations moves the score of each clip left out to what an unseen person gets; β, ω and the rest of `Allowance` ship
with the extractor, from `tools/make_people`: once for the first stage's score, once for the score that a student has a
part in. To people who did not teach that adds about as much whatever the clips are: its share is in `quiet`.
Variance components: Searle, Casella and McCulloch 1992, ch. 3.

What a single person gets is counted: of ten times k are heard, each with the probability that a score of theirs reaches
the threshold. A person's mean score has a t distribution about what is expected, with one degree of freedom less than
the words that its variance was estimated from; given that mean, the ten are binomial. The range is of k.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecl.values import dataclass, fields, replace

TIMES = 10  # that one person says a word
OUTSIDE = 0.05  # of all people, on either side of the range
MOSTLY, DEVIATIONS = 0.7, 0.5244  # share of clips, and how far below their mean the score is that it reaches
DEGREES = 9  # of freedom: the factory's people say ten words
_STEPS = np.linspace(-8, 8, 161)  # of the mean score of a person, in its deviations


@dataclass(frozen=True)
class Allowance:
    """What many people's clips say of people who did not teach; squared distances and scores of one width."""

    between: float
    """Squared distance that speakers differ by, β."""
    within: float
    """Squared distance that clips of one speaker differ by, ω."""
    quiet: float
    """Score that a word gains in a stream, 45 dB above the noise: the best of several hops counts."""
    noise: float
    """The same 20 dB above the noise."""
    clip: float
    """Variance of the score of what one person says: of clips, and of takes of one clip."""
    person: float
    """Variance of a person's expected score, of a word that very many people taught."""
    person_few: float
    """What is added to `person`, times Σ (k_t / n)²."""
    word: float
    """Variance of the mean score of all people about the expectation, of a word that very many people taught."""
    word_few: float
    """What is added to `word`, times Σ (k_t / n)²."""

    def scaled(self, share: float) -> Allowance:
        """Return the allowance for latents projected to a share of the columns, 0 to 1."""
        return replace(self, **{one.name: share * float(getattr(self, one.name)) for one in fields(self)})


@dataclass(frozen=True)
class Unseen:
    """The scores that clips of people who did not teach are expected to have."""

    quiet: float
    """Mean in quiet."""
    noise: float
    """Mean 20 dB above the noise."""
    variance: float
    """Of clips of all people."""
    person: float
    """Of the mean of one person about what is expected."""

    def heard(self, threshold: float, *, in_noise: bool = False) -> float:
        """Return the share of clips that are expected to reach a threshold."""
        above = (self.noise if in_noise else self.quiet) - threshold
        return _normal(above / math.sqrt(self.variance))

    def mostly(self) -> float:
        """Return the score that MOSTLY of the clips are expected to reach, in quiet and 20 dB above the noise."""
        return min(self.quiet, self.noise) - DEVIATIONS * math.sqrt(self.variance)

    def of_one_person(self, threshold: float) -> tuple[float, float]:
        """Return the shares of TIMES in quiet between which at least nine of ten people are expected to be."""
        below = np.cumsum(self.chances(threshold, TIMES))  # of so many times or fewer
        least, most = int((below < OUTSIDE).sum()), int((below < 1 - OUTSIDE).sum())
        return least / TIMES, most / TIMES

    def chances(self, threshold: float, times: int) -> NDArray[np.floating]:
        """Return the probability (times + 1,) that one person is heard 0, 1, ... of so many times in quiet."""
        clip = math.sqrt(max(self.variance - self.person, 1e-9))
        means = self.quiet - threshold + math.sqrt(self.person) * _STEPS
        chance = np.array([_normal(mean / clip) for mean in means])
        weights = (1 + np.square(_STEPS) / DEGREES) ** (-(DEGREES + 1) / 2)
        counts = [math.comb(times, k) * chance**k * (1 - chance) ** (times - k) for k in range(times + 1)]
        shares: NDArray[np.floating] = np.array([weights @ one for one in counts]) / weights.sum()
        return shares


@dataclass(frozen=True)
class Expected:
    """How often each variance is in the expected squared distance of something to a word's mean."""

    between: NDArray[np.floating]
    within: NDArray[np.floating]

    @staticmethod
    def of_unseen(clips: NDArray[np.floating]) -> Expected:
        """Return that of a person who did not teach, by the clips (p,) of those who did."""
        total = clips.sum()
        return Expected(1 + np.square(clips / total).sum(), 1 + 1 / total)

    @staticmethod
    def of_taught(clips: NDArray[np.floating], own: NDArray[np.intp]) -> Expected:
        """Return that of kept clips, whose person is `own` (m,): each left out with its person, or alone if of one."""
        total = clips.sum()
        if len(clips) > 1:
            rest = total - clips
            between = 1 + (np.square(clips).sum() - np.square(clips)) / np.square(rest)
            return Expected(between[own], (1 + 1 / rest)[own])
        within = 1 + 1 / (total - 1) if total > 1 else 0.0  # a single clip stands for itself
        return Expected(np.zeros(len(own)), np.full(len(own), within))


def people_of(numbers: NDArray[np.uint8], count: float) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
    """Return how many of `count` taught clips are of each person (p,), and whose each kept clip is (m,).

    All clips of people who are not known count as one person's.
    """
    different = np.array(sorted(set(numbers.tolist())), np.uint8)  # `numpy.unique` loads `numpy.ma`
    own = np.searchsorted(different, numbers)
    kept = np.bincount(own, minlength=len(different))
    return count * kept / max(len(numbers), 1), own


def squared_left_out(
    whitened: NDArray[np.float32], mean: NDArray[np.float32], clips: NDArray[np.floating], own: NDArray[np.intp]
) -> NDArray[np.floating]:
    """Return the squared distances (m,) of kept clips (m, D) to their word's mean (D,) without their person.

    The clips of a person that are not kept count as those that are; of one person each clip is left out alone.
    """
    total = clips.sum()
    if len(clips) == 1:
        away = (whitened - mean) * (total / (total - 1) if total > 1 else 1.0)
        alone: NDArray[np.floating] = np.square(away).sum(axis=1)
        return alone
    means = np.array([whitened[own == person].mean(axis=0) for person in range(len(clips))])
    rest = (total * mean - clips[:, None] * means) / (total - clips)[:, None]
    squared: NDArray[np.floating] = np.square(whitened - rest[own]).sum(axis=1)
    return squared


def unseen(
    squared: NDArray[np.floating],
    rivals: NDArray[np.floating],
    clips: NDArray[np.floating],
    own: NDArray[np.intp],
    allowance: Allowance,
    *,
    dimension: int,
) -> Unseen:
    """Return what people who did not teach are expected to score.

    Parameters
    ----------
    squared
        (m,) as of `squared_left_out`.
    rivals
        (m,) log density of what else each clip may be, plus half the log determinant of Σ.
    clips, own
        As of `people_of`.
    """
    theirs, ours, total = Expected.of_unseen(clips), Expected.of_taught(clips, own), clips.sum()
    moved = squared + allowance.between * (theirs.between - ours.between)
    moved = moved + allowance.within * (theirs.within - ours.within)
    spread = 1 + 1 / total
    score = float(np.mean(-(moved / spread + dimension * np.log(spread)) / 2 - rivals))
    few = float(theirs.between) - 1
    person, word = allowance.person + few * allowance.person_few, allowance.word + few * allowance.word_few
    return Unseen(score + allowance.quiet, score + allowance.noise, allowance.clip + person + word, person + word)


@cache
def factory_allowance(of: str = "allowance") -> Allowance:
    """Return an allowance that ships with the voice extractor: of the first stage's score, or "student" for both's."""
    text = (Path(__file__).parents[1] / "data" / "people_voice.json").read_text(encoding="utf-8")
    return Allowance(**json.loads(text)[of])


def _normal(deviations: float) -> float:
    """Return the share of a normal distribution below so many standard deviations."""
    return 0.5 * (1 + math.erf(deviations / math.sqrt(2)))
