"""The fleet: the newest share of every device in a folder, and for each device the sum of all others.

Shares stay on disk: one at a time is in memory, and the sum.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgecl.errors import EdgeclError, SettingError
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics
from edgecl.sharing.checks import require_apart, require_fits
from edgecl.sharing.screening import screened
from edgecl.sharing.share_file import LARGEST_FILE, Shape, decode, encode, read
from edgecl.sharing.sums import Sums
from edgecl.store.files import explained, read_bytes, replace_unlocked

SUFFIX = ".share"
FLOOR = 0.03  # shrinkage floor of the head by which devices are screened, where no store says which
FLEET = "fleet"  # name of the sum, under which a store keeps it


@dataclass(frozen=True)
class Held:
    """What is remembered of a share whose file is on disk."""

    name: str
    revision: int
    contains: frozenset[str]


class Files(Mapping[str, Share]):
    """Shares by device, each read from its file when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.held: dict[str, Held] = {}

    def path(self, device: str) -> Path:
        """Return the file of a device."""
        return self._folder.absolute() / f"{device}{SUFFIX}"

    def __getitem__(self, device: str) -> Share:
        if device not in self.held:
            raise KeyError(device)
        return read(self.path(device)).share

    def __contains__(self, device: object) -> bool:
        return device in self.held

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.held))  # sums are the same bits in whatever order shares came

    def __len__(self) -> int:
        return len(self.held)


class SumsOfOthers(Mapping[str, bytes]):
    """By device the file of the sum of all others that pass the screen, made when it is asked for.

    Newcomers, which have nothing to share, get the sum of all.
    """

    def __init__(self, devices: Collection[str], kept: Mapping[str, Share], shape: Shape, round_number: int) -> None:
        self._devices, self._kept, self._shape, self._round = devices, kept, shape, round_number
        self._members, self._total = sorted(kept), Sums()
        self._known = set(kept)
        for share in kept.values():
            self._total.add(share.statistics)

    def __getitem__(self, device: str) -> bytes:
        if device not in self:
            raise KeyError(device)
        own: Mapping[str, ClassStatistics] = self._kept[device].statistics if device in self._known else {}
        members = tuple(one for one in self._members if one != device)
        made = Share(FLEET, FLEET, self._round, "", self._total.without(own), members=members)
        return encode(made, self._shape)

    def __iter__(self) -> Iterator[str]:
        return (one for one in self._devices if one in self)

    def __contains__(self, device: object) -> bool:
        return device in self._devices and len(self._members) > (device in self._known)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass
class Fleet:
    """Shares that were handed in so far; a device that is late counts from its next round on."""

    folder: Path
    """Where the newest share of each device is kept, so that a server may end and start again."""
    floor: float
    """Shrinkage floor of the head by which devices are screened."""
    refused: dict[str, str] = field(default_factory=dict)
    """Name of a device, or of a file, to the reason why it was not taken."""
    _shape: Shape | None = None
    _owners: dict[str, str] = field(default_factory=dict)
    """Device whose samples are counted, to the device whose share counts them."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = Files(self.folder)
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            try:
                data = read_bytes(path, limit=LARGEST_FILE)
            except EdgeclError as error:  # a folder or a pipe, or a file that cannot be read
                self.refused[path.name] = str(error)
            else:
                self._take(data, source=path.name, is_kept=False)

    @property
    def devices(self) -> dict[str, str]:
        """Name of each device."""
        return {device: one.name for device, one in self._files.held.items()}

    def take(self, data: bytes, *, source: str) -> str | None:
        """Take a device's share, and keep it; returns the device, or None where it was refused.

        What the disk does not take is refused, and an earlier share of the device still counts.
        """
        return self._take(data, source=source, is_kept=True)

    def _keep(self, device: str, data: bytes) -> None:
        path = self._files.path(device)
        with explained(f"keeping {path}", outcome="its earlier share, if any, still counts"):
            if not self._is_kept(path, data):
                replace_unlocked(path, data)

    @staticmethod
    def _is_kept(path: Path, data: bytes) -> bool:
        try:
            return path.exists() and read_bytes(path, limit=LARGEST_FILE) == data
        except EdgeclError:  # a pipe or a device: it is replaced
            return False

    def _take(self, data: bytes, *, source: str, is_kept: bool) -> str | None:
        """Return the device of a share that is intact, fits and is on disk, or None where it was refused."""
        held = self._files.held
        try:
            found = decode(data, source=source)
            share = found.share
            if Path(share.device).name != share.device or share.device.startswith("."):
                raise SettingError(f"{share.device!r} is not the name of a store")
            if found.plan is not None:
                raise SettingError(
                    f"{share.name!r} is of an irreversible sum, which goes from device to device as files"
                )
            require_fits(found, self._shape or found.shape, own=FLEET, is_unit=False)
            require_apart(share, self._owners, self.devices)
            before = held.get(share.device)
            if before is not None and before.revision > share.revision:
                return share.device
            if is_kept:
                self._keep(share.device, data)
        except EdgeclError as error:
            self.refused[source] = str(error)
            return None
        for member in before.contains if before else ():
            del self._owners[member]
        self._owners.update(dict.fromkeys(share.contains, share.device))
        held[share.device] = Held(share.name, share.revision, share.contains)
        self._shape = self._shape or found.shape
        return share.device

    def sums(self, *, round_number: int, newcomers: Collection[str] = ()) -> Mapping[str, bytes]:
        """Return, by device, the file of the sum of all others that pass the screen; nothing of a single device.

        A device that is left out gets the sum of the others too: its own gate judges that.

        Parameters
        ----------
        round_number
            From 1: of two sums the store takes that of the later round.
        newcomers
            Devices that have handed in nothing and get a sum too.
        """
        if self._shape is None:
            return {}
        found = screened(self._files, {}, floor=self.floor)
        names = self.devices
        self.refused.update({names[device]: reason for device, reason in found.left_out.items()})
        devices = {**dict.fromkeys(self._files), **dict.fromkeys(newcomers)}
        return SumsOfOthers(devices.keys(), found.kept, self._shape, round_number)
