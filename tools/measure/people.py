"""Words taught by some people and played by others: what tools/make_people fits, and tools/people_table measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from common.sounds import RATE_HZ, Clip, World, word_in_noise
from common.windows import hops_of, windowed
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.model.exemplars import person_number
from edgecl.spotting.background import VOICE_SOURCE, Background, factory_background
from edgecl.spotting.calibration import OwnClips, calibrated
from edgecl.spotting.densities import gaussian
from edgecl.spotting.people import OUTSIDE, Allowance, Expected, people_of
from edgecl.spotting.reference import Reference
from edgecl.spotting.student import BETA, LEAST, clip_frames, form_of

LEVELS_DB = (45, 20)
NEAR_HOPS = 9  # to either side of the middle of a word, in which a peak is its own
SEED, DRAWS = 5, 12
PLANS = (
    (1, 1),
    (1, 2),
    (1, 3),
    (1, 4),
    (1, 5),
    (2, 1),
    (2, 2),
    (2, 3),
    (3, 1),
    (3, 2),
    (4, 1),
    (5, 1),
    (5, 2),
    (10, 1),
)
LEAST_LEFT = 10  # people who did not teach
NOTHING = Allowance(*[0.0] * 9)

RowAnswers = tuple[NDArray[np.intp], NDArray[np.float32]]  # rows of the background, and what a student makes of them
Answers = Callable[[NDArray[np.floating]], NDArray[np.float32]]  # windows (..., P, D) to what a student makes of them


@dataclass(frozen=True)
class Played:
    """Clips of words as they are taught, and as they sound in a room."""

    words: NDArray[np.str_]
    """(n,)."""
    speakers: NDArray[np.str_]
    """(n,)."""
    clean: NDArray[np.float32]
    """(n, D) latents of the clips."""
    heard: dict[int, NDArray[np.float16]]
    """By level in dB: (n, takes, hops, D) latents about the middle of the word."""
    own_frames: NDArray[np.float16]
    """(n, 1 + V, P, D) of the clips, clean and in the noises of a lesson."""
    frames: dict[int, NDArray[np.float16]]
    """By level in dB: (n, takes, hops + P - 1, D) of the latents."""

    def of(self, word: str) -> Played:
        """Return the clips of one word."""
        return self.only(self.words == word)

    def only(self, rows: NDArray[np.bool_]) -> Played:
        """Return some of the clips."""
        heard, frames = ({level: one[rows] for level, one in all_of.items()} for all_of in (self.heard, self.frames))
        return Played(self.words[rows], self.speakers[rows], self.clean[rows], heard, self.own_frames[rows], frames)

    def windows(self, level_db: int) -> NDArray[np.float16]:
        """Return the windows (n, takes, hops, P, D) of the latents at a level, as a view."""
        return windowed(self.frames[level_db], self.own_frames.shape[2])


@dataclass(frozen=True)
class Kept:
    """What is promised of people who did not teach, and what they get, in quiet and 20 dB above noise, by lesson."""

    promised: list[tuple[float, float]] = field(default_factory=list)
    heard: list[tuple[float, float]] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    """Of each person who is played."""

    def __str__(self) -> str:
        (quiet, noise), apart = np.mean(self.promised, axis=0), np.subtract(self.heard, self.promised)
        return (
            f"promised {quiet:.1%} in quiet and {noise:.1%} at 20 dB, heard {apart[:, 0].mean():+.1%} and "
            f"{apart[:, 1].mean():+.1%} more (of a lesson {np.abs(apart[:, 0]).mean():.1%} and "
            f"{np.abs(apart[:, 1]).mean():.1%} apart); {np.mean(self.inside):.1%} of the people are heard as often as "
            "nine in ten should be"
        )


@dataclass(frozen=True)
class Case:
    """A word that some people taught, and the scores of all others."""

    unmoved: float
    """Mean score of what was left out."""
    per_between: float
    per_within: float
    """What one unit of each variance adds to it."""
    few: float
    quiet: float
    noise: float
    """Mean scores of the others at both levels."""
    take: float
    """Variance of takes of one clip."""
    clip: float
    """Variance of the means of clips of one person, of those with several; NaN where there is none."""
    person: float
    """Variance of the means of persons."""
    per_clip: float
    """Mean over persons of one by the number of their clips: what the variance of clips adds to that of persons."""


def played(world: World, clips: Sequence[Clip], *, takes: int) -> Played:
    """Play every clip in noise of a world, at both levels."""
    extractor = open_extractor(builtin_extractor("voice"))
    assert isinstance(extractor, FileExtractor)
    heard, kept = {}, {}
    for level_db in LEVELS_DB:
        rows = []
        for index, clip in enumerate(clips):
            for take in range(takes):
                rng = np.random.default_rng([SEED, level_db, index, take])
                sound = word_in_noise(clip.signal, world, rng, snr_db=level_db, length=4 * RATE_HZ)
                frames = extractor.frames(sound)
                middle, more = (
                    (len(frames) - extractor.contract.pool_frames + 1) // 2,
                    extractor.contract.pool_frames - 1,
                )
                rows.append(frames[middle - NEAR_HOPS : middle + NEAR_HOPS + more])
        near = np.array(rows).reshape(len(clips), takes, *rows[0].shape)
        heard[level_db], kept[level_db] = hops_of(extractor, near).astype(np.float16), near.astype(np.float16)
    clean = extractor.latents([one.signal[:, None] for one in clips])
    own = np.array([clip_frames(one.signal[:, None], extractor) for one in clips], np.float16)
    words, speakers = np.array([one.word for one in clips]), np.array([one.speaker for one in clips])
    return Played(words, speakers, clean, heard, own, kept)


def plans(data: Played) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield clips that teach and clips of all other people, for each word and plan of people and clips of each."""
    rng = np.random.default_rng(SEED)
    for word in np.unique(data.words):
        rows = np.flatnonzero(data.words == word)
        names, counts = np.unique(data.speakers[rows], return_counts=True)
        for people, each in PLANS:
            able = names[counts >= each]
            if len(able) < people or len(names) - people < LEAST_LEFT:
                continue
            for _ in range(DRAWS):
                chosen = rng.choice(able, people, replace=False)
                taught = [rng.choice(rows[data.speakers[rows] == one], each, replace=False) for one in chosen]
                yield np.concatenate(taught), rows[~np.isin(data.speakers[rows], chosen)]


def judged(data: Played, answers: Answers | None = None) -> list[Case]:
    """Return the cases of all plans, with what a student makes of windows where one is given."""
    background = factory_background(source=VOICE_SOURCE, dimension=data.clean.shape[1])
    assert background is not None
    cases = []
    for word in np.unique(data.words):
        own = data.of(str(word))
        judge = _Judge(own, without_word(background, own.clean), answers)
        cases += [judge.case(*plan) for plan in plans(own)]
    return cases


def fitted(cases: Sequence[Case], *, takes: int) -> Allowance:
    """Return the allowance that fits the scores of people who did not teach best.

    Parameters
    ----------
    takes
        Of each clip.
    """
    few = np.array([one.few for one in cases])
    ones = np.ones(len(cases))
    moved = np.array([(one.per_between, one.per_within, 1) for one in cases])
    quiet = np.array([one.quiet - one.unmoved for one in cases])
    between, within, gain = weights = np.linalg.lstsq(moved, quiet, rcond=None)[0]
    lost = np.mean([one.quiet - one.noise for one in cases])
    about_few = np.stack([ones, few], axis=1)
    take = float(np.mean([one.take for one in cases]))
    means = float(np.nanmean([one.clip for one in cases]))  # of clips, each the mean of its takes
    person = np.linalg.lstsq(about_few, np.array([one.person - means * one.per_clip for one in cases]), rcond=None)[0]
    word = np.linalg.lstsq(about_few, np.square(quiet - moved @ weights), rcond=None)[0]
    clip = means + take * (1 - 1 / takes)
    numbers = (between, within, gain, gain - lost, clip, person[0], person[1], max(word[0], 0), word[1])
    return Allowance(*map(float, numbers))


def promised(
    data: Played, allowance: Allowance, rows: RowAnswers | None = None, answers: Answers | None = None
) -> Kept:
    """Return what is promised of people who did not teach, and what they get, over all plans.

    Parameters
    ----------
    rows, answers
        Of a student, where one is given.
    """
    background = factory_background(source=VOICE_SOURCE, dimension=data.clean.shape[1])
    assert background is not None
    found = Kept()
    for word in np.unique(data.words):
        own = data.of(str(word))
        judge = _Judge(own, without_word(background, own.clean), answers)
        for taught, others in plans(own):
            judge.add(found, taught, others, replace(background, allowance=allowance), rows)
    return found


def without_word(background: Background, clips: NDArray[np.float32]) -> Background:
    """Return the background without what stands for a word: distractors nearer to its mean than its clips are.

    The commands are among the isolated words of the background that ships, which a user's word is not.
    """
    densities = background.densities()
    whitened = densities.whiten(clips + background.offset)
    mean = whitened.mean(axis=0)
    typical = np.square(whitened - mean).sum(axis=1).mean()
    near = np.square(densities.distractors - mean).sum(axis=1) < typical
    return replace(background, distractors=background.distractors[~near])


class _Judge:
    """Scores clips of a word that others taught."""

    def __init__(self, data: Played, background: Background, answers: Answers | None = None) -> None:
        self._data, self._densities = data, background.densities()
        self._own_answers = self._answers = None
        if answers is not None:
            self._own_answers = answers(data.own_frames)
            self._answers = {level: answers(data.windows(level)) for level in data.frames}
        self._rivals, self._whitened = self._densities(data.clean + background.offset)
        self._half = float(self._densities.half_determinant)
        flat = {level: rows.reshape(-1, rows.shape[-1]).astype(np.float32) for level, rows in data.heard.items()}
        self._heard = {level: self._densities(rows) for level, rows in flat.items()}

    def case(self, taught: NDArray[np.intp], others: NDArray[np.intp]) -> Case:
        """Compare what is known of the clips that teach with the clips of others."""
        reference = self._reference(taught)
        own, count = self._own(taught), len(taught)
        clips, whose = people_of(own.people, count)
        theirs, ours = Expected.of_unseen(clips), Expected.of_taught(clips, whose)
        spread, scores = (
            1 + 1 / count,
            {level: self._peaks(level, own.mean, count, others, reference) for level in LEVELS_DB},
        )
        speakers = self._data.speakers[others]
        by_person = [scores[45][speakers == one].mean(axis=1) for one in np.unique(speakers)]
        return Case(
            unmoved=own.unseen(NOTHING).quiet,
            per_between=-float(np.mean(theirs.between - ours.between)) / (2 * spread),
            per_within=-float(np.mean(theirs.within - ours.within)) / (2 * spread),
            few=float(theirs.between) - 1,
            quiet=float(np.mean(scores[45])),
            noise=float(np.mean(scores[20])),
            take=float(np.mean(np.var(scores[45], axis=1, ddof=1))),
            clip=_within(by_person),
            person=float(np.var([one.mean() for one in by_person], ddof=1)),
            per_clip=float(np.mean([1 / len(one) for one in by_person])),
        )

    def add(
        self,
        found: Kept,
        taught: NDArray[np.intp],
        others: NDArray[np.intp],
        background: Background,
        rows: RowAnswers | None,
    ) -> None:
        """Add what others get of a word that some clips taught, and what is promised of them.

        Each person counts with how much of the count of clips that are heard is in the middle nine tenths.
        """
        own, allowance, reference = self._own(taught), background.allowance, self._reference(taught)
        assert allowance is not None
        least = -np.inf
        rivals, whitened = self._densities(background.rows)
        squared = np.square(whitened - own.mean).sum(axis=1)
        scores = gaussian(squared, 1 + 1 / own.count, len(own.mean)) - np.float32(self._half) - rivals
        scores = np.where(squared < len(own.mean) * (1 + 1 / own.count), scores.min(), scores)
        if reference is not None and rows is not None:
            of, answers = rows
            scores = scores[of] + np.float32(BETA) * (answers @ reference.direction)
            own, least = replace(own, likely=BETA * reference.left_out), LEAST * BETA
        one = calibrated(
            own, scores, hours=background.hours, room=-np.inf, allowance=allowance, is_mine=False, least=least
        )
        expected, speakers = own.unseen(allowance), self._data.speakers[others]
        peaks = {level: self._peaks(level, own.mean, len(taught), others, reference) for level in LEVELS_DB}
        heard = {level: best >= one.threshold for level, best in peaks.items()}
        found.promised.append((expected.heard(one.threshold), expected.heard(one.threshold, in_noise=True)))
        found.heard.append((float(heard[45].mean()), float(heard[20].mean())))
        for person in np.unique(speakers):
            count = heard[45][:, 0][speakers == person]
            chances = expected.chances(one.threshold, len(count))
            low, own_chance = chances[: count.sum()].sum(), max(float(chances[count.sum()]), 1e-12)
            found.inside.append(max(min(low + own_chance, 1 - OUTSIDE) - max(low, OUTSIDE), 0.0) / own_chance)

    def _reference(self, taught: NDArray[np.intp]) -> Reference | None:
        if self._own_answers is None:
            return None
        return Reference.of([self._own_answers[row, form_of(at)] for at, row in enumerate(taught.tolist())])

    def _own(self, taught: NDArray[np.intp]) -> OwnClips:
        mean, count = self._whitened[taught].mean(axis=0), len(taught)
        numbers = np.array([person_number(str(one)) for one in self._data.speakers[taught]], np.uint8)
        return OwnClips(self._whitened[taught], mean, count, numbers, self._rivals[taught], self._half)

    def _peaks(
        self,
        level_db: int,
        mean: NDArray[np.float32],
        count: int,
        rows: NDArray[np.intp],
        reference: Reference | None = None,
    ) -> NDArray[np.float32]:
        """Return the best scores (rows, takes)."""
        shape = self._data.heard[level_db].shape[:3]
        rivals, whitened = self._heard[level_db]
        squared = np.square(whitened.reshape(*shape, -1)[rows] - mean).sum(axis=-1)
        scores = gaussian(squared, 1 + 1 / count, len(mean)) - np.float32(self._half) - rivals.reshape(shape)[rows]
        if reference is not None and self._answers is not None:
            scores = scores + BETA * (self._answers[level_db][rows] @ reference.direction)
        best: NDArray[np.float32] = scores.max(axis=-1)
        return best


def _within(by_person: Sequence[NDArray[np.float32]]) -> float:
    """Return the pooled variance within persons, of those with several values; NaN where there is none."""
    several = [one for one in by_person if len(one) > 1]
    degrees = sum(len(one) - 1 for one in several)
    return sum(float(np.square(one - one.mean()).sum()) for one in several) / degrees if degrees else float("nan")
