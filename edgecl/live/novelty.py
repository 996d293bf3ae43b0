"""What of a stream is a surprise: something that stands out, and is like nothing that was taught."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import EdgeclError
from edgecl.notes import Logger

if TYPE_CHECKING:
    from edgecl.extractors.base import FileExtractor
    from edgecl.live.events import Event
    from edgecl.live.suggesting import Suggester
    from edgecl.operations.inbox import Inbox, Item

logger = Logger(__name__)

# Novelty from which on something is a surprise. Sound: of clips of speech_commands that taught nothing, 4 % of the
# eight words that were taught lie above, 75 % of those that were not.
SOUND_NOVELTY = 0.5
# Movement, of subjects who taught nothing: at most 5 % of what was taught is above, see `edgecl.model.unknown`.
MOVEMENT_NOVELTY = 0.5
# Cosine of two latents that are the same thing twice: a sound that is played again has 0.82 to 0.97, a word that
# one speaker says again 0.52 to 0.90, in the middle nine of ten.
SAME = 0.95
STRETCH_S = 0.5  # of sound, as `edgecl.extractors.base.fit` places a clip
RISE = 4.0  # in power, of the loudest stretch over the quietest
PATIENCE_HOPS = 2  # of movement
PICTURE_HOPS = 5  # frames after a surprise or detection that belong to it
WAIT_HOPS = 3  # for an event that explains it


@dataclass(frozen=True)
class Heard:
    """One hop: what was answered, and the window that was."""

    label: str
    confidence: float
    novelty: float
    time: float
    """Seconds of the stream at its end."""
    power: float
    """Mean square of the hop."""
    latent: NDArray[np.float32]
    """Shape (1, D)."""
    signal: Callable[[], NDArray[np.float32]]
    """Gives the window (n, channels)."""


class Noticer:
    """Follows a stream hop by hop, and puts surprises and detections into an inbox.

    Sound stands out where the loudest half second of a window is in its middle, which is where it would be placed to be
    taught. Movement stands out where two windows in a row are novel.
    """

    def __init__(
        self,
        inbox: Inbox,
        extractor: FileExtractor,
        *,
        novelty: float | None = None,
        suggester: Suggester | None = None,
    ) -> None:
        contract = extractor.contract
        self._suggester = suggester
        self._inbox, self._warned = inbox, set[str]()
        self._novelty = novelty if novelty is not None else (SOUND_NOVELTY if contract.is_sound else MOVEMENT_NOVELTY)
        self._is_sound = contract.is_sound
        hop_s = contract.hop_samples / contract.sample_rate_hz if contract.sample_rate_hz else 1.0
        self._window = max(round(contract.clip_samples / contract.hop_samples), 1)  # hops
        if contract.is_picture:
            self._window = PICTURE_HOPS
        self._stretch = max(round(STRETCH_S / hop_s), 1)
        self._powers: deque[float] = deque(maxlen=self._window)
        self._novel_hops = 0
        self._deaf_for = 0  # hops that belong to what was noticed or detected
        self._waiting: tuple[int, Heard, NDArray[np.float32]] | None = None  # hops left, and what may yet be an event
        self._known = [(item, _latent(inbox, extractor, item)) for item in inbox.items("surprise")]

    def hop(self, heard: Heard) -> None:
        """Take the next hop."""
        self._powers.append(heard.power)
        self._novel_hops = self._novel_hops + 1 if heard.novelty >= self._novelty else 0
        self._deaf_for -= 1
        if self._waiting is not None:
            left, surprise, signal = self._waiting
            self._waiting = (left - 1, surprise, signal) if left else None
            if not left:
                self._keep(surprise, signal)
        elif self._deaf_for < 0 and self._stands_out():
            self._waiting = (WAIT_HOPS, heard, heard.signal())

    def event(self, event: Event, signal: NDArray[np.float32]) -> None:
        """Take a detection, which is no surprise; its signal (n, channels) is kept in case it is wrong."""
        self._waiting = None
        self._deaf_for = self._window
        with self._told():
            self._inbox.keep(
                signal,
                kind="detection",
                time=event.time,
                label=event.label,
                confidence=event.confidence,
                novelty=event.novelty,
                event=event.id,
            )
        if self._suggester is not None:
            self._suggester.event(event, signal)

    def _stands_out(self) -> bool:
        if not self._novel_hops:
            return False
        return self._is_loudest_in_the_middle() if self._is_sound else self._novel_hops >= PATIENCE_HOPS

    def _is_loudest_in_the_middle(self) -> bool:
        powers = list(self._powers)
        if len(powers) < self._window:
            return False
        sums = [sum(powers[at : at + self._stretch]) for at in range(self._window - self._stretch + 1)]
        middle = sums[len(sums) // 2]
        return middle >= max(sums) and middle > RISE * min(sums)

    def _keep(self, surprise: Heard, signal: NDArray[np.float32]) -> None:
        self._deaf_for = self._window
        with self._told():
            there = {one.id for one in self._inbox.items("surprise")}
            self._known = [(item, latent) for item, latent in self._known if item.id in there]
            for item, latent in self._known:
                if float(latent @ surprise.latent[0]) >= SAME:
                    self._inbox.heard_again(item)
                    return
            item = self._inbox.keep(
                signal,
                kind="surprise",
                time=surprise.time,
                label=surprise.label,
                confidence=surprise.confidence,
                novelty=surprise.novelty,
            )
            self._known.append((item, surprise.latent[0].copy()))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Warn once where the inbox cannot be written to: that is no reason to stop listening."""
        try:
            yield
        except EdgeclError as error:
            if str(error) not in self._warned:
                self._warned.add(str(error))
                logger.warning("%s; nothing was kept (said once)", error)


def _latent(inbox: Inbox, extractor: FileExtractor, item: Item) -> NDArray[np.float32]:
    try:
        (latent,) = extractor.latents([inbox.signal(item)])
        return np.asarray(latent)
    except EdgeclError:
        return np.zeros(extractor.contract.dimension, np.float32)  # like nothing
