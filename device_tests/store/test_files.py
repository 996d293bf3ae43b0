"""Files that a user named for output: whole, or what was there stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgecl.errors import EdgeclError, SettingError
from edgecl.store.files import flush, remove_folder, replace_file, require_replaceable, temporary, write_output


def test_an_output_that_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("of yesterday")

    def full(descriptor: int, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(EdgeclError, match=r"No space left on device.*what was there is unchanged"):
        write_output(path, b"of today")
    monkeypatch.undo()
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "of yesterday"
    write_output(path, b"of today")
    assert path.read_text() == "of today"


def test_an_output_has_its_mode_from_its_first_moment(tmp_path: Path) -> None:
    write_output(tmp_path / "x", b"x", mode=0o600)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def test_an_output_leaves_the_users_own_files_beside_it(tmp_path: Path) -> None:
    path, other = tmp_path / "report.html", tmp_path / "report.html.tmp"
    other.write_text("notes")
    write_output(path, b"of today")
    assert (path.read_bytes(), other.read_text()) == (b"of today", "notes")
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_a_link_is_written_through_and_no_device_replaced(tmp_path: Path) -> None:
    link, device = tmp_path / "link", tmp_path / "device"
    link.symlink_to(tmp_path / "target")
    write_output(link, b"through")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "through"
    assert require_replaceable(link) == tmp_path / "target"
    device.symlink_to("/dev/null")
    with pytest.raises(SettingError, match=r"/dev/null is there, and no file"):
        require_replaceable(device)


def test_a_folder_that_is_reached_by_a_link_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_output(tmp_path / "link" / "report.html", b"of today")
    replace_file(tmp_path / "link" / "x", b"whole")
    assert sorted(one.name for one in (tmp_path / "real").iterdir()) == ["report.html", "x"]
    (tmp_path / "file").symlink_to(tmp_path / "real" / "x")
    with pytest.raises(OSError, match=r"[Nn]ot a directory"):
        flush(tmp_path / "file")


def test_what_a_process_left_that_was_killed_while_it_wrote_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "x"
    temporary(path).write_text("half")
    replace_file(path, b"whole")
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    temporary(path).symlink_to(tmp_path / "elsewhere")
    replace_file(path, b"again")
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"x": b"again"}


def test_a_link_in_the_place_of_an_unfinished_folder_is_refused_and_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o755)
    link = tmp_path / ".k.tmp"
    link.symlink_to(mine)
    with pytest.raises(OSError, match="symbolic link"):
        remove_folder(link)
    assert mine.stat().st_mode & 0o777 == 0o755
