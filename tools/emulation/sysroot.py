"""A folder with Debian's arm64 packages, unpacked: no emulation, no root rights, the host's own packages untouched."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.environments import CommandError, child_environ, run

SOURCES = ("sources.list.d/debian.sources", "sources.list")  # in /etc/apt: Debian's own, not what else is configured
MERGED = ("bin", "sbin", "lib")  # links into usr, as packages expect since Debian 12
UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")


def unpack(packages: Sequence[str], root: Path) -> None:
    """Unpack packages of the host's Debian release for arm64, and all that they depend on, into `root`.

    Raises
    ------
    CommandError
        apt-get or dpkg is missing or failed: another system than Debian, no network, an unknown package.
    """
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    with tempfile.TemporaryDirectory(prefix="apt-", dir=root.parent) as scratch:
        for archive in _download(packages, Path(scratch)):
            _unpack_archive(archive, root)
    for name in UNUSED:
        shutil.rmtree(root / name, ignore_errors=True)


def _download(packages: Sequence[str], scratch: Path) -> list[Path]:
    """Let apt resolve and fetch packages with a state of its own, in which nothing is installed."""
    (scratch / "status").touch()
    for folder in ("state/lists/partial", "cache/archives/partial", "sources"):
        (scratch / folder).mkdir(parents=True)
    sources = next((path for name in SOURCES if (path := Path("/etc/apt", name)).is_file()), None)
    if sources is None:
        raise CommandError(f"apt's sources (none of {', '.join(SOURCES)} in /etc/apt): this takes a Debian machine")
    shutil.copy(sources, scratch / "sources" / f"debian{sources.suffix}")
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Install-Recommends": "0",
        "APT::Sandbox::User": "root",  # the user who runs this owns the folders
        "Debug::NoLocking": "1",
        "Dir::State": scratch / "state",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": scratch / "sources",
        "Binary::apt-get::APT::Keep-Downloaded-Packages": "1",
        "DPkg::Post-Invoke::": "",
    }
    command = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    run([*command, "update"])
    run([*command, "install", "--yes", "--download-only", *packages])
    return sorted((scratch / "cache" / "archives").glob("*.deb"))


def _unpack_archive(archive: Path, root: Path) -> None:
    tar = ["tar", "-x", "-C", str(root), "--keep-directory-symlink", "--no-same-owner"]
    with subprocess.Popen(["dpkg", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as opened:
        unpacked = subprocess.run(tar, stdin=opened.stdout, env=child_environ(), check=False)
    if opened.returncode or unpacked.returncode:
        raise CommandError(f"unpacking {archive.name}")
