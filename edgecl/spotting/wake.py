"""Wake word: scorer and spotter of words that count only after one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.spotting.detection import Detection, OpenEvent
from edgecl.spotting.scorers import Frames, Scorer, Scores
from edgecl.spotting.spotters import REFRACTORY_HOPS, WordSpotter

if TYPE_CHECKING:
    from edgecl.spotting.window import Window

WAKE_REFRACTORY_HOPS = 4


class WakeScorer:
    """Scores the wake word alone against background while asleep, and every other label by the head while awake.

    In open talk short words cannot be detected; in the few seconds after a wake word the user speaks to the device.

    Parameters
    ----------
    asleep, awake
        Two scorers of the same labels.
    wake
        The label of the wake word; where it is unknown, nothing wakes.
    """

    def __init__(self, asleep: Scorer, awake: Scorer, *, wake: str) -> None:
        self.labels = asleep.labels
        self._asleep, self._awake = asleep, awake
        is_wake = np.array([label == wake for label in self.labels])
        self._when_asleep = np.where(is_wake, asleep.thresholds, np.float32(np.inf))
        self._when_awake = np.where(is_wake, np.float32(np.inf), awake.thresholds)  # it is still in the window
        self.be(is_awake=False)

    def be(self, *, is_awake: bool) -> None:
        """Count every label, or the wake word alone."""
        self.is_awake = is_awake
        self.thresholds = self._when_awake if is_awake else self._when_asleep

    def is_below(self, window: Window, thresholds: NDArray[np.float32]) -> bool:
        """Test as the scorer of the wake word does; while awake nothing is settled."""
        return not self.is_awake and self._asleep.is_below(window, thresholds)

    def __call__(self, latents: NDArray[np.float32], frames: Frames = None) -> Scores:
        return self._awake(latents) if self.is_awake else self._asleep(latents, frames)


class WakeSpotter(WordSpotter):
    """Spots words for a span of hops after a wake word; its scorer is a `WakeScorer`.

    A command may follow at once: after the wake word input is ignored for no more than WAKE_REFRACTORY_HOPS.
    """

    def __init__(self, *, wake: str, span: int, patience: int = 1, refractory: int = REFRACTORY_HOPS) -> None:
        super().__init__(None, patience=patience, refractory=refractory)
        self._wake, self._span = wake, span
        self._asleep_from = 0

    def push(self, latents: NDArray[np.float32], frames: Frames = None) -> list[Detection]:
        """Return events as `Spotter.push` does; awake or not is decided hop by hop."""
        found = []
        for at in range(len(latents)):
            self._wake_or_sleep()
            found += super().push(latents[at : at + 1], None if frames is None else frames[at : at + 1])
        return found

    def hear(self, window: Window) -> list[Detection]:
        """Return events as `Spotter.hear` does."""
        self._wake_or_sleep()
        return super().hear(window)

    def _wake_or_sleep(self) -> None:
        if isinstance(self.scorer, WakeScorer):
            self.scorer.be(is_awake=self._hop < self._asleep_from)

    def _is_candidate(self, label: str) -> bool:
        """Test as all spotters do; words other than the wake word are the head's."""
        return label == self._wake and super()._is_candidate(label)

    def _follow(self, answer: OpenEvent | None, *, is_patient: bool) -> Detection | None:
        detection = super()._follow(answer, is_patient=is_patient)
        if detection is not None and detection.label == self._wake:
            self._asleep_from = self._hop + 1 + self._span
            self._ignored_until = self._hop + WAKE_REFRACTORY_HOPS
        return detection
