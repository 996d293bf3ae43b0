"""What a listener keeps for its user: surprises to be named, and the latest detections, should they be wrong.

::

    inbox/
      000012.wav     the sound (16-bit), or 000012.npz the movement (X, rate_hz, channels): as a lesson takes it
      000012.json    what was said of it; names the sha256 of the recording, and is written last

A recording without its .json, or not of the digest that this states, is what a cut left: it is not listed, and goes
with the next one kept. Files are written under temporary names and renamed; unlike the store's they are not flushed,
since a lost surprise costs nothing and a listener should not wait for a card.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import EdgeclError, SettingError, StoreDamagedError
from edgecl.sources.labels import clean_label
from edgecl.sources.samples import Sample, UnusableError
from edgecl.sources.sound import decode, encode_wav
from edgecl.store.files import locked, read_file, temporary, write_temporary
from edgecl.store.folder import entries, tree_bytes

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.operations.open_store import OpenStore


DEFAULT_BYTES = 2 << 20
DETECTIONS_KEPT = 10
LARGEST_RECORDING = 1 << 24
_LOCK_S = 2.0
_JSON = re.compile(r"(\d{6})\.json")


@dataclass(frozen=True)
class Item:
    """One recording and what was said of it."""

    id: str
    kind: str
    """One of "surprise" or "detection"."""
    kept: str
    """Time at which it was kept: UTC, ISO 8601."""
    time: float
    """Seconds of the stream."""
    label: str
    """The answer, right or wrong."""
    confidence: float
    novelty: float
    seconds: float
    """Length of the signal."""
    count: int
    """How often it was heard: near-duplicates are kept once."""
    file: str
    sha256: str


class Inbox:
    """The folder; looked at anew by every call, since several processes may use it.

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

    def items(self, kind: str | None = None) -> list[Item]:
        """What is kept, of one kind or both, oldest first."""
        found = (self._item(entry.name) for entry in entries(self.folder) if _JSON.fullmatch(entry.name))
        return sorted((one for one in found if one and kind in (None, one.kind)), key=lambda one: one.id)

    def item(self, name: str) -> Item:
        """The item of an id, whose leading zeros may be left out; raises SettingError where there is none."""
        kept = {one.id: one for one in self.items()}
        if name.zfill(6) not in kept:
            there = ", ".join(sorted(kept)) or "nothing, until a listener keeps what it hears"
            raise SettingError(f"{self.folder} holds no {name!r}: there is {there}", remedy="" if kept else "listen")
        return kept[name.zfill(6)]

    def recording(self, item: Item) -> bytes:
        """The file of an item, as it was written; raises StoreDamagedError where it is not that any more."""
        path = self.folder / item.file
        content = bytes(read_file(path, limit=LARGEST_RECORDING))
        if hashlib.sha256(content).hexdigest() != item.sha256:
            raise StoreDamagedError(f"{path} is not what {item.id}.json says: the power went while it was written")
        return content

    def signal(self, item: Item) -> NDArray[np.float32]:
        """The signal (n, channels) of an item; raises as `recording`."""
        content = self.recording(item)
        try:
            if item.file.endswith(".wav"):
                return decode(content).samples
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
        return Sample(str(self.folder / item.file), name, self.signal(item), None)

    def keep(
        self, signal: NDArray[np.float32], *, kind: str, time: float, label: str, confidence: float, novelty: float
    ) -> Item:
        """Keep a signal (n, channels); the oldest go where there is no room, and detections beyond the latest ten.

        Raises
        ------
        EdgeclError
            When writing fails, or another process is at it for too long.
        """
        content, suffix = _encoded(signal, self._contract)
        with self._changing():
            item = Item(
                id=self._next_id(),
                kind=kind,
                kept=_now(),
                time=round(time, 3),
                label=label,
                confidence=round(confidence, 4),
                novelty=round(novelty, 4),
                seconds=round(len(signal) / self._contract.sample_rate_hz, 3),
                count=1,
                file="",
                sha256=hashlib.sha256(content).hexdigest(),
            )
            item = replace(item, file=f"{item.id}{suffix}")
            self._write(self.folder / item.file, content)
            self._write(self.folder / f"{item.id}.json", json.dumps(asdict(item)).encode())
            self._make_room()
        return item

    def heard_again(self, item: Item) -> None:
        """Count another time that it was heard; raises as `keep`."""
        with self._changing():
            now = self._item(f"{item.id}.json")
            if now is not None:
                now = replace(now, count=now.count + 1, kept=_now())
                self._write(self.folder / f"{item.id}.json", json.dumps(asdict(now)).encode())

    def remove(self, item: Item) -> None:
        """Take an item out; the .json goes first."""
        for name in (f"{item.id}.json", item.file):
            (self.folder / name).unlink(missing_ok=True)

    def _item(self, name: str) -> Item | None:
        """What a .json says; None where it is gone, or not one of ours."""
        with suppress(EdgeclError, ValueError, TypeError, AttributeError):
            item = Item(**json.loads(read_file(self.folder / name, limit=1 << 16)))
            if f"{item.id}.json" == name and item.file in (f"{item.id}.wav", f"{item.id}.npz"):
                return item
        return None

    def _changing(self) -> Any:
        """Nobody else changes the folder meanwhile; what a killed process left under way is gone."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EdgeclError(f"{self.folder} cannot be made: {error.strerror}") from error
        return locked(self.folder, timeout_s=_LOCK_S)

    def _next_id(self) -> str:
        numbers = [int(entry.name[:6]) for entry in entries(self.folder) if entry.name[:6].isdigit()]
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
            if entry.name not in owned:
                Path(entry.path).unlink(missing_ok=True)
        outdated = [one for one in items if one.kind == "detection"][:-DETECTIONS_KEPT]
        left = [one for one in items if one not in outdated]
        sizes = {one.id: sum(self._size(name) for name in (f"{one.id}.json", one.file)) for one in left}
        by_age = sorted(left, key=lambda one: (one.kept, one.id))
        while len(by_age) > 1 and sum(sizes[one.id] for one in by_age) > self._capacity:
            outdated.append(by_age.pop(0))
        for one in outdated:
            self.remove(one)

    def _size(self, name: str) -> int:
        try:
            return (self.folder / name).stat().st_size
        except FileNotFoundError:
            return 0


def _encoded(signal: NDArray[np.float32], contract: Contract) -> tuple[bytes, str]:
    """A file that a lesson takes, and its suffix."""
    if contract.is_sound:
        return encode_wav(signal, rate_hz=contract.sample_rate_hz), ".wav"
    file = io.BytesIO()
    rate = np.float64(contract.sample_rate_hz)
    np.savez(file, X=signal[None].astype(np.float32), rate_hz=rate, channels=np.array(contract.channels))
    return file.getvalue(), ".npz"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_inbox(opened: OpenStore, *, capacity_bytes: int = DEFAULT_BYTES) -> Inbox:
    """Return the inbox of a store; it is given at most half of what the store's disk budget leaves."""
    folder = opened.store.path / "inbox"
    left = max(opened.settings.disk_bytes - opened.store.bytes_on_disk() + tree_bytes(folder), 0)
    return Inbox(folder, opened.extractor.contract, capacity_bytes=min(capacity_bytes, left // 2))
