"""What of a lesson waits: signals are kept while it is read, and those that it leaves out go to the inbox."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgecl.operations.data import Latent

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict
    from edgecl.model.model import Lesson
    from edgecl.operations.inbox import Item
    from edgecl.operations.open_store import OpenStore
    from edgecl.sources.samples import Sample

HELD_BYTES = 2 << 20  # signals held in memory; more go to a file without a name
LARGEST_BYTES = 64 << 20  # signals of a lesson in all; of later samples only the source is known
INBOX_BYTES = 8 << 20  # what the inbox may take when a lesson leaves samples out


class Signals:
    """The signals of a lesson by label, in the order in which they came.

    Parameters
    ----------
    spool
        The folder for those that are not held in memory; None: the usual one for temporary files.
    """

    def __init__(self, spool: Path | None) -> None:
        self._spool = spool
        self._rows: dict[str, list[tuple[int, tuple[int, ...]] | NDArray[np.float32] | None]] = {}
        self._bytes = 0
        self._file: BinaryIO | None = None

    def add(self, label: str, sample: Sample) -> None:
        """Keep the signal of a sample; what has no signal, or no room, is counted alone."""
        rows, signal = self._rows.setdefault(label, []), sample.signal
        if isinstance(sample, Latent) or self._bytes + signal.nbytes > LARGEST_BYTES:
            rows.append(None)
            return
        self._bytes += signal.nbytes
        rows.append(signal if self._bytes <= HELD_BYTES else self._spooled(signal))

    def get(self, label: str, row: int) -> NDArray[np.float32] | None:
        """Return the signal (n, channels) of a row; None where it was not kept."""
        kept = self._rows[label][row]
        if not isinstance(kept, tuple):
            return kept
        assert self._file is not None
        first, shape = kept
        self._file.seek(first)
        return np.frombuffer(self._file.read(4 * int(np.prod(shape))), np.float32).reshape(shape)

    def close(self) -> None:
        """Let go of what is spooled."""
        if self._file:
            self._file.close()

    def _spooled(self, signal: NDArray[np.float32]) -> tuple[int, tuple[int, ...]] | None:
        try:
            self._file = self._file or tempfile.TemporaryFile(dir=self._spool)  # noqa: SIM115 (open until `close`)
            first = self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(signal, np.float32).tobytes())
        except OSError:
            return None  # a recording less in the inbox is no reason to lose the lesson
        return first, signal.shape


def keep_waiting(opened: OpenStore, signals: Signals, verdict: Verdict, lesson: Lesson) -> list[Item]:
    """Put what a lesson leaves out into the inbox: samples that are set aside, and all of a name that is asked about.

    Raises
    ------
    EdgeclError
        When the inbox cannot be written.
    """
    from edgecl.operations.inbox import QUESTION, SET_ASIDE, open_inbox

    inbox = open_inbox(opened, capacity_bytes=INBOX_BYTES)
    kept = []
    for one in verdict.set_aside:
        signal = signals.get(one.label, one.row)
        if signal is not None:
            doubt = round(1 - one.probability, 4)
            kept.append(
                inbox.keep(
                    signal, kind=SET_ASIDE, time=0.0, label=one.like, confidence=doubt, novelty=0.0,
                    called=one.label, source=one.source,
                )
            )  # fmt: skip
    for ask in verdict.asks:
        for row in range(0 if ask.is_live else ask.samples):
            signal = signals.get(ask.label, row)
            if signal is not None:
                source = lesson.source(ask.label, row)
                kept.append(
                    inbox.keep(
                        signal, kind=QUESTION, time=0.0, label=ask.like, confidence=likelihood(ask.odds), novelty=0.0,
                        called=ask.label, source=source,
                    )
                )  # fmt: skip
    left = {one.id for one in inbox.items()}
    return [one for one in kept if one.id in left]


def drop_answered(opened: OpenStore, lesson: Lesson) -> None:
    """Take the questions out of the inbox that a lesson with an answer has settled: those of the same samples."""
    folder = opened.store.path / "inbox"
    if not folder.exists():
        return
    from edgecl.operations.inbox import QUESTION, open_inbox

    inbox = open_inbox(opened)
    taught = {(label, source) for label, sources in lesson.sources.items() for source in sources if source}
    for one in inbox.items(QUESTION):
        if (one.called, one.source) in taught:
            inbox.remove(one)


def likelihood(odds: float | None) -> float:
    """Return the probability of log odds; a half where they are not known."""
    return 0.5 if odds is None else round(float(1 / (1 + np.exp(-odds))), 4)


def unkept(verdict: Verdict, kept: Sequence[Item]) -> int:
    """Return how many samples wait and are not in the inbox: their files have to be kept."""
    waits = len(verdict.set_aside) + sum(one.samples for one in verdict.asks if not one.is_live)
    return max(waits - len(kept), 0)
