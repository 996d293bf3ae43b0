"""What nodes, boards and a failing disk do to a server of a federation: each is refused by name, the others go on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.federation import fleet as fleets
from edgecl.federation.fleet import Fleet
from edgecl.federation.gateway import FolderNode
from edgecl.federation.rounds import begin_round, handed_in, play, stated, texts
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.sharing.share_file import Shape, encode

COLUMNS = 4
SHAPE = Shape("0" * 64, COLUMNS, COLUMNS, 0, 0, 0)


def share_of(device: str, *, revision: int = 1, seed: int = 0) -> bytes:
    draw, held = np.random.default_rng(seed), {}
    for at, label in enumerate(("no", "yes")):
        scatter = np.empty(packed_length(COLUMNS))
        rows = (draw.standard_normal((9, COLUMNS)) + 5 * at).astype(np.float32)
        count, centre = accumulate(None, [rows], scatter)
        held[label] = ClassStatistics(count, centre, scatter.astype(np.float32))
    return encode(Share(device, device, revision, "", held), SHAPE)


def test_what_is_no_file_in_the_folder_of_a_server_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "good.share").write_bytes(share_of("good"))
    (tmp_path / "folder.share").mkdir()
    os.mkfifo(tmp_path / "pipe.share")
    (tmp_path / "zero.share").symlink_to("/dev/zero")
    (tmp_path / "empty.share").touch()
    fleet = Fleet(tmp_path, floor=0.03)
    assert list(fleet.devices) == ["good"]
    assert {"folder.share", "pipe.share", "zero.share", "empty.share"} == set(fleet.refused)
    for name in ("pipe", "zero", "empty"):
        assert fleet.take(share_of(name), source=name) == name
        assert (tmp_path / f"{name}.share").read_bytes() == share_of(name)
    assert fleet.take(share_of("folder"), source="folder") is None


def test_a_share_that_a_full_disk_does_not_take_is_refused_and_the_earlier_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(tmp_path, floor=0.03)
    for device in "ab":
        assert fleet.take(share_of(device), source=device) == device
    before = dict(fleet.sums(round_number=1))

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fleets, "replace_unlocked", full)
    assert fleet.take(share_of("a", revision=2, seed=1), source="node 1") is None
    assert fleet.take(share_of("new"), source="node 2") is None
    assert "No space left" in fleet.refused["node 1"]
    assert list(fleet.devices) == ["a", "b"]
    assert dict(fleet.sums(round_number=1)) == before


def test_a_server_that_was_killed_while_it_kept_a_share_takes_the_device_again(tmp_path: Path) -> None:
    left = tmp_path / f".a.share.{os.getpid()}.tmp"  # by a process of the same number
    left.write_bytes(b"half")
    fleet = Fleet(tmp_path, floor=0.03)
    assert fleet.take(share_of("a"), source="node 1") == "a"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.share"]


def test_rounds_are_counted_before_they_are_played(tmp_path: Path) -> None:
    assert [begin_round(tmp_path) for _ in range(3)] == [1, 2, 3]
    (tmp_path / f".round.{os.getpid()}.tmp").write_text("4")
    assert begin_round(tmp_path) == 4


@pytest.mark.parametrize("text", ["", "x", "-7", "9" * 20, "9" * 5000])
def test_a_number_of_a_round_that_is_none_is_an_error_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "round").write_text(text)
    with pytest.raises(DataError, match="write the number of the last round"):
        begin_round(tmp_path)
    assert (tmp_path / "round").read_text() == text


def test_a_round_that_cannot_be_counted_is_not_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin_round(tmp_path)

    def full(descriptor: int, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(EdgeclError, match=r"No space left.*not played"):
        begin_round(tmp_path)
    monkeypatch.undo()
    assert begin_round(tmp_path) == 2


def reply(node: int, records: Mapping[str, Any]) -> Any:
    return SimpleNamespace(content=SimpleNamespace(config_records=records), metadata=SimpleNamespace(src_node_id=node))


ODD_REPLIES: list[dict[str, Any]] = [
    {},
    {"files": None},
    {"files": {}},
    {"files": {"files": 1 << 50}},
    {"files": {"files": [1 << 50]}},
    {"files": {"files": "text"}},
    {"files": {"files": b"bytes"}},
    {"files": {"files": [b""], "newcomers": 7}},
    {"files": {"files": [b""], "newcomers": ["\x1b[2J", "n" * 100, 5]}},
]


@pytest.mark.parametrize("records", ODD_REPLIES)
def test_a_reply_that_is_none_is_refused_and_the_others_go_on(tmp_path: Path, records: dict[str, Any]) -> None:
    class Odd:
        def asked(self) -> int:
            return 3

        def fetch(self) -> Iterable[tuple[int, list[bytes], list[str]]]:
            good = {"files": {"files": [share_of("a")]}}, {"files": {"files": [share_of("b")], "newcomers": ["c"]}}
            for node, one in enumerate((records, *good)):
                yield node, *handed_in(stated(reply(node, one), "files"), "files", "newcomers")

        def bring(self, sums: Mapping[int, Mapping[str, bytes]]) -> list[str]:
            return ["accepted"] * sum(map(len, sums.values()))

    played = play(Odd(), Fleet(tmp_path, floor=0.03), number=1)
    assert set(played.refused) == {"node 0"}
    assert (played.known, dict(played.outcomes)) == (2, {"accepted": 3})
    assert str(played).isprintable()


def test_a_node_has_one_device_that_wants_a_sum_alone() -> None:
    found = handed_in({"files": [], "newcomers": [f"d{number}" for number in range(100_000)]}, "files", "newcomers")
    assert found == ([], ["d0"])


def test_what_a_node_states_of_its_sums_is_printable_and_no_more_than_they() -> None:
    assert texts(["accepted", "\x1b[2J", 5, "x" * 10_000, "more"], most=4) == ["accepted", "x" * 500]
    assert texts(7, most=4) == texts(None, most=4) == []


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_gateway_writes_through_nothing_that_a_board_put_in_the_place_of_its_folder(
    tmp_path: Path, kind: str
) -> None:
    boards, elsewhere = tmp_path / "boards", tmp_path / "elsewhere"
    boards.mkdir()
    elsewhere.mkdir()
    (boards / "a.share").write_bytes(share_of("a"))
    node = FolderNode(boards)
    if kind == "link":
        (boards / "for").symlink_to(elsewhere)
    else:
        (boards / "for").touch()
    for action in (node.hand_in, lambda: node.take({"a": b"x"}), lambda: FolderNode(boards)):
        with pytest.raises(SettingError, match="is a link or a file"):
            action()
    assert list(elsewhere.iterdir()) == []


def test_what_a_board_leaves_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.share").write_bytes(share_of("a"))
    os.mkfifo(tmp_path / "b.share")
    (tmp_path / "c.share").symlink_to("/dev/zero")
    assert len(FolderNode(tmp_path).hand_in()) == 1
