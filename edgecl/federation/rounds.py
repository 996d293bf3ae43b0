"""A round: fetch the files of the nodes that answer, and bring each device the sum of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgecl.errors import DataError, EdgeclError
from edgecl.federation.fleet import Fleet
from edgecl.federation.node import Node
from edgecl.sharing.share_file import is_name
from edgecl.store.files import explained, read_bytes, replace_unlocked

LAST_ROUND = 1 << 30
LONGEST_OUTCOME = 500  # characters of what a node states of a sum
BATCH_BYTES = 64 << 20  # of sums that are brought at once


class Carrier(Protocol):
    """What carries files to nodes and from them; by number of the node."""

    def asked(self) -> int:
        """Return how many nodes take part in the round."""

    def fetch(self) -> Iterable[tuple[int, list[bytes], list[str]]]:
        """Yield the files of each node that answers, and its devices that have none and want the sum of the others."""

    def bring(self, sums: Mapping[int, Mapping[str, bytes]]) -> list[str]:
        """Bring each node the sums of its devices; return what became of them, of the nodes that answer."""


@dataclass(frozen=True)
class Round:
    """What became of a round."""

    number: int
    asked: int
    replied: int
    known: int
    """Devices whose shares the server has, of this round or an earlier one."""
    outcomes: Mapping[str, int]
    """What became of the sums, to the number of devices."""
    refused: Mapping[str, str]
    """Device, or node, to the reason why it was not taken or is left out."""
    up_bytes: int
    """Of all files that were handed in."""
    down_bytes: int
    """Of all sums that were brought."""

    def __str__(self) -> str:
        """Return the line that a server prints."""
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items())) or "no sums to bring"
        refused = "".join(f"; refused {name}: {reason}" for name, reason in sorted(self.refused.items()))
        return (
            f"EDGECL round {self.number}: {self.replied} of {self.asked} nodes replied, {self.known} devices known; "
            f"{outcomes}{refused}"
        )


def begin_round(state: Path) -> int:
    """Return the number of a new round, kept in the server's folder before the round is played.

    Raises
    ------
    DataError
        When the file of the number has no number.
    EdgeclError
        When it cannot be written: without it a later sum would be an older one to every device.
    """
    path = state.absolute() / "round"
    try:
        number = int(read_bytes(path, limit=32)) + 1 if path.exists() else 1
        if not 0 < number < LAST_ROUND:
            raise ValueError
    except (EdgeclError, ValueError) as error:
        raise DataError(
            f"{path} is not the number of a round: write the number of the last round (see the server's log) into it, "
            "or a higher one"
        ) from error
    with explained("counting the round", outcome="it was not played"):
        replace_unlocked(path, str(number).encode())
    return number


def stated(reply: Any, name: str) -> dict[str, Any]:
    """Return a record of a node's reply, empty where it has none."""
    return dict(reply.content.config_records.get(name) or {})


def texts(found: Any, *, most: int) -> list[str]:
    """Return the printable texts of a node's reply, at most so many: a node may send anything."""
    given = found[:most] if isinstance(found, list) else []
    return [one[:LONGEST_OUTCOME] for one in given if isinstance(one, str) and one.isprintable()]


def handed_in(record: Mapping[str, Any], files: str, newcomers: str) -> tuple[list[bytes], list[str]]:
    """Return the files of a node's reply, and its device where that has none; what is no list of files is a bad one."""
    given = record.get(files)
    if not isinstance(given, list) or not all(isinstance(one, bytes) for one in given):
        given = [b""]
    return given, [one for one in texts(record.get(newcomers), most=1) if is_name(one)]


def play(carrier: Carrier, fleet: Fleet, *, number: int) -> Round:
    """Play a round. Nodes that do not answer are left out; what they handed in before still counts."""
    owners: dict[int, list[str]] = {}
    up, late = 0, list[str]()
    for node, files, newcomers in carrier.fetch():
        up += sum(map(len, files))
        taken = [fleet.take(data, source=f"node {node}") for data in files]
        late += newcomers
        owners[node] = [*(one for one in taken if one is not None), *newcomers]
    became, down = list[str](), 0
    for some in _batches(owners, fleet.sums(round_number=number, newcomers=late)):
        became += carrier.bring(some)
        down += sum(len(data) for mine in some.values() for data in mine.values())
    return Round(
        number=number,
        asked=carrier.asked(),
        replied=len(owners),
        known=len(fleet.devices),
        outcomes=Counter(became),
        refused=dict(fleet.refused),
        up_bytes=up,
        down_bytes=down,
    )


def _batches(
    owners: Mapping[int, Sequence[str]], sums: Mapping[str, bytes]
) -> Iterator[Mapping[int, Mapping[str, bytes]]]:
    """Yield the sums for the devices of each node, as many nodes at once as BATCH_BYTES have room for."""
    batch: dict[int, dict[str, bytes]] = {}
    size = 0
    for node, devices in owners.items():
        mine = {one: sums[one] for one in devices if one in sums}
        if not mine:
            continue
        batch[node], size = mine, size + sum(map(len, mine.values()))
        if size >= BATCH_BYTES:
            yield batch
            batch, size = {}, 0
    if batch:
        yield batch


class InProcess:
    """Nodes of this process."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = list(nodes)

    def asked(self) -> int:
        return len(self._nodes)

    def fetch(self) -> Iterable[tuple[int, list[bytes], list[str]]]:
        for number, node in enumerate(self._nodes):
            with suppress(EdgeclError):  # a node that fails does not answer
                yield number, node.hand_in(), node.newcomers()

    def bring(self, sums: Mapping[int, Mapping[str, bytes]]) -> list[str]:
        return [one for number, mine in sums.items() for one in self._nodes[number].take(mine).values()]
