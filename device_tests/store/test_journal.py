"""The journal alone: what is damaged is named, what is sound is read."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecl.store import journal as journal_file
from edgecl.store.journal import Journal, read_journal

from ..support.stores import Calls, counted, failing_at, folder_in_memory

NAME = "5f2b073711908d92"


@pytest.fixture
def path() -> Iterator[Path]:
    with folder_in_memory() as folder:
        yield folder / "journal.jsonl"


@pytest.fixture(autouse=True)
def _no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "_RETRIES_S", ())


def opened(path: Path, *, longest: int = 1 << 20) -> Journal:
    journal = Journal(path, name=NAME, longest=longest)
    journal.recover([])
    return journal


def about(revision: int) -> dict[str, object]:
    return {"kind": "lesson", "revision": revision, "sha256": f"{revision:064x}", "body": {"note": "ä\n\ud800"}}


def ticks(path: Path) -> tuple[list[object], list[str]]:
    entries, damage = read_journal(path, name=NAME)
    return [entry["tick"] for entry in entries], damage


def test_a_snapshot_of_hard_links_stays_what_it_was(path: Path) -> None:
    opened(path).append({"tick": 0})
    snapshot = path.with_name("snapshot.jsonl")
    snapshot.hardlink_to(path)
    before = snapshot.read_bytes()
    opened(path).append({"tick": 1})
    assert snapshot.read_bytes() == before
    assert (ticks(snapshot), ticks(path)) == (([0], []), ([0, 1], []))
    opened(path).append({"tick": 2})
    assert ticks(path) == ([0, 1, 2], [])


def test_entries_come_back_in_order(path: Path) -> None:
    journal = opened(path)
    for tick in range(3):
        journal.append({"tick": tick})
    assert ticks(path) == ([0, 1, 2], [])
    assert opened(path).append({"tick": 3}) is None
    assert ticks(path) == ([0, 1, 2, 3], [])


def test_any_text_can_be_written(path: Path) -> None:
    opened(path).append(about(1))
    entries, damage = read_journal(path, name=NAME)
    assert entries == [{"line": 1, **about(1)}]
    assert damage == []


def test_every_flipped_bit_is_noticed_and_costs_one_line_or_two(path: Path) -> None:
    journal = opened(path)
    for tick in range(4):
        journal.append({"tick": tick})
    data = bytearray(path.read_bytes())
    for position in range(len(data)):
        for bit in (0, 5):
            data[position] ^= 1 << bit
            path.write_bytes(data)
            found, damage = ticks(path)
            assert damage
            assert len(found) >= 2
            data[position] ^= 1 << bit


def test_every_shorter_length_is_noticed(path: Path) -> None:
    journal = opened(path)
    for tick in range(4):
        journal.append({"tick": tick})
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        found, damage = ticks(path)
        assert damage
        assert found == list(range(len(found)))


def test_a_line_taken_out_or_moved_is_noticed(path: Path) -> None:
    journal = opened(path)
    for tick in range(4):
        journal.append({"tick": tick})
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in ([*lines[:1], *lines[2:]], [lines[1], lines[0], *lines[2:]], [lines[0], *lines]):
        path.write_bytes(b"".join(changed))
        assert "lines 1 to 4" in ticks(path)[1][0]


def test_lines_of_another_store_are_noticed(path: Path) -> None:
    other = Journal(path, name="another", longest=1 << 20)
    other.append({"tick": 1})
    assert ticks(path)[0] == []
    assert len(ticks(path)[1]) > 1


@pytest.mark.parametrize("kept", [0, 1, 20, -1, -60])
def test_a_torn_end_is_repaired_by_the_next_writer(path: Path, kept: int) -> None:
    journal = opened(path)
    for tick in range(2):
        journal.append({"tick": tick})
    before = len(path.read_bytes())
    journal.append({"tick": 2})
    path.write_bytes(path.read_bytes()[: before + kept])
    journal = Journal(path, name=NAME, longest=1 << 20)
    assert journal.recover([])
    journal.append({"tick": 3})
    found, damage = ticks(path)
    assert damage == []
    assert found in ([0, 3], [0, 1, 3], [0, 1, 2, 3])


def test_revisions_that_the_journal_does_not_know_are_added(path: Path) -> None:
    opened(path).append(about(1))
    journal = Journal(path, name=NAME, longest=1 << 20)
    assert journal.recover([about(1), about(2)]) == []
    assert [entry["revision"] for entry in read_journal(path, name=NAME)[0]] == [1, 2]
    assert journal.recover([about(1), about(2)]) == []
    assert len(read_journal(path, name=NAME)[0]) == 2


def test_a_damaged_line_about_a_revision_is_written_anew(path: Path) -> None:
    journal = opened(path)
    for revision in (1, 2, 3):
        journal.append(about(revision))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"lesson", b"Lesson") + lines[2] + lines[3])
    damage = Journal(path, name=NAME, longest=1 << 20).recover([about(1), about(2), about(3)])
    assert damage == [f"{path} line 2 is damaged"]
    entries, damage = read_journal(path, name=NAME)
    assert [entry["revision"] for entry in entries] == [1, 3, 2]
    assert damage == [f"{path} line 2 is damaged"]


def test_a_lost_journal_is_made_again(path: Path) -> None:
    opened(path).append(about(1))
    path.unlink()
    assert "is missing" in read_journal(path, name=NAME)[1][0]
    Journal(path, name=NAME, longest=1 << 20).recover([about(1)])
    assert [entry["revision"] for entry in read_journal(path, name=NAME)[0]] == [1]


def test_a_journal_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    path.symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in read_journal(path, name=NAME)[1][0]
    opened(path).append({"tick": 1})
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert ticks(path) == ([1], [])


def test_the_older_half_goes_when_it_is_too_long(path: Path) -> None:
    journal = opened(path, longest=4000)
    for tick in range(500):
        assert path.stat().st_size <= 4000 + 200
        journal.append({"tick": tick})
    found, damage = ticks(path)
    assert damage == []
    assert found == list(range(500 - len(found), 500))
    assert len(found) > 20


def test_lines_that_were_dropped_for_length_do_not_come_back(path: Path) -> None:
    journal = opened(path, longest=4000)
    for revision in range(1, 100):
        journal.append(about(revision))
    known = [entry["revision"] for entry in read_journal(path, name=NAME)[0]]
    Journal(path, name=NAME, longest=4000).recover([about(1), about(99), about(100)])
    assert [entry["revision"] for entry in read_journal(path, name=NAME)[0]] == [*known, 100]


def test_the_cost_of_an_entry_covers_what_it_takes(path: Path) -> None:
    journal = opened(path, longest=3000)
    for tick in range(200):
        entry = {"tick": tick, "text": "x" * (tick % 90)}
        before, cost = path.stat().st_size, journal.cost(entry)
        journal.append(entry)
        assert path.stat().st_size - before <= cost


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_an_append_that_fails_leaves_the_journal_as_it_was(path: Path, step: int) -> None:
    journal = opened(path)
    journal.append({"tick": 0})
    with pytest.raises(OSError, match=r"Input/output error"), counted(failing_at(step, 5, lasting=False)):
        journal.append({"tick": 1})
    assert ticks(path) == ([0], [])
    journal.append({"tick": 2})
    assert ticks(path) == ([0, 2], [])


def test_what_a_failing_disk_left_after_the_end_is_removed_by_the_next_writer(path: Path) -> None:
    journal = opened(path)
    journal.append({"tick": 0})
    calls = Calls(lambda _, name: OSError(errno.EIO, "error") if name == "ftruncate" else None)
    with counted(calls), pytest.raises(OSError, match="error"):
        journal.append({"tick": 1, "long": "x" * 500})
    assert ticks(path)[0] == [0]
    assert any("goes on after its end" in one for one in ticks(path)[1])
    opened(path).append({"tick": 2})
    assert ticks(path) == ([0, 2], [])
