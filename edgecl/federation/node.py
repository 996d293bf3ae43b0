"""What a node does in a round: hand in shares, and pass on the sum of the others.

A node has a store; or it is a gateway for boards that cannot run Flower, see `edgecl.federation.gateway`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from edgecl.errors import SettingError
from edgecl.model.shares import own_classes
from edgecl.model.statistics import ClassStatistics
from edgecl.sharing.share_file import Shape


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


def node_of(config: Mapping[str, object]) -> Node:
    """Return the node of a Flower node's configuration: `store`, or `folder` of a gateway; raises SettingError."""
    match config:
        case {"store": str(store)}:
            at_least = config.get("at-least", 1)
            distinct = config.get("distinct", 0) == 1
            return StoreNode(Path(store), at_least=at_least if isinstance(at_least, int) else 1, distinct=distinct)
        case {"folder": str(folder)}:
            from edgecl.federation.gateway import FolderNode, SummingNode, require_no_sum

            if config.get("sum") == 1:
                return SummingNode(Path(folder))
            require_no_sum(Path(folder))
            return FolderNode(Path(folder))
    raise SettingError("the node has neither a store nor a folder: start it with `edgecl federate join`")
