"""A whole ARM64 machine: QEMU's `virt`, or one of its models of a Raspberry Pi, with a Debian kernel.

Its root is Debian's arm64 files and the environment that `emulation.arm64` made, read-only on one disk; what it works
on lies on another. A Raspberry Pi has both as partitions of its SD card. A small initial file system loads the drivers.
"""

from __future__ import annotations

import gzip
import os
import re
import selectors
import shutil
import stat
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.environments import CommandError, child_environ, kept_folder, run
from emulation import sysroot
from emulation.arm64 import DEFAULT, Arm64, release

DEBIAN = ("linux-image-arm64", "busybox-static")
DRIVERS = ("virtio_mmio", "virtio_blk", "crc32c_generic", "ext4", "mmc_block", "bcm2835", "sdhci_iproc")
LIMIT_S = 1800
MIB = 1 << 20
SECTOR = 512
HALTED = b"reboot: System halted"
CARD_MIB = 1024  # QEMU wants a power of two
_INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for driver in {drivers}; do $b insmod "/$driver"; done
while [ ! -b /dev/$workdisk ]; do $b sleep 0.1; done
$b mount -t ext4 -o ro /dev/$rootdisk /root
$b mount -t ext4 /dev/$workdisk /root/work
for folder in proc sys dev; do $b mount --move /$folder /root/$folder; done
$b mount -t tmpfs tmp /root/tmp
$b cp $b /root/tmp/busybox
$b chroot /root /tmp/busybox sh /work/job.sh
$b sync
$b poweroff -f
"""


@dataclass(frozen=True)
class Machine:
    """A machine that QEMU emulates."""

    name: str  # of QEMU's -M
    about: str
    memory_mib: int
    device_tree: str = ""  # of a Raspberry Pi, whose memory is what it is
    more: str = ""  # for the kernel's command line


VIRT = Machine("virt", "four Cortex-A53", 512)
RASPBERRY_PI = {
    # its power driver waits for an answer of the firmware that QEMU does not give
    "raspi3ap": Machine(
        "raspi3ap",
        "Raspberry Pi 3 Model A+, four Cortex-A53",
        512,
        "bcm2837-rpi-3-a-plus.dtb",
        "initcall_blacklist=bcm2835_power_driver_init",
    ),
    "raspi3b": Machine("raspi3b", "Raspberry Pi 3 Model B, four Cortex-A53", 1024, "bcm2837-rpi-3-b.dtb"),
}


@contextmanager
def kernel() -> Iterator[Path]:
    """Yield a folder with `Image`, `initial.gz` and device trees, locked meanwhile."""
    trees = sorted(one.device_tree for one in RASPBERRY_PI.values())
    with kept_folder("board", [DEBIAN, DRIVERS, trees, _INIT, release()]) as folder:
        if not (folder / "ready").exists():
            sysroot.unpack(DEBIAN, folder / "unpacked")
            _make_initial(folder / "unpacked", folder)
            for tree in trees:
                shutil.copy(next(folder.glob(f"unpacked/usr/lib/linux-image-*/broadcom/{tree}")), folder)
            shutil.rmtree(folder / "unpacked")
            (folder / "ready").touch()
        os.utime(folder / "ready")
        yield folder


def _make_initial(unpacked: Path, folder: Path) -> None:
    shutil.copy(next(unpacked.glob("boot/vmlinuz-*")), folder / "Image")
    modules = {path.name.split(".")[0]: path for path in unpacked.glob("usr/lib/modules/**/*.ko")}
    ordered: list[str] = []
    for name in DRIVERS:
        _add(name, modules, ordered)
    files = {"init": _INIT.format(drivers=" ".join(f"{name}.ko" for name in ordered)).encode()}
    files |= {f"{name}.ko": modules[name].read_bytes() for name in ordered}
    files["bin/busybox"] = next(unpacked.glob("usr/bin/busybox")).read_bytes()
    archive = b"".join(_member(name, None) for name in ("bin", "proc", "sys", "dev", "root"))
    archive += b"".join(_member(name, content) for name, content in files.items()) + _member("TRAILER!!!", b"")
    (folder / "initial.gz").write_bytes(gzip.compress(archive, 1))


def _add(name: str, modules: dict[str, Path], ordered: list[str]) -> None:
    """Append a driver after those it depends on; one that is no file is part of the kernel."""
    if name in ordered or name not in modules:
        return
    found = re.search(rb"\0depends=([^\0]*)\0", modules[name].read_bytes())
    for needed in filter(None, found[1].decode().split(",") if found else []):
        _add(needed, modules, ordered)
    ordered.append(name)


def _member(name: str, content: bytes | None) -> bytes:
    """A file, or without content a folder, as cpio's `newc` format has it."""
    mode = stat.S_IFDIR | 0o755 if content is None else stat.S_IFREG | 0o755
    fields = [0, mode, 0, 0, 1, 0, len(content or b""), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + (content or b"") + b"\0" * (-len(content or b"") % 4)


def make_root(made: Arm64, image: Path, scratch: Path) -> None:
    """Write the root disk: Debian's files, and the environment under the path that it has here."""
    stage = scratch / "stage"
    run(["cp", "-a", "--reflink=auto", made.root, stage])
    inside = stage / made.folder.relative_to("/")
    inside.mkdir(parents=True)
    run(["cp", "-a", "--reflink=auto", made.venv, inside])
    (inside / "root").symlink_to("/")
    launcher = stage / "usr" / "bin" / "emulated-python"
    launcher.unlink()
    launcher.symlink_to("python3")  # here nothing needs to be emulated
    for name in ("proc", "sys", "dev", "tmp", "work"):
        (stage / name).mkdir(exist_ok=True)
    _make_disk(stage, image, megabytes=700)
    shutil.rmtree(stage)


def make_work(folder: Path, image: Path) -> None:
    """Write the disk that is worked on, with what is in `folder`."""
    _make_disk(folder, image, megabytes=128)


def _make_disk(folder: Path, image: Path, *, megabytes: int) -> None:
    image.unlink(missing_ok=True)
    run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", folder, image, f"{megabytes}M"])


def boot(started: Path, root: Path, work: Path, machine: Machine, *, cut_after: str = "") -> str:
    """Boot, let `/work/job.sh` run, and return what it printed.

    Parameters
    ----------
    cut_after
        Pull the plug when the machine has printed this.

    Raises
    ------
    CommandError
        It did not come to an end within LIMIT_S.
    """
    common = ["-kernel", str(started / "Image"), "-initrd", str(started / "initial.gz"), "-no-reboot"]
    if not machine.device_tree:
        return _run([*_virt(machine, root, work), *common], cut_after)
    with _card(root, work) as card:
        return _run([*_raspberry_pi(machine, started, card), *common], cut_after)


def _virt(machine: Machine, root: Path, work: Path) -> list[str]:
    words = ["-M", machine.name, "-cpu", DEFAULT, "-smp", "4", "-m", str(machine.memory_mib), "-nic", "none"]
    words += ["-nographic", "-append", "console=ttyAMA0 quiet panic=-1 cma=0 rootdisk=vda workdisk=vdb"]
    for name, image, options in (("root", root, ",readonly=on"), ("work", work, "")):
        words += ["-drive", f"if=none,id={name},file={image},format=raw{options}"]
    # the last device of this kind becomes the first disk
    return [*words, "-device", "virtio-blk-device,drive=work", "-device", "virtio-blk-device,drive=root"]


def _raspberry_pi(machine: Machine, started: Path, card: Path) -> list[str]:
    console = "console=ttyS1,115200 quiet panic=-1 cma=16M rootdisk=mmcblk0p1 workdisk=mmcblk0p2"
    words = ["-M", machine.name, "-dtb", str(started / machine.device_tree), "-append", f"{console} {machine.more}"]
    words += ["-drive", f"if=sd,file={card},format=raw", "-display", "none", "-monitor", "none"]
    return [*words, "-serial", "null", "-serial", "stdio"]


@contextmanager
def _card(root: Path, work: Path) -> Iterator[Path]:
    """An SD card with both disks as its partitions; what is on the second is taken back."""
    card, starts, table = work.with_name("card"), [MIB, MIB + root.stat().st_size], b""
    for start, image in zip(starts, (root, work), strict=True):
        # not bootable, Linux, and where it lies by sectors alone
        table += struct.pack("<B3xB3xII", 0, 0x83, start // SECTOR, image.stat().st_size // SECTOR)
    with card.open("wb") as file:
        file.write((b"\0" * 446 + table).ljust(510, b"\0") + b"\x55\xaa")
        file.truncate(CARD_MIB * MIB)
    for start, image in zip(starts, (root, work), strict=True):
        _copy_blocks(image, card, seek=start)
    try:
        yield card
    finally:
        _copy_blocks(card, work, skip=starts[1], count=work.stat().st_size)
        card.unlink()


def _copy_blocks(source: Path, target: Path, *, seek: int = 0, skip: int = 0, count: int | None = None) -> None:
    words = [f"if={source}", f"of={target}", f"seek={seek // MIB}", f"skip={skip // MIB}"]
    words += [f"count={count // MIB}"] if count else []
    run(["dd", "bs=1M", "conv=notrunc", "status=none", *words])


def _run(words: Sequence[str], cut_after: str) -> str:
    command = ["qemu-system-aarch64", *words]
    with subprocess.Popen(
        command, env=child_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as machine:
        try:
            return _heard(machine, cut_after)
        finally:
            machine.kill()


def _heard(machine: subprocess.Popen[bytes], cut_after: str) -> str:
    assert machine.stdout is not None
    printed, end = b"", time.monotonic() + LIMIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(machine.stdout, selectors.EVENT_READ)
        while time.monotonic() < end:
            if not selector.select(timeout=1):
                continue
            piece = os.read(machine.stdout.fileno(), 1 << 16)
            printed += piece
            if not piece:
                return printed.decode(errors="replace").replace("\r", "")
            # a Raspberry Pi of QEMU's halts, but does not go
            if HALTED in printed or (cut_after and cut_after.encode() in printed):
                machine.kill()
                return printed.decode(errors="replace").replace("\r", "")
    tail = printed.decode(errors="replace")[-2000:]
    raise CommandError(f"waiting {LIMIT_S} s for the machine to end; it printed: {tail}")
