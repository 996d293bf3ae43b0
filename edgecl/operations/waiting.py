"""What of a lesson waits: the samples that it leaves out go to the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgecl.gate.verdict import Verdict
    from edgecl.model.model import Lesson
    from edgecl.operations.inbox import Item
    from edgecl.operations.kept_signals import KeptSignals
    from edgecl.operations.open_store import OpenStore

INBOX_BYTES = 8 << 20  # what the inbox may take when a lesson leaves samples out


def keep_waiting(opened: OpenStore, signals: KeptSignals, verdict: Verdict, lesson: Lesson) -> list[Item]:
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
