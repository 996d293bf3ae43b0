"""What waits for its user: surprises to be named, the latest detections, and samples that a lesson left out.

::

    inbox/
      000012.wav     the sound (16-bit), 000012.png the picture, or 000012.npz the movement (X, rate_hz,
                     channels): as a lesson takes it
      000012.json    what is known of it; names the sha256 of the recording, and is written last

A recording without its .json, or not of the digest that this states, is what a cut left: it is not listed, and goes
with the next one kept. Files of other names, and folders, are left alone; only `forget` removes them. Files are
written under temporary names and renamed; unlike the store's they are not flushed, since a lost surprise costs nothing
and a listener should not wait for a card.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import EdgeclError, SettingError, StoreDamagedError
from edgecl.hashes import sha256
from edgecl.operations.inbox_files import as_csv, decoded_picture, encoded
from edgecl.sources.json_lines import text_signal
from edgecl.sources.labels import clean_label
from edgecl.sources.samples import Sample, UnusableError
from edgecl.sources.sound import decode, encode_exactly, encode_wav
from edgecl.store.files import TEMPORARY, explained, locked, read_file, temporary, write_temporary
from edgecl.store.folder import entries, tree_bytes

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.model.model import Model
    from edgecl.operations.open_store import OpenStore


DEFAULT_BYTES = 2 << 20
DETECTIONS_KEPT = 10
SUGGESTIONS_KEPT = 100
LARGEST_RECORDING = 1 << 24
LARGEST_NUMBER = 1e15
_LOCK_S = 2.0
_ID = r"\d{6}|[1-9]\d{6,11}"
_JSON = re.compile(rf"({_ID})\.json")
_OURS = re.compile(rf"(?:{_ID})\.(?:json|jsonl|npz|png|wav)(?:{re.escape(TEMPORARY)})?")


SURPRISE, DETECTION, SUGGESTION = "surprise", "detection", "suggestion"  # what a listener keeps
SET_ASIDE, QUESTION = "set aside", "question"  # what a lesson left out
WAITING = (SET_ASIDE, QUESTION)
SUFFIXES = (".wav", ".png", ".npz", ".jsonl")


@dataclass(frozen=True)
class Item:
    """One recording and what is known of it."""

    id: str
    kind: str
    """SURPRISE, DETECTION, SUGGESTION, SET_ASIDE or QUESTION."""
    kept: str
    """Time at which it was kept: UTC, ISO 8601."""
    time: float
    """Seconds of the stream."""
    label: str
    """The answer, right or wrong; of what a lesson left out, the name that it probably has."""
    confidence: float
    novelty: float
    seconds: float
    """Length of the signal; 0 of what has none in time: a text, a row, a picture."""
    count: int
    """Number of times it was detected: near-duplicates are kept once."""
    file: str
    sha256: str
    called: str = ""
    """The name under which it was taught and left out."""
    source: str = ""
    """Where it came from then."""
    event: str = ""
    """Id of the detection's event."""
    order: int = 0
    """Grows with every item that is kept or heard again; 0 in those of earlier versions. The clock decides nothing."""

    @property
    def number(self) -> int:
        """The id as a number, which is the order of arrival."""
        return int(self.id)

    @property
    def latest(self) -> int:
        """The place among all items by when they were last heard."""
        return self.order or self.number


Seen = dict[str, tuple[tuple[int, int, int], Item]]
"""Name of a file to its inode, time and size, and what it said."""


class Inbox:
    """The folder; read again by every call, since several processes may use it.

    Parameters
    ----------
    folder
        Is made when something is kept.
    capacity_bytes
        Of all files in it.
    """

    def __init__(self, folder: Path, contract: Contract, *, capacity_bytes: int = DEFAULT_BYTES) -> None:
        self.folder = folder
        self._contract = contract
        self._capacity = capacity_bytes
        self._seen: Seen = {}

    def items(self, kind: str | None = None) -> list[Item]:
        """What is kept, of one kind or both, oldest first."""
        return [one for one in listed(self.folder, self._seen) if kind in (None, one.kind)]

    def item(self, name: str) -> Item:
        """The item of an id, without its leading zeros or of its event; raises SettingError where there is none."""
        items = self.items()
        kept = {one.id: one for one in items}
        by_event = {one.event: one for one in items if one.event}
        if name in by_event:
            return by_event[name]
        if name.zfill(6) not in kept:
            there = ", ".join(sorted(kept)) or "nothing, until a listener keeps what it detects"
            raise SettingError(f"{self.folder} holds no {name!r}: there is {there}", remedy="" if kept else "listen")
        return kept[name.zfill(6)]

    def recording(self, item: Item) -> bytes:
        """The file of an item, as it was written; raises StoreDamagedError where it is not that any more."""
        path = self.folder / item.file
        content = bytes(read_file(path, limit=LARGEST_RECORDING))
        if sha256(content).hexdigest() != item.sha256:
            raise StoreDamagedError(f"{path} is not what {item.id}.json says: the power went while it was written")
        return content

    def exported(self, item: Item, suffix: str) -> bytes:
        """Return an item as a file of a kind: its own, or of movement .csv; raises as `recording`.

        Raises
        ------
        SettingError
            When it cannot be written as such a file.
        """
        own = Path(item.file).suffix
        if suffix == own:
            return self.recording(item)
        if suffix != ".csv" or own != ".npz":
            wanted = f"{own} or .csv" if own == ".npz" else own
            raise SettingError(f"item {item.id} cannot be written as {suffix or 'a file without suffix'}: use {wanted}")
        return as_csv(self.signal(item), self._contract)

    def signal(self, item: Item) -> NDArray[np.float32]:
        """The signal (n, channels) of an item; raises as `recording`."""
        content = self.recording(item)
        try:
            if item.file.endswith(".wav"):
                return decode(content).samples
            if item.file.endswith(".png"):
                return decoded_picture(content)
            if item.file.endswith(".jsonl"):
                return text_signal(json.loads(content)["text"])
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return np.asarray(arrays["X"][0], np.float32)
        except (UnusableError, ValueError, KeyError, OSError) as error:
            raise StoreDamagedError(f"{self.folder / item.file} cannot be read: {error}") from error

    def sample(self, item: Item, *, label: str) -> Sample:
        """An item as something to be taught; raises as `recording`, and SettingError where the label is unusable."""
        try:
            name = clean_label(label)
        except UnusableError as error:
            raise SettingError(f"{ascii(label)[:80]} can't be used as a name: {error}") from error
        # what a listener kept has been judged, or settled, there
        return Sample(str(self.folder / item.file), name, self.signal(item), None, is_scaled=True)

    def keep(
        self,
        signal: NDArray[np.float32],
        *,
        kind: str,
        time: float,
        label: str,
        confidence: float,
        novelty: float,
        called: str = "",
        source: str = "",
        event: str = "",
    ) -> Item:
        """Keep a signal (n, channels); the oldest go where there is no room, and detections beyond the latest ten.

        What a lesson left out goes last, and is kept once under each name.

        Raises
        ------
        EdgeclError
            When writing fails, or another process is at it for too long.
        """
        content, suffix = encoded(signal, self._contract, encode_exactly if kind in WAITING else encode_wav)
        with self._changing():
            digest, items = sha256(content).hexdigest(), self.items()
            there = _waiting(items, digest, called) if kind in WAITING else None
            item = Item(
                id=there.id if there else self._next_id(),
                kind=kind,
                kept=_now(),
                time=round(time, 3),
                label=label,
                confidence=round(confidence, 4),
                novelty=round(novelty, 4),
                seconds=_seconds(signal, self._contract),
                count=there.count + 1 if there else 1,
                file="",
                sha256=digest,
                called=called,
                source=source,
                event=event,
                order=_next_order(items),
            )
            item = replace(item, file=f"{item.id}{suffix}")
            self._write(self.folder / item.file, content)
            self._write(self.folder / f"{item.id}.json", json.dumps(asdict(item)).encode())
            self._make_room()
        return item

    def heard_again(self, item: Item) -> None:
        """Count one more detection of it; raises as `keep`."""
        with self._changing():
            now = _read(self.folder, f"{item.id}.json")
            if now is not None:
                now = replace(now, count=now.count + 1, kept=_now(), order=_next_order(self.items()))
                self._write(self.folder / f"{item.id}.json", json.dumps(asdict(now)).encode())

    def remove(self, item: Item) -> None:
        """Take an item out; the .json goes first."""
        with explained(f"removing item {item.id} of {self.folder}"):
            for name in (f"{item.id}.json", item.file):
                (self.folder / name).unlink(missing_ok=True)

    def _changing(self) -> Any:
        """Nobody else changes the folder meanwhile; what a killed process left under way is gone."""
        if self.folder.is_symlink():
            raise EdgeclError(f"{self.folder} is a link: nothing is kept where it leads, remove it")
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EdgeclError(f"{self.folder} cannot be made: {error.strerror}") from error
        return locked(self.folder, timeout_s=_LOCK_S)

    def _next_id(self) -> str:
        stems = (entry.name.partition(".")[0] for entry in entries(self.folder))
        numbers = [int(stem) for stem in stems if re.fullmatch(_ID, stem)]
        return f"{max(numbers, default=0) + 1:06d}"

    def _write(self, path: Path, content: bytes) -> None:
        try:
            temporary(path).unlink(missing_ok=True)
            write_temporary(path, [content])
            temporary(path).replace(path)
        except OSError as error:
            raise EdgeclError(f"{path} cannot be written: {error.strerror}") from error

    def _make_room(self) -> None:
        items = self.items()
        owned = {name for one in items for name in (f"{one.id}.json", one.file)}
        for entry in entries(self.folder):
            if _OURS.fullmatch(entry.name) and entry.name not in owned and not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink(missing_ok=True)
        outdated = [
            *[one for one in items if one.kind == DETECTION][:-DETECTIONS_KEPT],
            *[one for one in items if one.kind == SUGGESTION][:-SUGGESTIONS_KEPT],
        ]
        left = [one for one in items if one not in outdated]
        sizes = {one.id: sum(self._size(name) for name in (f"{one.id}.json", one.file)) for one in left}
        by_age = sorted(left, key=lambda one: (one.kind in WAITING, one.latest, one.number))
        while len(by_age) > 1 and sum(sizes[one.id] for one in by_age) > self._capacity:
            outdated.append(by_age.pop(0))
        for one in outdated:
            self.remove(one)

    def _size(self, name: str) -> int:
        try:
            return (self.folder / name).lstat().st_size
        except FileNotFoundError:
            return 0


def _waiting(items: Sequence[Item], digest: str, called: str) -> Item | None:
    """A recording that a lesson left out under this name before, or that has been kept for another reason."""
    return next((one for one in items if one.sha256 == digest and one.called in ("", called)), None)


def _next_order(items: Sequence[Item]) -> int:
    return max((max(one.latest, one.number) for one in items), default=0) + 1


def listed(folder: Path, seen: Seen | None = None) -> list[Item]:
    """Return what is kept in the folder of an inbox, oldest first; files that were `seen` are not read again."""
    seen, found = {} if seen is None else seen, {}
    for entry in entries(folder):
        if _JSON.fullmatch(entry.name):
            with suppress(FileNotFoundError):  # another process took it out
                state = entry.stat(follow_symlinks=False)
                mark = (state.st_ino, state.st_mtime_ns, state.st_size)
                before = seen.get(entry.name)
                item = before[1] if before and before[0] == mark else _read(folder, entry.name)
                if item:
                    found[entry.name] = mark, item
    seen.clear()
    seen.update(found)
    return sorted((one for _, one in found.values()), key=lambda one: one.number)


def _read(folder: Path, name: str) -> Item | None:
    """What a .json says; None where it is gone, or not one of ours."""
    with suppress(EdgeclError, ValueError, TypeError, AttributeError):
        item = Item(**json.loads(read_file(folder / name, limit=1 << 16)))
        if _is_whole(item) and f"{item.id}.json" == name and item.file in [item.id + suffix for suffix in SUFFIXES]:
            return item
    return None


def _is_whole(item: Item) -> bool:
    """Test whether each field has its type, and no number is NaN or beyond what is counted or measured."""
    types = {"str": (str,), "int": (int,), "float": (int, float)}
    values = [(getattr(item, name), types[kind]) for name, kind in Item.__annotations__.items()]
    return all(type(one) in wanted and (type(one) is str or abs(one) < LARGEST_NUMBER) for one, wanted in values)


@dataclass(frozen=True)
class Question:
    """A name that may be that of a known class."""

    label: str
    like: str
    samples: int
    """Recordings that wait in the inbox for the answer; of a name that is live, its samples."""
    is_live: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"label": self.label, "like": self.like, "samples": self.samples, "live": self.is_live}


def questions(items: Sequence[Item], model: Model) -> list[Question]:
    """Return what has been asked and not been answered."""
    waiting: dict[str, list[Item]] = {}
    for one in items:
        if one.kind == QUESTION:
            waiting.setdefault(one.called, []).append(one)
    found = [Question(label, rows[-1].label, len(rows), False) for label, rows in sorted(waiting.items())]
    return found + [
        Question(label, one.like, model.statistics[label].count, True)
        for label, one in sorted(model.alike.items())
        if one.asked and label in model.statistics and not model.are_distinct(label, one.like)
    ]


def _seconds(signal: NDArray[np.float32], contract: Contract) -> float:
    is_in_time = contract.sample_rate_hz > 0 and not contract.is_picture
    return round(len(signal) / contract.sample_rate_hz, 3) if is_in_time else 0.0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_inbox(opened: OpenStore, *, capacity_bytes: int = DEFAULT_BYTES) -> Inbox:
    """Return the inbox of a store; it is given at most half of what the store's disk budget leaves."""
    folder = opened.store.path / "inbox"
    left = max(opened.settings.disk_bytes - opened.store.bytes_on_disk() + tree_bytes(folder), 0)
    return Inbox(folder, opened.extractor.contract, capacity_bytes=min(capacity_bytes, left // 2))
