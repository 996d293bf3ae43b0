"""Spotters: scores of a stream, one row per hop, to events.

A hop has the label that is highest above its own threshold, if there is one. `WordSpotter` turns a peak of
such labels into an event, `BoutSpotter` a run of them. Labels that begin with an underscore (`_silence_`,
`_background_noise_`) are predicted like others and are not events: what they win is not an event.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.spotting.detection import Detection, OpenEvent
from edgecl.spotting.scorers import Frames, Scorer, Scores

if TYPE_CHECKING:
    from edgecl.spotting.second_stage import SecondStage
    from edgecl.spotting.window import Window

WAIT_HOPS = 2  # hops without a higher peak that end one
REFRACTORY_HOPS = 10
CANDIDATE = "a candidate: the second stage decides"
ASKED = "with the student's answer"


class Spotter(ABC):
    """Follows one stream. `scorer` may be replaced between two calls: an open event goes on under its label.

    Parameters
    ----------
    scorer
        None where nothing has been taught yet: then nothing is detected.
    patience
        Consecutive hops that a label must win before it counts.
    refractory
        Hops; see the two kinds.

    Attributes
    ----------
    second
        What confirms the words that it spots, or refuses them; None where the scorer decides alone.
    window
        Returns the sound (24000,) about a hop, by its number: whoever follows a stream of sound sets it.
    """

    second: SecondStage | None = None
    window: Callable[[int], NDArray[np.float32]]

    def __init__(self, scorer: Scorer | None, *, patience: int = 1, refractory: int = REFRACTORY_HOPS) -> None:
        self.scorer = scorer
        self.patience = patience
        self._refractory = refractory
        self._hop = 0
        self._run_label: str | None = None
        self._run_first = 0
        self._open: OpenEvent | None = None
        self._scores: Scores | None = None
        self._settled: Window | None = None  # the latest hop, where it has no scores yet
        self._reason = ""

    @property
    def look(self) -> tuple[str, float, float | None, str]:
        """Label, score and threshold of the latest hop, and why it makes no event: empty where it counts.

        The label is the one that is highest above its threshold, or least below; the threshold is None where the label
        never counts.
        """
        self._score_settled()
        if self.scorer is None or self._scores is None:
            return ("", 0.0, None, "nothing is taught yet")
        scores, thresholds = self._scores.scores[-1], self.scorer.thresholds
        best = int((scores if np.isinf(thresholds).all() else scores - thresholds).argmax())
        threshold = None if np.isinf(thresholds[best]) else float(thresholds[best])
        return (self.scorer.labels[best], float(scores[best]), threshold, self._reason)

    @property
    def answer(self) -> tuple[str, float, float]:
        """Label, confidence and novelty of the latest hop that was scored, above its threshold or not."""
        self._score_settled()
        if self.scorer is None or self._scores is None:
            return ("", 0.0, 1.0)
        margins = self._scores.scores[-1] - self.scorer.thresholds
        return (
            self.scorer.labels[int(margins.argmax())],
            float(self._scores.confidence[-1]),
            float(self._scores.novelty[-1]),
        )

    @property
    def hops(self) -> int:
        """Hops that were scored or skipped."""
        return self._hop

    def push(self, latents: NDArray[np.float32], frames: Frames = None) -> list[Detection]:
        """Return the events that the latents (n, D) of the next n hops complete.

        Parameters
        ----------
        frames
            (n, P, D) that these are the means of, for a student.
        """
        if self.scorer is None:
            self._hop += len(latents)
            return []
        return self.follow(self.scorer(latents, frames))

    def hear(self, window: Window) -> list[Detection]:
        """Return the events that the next hop of a stream completes; its window is looked at until a frame is put.

        As of `push`, but nothing is scored where bounds settle that no label counts.
        """
        if self.scorer is None:
            self._hop += 1
            return []
        if not self.scorer.is_below(window, self.scorer.thresholds):
            return self.follow(self.scorer(window.latent, window.frames))
        self._settled = window
        detection = self._follow_hop(None)
        return [] if detection is None else [detection]

    def follow(self, scores: Scores) -> list[Detection]:
        """Return the events that the next hops complete, by their scores; something must have been taught."""
        assert self.scorer is not None
        self._settled, self._scores = None, scores
        margins = scores.scores - self.scorer.thresholds
        found = []
        for index, label in enumerate(margins.argmax(axis=1).tolist()):
            margin = float(margins[index, label])
            is_unknown = scores.unknown is not None and bool(scores.unknown[index])
            is_asked = scores.asked is not None and bool(scores.asked[index, label])
            self._reason = _why_not(self.scorer.labels[label], margin, is_unknown=is_unknown, is_asked=is_asked)
            if not self._reason and self._is_candidate(self.scorer.labels[label]):
                self._reason = CANDIDATE
            detection = self._follow_hop(self._answer(scores, index, label, margin) if margin >= 0 else None)
            if detection is not None:
                found.append(detection)
        return found

    def _score_settled(self) -> None:
        """Score the latest hop after all, for those who want to see it."""
        if self._settled is None or self.scorer is None:
            return
        self._scores, self._settled = self.scorer(self._settled.latent, self._settled.frames), None
        margins = self._scores.scores[0] - self.scorer.thresholds
        best = int(margins.argmax())
        asked = self._scores.asked is not None and bool(self._scores.asked[0, best])
        self._reason = _why_not(self.scorer.labels[best], float(margins[best]), is_unknown=False, is_asked=asked)

    def skip(self, hops: int) -> list[Detection]:
        """Skip silent hops; return the events that they complete."""
        self._settled = None
        found = (self._follow_hop(None) for _ in range(hops))
        return [one for one in found if one is not None]

    def end(self) -> list[Detection]:
        """End the stream, or its present part; return the event that had begun, if there is one."""
        detection = self._confirmed(self._open) if self._open else None
        self._open = self._run_label = None
        return [detection] if detection else []

    def vector(self, hop: int) -> NDArray[np.float32]:
        """Return what the second stage makes of a hop."""
        assert self.second is not None
        return self.second.vector(self.window(hop))

    def _confirmed(self, event: OpenEvent) -> Detection | None:
        """Return the detection of an event that is over; None where the second stage refuses it."""
        if self.second is None or not self._is_candidate(event.detection.label):
            return event.detection
        return self.second.confirmed(event.detection, lambda: self.vector(event.peak))

    def _is_candidate(self, label: str) -> bool:
        """Test whether the second stage decides on a word."""
        return self.second is not None and label in self.second.words

    def _answer(self, scores: Scores, index: int, label: int, margin: float) -> OpenEvent | None:
        assert self.scorer is not None
        name = self.scorer.labels[label]
        if name.startswith("_"):
            return None
        confidence, novelty = float(scores.confidence[index]), float(scores.novelty[index])
        score = float(scores.scores[index, label])
        detection = Detection(name, confidence, novelty, score, first=self._hop, last=self._hop)
        return OpenEvent(detection, margin=margin, peak=self._hop)

    def _follow_hop(self, answer: OpenEvent | None) -> Detection | None:
        """Take the answer of one hop; returns the event that it completes."""
        label = answer.detection.label if answer else None
        if label != self._run_label:
            self._run_label, self._run_first = label, self._hop
        is_patient = self._hop - self._run_first + 1 >= self.patience
        if answer and not is_patient:
            self._reason = f"wins too few hops in a row: {self.patience} are wanted"
        detection = self._follow(answer.since(self._run_first) if answer else None, is_patient=is_patient)
        self._hop += 1
        return detection

    @abstractmethod
    def _follow(self, answer: OpenEvent | None, *, is_patient: bool) -> Detection | None:
        """Take the answer of hop `_hop`, and whether its run is long enough; return what it completes."""


def _why_not(label: str, margin: float, *, is_unknown: bool, is_asked: bool) -> str:
    """Return why a hop does not count, by its best label and its margin; empty where it does."""
    if np.isinf(margin):
        return "waits for the wake word"
    if is_unknown:
        return "unknown: like nothing that was taught"
    if margin < 0:
        return f"below its threshold, {ASKED}" if is_asked else "below its threshold"
    return "background, which makes no event" if label.startswith("_") else ""


class WordSpotter(Spotter):
    """Turns a peak into an event: the highest score, once two hops have had no higher one.

    For `refractory` hops after a peak there is no other event, nor as long as its label goes on without a pause: a
    sustained sound is one event. What the second stage refuses is followed by no pause.
    """

    _ignored_until = 0
    _told_run: int | None = None  # first hop of the run that the latest event is of, as long as it goes on

    def _follow(self, answer: OpenEvent | None, *, is_patient: bool) -> Detection | None:
        if answer is None or answer.detection.first != self._told_run:
            self._told_run = None
        if self._hop < self._ignored_until or self._told_run is not None:
            if answer:
                goes_on = self._told_run is not None
                self._reason = "still the sound of the event before" if goes_on else "pause after the event before"
            return None
        if answer and is_patient and (self._open is None or answer.margin > self._open.margin):
            self._open = answer if self._open is None else answer.since(self._open.detection.first)
        if self._open is None or self._hop - self._open.peak < WAIT_HOPS:
            return None
        event, self._open = self._open, None
        found = self._confirmed(event)
        if found is not None:
            self._ignored_until = event.peak + self._refractory
            if answer and answer.detection.label == found.label:
                self._told_run = answer.detection.first
        return found


class BoutSpotter(Spotter):
    """Turns a run of one label into an event: an exercise, not each of its repetitions.

    It ends when the label has not been predicted for `refractory` hops, or another one begins.
    """

    def _follow(self, answer: OpenEvent | None, *, is_patient: bool) -> Detection | None:
        bout, begun = self._open, answer if is_patient else None
        if bout is None:
            self._open = begun
            return None
        if answer and answer.detection.label == bout.detection.label:
            self._open = bout.until(answer)  # one hop is enough to go on
            return None
        if begun is None and self._hop - bout.detection.last < self._refractory:
            return None
        self._open = begun
        return bout.detection
