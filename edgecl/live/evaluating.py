"""Evaluate a store on a stream: misses against false accepts an hour, scored as `listen` scores.

Words are in the stream where a label file says so, or clips of them are mixed in; every other event is a false accept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.live.inputs.chunks import Halt, Piece
from edgecl.live.inputs.sound_file import sound_file, sound_seconds
from edgecl.live.listener import spotter_for
from edgecl.live.mixing import Place, drawn, excerpts, gain_of, mixed, placed
from edgecl.live.options import Listening
from edgecl.live.scorer import scorer_of
from edgecl.live.spotted import StreamEvaluation, Word, is_near, matched, most_expected
from edgecl.live.sweep import Sweep, swept
from edgecl.operations.judging import judge_with
from edgecl.progress import watched
from edgecl.sources.labels import one_spelling
from edgecl.sources.samples import Sample, Skip, reason_kind
from edgecl.sources.spans import Span

if TYPE_CHECKING:
    from edgecl.live.events import Event
    from edgecl.operations.open_store import OpenStore

# Of `listen`: even is 0.5. In steps that are alike in log odds, and short to type.
THRESHOLDS = (
    0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
    0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999,
)  # fmt: skip
LEVELS_DB = (20.0, 10.0)
FALSE_PER_HOUR = 1.0
RECORDED = "recorded"
STAGE_S = 1.0  # of a stream between two stages


@dataclass(frozen=True)
class Preset:
    """The setting of a benchmark."""

    level_db: float
    """Of clips above the stream."""
    false: int
    """False accepts at most."""
    hours: float
    """In so many hours."""
    missed: float | None = None
    """Share of the words that may be missed; None where the benchmark counts them alone."""

    @property
    def false_per_hour(self) -> float:
        """Return the rate of false accepts."""
        return self.false / self.hours


# Picovoice's wake word benchmark: clips at 10 dB, misses at one false accept in ten hours. MLPerf Tiny, streaming wake
# word: in 20 minutes at most 8 of 50 words missed and 8 false accepts. Its words have an RMS of 0.25, its stream one of
# 0.45: by the level of the loudest tenth, 5 dB above the RMS of "marvin", they are 0 dB above the stream.
PRESETS = {"picovoice": Preset(10.0, 1, 10.0), "mlperf-tiny": Preset(0.0, 8, 1 / 3, 8 / 50)}


@dataclass(frozen=True)
class Played:
    """How far a pass over the stream has come."""

    name: str
    seconds: float
    of_seconds: float


@dataclass(frozen=True)
class _Said:
    """What is said in the stream, as far as it is taught."""

    spans: Sequence[Span]
    clips: Sequence[Sample]
    never_taught: tuple[str, ...]
    skipped: dict[str, int]


@dataclass
class _Heard:
    """What is known of a stream that has been played."""

    events: list[list[Event]]
    """For each threshold."""
    samples: int = 0
    power: float = 0.0
    """Sum of squares."""


@dataclass
class _Words:
    """What came of the words."""

    false: Sequence[Sequence[Event]]
    by_kind: dict[str, list[Word]] = field(default_factory=dict)
    clipped: dict[str, int] = field(default_factory=dict)


@watched
def evaluate_stream(
    opened: OpenStore,
    file: Path,
    *,
    words: Sequence[Span] = (),
    clips: Iterable[Sample | Skip] = (),
    levels_db: Sequence[float] = LEVELS_DB,
    false_per_hour: float = FALSE_PER_HOUR,
    preset: str | None = None,
    seed: int = 0,
    label_case: str | None = None,
) -> Generator[Played, None, StreamEvaluation]:
    """Measure misses against false accepts an hour at every threshold of THRESHOLDS.

    Parameters
    ----------
    file
        Sound, as `listen` takes it.
    words
        When which word is spoken in it.
    clips
        In place of `words`: recorded words that are mixed into the stream; it must not hold any itself.
    levels_db
        How far above the stream's level these are.
    false_per_hour
        That are wished at most.
    preset
        Of PRESETS, in place of levels and false accepts; for a stream as long as that of the benchmark, or longer.
    seed
        Of the places.
    label_case
        "keep" or "lower" labels that are a known class in another spelling; by default refused.

    Raises
    ------
    SettingError
        The store does not take sound, or both words and clips are given.
    ModelError
        When nothing has been learnt.
    DataError
        The stream cannot be read, is silent or too short, a word is after its end or a known class in another spelling,
        or no word is taught.
    """
    length_s, rules = _length_s(opened, file), None
    if preset is not None:
        rules = _preset(preset, file, length_s)
        levels_db, false_per_hour = (rules.level_db,), rules.false_per_hour
    sweep = _sweep(opened)
    labels = sweep().labels
    spellings = opened.spellings(label_case)
    spans = [replace(one, label=spellings.settled(one.label, f"{one.begin:g} s")) for one in words]
    said = _said(spans, one_spelling(iter(clips), spellings), labels, np.random.default_rng(seed))
    if said.spans and said.spans[-1].begin > length_s:
        last = said.spans[-1]
        raise DataError(
            f"{last.label} is at {last.begin:g} s, but {file} ends at {length_s:.1f} s: are the labels of another file?"
        )
    heard = yield from _played(opened, file, sweep(), length_s)
    rate_hz = opened.extractor.contract.sample_rate_hz
    if said.spans:
        found = _recorded(heard, said.spans)
    elif said.clips:
        places = placed(said.clips, heard.samples, np.random.default_rng([seed, 1]))
        found = yield from _mixed_in(opened, file, sweep, heard, places, levels_db)
    else:
        found = _Words(heard.events)
    return StreamEvaluation(
        file=file.name, seconds=heard.samples / rate_hz, revision=opened.live_head()[0].number, thresholds=THRESHOLDS,
        words=found.by_kind, false=found.false, wished_per_hour=false_per_hour, never_taught=said.never_taught,
        clipped=found.clipped, skipped=said.skipped, most_missed=None if rules is None else rules.missed,
    )  # fmt: skip


def _length_s(opened: OpenStore, file: Path) -> float:
    """Return the length of a stream that can be played."""
    contract = opened.extractor.contract
    if not contract.is_sound:
        raise SettingError(f"streams of sound are evaluated, the store takes {contract.modality}", parameter="stream")
    length_s, least_s = sound_seconds(file), contract.clip_samples / contract.sample_rate_hz
    if length_s < least_s:
        raise DataError(f"{file} has {length_s:.2f} s, too short to listen to: wanted {least_s:.2f} s or more")
    return length_s


def _preset(name: str, file: Path, length_s: float) -> Preset:
    """Return the setting of a benchmark, where the stream can show its rate of false accepts."""
    if name not in PRESETS:
        raise SettingError(f"there is no preset {name}: wanted {', '.join(PRESETS)}", parameter="preset")
    rules = PRESETS[name]
    if length_s < 3600 * rules.hours:
        count = "one false accept" if rules.false == 1 else f"{rules.false} false accepts"
        prove = most_expected(0) / rules.false_per_hour
        raise DataError(
            f"{name} counts misses at {count} in {rules.hours:.3g} h, which a stream of {length_s / 3600:.2f} h "
            f"cannot show: wanted {rules.hours:.3g} h or more ({prove:.2g} h without one prove it with "
            "95 % confidence); for a shorter stream state the rate",
            parameter="false_per_hour",
        )
    return rules


def _sweep(opened: OpenStore) -> Callable[[], Sweep]:
    """Return what makes a sweep that has followed nothing yet, with the scorer of `listen`."""
    opened.taught_head()
    scorer, _, second = scorer_of(opened, judge_with(opened, opened.model()[1]), None)
    make = partial(spotter_for, opened.extractor.contract, Listening())
    return lambda: Sweep(scorer, THRESHOLDS, make=make, second=second)


def _said(
    spans: Sequence[Span], clips: Iterable[Sample | Skip], labels: Sequence[str], rng: np.random.Generator
) -> _Said:
    """Return the words that are taught; those of labels that make no event are left out."""
    skips: Counter[str] = Counter()
    usable = drawn(_usable(clips, skips), rng)
    if spans and usable:
        raise SettingError("words are in the stream or are mixed in: give a label file or clips", parameter="words")
    named = {one for one in [*(str(one.label) for one in usable), *(one.label for one in spans)] if one[0] != "_"}
    known = named.intersection(labels)
    if not known and (spans or usable):
        raise DataError(f"none of the words is taught: they are {_listed(named)}; the store knows {_listed(labels)}")
    if not usable and skips:
        raise DataError(f"no clip can be used: {'; '.join(f'{count} {why}' for why, count in skips.most_common(4))}")
    return _Said(
        [one for one in spans if one.label in known],
        [one for one in usable if str(one.label) in known],
        tuple(sorted(named - known)),
        dict(skips),
    )


def _usable(clips: Iterable[Sample | Skip], skips: Counter[str]) -> Iterator[Sample]:
    for one in clips:
        if isinstance(one, Skip):
            skips[reason_kind(one.reason)] += 1
        else:
            yield one


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:8]) + (" and others" if len(ordered) > 8 else "") or "nothing that makes an event"


def _played(opened: OpenStore, file: Path, sweep: Sweep, length_s: float) -> Generator[Played, None, _Heard]:
    """Play the stream as it is."""
    contract = opened.extractor.contract
    heard = _Heard([[] for _ in THRESHOLDS])

    def measured(pieces: Iterable[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            heard.samples += len(piece.signal)
            heard.power += float(np.vdot(piece.signal, piece.signal))
            yield piece

    due = 0.0
    for events in swept(opened.extractor, sweep, measured(sound_file(file, contract, halt=Halt()))):
        for index, event in events:
            heard.events[index].append(event)
        now = heard.samples / contract.sample_rate_hz
        if now >= due:
            due = now + STAGE_S
            yield Played("playing the stream", now, max(length_s, now))
    return heard


def _recorded(heard: _Heard, spans: Sequence[Span]) -> _Words:
    """Match events with the words of a label file."""
    seconds = [(one.label, one.begin, one.end) for one in spans]
    matches = [matched(events, seconds) for events in heard.events]
    is_heard = np.array([one for one, _ in matches])  # (K, W)
    words = [Word(one.label, one.begin, one.end, is_heard[:, at]) for at, one in enumerate(spans)]
    return _Words([false for _, false in matches], {RECORDED: words})


def _mixed_in(
    opened: OpenStore,
    file: Path,
    sweep: Callable[[], Sweep],
    heard: _Heard,
    places: Sequence[Place],
    levels_db: Sequence[float],
) -> Generator[Played, None, _Words]:
    """Play an excerpt about each place, with the clip at each level."""
    contract = opened.extractor.contract
    rms = float(np.sqrt(heard.power / max(heard.samples, 1)))
    if not rms:
        raise DataError(f"{file} is digital silence: words cannot be louder than it by decibels")
    found = _Words(heard.events, {f"{level:g} dB": [] for level in levels_db})
    pieces = sound_file(file, contract, halt=Halt())
    for number, (place, start, excerpt) in enumerate(excerpts(pieces, places, contract)):
        for level in levels_db:
            gain = gain_of(place.signal, contract, stream_rms=rms, level_db=level)
            sound, is_clipped = mixed(place, start, excerpt, gain=gain)
            kind = f"{level:g} dB"
            found.by_kind[kind].append(_heard_in(opened, sweep(), place, start, sound))
            found.clipped[kind] = found.clipped.get(kind, 0) + is_clipped
        yield Played("mixing in words", number + 1, len(places))
    return found


def _heard_in(opened: OpenStore, sweep: Sweep, place: Place, start: int, sound: NDArray[np.float32]) -> Word:
    """Return at which thresholds a word is heard in an excerpt that begins at sample `start`."""
    contract = opened.extractor.contract
    rate_hz, hop = contract.sample_rate_hz, contract.hop_samples
    begin, end = place.first / rate_hz, place.last / rate_hz
    is_heard = np.zeros(len(THRESHOLDS), bool)
    pieces = (
        Piece(sound[at : at + hop], start / rate_hz if at == 0 else None) for at in range(0, max(len(sound), 1), hop)
    )
    for events in swept(opened.extractor, sweep, pieces):
        for index, event in events:
            is_heard[index] |= is_near(event, place.label, begin, end)
    return Word(place.label, begin, end, is_heard, place.source)
