"""What a node does in a round: hand in shares, and pass on the sum of the others.

A node has a store; or, on a gateway for boards that cannot run Flower, a folder in which they leave the files of
`edgecl share` and find `for/<device>.share`, which they merge.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from edgecl.errors import EdgeclError, SettingError
from edgecl.federation.fleet import SUFFIX
from edgecl.model.shares import own_classes
from edgecl.model.statistics import ClassStatistics
from edgecl.sharing.share_file import LARGEST_FILE, Shape, decode
from edgecl.store.files import read_bytes, replace_unlocked

OUT = "for"  # folder of what a gateway's boards are to merge; it is there once their files were handed in
STATE = "gateway.json"  # of a gateway that hands in their sum


class Node(Protocol):
    """What a server's round asks of a node."""

    def hand_in(self) -> list[bytes]:
        """Return the files of its devices."""

    def newcomers(self) -> list[str]:
        """Return the devices that have nothing to hand in, and want the sum of the others."""

    def take(self, sums: Mapping[str, bytes]) -> dict[str, str]:
        """Take the sum of the others for each of its devices; returns what became of each."""


class StoreNode:
    """A device with its own store."""

    def __init__(self, store: Path, *, at_least: int = 1, distinct: bool = False) -> None:
        self._store, self._at_least, self._distinct = store, at_least, distinct

    def hand_in(self) -> list[bytes]:
        from edgecl.learner import Learner

        if self.newcomers():
            return []
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "own.share")
            Learner.open(self._store).share(out, at_least=self._at_least, compact=True)
            return [out.read_bytes()]

    def newcomers(self) -> list[str]:
        return [] if self.statistics()[1] else [self.features()[0]]

    def features(self) -> tuple[str, Shape]:
        """Return the device, and what others' shares have to fit."""
        from edgecl.learner import Learner

        learner = Learner.open(self._store)
        return learner.store.name, Shape.of(learner.settings, learner.store.extractor_digest)

    def statistics(self) -> tuple[int, dict[str, ClassStatistics]]:
        """Return the live revision and what the store has itself learnt, of classes of as many samples as wanted."""
        from edgecl.learner import Learner

        revision, model = Learner.open(self._store).opened.model()
        own = own_classes(model)
        return revision.number, {label: one for label, one in own.items() if one.count >= self._at_least}

    def take(self, sums: Mapping[str, bytes]) -> dict[str, str]:
        from edgecl.learner import Learner

        learner = Learner.open(self._store)
        device = learner.store.name
        if device not in sums:
            return {}
        with tempfile.TemporaryDirectory() as folder:
            given = Path(folder, "others.share")
            given.write_bytes(sums[device])
            report = learner.merge([given], screen=False, distinct=self._distinct)
        if report.unchanged:
            return {device: "unchanged"}
        why = "" if report.is_accepted or not report.verdict.reasons else f": {report.verdict.reasons[0]}"
        return {device: report.verdict.name + why}


class FolderNode:
    """A gateway for the boards that leave their files in a folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SettingError(f"{folder} is not a folder: make it, and let boards put the files of share there")
        if not os.access(folder, os.W_OK):
            raise SettingError(f"{folder} cannot be written to, and boards find their files in {OUT}/ there: allow it")
        self._folder = folder
        self._out()

    def _out(self) -> Path:
        """Return the folder of what boards find: never what a board has put in its place."""
        out = self._folder.absolute() / OUT
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            raise SettingError(f"{out} is a link or a file, and boards are to find their files in a folder: remove it")
        return out

    def newcomers(self) -> list[str]:
        return []  # a board that has no file yet is not known

    def hand_in(self) -> list[bytes]:
        return [data for _, data in self.files()]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield the intact files by name; what is still being written, or is no share, is left for another round."""
        for name, _, data in self._intact():
            self._out().mkdir(exist_ok=True)
            yield name, data

    def _intact(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield the name of each file that is a share, its board and its content."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                data = read_bytes(path, limit=LARGEST_FILE)
                board = decode(data, source=str(path)).share.device
            except EdgeclError:
                continue
            yield path.name, board, data

    def take(self, sums: Mapping[str, bytes]) -> dict[str, str]:
        out, names = self._out(), {board: name for name, board, _ in self._intact()}
        for device in set(names) & set(sums):
            replace_unlocked(out / names[device], sums[device])
        return dict.fromkeys(set(names) & set(sums), "waits for its board")


def node_of(config: Mapping[str, object]) -> Node:
    """Return the node of a Flower node's configuration: `store`, or `folder` of a gateway; raises SettingError."""
    match config:
        case {"store": str(store)}:
            at_least = config.get("at-least", 1)
            distinct = config.get("distinct", 0) == 1
            return StoreNode(Path(store), at_least=at_least if isinstance(at_least, int) else 1, distinct=distinct)
        case {"folder": str(folder)} if config.get("sum") == 1:
            from edgecl.federation.gateway import SummingNode

            return SummingNode(Path(folder))
        case {"folder": str(folder)}:
            if (Path(folder) / STATE).exists():
                raise SettingError(
                    f"{folder} hands in the sum of its boards, as {STATE} in it says, and one by one the server would "
                    f"count them twice: go on with --sum; or remove the gateway's share from the server's state "
                    f"folder, and then {STATE}"
                )
            return FolderNode(Path(folder))
    raise SettingError("the node has neither a store nor a folder: start it with `edgecl federate join`")
