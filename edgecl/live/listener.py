"""Following a stream with a store's live revision: pieces of a signal in, events out.

Nothing is trained here. A lesson that another process commits meanwhile is taken up at the next hop: `current` is
looked at before each, and the scorer is replaced whole, between two hops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgecl.live.events import Event, Summary
from edgecl.live.inputs.chunks import Piece, as_pieces
from edgecl.live.novelty import Noticer
from edgecl.live.options import Listening
from edgecl.live.pictures import PATIENCE_FRAMES, REFRACTORY_FRAMES, PictureStream
from edgecl.live.scorer import LiveScorer
from edgecl.live.stream import Stream
from edgecl.live.use import counted
from edgecl.notes import Logger
from edgecl.spotting.spotters import REFRACTORY_HOPS, BoutSpotter, Spotter, WordSpotter
from edgecl.spotting.wake import WakeSpotter

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.operations.open_store import OpenStore


logger = Logger(__name__)
# Chosen on subjects of hapt_uci_har and spar_watch: F1 of events 0.86 and 0.72 by probability alone; with a patience of
# 1 0.83 and 0.62, of 3 0.79 and 0.78.
BOUT_PATIENCE_HOPS = 2
BOUT_PAUSE_HOPS = 3


def listen(
    opened: OpenStore,
    pieces: Iterable[Piece | NDArray[Any]],
    *,
    how: Listening | None = None,
    summary: Summary | None = None,
    noticer: Noticer | None = None,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """Yield the events of a stream, each as soon as it is known; see `Learner.listen`."""
    summary = summary or Summary()
    how = how or Listening()
    live = LiveScorer(opened, threshold=how.threshold, wake=how.wake)
    extractor = opened.extractor
    spotter = spotter_for(extractor.contract, how)
    kind = PictureStream if extractor.contract.is_picture else Stream
    stream = kind(extractor, spotter, summary, noticer, look=how.look)
    _take_up(live, stream, summary)
    with counted(opened.store.path) as use:
        for piece in as_pieces(pieces, extractor.contract):
            started = time.perf_counter()
            _take_up(live, stream, summary)
            events = stream.push(piece)
            spent = time.perf_counter() - started
            summary.busy_s += spent
            summary.worst_hop_ms = max(summary.worst_hop_ms, 1e3 * spent)
            yield from use.of(events)
            beat()
        yield from use.of(stream.end())


def _take_up(live: LiveScorer, stream: Stream | PictureStream, summary: Summary) -> None:
    """Go on with the revision that is live now."""
    if live.refresh():
        live.give(stream.spotter)
        stream.revision = live.revision
        if stream.rest is not None:
            stream.rest.take_up(live.model)
        summary.revisions.append(live.revision)


def spotter_for(contract: Contract, how: Listening) -> Spotter:
    """What turns answers into events: peaks of sound and of pictures, runs of movement."""
    if contract.is_picture:
        return WordSpotter(None, patience=how.patience or PATIENCE_FRAMES, refractory=REFRACTORY_FRAMES)
    kind, patience, hops = (
        (WordSpotter, 1, REFRACTORY_HOPS) if contract.is_sound else (BoutSpotter, BOUT_PATIENCE_HOPS, BOUT_PAUSE_HOPS)
    )
    hops_per_s = contract.sample_rate_hz / contract.hop_samples
    if how.refractory_s is not None:
        hops = max(round(how.refractory_s * hops_per_s), 1)
    if how.wake is not None:
        span = max(round(how.span_s * hops_per_s), 1)
        return WakeSpotter(wake=how.wake, span=span, patience=how.patience or patience, refractory=hops)
    return kind(None, patience=how.patience or patience, refractory=hops)
