"""The two ends of a round in Flower's message API: what the app that `edgecl federate app` writes calls.

A round has two messages to every node: one fetches the files of its devices, one brings them the sums of the others. No
strategy of Flower's is used: all of those average. Nodes that do not answer in time are left out of the round; what
they handed in before still counts, and what they hand in later counts then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgecl.federation.fleet import Fleet
from edgecl.federation.node import node_of

FILES, DEVICES, BECAME = "files", "devices", "became"
POLL_S = 0.5


def answer(message: Any, context: Any) -> Any:
    """Answer a message of the server: the files of this node, or what became of the sums that it brings."""
    from flwr.app import ConfigRecord, Message, RecordDict

    node = node_of(context.node_config)
    record = message.content.config_records.get(FILES)
    if record is None:
        content = ConfigRecord({FILES: node.hand_in()})
    else:
        became = node.take(dict(zip(record[DEVICES], record[FILES], strict=True)))
        content = ConfigRecord({DEVICES: list(became), BECAME: list(became.values())})
    return Message(content=RecordDict({FILES: content}), reply_to=message)


def lead(grid: Any, context: Any) -> None:
    """Run the rounds of a federation, as the server's app."""
    config = context.run_config
    fleet = Fleet(Path(str(config["state"])), floor=float(config["floor"]))
    number = Path(str(config["state"]), "round")
    for _ in range(int(config["rounds"])):
        nodes = _present(grid, int(config["min-nodes"]), float(config["timeout"]))
        done = int(number.read_text()) + 1 if number.exists() else 1
        play_round(grid, nodes, fleet, round_number=done, timeout=float(config["timeout"]))
        number.write_text(str(done))


def _present(grid: Any, wanted: int, timeout: float) -> list[int]:
    """Return the nodes that are there, after waiting for so many, or for the time of a round."""
    until = time.monotonic() + timeout
    while len(found := list(grid.get_node_ids())) < wanted and time.monotonic() < until:
        time.sleep(POLL_S)
    return found


def play_round(grid: Any, nodes: Iterable[int], fleet: Fleet, *, round_number: int, timeout: float) -> None:
    """Fetch the files of all nodes that answer, and bring each the sums of the others; prints one line."""
    from flwr.app import ConfigRecord, RecordDict

    nodes = list(nodes)
    empty = RecordDict({"fetch": ConfigRecord({"round": round_number})})
    owners: dict[int, list[str]] = {}
    for reply in _replies(grid, dict.fromkeys(nodes, empty), timeout):
        files = reply.content[FILES][FILES]
        source = str(reply.metadata.src_node_id)
        taken = [fleet.take(bytes(data), source=f"node {source}") for data in files]
        owners[reply.metadata.src_node_id] = [one for one in taken if one is not None]
    sums = fleet.sums(round_number=round_number)
    brought = {
        node: RecordDict({FILES: ConfigRecord({DEVICES: known, FILES: [sums[one] for one in known]})})
        for node, devices in owners.items()
        if (known := [one for one in devices if one in sums])
    }
    became = [one for reply in _replies(grid, brought, timeout) for one in reply.content[FILES][BECAME]]
    _print(round_number, len(nodes), len(owners), fleet, became)


def _replies(grid: Any, contents: Mapping[int, Any], timeout: float) -> list[Any]:
    """Send to every node, and return the replies without an error that come in time."""
    from flwr.app import Message, MessageType

    if not contents:
        return []
    messages = [
        Message(content=content, dst_node_id=node, message_type=MessageType.TRAIN) for node, content in contents.items()
    ]
    return [one for one in grid.send_and_receive(messages, timeout=timeout) if one.has_content()]


def _print(round_number: int, asked: int, replied: int, fleet: Fleet, became: list[str]) -> None:
    outcomes = ", ".join(f"{became.count(one)} {one}" for one in sorted(set(became))) or "no sums to bring"
    refused = "".join(f"; refused {name}: {reason}" for name, reason in sorted(fleet.refused.items()))
    print(
        f"EDGECL round {round_number}: {replied} of {asked} nodes replied, {len(fleet.devices)} devices known; "
        f"{outcomes}{refused}",
        flush=True,
    )
