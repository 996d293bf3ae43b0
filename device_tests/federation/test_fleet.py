"""Rounds without a network: what devices hand in, and the sum of the others that each gets."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError, SettingError
from edgecl.federation.app import join_command, serve_command, write_app
from edgecl.federation.fleet import Fleet
from edgecl.federation.gateway import FolderNode, SummingNode
from edgecl.federation.node import StoreNode, node_of
from edgecl.federation.rounds import InProcess, play
from edgecl.learner import Learner
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.sharing.share_file import Shape, decode, encode

from ..operations.test_sharing import LABELS, latents
from ..support.commands import voice_extractor
from ..support.stores import without_waiting


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    voice_extractor()
    folder = tmp_path_factory.mktemp("nodes")
    with without_waiting():
        for seed, name in enumerate("abc"):
            Learner.create(folder / name, extractor="voice").learn(latents(seed), latents=True)
    return [folder / name for name in "abc"]


def test_each_merges_the_others_and_a_late_one_counts_in_the_next_round(stores: list[Path], tmp_path: Path) -> None:
    nodes, fleet = [StoreNode(one) for one in stores], Fleet(tmp_path / "state", floor=0.03)
    for node in nodes[:2]:
        assert [fleet.take(data, source="a node") for data in node.hand_in()] != [None]
    first = fleet.sums(round_number=1)
    became = [list(node.take(first).values()) for node in nodes]
    assert [set(one) <= {"accepted", "unproven"} for one in became] == [True] * 3
    assert list(map(len, became)) == [1, 1, 0]
    again = Fleet(tmp_path / "state", floor=0.03)  # the server was started anew
    assert len(again.devices) == 2
    again.take(nodes[2].hand_in()[0], source="late")
    second = again.sums(round_number=2)
    for node in nodes:
        node.take(second)
    for store in stores:
        model = Learner.open(store).opened.model()[1]
        assert {label: one.count for label, one in model.statistics.items()} == dict.fromkeys(LABELS, 36)
    assert nodes[0].take(second) == {Learner.open(stores[0]).store.name: "unchanged"}


def test_a_device_that_has_learnt_nothing_gets_the_sum_of_the_others(stores: list[Path], tmp_path: Path) -> None:
    new = tmp_path / "new"
    Learner.create(new, extractor="voice")
    nodes = InProcess([StoreNode(stores[0]), StoreNode(stores[1]), StoreNode(new)])
    played = play(nodes, Fleet(tmp_path / "state", floor=0.03), number=90)
    assert (played.replied, played.known, played.refused) == (3, 2, {})
    assert sum(played.outcomes.values()) == 3
    assert Learner.open(new).classes == LABELS


def test_what_is_no_share_is_refused_by_name_and_the_others_go_on(stores: list[Path], tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "state", floor=0.03)
    assert fleet.take(b"not a share", source="node 7") is None
    assert "node 7 is not a share" in fleet.refused["node 7"]
    assert fleet.sums(round_number=1) == {}
    fleet.take(StoreNode(stores[0]).hand_in()[0], source="one")
    assert fleet.sums(round_number=1) == {}
    assert len(list((tmp_path / "state").iterdir())) == 1


def test_a_fleet_of_many_takes_the_memory_of_one(tmp_path: Path) -> None:
    # threads of other tests may allocate meanwhile: the lower of two
    few, many = (min(_peak(tmp_path / f"{count}-{turn}", count) for turn in range(2)) for count in (3, 9))
    assert many < 1.3 * few


def _peak(folder: Path, devices: int, *, classes: int = 8) -> int:
    """The most bytes that a fleet holds while it takes so many devices, screens them and makes their sums."""
    draw, columns = np.random.default_rng(1), 64
    shape = Shape("0" * 64, columns, columns, 0, 0, 0)
    means = {f"word {at:02d}": draw.standard_normal(columns) for at in range(classes)}
    files = []
    for number in range(devices):
        held = {}
        for label, mean in means.items():
            scatter = np.empty(packed_length(columns))
            rows = (mean + draw.standard_normal((5, columns))).astype(np.float32)
            count, centre = accumulate(None, [rows], scatter)
            held[label] = ClassStatistics(count, centre, scatter.astype(np.float32))
        files.append(encode(Share(f"d{number}", f"d{number}", 1, "", held), shape, compact=True))
    fleet = Fleet(folder, floor=0.03)
    tracemalloc.start()
    for data in files:
        assert fleet.take(data, source="node")
    sums = fleet.sums(round_number=1)
    assert (len(sums), fleet.refused) == (devices, {})
    for device in sums:
        assert len(sums[device]) > 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_an_older_share_of_a_device_that_comes_back_changes_nothing(stores: list[Path], tmp_path: Path) -> None:
    fleet, files = Fleet(tmp_path / "state", floor=0.03), [StoreNode(one).hand_in()[0] for one in stores]
    for data in files:
        fleet.take(data, source="node")
    device = Learner.open(stores[0]).store.name
    before = dict(fleet.sums(round_number=1))
    found = decode(files[0], source="a")
    less = {"yes": found.share.statistics["yes"]}
    older = encode(Share(device, "a", found.share.revision - 1, "", less), found.shape)
    assert fleet.take(older, source="node") == device
    assert dict(fleet.sums(round_number=1)) == before
    assert dict(Fleet(tmp_path / "state", floor=0.03).sums(round_number=1)) == before


def test_a_device_that_a_sum_contains_is_not_counted_again(stores: list[Path], tmp_path: Path) -> None:
    fleet, files = Fleet(tmp_path / "state", floor=0.03), [StoreNode(one).hand_in()[0] for one in stores]
    for data in files[:2]:
        fleet.take(data, source="node")
    found = decode(files[2], source="c")
    member = Learner.open(stores[0]).store.name
    both = Share("gateway", "gateway", 1, "", found.share.statistics, members=(found.share.device, member))
    assert fleet.take(encode(both, found.shape), source="node 9") is None
    assert "count twice" in fleet.refused["node 9"]
    assert fleet.take(files[2], source="node") == found.share.device


def test_a_server_takes_no_share_of_an_irreversible_sum(stores: list[Path], tmp_path: Path) -> None:
    learner = Learner.open(stores[0])
    learner.plan(tmp_path / "a.plan")
    learner.share(tmp_path / "a.share", plan=tmp_path / "a.plan")
    fleet = Fleet(tmp_path / "state", floor=0.03)
    assert fleet.take((tmp_path / "a.share").read_bytes(), source="a") is None
    assert "irreversible" in fleet.refused["a"]


def test_a_gateway_carries_the_files_of_boards(stores: list[Path], tmp_path: Path) -> None:
    gateway, fleet = FolderNode(tmp_path), Fleet(tmp_path / "state", floor=0.03)
    for store in stores[:2]:
        Learner.open(store).share(tmp_path / f"{store.name}.share")
    (tmp_path / "half.share").write_bytes((tmp_path / "a.share").read_bytes()[:900])
    assert [fleet.take(data, source="gateway") is not None for data in gateway.hand_in()] == [True, True]
    became = gateway.take(fleet.sums(round_number=9))
    assert set(became.values()) == {"waits for its board"}
    assert sorted(one.name for one in (tmp_path / "for").iterdir()) == ["a.share", "b.share"]
    Learner.open(stores[0]).merge([tmp_path / "for" / "a.share"])
    with pytest.raises(SettingError, match="own share"):
        Learner.open(stores[1]).merge([tmp_path / "for" / "a.share"])


def test_a_node_states_what_it_serves(tmp_path: Path) -> None:
    assert isinstance(node_of({"folder": str(tmp_path)}), FolderNode)
    for config in ({}, {"store": 3}, {"folder": str(tmp_path / "nowhere")}):
        with pytest.raises(SettingError):
            node_of(config)


def test_nothing_goes_beyond_loopback_without_tls(tmp_path: Path) -> None:
    for refused in ({"host": "0.0.0.0"}, {"keys": True}):
        with pytest.raises(SettingError, match="TLS"):
            serve_command(**refused)
    with pytest.raises(SettingError, match="TLS"):
        join_command("hub.local:9092", {"store": "/k"})
    line = join_command("hub.local:9092", {"store": "/k", "at-least": 2}, root_certificate=tmp_path / "ca.crt")
    assert line[-1] == 'store="/k" at-least=2'
    assert "--insecure" not in line
    assert "--disable-runtime-dependency-installation" in serve_command()


def test_the_app_is_written_to_a_new_folder_alone(tmp_path: Path) -> None:
    files = write_app(tmp_path / "fleet", rounds=3, nodes=5)
    assert all(one.is_file() for one in files)
    assert "min-nodes = 5" in files[0].read_text()
    with pytest.raises(SettingError, match="not empty"):
        write_app(tmp_path / "fleet")


@pytest.fixture
def gateways(stores: list[Path], tmp_path: Path) -> list[Path]:
    """Two folders of boards: a and b, c and d."""
    fourth = tmp_path / "d"
    with without_waiting():
        Learner.create(fourth, extractor="voice").learn(latents(7), latents=True)
    for folder, boards in (("north", stores[:2]), ("south", [stores[2], fourth])):
        (tmp_path / folder).mkdir()
        for store in boards:
            Learner.open(store).share(tmp_path / folder / f"{store.name}.share")
    return [tmp_path / "north", tmp_path / "south"]


def brought(gateways: list[Path], kind: type, state: Path) -> dict[str, Share]:
    """What each board finds after a round."""
    fleet = Fleet(state, floor=0.03)
    play(InProcess([kind(one) for one in gateways]), fleet, number=1)
    files = [path for one in gateways for path in sorted((one / "for").glob("*.share"))]
    return {path.name: decode(path.read_bytes(), source=path.name).share for path in files}


def test_gateways_that_add_up_bring_what_gateways_that_hand_on_bring(gateways: list[Path], tmp_path: Path) -> None:
    wanted = brought(gateways, FolderNode, tmp_path / "one")
    for folder in gateways:
        shutil.rmtree(folder / "for")  # the other server knows none of the boards
    found = brought(gateways, SummingNode, tmp_path / "other")
    assert list(found) == list(wanted) == [f"{name}.share" for name in "abcd"]
    for name, share in found.items():
        for label, one in wanted[name].statistics.items():
            other = share.statistics[label]
            assert other.count == one.count == 36
            np.testing.assert_allclose(other.mean, one.mean, atol=1e-6)
            np.testing.assert_allclose(other.scatter, one.scatter, atol=2e-6 * one.trace)
    names = Fleet(tmp_path / "other", floor=0.03).devices
    assert sorted(names.values()) == ["north", "south"]  # one role a gateway
    assert found["a.share"].members != wanted["a.share"].members


def test_a_gateway_hands_in_the_same_sum_until_a_board_brings_another(gateways: list[Path], stores: list[Path]) -> None:
    (first,), (again,) = SummingNode(gateways[0]).hand_in(), SummingNode(gateways[0]).hand_in()
    assert first == again
    Learner.open(stores[0]).share(gateways[0] / "a.share", only=LABELS[:2])
    (later,) = SummingNode(gateways[0]).hand_in()
    before, after = (decode(one, source="x").share for one in (first, later))
    assert (after.device, after.revision) == (before.device, before.revision + 1)


def test_a_gateway_screens_its_boards_and_names_who_is_left_out(
    gateways: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, north = latents(20), gateways[0]
    Learner.create(tmp_path / "bad", extractor="voice").learn(
        {label: wrong[other] for label, other in zip(LABELS, LABELS[1:] + LABELS[:1], strict=True)}, latents=True
    )
    Learner.open(tmp_path / "bad").share(north / "bad.share")
    (gateways[1] / "c.share").rename(north / "c.share")
    (data,) = SummingNode(north).hand_in()
    assert {one.count for one in decode(data, source="x").share.statistics.values()} == {36}
    assert "bad is left out: 0% of its classes" in capsys.readouterr().out


def test_a_board_that_is_alone_at_its_gateway_gets_the_sum_of_the_server(gateways: list[Path], tmp_path: Path) -> None:
    (gateways[1] / "c.share").unlink()
    found = brought(gateways, SummingNode, tmp_path / "state")
    assert {one.count for one in found["d.share"].statistics.values()} == {24}
    assert {one.count for one in found["a.share"].statistics.values()} == {24}


def test_a_gateway_that_lost_its_name_does_not_hand_in_its_boards_under_another(
    gateways: list[Path], tmp_path: Path
) -> None:
    brought(gateways, SummingNode, tmp_path / "state")
    state = gateways[0] / "gateway.json"
    held = state.read_bytes()
    for lost in (None, b"[]"):
        state.unlink() if lost is None else state.write_bytes(lost)
        with pytest.raises(DataError, match=r"count its boards twice.*state folder"):
            SummingNode(gateways[0])
    state.write_bytes(held)
    assert SummingNode(gateways[0]).hand_in()
    with pytest.raises(SettingError, match="hands in the sum of its boards"):  # and not each of them too
        node_of({"folder": str(gateways[0])})


def test_boards_that_a_server_knows_are_not_handed_in_again_as_a_sum(gateways: list[Path], tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "state", floor=0.03)
    assert [fleet.take(data, source="north") is not None for data in FolderNode(gateways[0]).hand_in()] == [True, True]
    with pytest.raises(DataError, match="count its boards twice"):
        SummingNode(gateways[0])


@pytest.mark.parametrize("is_sum", [0, 1])
def test_a_gateway_of_a_folder_that_it_cannot_write_to_does_not_start(
    tmp_path: Path, is_sum: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(SettingError, match="cannot be written to"):
        node_of({"folder": str(tmp_path), "sum": is_sum})


def test_a_folder_without_boards_hands_in_nothing(tmp_path: Path) -> None:
    assert SummingNode(tmp_path).hand_in() == []
    assert SummingNode(tmp_path).take({}) == {}
    assert isinstance(node_of({"folder": str(tmp_path), "sum": 1}), SummingNode)
