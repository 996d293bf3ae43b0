"""A round of secure sums: Flower's SecAgg+ between our server and nodes.

The protocol is in Flower's legacy API alone (`SecAggPlusWorkflow`, `secaggplus_mod`, tested with 1.42). A round asks
the nodes who they are, sums the vectors of those that fit each other, and brings all of them the sum, from which each
takes its own part out again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import SettingError
from edgecl.federation.fleet import FLEET
from edgecl.federation.flower import BECAME, DEVICES, FILES, InProcessGrid, be_a_run, present, told
from edgecl.federation.node import StoreNode, node_of
from edgecl.federation.rounds import Round, begin_round, stated, texts
from edgecl.federation.secure import FEWEST, Agreement, agreed_labels, levels, others_of
from edgecl.model.share import Share
from edgecl.sharing.share_file import Shape, decode, encode, is_name, stated_shape

WHO, AGREED, HANDED, REVISION = "who", "agreed", "handed in", "revision"
THRESHOLD = 0.67  # share of the nodes that have to stay to the end of a round
FLOAT = 4  # bytes of an entry on its way


def secure_client() -> Any:
    """Return the ClientApp of a node that takes part in secure sums."""
    from flwr.client import NumPyClient
    from flwr.client.mod import secaggplus_mod
    from flwr.clientapp import ClientApp

    class Part(NumPyClient):  # type: ignore[misc]  # Flower may be missing
        """Hands in a vector, which leaves the node under masks."""

        def __init__(self, context: Any) -> None:
            self._context = context

        def fit(self, parameters: Any, config: Mapping[str, Any]) -> tuple[list[Any], int, dict[str, Any]]:
            del parameters
            return [_handed_in(self._context, Agreement.of(str(config[AGREED])))], 1, {}

    return ClientApp(client_fn=lambda context: Part(context).to_client(), mods=[_asked, secaggplus_mod])


def _asked(message: Any, context: Any, call_next: Callable[[Any, Any], Any]) -> Any:
    """Answer what is no part of the protocol: who this is, and what became of the sum."""
    from flwr.app import ConfigRecord, Message, MessageType, RecordDict

    if message.metadata.message_type != MessageType.QUERY:
        return call_next(message, context)
    node, record = _store_node(context), message.content.config_records.get(FILES)
    if record is None:
        device, shape = node.features()
        content = ConfigRecord({WHO: device, **asdict(shape)})
    else:
        became = _taken(node, context, bytes(record[FILES][0]), Agreement.of(str(record[AGREED])))
        content = ConfigRecord({DEVICES: list(became), BECAME: list(became.values())})
    return Message(content=RecordDict({FILES: content}), reply_to=message)


def _store_node(context: Any) -> StoreNode:
    node = node_of(context.node_config)
    if not isinstance(node, StoreNode):
        raise SettingError("a gateway takes no part in secure sums: its boards' files are plain")
    return node


def _handed_in(context: Any, agreed: Agreement) -> NDArray[np.float64]:
    """Return what this node adds to the sum, and remember of which revision it is."""
    from flwr.app import ConfigRecord

    revision, own = _store_node(context).statistics()
    vector = agreed.vector(own)
    context.state.config_records[HANDED] = ConfigRecord({REVISION: revision})
    return vector


def _taken(node: StoreNode, context: Any, data: bytes, agreed: Agreement) -> dict[str, str]:
    """Merge a sum without one's own part."""
    found, (revision, own) = decode(data, source="the secure sum"), node.statistics()
    device = node.features()[0]
    handed = context.state.config_records.get(HANDED)
    if handed is None or handed[REVISION] != revision:
        return {device: "has learnt meanwhile"}
    rest = others_of(found.share.statistics, agreed.capped(own))
    members = tuple(one for one in found.share.members if one != device)
    if not rest or not members:
        return {device: "nothing of others"}
    share = Share(FLEET, FLEET, found.share.revision, "", rest, members=members)
    return node.take({device: encode(share, found.shape)})


@dataclass(frozen=True)
class _Proxy:
    """What the protocol asks of a client."""

    node_id: int


def lead_secure(grid: Any, context: Any, *, say: Callable[[Round], None] = told) -> list[Round]:
    """Run the rounds of a federation of secure sums, as the server's app; says each."""
    config = context.run_config
    state, timeout = Path(str(config["state"])), float(config["timeout"])
    state.mkdir(parents=True, exist_ok=True)
    played = list[Round]()
    for _ in range(int(config["rounds"])):
        nodes = present(grid, max(int(config["min-nodes"]), FEWEST), timeout)
        done = begin_round(state)
        played.append(_played(grid, context, nodes, number=done, timeout=timeout))
        say(played[-1])
    return played


def lead_secure_in_process(
    configs: Sequence[Mapping[str, str | int]], *, state: Path, labels: Sequence[str], bound: int
) -> Round:
    """Run one round of secure sums between Flower's apps in this process."""
    from flwr.app import Context, RecordDict
    from flwr.serverapp import ServerApp

    app, played = ServerApp(), list[Round]()
    app.main()(lambda grid, context: played.extend(lead_secure(grid, context, say=lambda _: None)))
    be_a_run()
    run = {"rounds": 1, "min-nodes": len(configs), "timeout": 1.0, "state": str(state), "bound": bound}
    agreed = {**run, "labels": json.dumps(list(labels))}
    app(InProcessGrid(configs, secure_client()), Context(1, 0, {}, RecordDict(), agreed))
    return played[0]


def _played(grid: Any, context: Any, nodes: Sequence[int], *, number: int, timeout: float) -> Round:
    devices, shape, refused = _gathered(grid, nodes, timeout)
    found, outcomes, down = None, list[str](), 0
    if shape is not None and len(devices) >= FEWEST:
        config = context.run_config
        labels = agreed_labels(json.loads(str(config["labels"])))
        agreed = Agreement(labels, shape.dimension, int(config["bound"]))
        found = _summed(grid, context, devices, agreed, number=number, timeout=timeout)
    if shape is not None and found is not None:
        names = tuple(sorted(devices[node] for node in found[1]))
        data = encode(Share(FLEET, FLEET, number, "", agreed.statistics(found[0]), members=names), shape)
        outcomes, down = _brought(grid, found[1], data, agreed, timeout), len(data) * len(found[1])
    elif shape is not None:
        refused = {**refused, "the round": f"{len(devices)} devices took part to its end, {FEWEST} or more are wanted"}
    summed = list(found[1]) if found else []
    up = FLOAT * agreed.length * len(summed) if found else 0
    return Round(number, len(nodes), len(summed), len(devices), Counter(outcomes), refused, up, down)


def _gathered(grid: Any, nodes: Sequence[int], timeout: float) -> tuple[dict[int, str], Shape | None, dict[str, str]]:
    """Return the devices whose features are those of most, by node, their shape, and who was refused."""
    from flwr.app import ConfigRecord, RecordDict

    devices, refused, answered = dict[int, str](), dict[str, str](), list[tuple[str, int, Shape]]()
    asked = {node: RecordDict({WHO: ConfigRecord({WHO: ""})}) for node in nodes}
    for reply in _query(grid, asked, timeout):
        record, node = stated(reply, FILES), reply.metadata.src_node_id
        try:
            shape = stated_shape(record)
        except ValueError as error:
            refused[f"node {node}"] = str(error)
            continue
        if is_name(record.get(WHO)):
            answered.append((str(record[WHO]), node, shape))
        else:
            refused[f"node {node}"] = "what it states is no name of a device"
    answered.sort(key=lambda one: one[:2])
    wanted = Counter(shape for _, _, shape in answered).most_common(1)
    for device, node, shape in answered:
        if shape != wanted[0][0] or device in devices.values():
            refused[device] = "its extractor, projection, lift or name is not that which the sum wants"
        else:
            devices[node] = device
    return devices, wanted[0][0] if wanted else None, refused


def _summed(
    grid: Any, context: Any, devices: Mapping[int, str], agreed: Agreement, *, number: int, timeout: float
) -> tuple[NDArray[np.floating], list[int]] | None:
    """Return the sum of the vectors of all nodes that stayed, and these nodes; None where too few did."""
    from flwr.app import ArrayRecord, ConfigRecord, Context, RecordDict
    from flwr.common import FitIns, parameters_to_ndarrays
    from flwr.server import LegacyContext, ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow import SecAggPlusWorkflow
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key

    kept: list[tuple[NDArray[np.floating], list[int]]] = []

    class Keeping(FedAvg):  # type: ignore[misc]
        """Chooses the nodes, and keeps the mean that the protocol gives: it has no other way out."""

        def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> list[Any]:
            del server_round, client_manager
            return [(_Proxy(node), FitIns(parameters, {AGREED: agreed.stated()})) for node in devices]

        def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> tuple[None, dict[str, Any]]:
            del server_round, failures
            mean = parameters_to_ndarrays(results[0][1].parameters)[0]
            kept.append((mean * len(results), [proxy.node_id for proxy, _ in results]))
            return None, {}

    inner = Context(context.run_id, context.node_id, {}, RecordDict(), {})
    legacy = LegacyContext(inner, config=ServerConfig(num_rounds=1), strategy=Keeping())
    legacy.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: number})
    legacy.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord([np.zeros(1, np.float32)])
    SecAggPlusWorkflow(
        num_shares=1.0,
        reconstruction_threshold=THRESHOLD,
        max_weight=1.0,
        clipping_range=1.0,
        quantization_range=levels(len(devices)),
        timeout=timeout,
    )(grid, legacy)
    return kept[0] if kept else None


def _brought(grid: Any, nodes: Sequence[int], data: bytes, agreed: Agreement, timeout: float) -> list[str]:
    """Bring all the same sum; returns what became of it."""
    from flwr.app import ConfigRecord, RecordDict

    content = {node: RecordDict({FILES: ConfigRecord({FILES: [data], AGREED: agreed.stated()})}) for node in nodes}
    return [one for reply in _query(grid, content, timeout) for one in texts(stated(reply, FILES).get(BECAME), most=1)]


def _query(grid: Any, contents: Mapping[int, Any], timeout: float) -> list[Any]:
    """Ask nodes, and return the replies without an error that come in time."""
    from flwr.app import Message, MessageType

    asked = [
        Message(content=content, dst_node_id=node, message_type=MessageType.QUERY) for node, content in contents.items()
    ]
    return [one for one in grid.send_and_receive(asked, timeout=timeout) if one.has_content()] if asked else []
