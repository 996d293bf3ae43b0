"""The fleet: the newest share of every device in a folder, and for each device the sum of all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgecl.errors import EdgeclError, SettingError
from edgecl.model.shares import Share
from edgecl.sharing.checks import require_disjoint, require_fits
from edgecl.sharing.screening import screened
from edgecl.sharing.share_file import Incoming, Shape, decode, encode
from edgecl.sharing.sums import Sums
from edgecl.store.files import replace_file
from edgecl.store.records import sha256

SUFFIX = ".share"
FLEET = "fleet"  # name of the sum, under which a store keeps it


@dataclass
class Fleet:
    """Shares that were handed in so far; a device that is late counts from its next round on."""

    folder: Path
    """Where the newest share of each device is kept, so that a server may end and start again."""
    floor: float
    """Shrinkage floor of the head by which devices are screened."""
    refused: dict[str, str] = field(default_factory=dict)
    """Name of a device, or of a file, to the reason why it was not taken."""
    _held: dict[str, Incoming] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            self._take(path.read_bytes(), source=path.name)

    @property
    def devices(self) -> dict[str, str]:
        """Name of each device."""
        return {device: one.share.name for device, one in self._held.items()}

    def take(self, data: bytes, *, source: str) -> str | None:
        """Take a device's share, and keep it; returns the device, or None where it was refused."""
        device = self._take(data, source=source)
        if device is not None and self._held[device].share.digest == sha256(data):
            replace_file(self.folder.absolute() / f"{device}{SUFFIX}", data)
        return device

    def _take(self, data: bytes, *, source: str) -> str | None:
        try:
            found = decode(data, source=source)
            share = found.share
            if Path(share.device).name != share.device or share.device.startswith("."):
                raise SettingError(f"{share.device!r} is not the name of a store")
            require_fits(found, self.shape or found.shape, own=FLEET, is_unit=False)
            others = {device: one.share for device, one in self._held.items() if device != share.device}
            require_disjoint({**others, share.device: share})
        except EdgeclError as error:
            self.refused[source] = str(error)
            return None
        before = self._held.get(share.device)
        if before is None or before.share.revision <= share.revision:
            self._held[share.device] = found
        return share.device

    @property
    def shape(self) -> Shape | None:
        """What all shares fit: that of the first."""
        return next(iter(self._held.values())).shape if self._held else None

    def sums(self, *, round_number: int) -> Mapping[str, bytes]:
        """Return, by device, the file of the sum of all others that pass the screen; nothing of a single device.

        A device that is left out gets the sum of the others too: its own gate judges that.

        Parameters
        ----------
        round_number
            From 1: of two sums the store takes that of the later round.
        """
        shape, shares = self.shape, {device: one.share for device, one in self._held.items()}
        if shape is None:
            return {}
        found = screened(shares, {}, floor=self.floor)
        self.refused.update({shares[device].name: reason for device, reason in found.left_out.items()})
        total = Sums()
        for share in found.kept.values():
            total.add(share.statistics)
        made = {}
        for device in shares:
            own = found.kept[device].statistics if device in found.kept else {}
            rest = total.without(own)
            members = tuple(sorted(set(found.kept) - {device}))
            if rest and members:
                made[device] = encode(Share(FLEET, FLEET, round_number, "", rest, members=members), shape)
        return made
