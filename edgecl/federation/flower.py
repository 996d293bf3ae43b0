"""The two ends of a round in Flower's message API: what the app that `edgecl federate app` writes calls.

A round has two messages to every node: one fetches the files of its devices, one brings them the sums of the others. No
strategy of Flower's is used: all of those average. Nodes that do not answer in time are left out of the round; what
they handed in before still counts, and what they hand in later counts then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from edgecl.errors import EdgeclError, SettingError
from edgecl.federation.fleet import Fleet
from edgecl.federation.node import node_of
from edgecl.federation.rounds import Round, begin_round, handed_in, play, stated, texts

FILES, DEVICES, NEWCOMERS, BECAME = "files", "devices", "newcomers", "became"
POLL_S = 0.5


def answer(message: Any, context: Any) -> Any:
    """Answer a message of the server: the files of this node, or what became of the sums that it brings."""
    from flwr.app import ConfigRecord, Message, RecordDict

    node = node_of(context.node_config)
    record = message.content.config_records.get(FILES)
    if record is None:
        content = ConfigRecord({FILES: node.hand_in(), NEWCOMERS: node.newcomers()})
    else:
        became = node.take(dict(zip(record[DEVICES], record[FILES], strict=True)))
        content = ConfigRecord({DEVICES: list(became), BECAME: list(became.values())})
    return Message(content=RecordDict({FILES: content}), reply_to=message)


def told(played: Round) -> None:
    """Print the line of a round."""
    print(played, flush=True)


def lead(grid: Any, context: Any, *, say: Callable[[Round], None] = told) -> list[Round]:
    """Run the rounds of a federation, as the server's app; says each, by default as a line on stdout."""
    config = context.run_config
    state, timeout = Path(str(config["state"])), float(config["timeout"])
    fleet = Fleet(state, floor=float(config["floor"]))
    played = list[Round]()
    for _ in range(int(config["rounds"])):
        nodes = present(grid, int(config["min-nodes"]), timeout)
        done = begin_round(state)
        played.append(play(OverGrid(grid, nodes, round_number=done, timeout=timeout), fleet, number=done))
        say(played[-1])
    return played


def present(grid: Any, wanted: int, timeout: float) -> list[int]:
    """Return the nodes that are there, after waiting for so many, or for the time of a round."""
    until = time.monotonic() + timeout
    while len(found := list(grid.get_node_ids())) < wanted and time.monotonic() < until:
        time.sleep(POLL_S)
    return found


class OverGrid:
    """Carries files as messages of Flower's."""

    def __init__(self, grid: Any, nodes: Sequence[int], *, round_number: int, timeout: float) -> None:
        self._grid, self._nodes, self._round, self._timeout = grid, nodes, round_number, timeout

    def asked(self) -> int:
        return len(self._nodes)

    def fetch(self) -> Iterable[tuple[int, list[bytes], list[str]]]:
        from flwr.app import ConfigRecord, RecordDict

        empty = RecordDict({"fetch": ConfigRecord({"round": self._round})})
        for reply in self._replies(dict.fromkeys(self._nodes, empty)):
            files, newcomers = handed_in(stated(reply, FILES), FILES, NEWCOMERS)
            yield reply.metadata.src_node_id, files, newcomers

    def bring(self, sums: Mapping[int, Mapping[str, bytes]]) -> list[str]:
        from flwr.app import ConfigRecord, RecordDict

        contents = {
            node: RecordDict({FILES: ConfigRecord({DEVICES: list(mine), FILES: list(mine.values())})})
            for node, mine in sums.items()
        }
        replies = [(stated(one, FILES), sums.get(one.metadata.src_node_id, {})) for one in self._replies(contents)]
        return [one for record, mine in replies for one in texts(record.get(BECAME), most=len(mine))]

    def _replies(self, contents: Mapping[int, Any]) -> list[Any]:
        """Send to every node, and return the replies without an error that come in time."""
        from flwr.app import Message, MessageType

        messages = [
            Message(content=content, dst_node_id=node, message_type=MessageType.TRAIN)
            for node, content in contents.items()
        ]
        if not messages:
            return []
        return [one for one in self._grid.send_and_receive(messages, timeout=self._timeout) if one.has_content()]


class InProcessGrid:
    """Flower's grid between apps of one process: every message is answered at once by the node's ClientApp."""

    def __init__(self, configs: Sequence[Mapping[str, str | int]], client: Any = None) -> None:
        from flwr.app import Context, RecordDict
        from flwr.clientapp import ClientApp

        self._app = client or ClientApp()
        if client is None:
            self._app.train()(answer)
        self._contexts = {
            number: Context(1, number, dict(config), RecordDict(), {}) for number, config in enumerate(configs, start=1)
        }

    def get_node_ids(self) -> list[int]:
        return list(self._contexts)

    def send_and_receive(self, messages: Iterable[Any], *, timeout: float | None = None) -> list[Any]:
        del timeout  # nobody is late
        replies = []
        for one in messages:
            with suppress(EdgeclError):  # a node that fails does not answer
                replies.append(self._app(deepcopy(one), self._contexts[one.metadata.dst_node_id]))
        return replies


def lead_in_process(configs: Sequence[Mapping[str, str | int]], *, state: Path, floor: float) -> list[Round]:
    """Run one round of Flower's ServerApp and ClientApps in this process, and return it.

    Parameters
    ----------
    configs
        Of the nodes, as `edgecl federate join` states them.
    """
    from flwr.app import Context, RecordDict
    from flwr.serverapp import ServerApp

    app, played = ServerApp(), list[Round]()
    app.main()(lambda grid, context: played.extend(lead(grid, context, say=lambda _: None)))
    be_a_run()
    run = {"rounds": 1, "min-nodes": len(configs), "timeout": 1.0, "floor": floor, "state": str(state)}
    app(InProcessGrid(configs), Context(1, 0, {}, RecordDict(), run))
    return played


def be_a_run() -> None:
    """Give this process the identity of a run, which messages carry; Flower's own starters do the same."""
    from importlib import import_module

    from flwr import __version__

    try:
        identity = import_module("flwr.supercore.task_identity").TaskIdentity
        identity.run_id, identity.node_id, identity.task_id = 1, 0, 1
    except (ImportError, AttributeError) as error:
        raise SettingError(
            f"Flower {__version__} does not run its apps in one process as 1.42 does: install flwr==1.42.0, or leave "
            "Flower out",
            parameter="flower",
        ) from error
