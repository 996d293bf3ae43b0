"""Gateways for boards that cannot run Flower: a folder in which they leave their shares and find what they merge.

A board leaves the file of `edgecl share` there and finds `for/<device>.share`. A gateway hands in the boards' files one
by one, or adds them up: one sum goes up, one comes down, and each board gets that of all other boards. The server knows
a gateway that adds up as one device. So it is the gateway that screens its boards, and takes one out.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.federation.fleet import FLOOR, SUFFIX, Fleet
from edgecl.model.share import Share
from edgecl.sharing.share_file import LARGEST_FILE, Incoming, as_name, decode, encode
from edgecl.sharing.sums import Sums
from edgecl.store.files import read_bytes, replace_unlocked
from edgecl.store.records import sha256

OUT = "for"  # folder of what boards are to merge; it is there once their files were handed in
STATE = "gateway.json"  # of a gateway that hands in their sum


class FolderNode:
    """A gateway that hands in the files of its boards; raises SettingError where their folder cannot be used."""

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


class SummingNode:
    """A gateway that hands in the sum of its boards.

    Its name, and the number of the sum that it handed in last, are kept in the folder.

    Raises
    ------
    SettingError
        When there is no such folder.
    DataError
        When its state cannot be read, or is gone and the server may know its boards already.
    """

    def __init__(self, folder: Path) -> None:
        self._boards, self._folder = FolderNode(folder), folder
        self._path = folder.absolute() / STATE
        if not self._path.exists() and not (folder / OUT).exists():
            self._remember(secrets.token_hex(8), 0, "")
        try:
            stated = json.loads(self._path.read_text())
            self.device, self._number, self._digest = str(stated["device"]), int(stated["number"]), stated["digest"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self._path} is not the state of this gateway, or is gone, and under a new name the server would "
                f"count its boards twice: put it back, from a copy; or remove what the server has of these boards (the "
                f"files of their shares, or of the sum, in its state folder), and then {STATE} and {OUT} here"
            ) from error

    def newcomers(self) -> list[str]:
        return []

    def hand_in(self) -> list[bytes]:
        """Return the sum of the boards that pass the screen, under the gateway's name; prints those that do not."""
        with self._fleet() as fleet:
            total = self._total(fleet)
            for name, reason in sorted(fleet.refused.items()):
                print(f"EDGECL gateway: {name} is left out: {reason}", flush=True)
        if total is None:
            return []
        name = as_name(self._folder.absolute().name, otherwise=self.device)
        own = replace(total.share, device=self.device, name=name, revision=1, members=())
        digest = sha256(encode(own, total.shape))
        if digest != self._digest:
            self._remember(self.device, self._number + 1, digest)
        return [encode(replace(own, revision=self._number), total.shape)]

    def take(self, sums: Mapping[str, bytes]) -> dict[str, str]:
        """Bring each board the sum of the server and of the other boards."""
        if self.device not in sums:
            return {}
        found = decode(sums[self.device], source="the server")
        theirs = found.share
        with self._fleet() as fleet:
            local = fleet.sums(round_number=theirs.revision)
            both = {board: encode(_with(theirs, local.get(board)), found.shape) for board in fleet.devices}
        return self._boards.take(both)

    @contextmanager
    def _fleet(self) -> Iterator[Fleet]:
        """Yield what the boards have handed in; on disk, one in memory at a time."""
        with tempfile.TemporaryDirectory() as folder:
            fleet = Fleet(Path(folder), floor=FLOOR)
            for name, data in self._boards.files():
                fleet.take(data, source=name)
            yield fleet

    def _total(self, fleet: Fleet) -> Incoming | None:
        sums = fleet.sums(round_number=1, newcomers=[self.device])
        return decode(sums[self.device], source="the boards") if self.device in sums else None

    def _remember(self, device: str, number: int, digest: str) -> None:
        self._number, self._digest = number, digest
        text = json.dumps({"device": device, "number": number, "digest": digest})
        replace_unlocked(self._path, text.encode())


def _with(theirs: Share, local: bytes | None) -> Share:
    """Return the sum of a server's sum and that of the other boards; a board that is alone here gets the former."""
    if local is None:
        return theirs
    sums, rest = Sums(), decode(local, source="the boards").share
    sums.add(theirs.statistics)
    sums.add(rest.statistics)
    return replace(theirs, statistics=sums.statistics(), members=tuple(sorted((*theirs.members, *rest.members))))


def require_no_sum(folder: Path) -> None:
    """Raise SettingError for a folder whose boards the server knows as one."""
    if (folder / STATE).exists():
        raise SettingError(
            f"{folder} hands in the sum of its boards, as {STATE} in it says, and one by one the server would count "
            f"them twice: go on with --sum; or remove the gateway's share from the server's state folder, and then "
            f"{STATE}"
        )
