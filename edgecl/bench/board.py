"""What a benchmark ran on, and what makes its figures not count: throttling, swapping, emulation.

All of it is read from /proc and /sys, where a file that is not there means not known (None). `EDGECL_EMULATED=1`
marks a run as emulated where that cannot be seen from inside, as on a whole emulated board; nothing takes a mark away.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path("/")
ARM = ("aarch64", "armv7l", "armv6l")
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
# bits of the firmware's get_throttled: those of now, and 16 higher those since the board was started
THROTTLED = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
SINCE_START = 16
BUSY = 0.5  # load average of a core, from which a remark is made


def machine(root: Path = ROOT) -> dict[str, Any]:
    """What does not change while a benchmark runs."""
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    return {
        "board": board(root),
        "is_real_board": not why_not_real(root),
        "emulated": emulated(root),
        "virtual": _virtual(root, cpuinfo),
        "cpu": _cpu(cpuinfo),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "memory_bytes": _kilobytes(_text(root / "proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
    }


def state(root: Path = ROOT) -> dict[str, Any]:
    """What may change while a benchmark runs: taken before and after."""
    cpu = root / "sys/devices/system/cpu/cpu0"
    return {
        "governor": _text(cpu / "cpufreq/scaling_governor"),
        "frequency_mhz": _scaled(_text(cpu / "cpufreq/scaling_cur_freq"), 1e-3),
        "temperature_c": _temperature(root),
        "throttled_bits": _throttled_bits(root),
        "throttle_count": _scaled(_text(cpu / "thermal_throttle/core_throttle_count"), 1),
        "load_average": list(os.getloadavg()),
        **_swap(root),
    }


def board(root: Path = ROOT) -> str:
    """The name of the board, or of the processor where there is no device tree."""
    model = _model(root)
    if model:
        return model
    return f"{_cpu(_text(root / 'proc/cpuinfo') or '')}, {os.cpu_count()} cores"


def why_not_real(root: Path = ROOT) -> str | None:
    """Why figures of this machine are those of no board; None where they are."""
    if platform.machine() not in ARM:
        return f"this is {platform.machine()}, not an ARM board"
    if not _model(root):
        return "there is no /proc/device-tree/model that names a board"
    reason = emulated(root) or _virtual(root, _text(root / "proc/cpuinfo") or "")
    return f"this is no real board: {reason}" if reason else None


def emulated(root: Path = ROOT) -> str | None:
    """How it shows that instructions are emulated; None where it does not show.

    User-mode QEMU answers for /proc/self and for uname; what it lets through is the host's.
    """
    host = _text(root / "proc/sys/kernel/arch")  # since Linux 6.1
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    signs = {
        "EDGECL_EMULATED is set": os.environ.get("EDGECL_EMULATED", "0") not in ("", "0"),
        f"the kernel is of {host}, this process of {platform.machine()}": host and host != platform.machine(),
        "/proc/cpuinfo is of an x86 processor": platform.machine() in ARM and "vendor_id" in cpuinfo,
        "the process runs in QEMU": "qemu" in _link(root / "proc/thread-self/exe"),
        "the processor is QEMU's": "QEMU" in _cpu(cpuinfo),
        "the device tree is of a virtual machine": _model(root) in ("linux,dummy-virt", "QEMU"),
    }
    return next((sign for sign, is_seen in signs.items() if is_seen), None)


def marks(machine: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Why the figures of a run must not be mixed with others, in sentences."""
    found = [f"emulated: {machine['emulated']}"] if machine["emulated"] else []
    bits = (before["throttled_bits"] or 0) | (after["throttled_bits"] or 0)
    reasons = [name for bit, name in THROTTLED.items() if bits >> bit & 1]
    reasons += [
        f"{name} since the board was started" for bit, name in THROTTLED.items() if bits >> bit + SINCE_START & 1
    ]
    if _grew("throttle_count", before, after):
        reasons.append("throttled by its temperature during the run")
    if reasons:
        found.append(f"throttled: {', '.join(reasons)}")
    if _grew("swap_pages", before, after):
        found.append(f"swapping: {after['swap_pages'] - before['swap_pages']} pages were swapped during the run")
    return found


def why_busy(before: Mapping[str, Any], cores: int) -> str:
    """Return what says that other work ran when a measurement began; empty where nothing does."""
    load = before["load_average"][0]
    return f"the machine was busy: load average {load:.1f} on {cores} cores" if load > BUSY * cores else ""


def remarks(before: Mapping[str, Any], cores: int) -> list[str]:
    """What may have made the figures worse or less steady without spoiling them."""
    found = []
    if busy := why_busy(before, cores):
        found.append(busy)
    if before["governor"] not in (None, "performance"):
        found.append(f"the CPU governor is {before['governor']}: set it to performance for steadier figures")
    return found


def process_memory(root: Path = ROOT) -> dict[str, int | None]:
    """Resident bytes of this process, now and at their peak."""
    status = _text(root / "proc/self/status")
    return {"rss_bytes": _kilobytes(status, "VmRSS"), "peak_bytes": _kilobytes(status, "VmHWM")}


def written_bytes(root: Path = ROOT) -> int | None:
    """Bytes that this process has sent to the storage so far, whole pages of the file system included."""
    match = re.search(r"^write_bytes: (\d+)$", _text(root / "proc/self/io") or "", re.MULTILINE)
    return int(match[1]) if match else None


def _grew(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return None not in (before[name], after[name]) and after[name] > before[name]


def _model(root: Path) -> str | None:
    return _text(root / "proc/device-tree/model")


def _cpu(cpuinfo: str) -> str:
    """The name that Linux has for the processor; ARM's own number for the core where it has none."""
    for field in ("model name", "Hardware", "CPU part"):
        match = re.search(rf"^{field}\s*: (.+)$", cpuinfo, re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.machine()


def _virtual(root: Path, cpuinfo: str) -> str | None:
    """How it shows that the machine is virtual: its instructions are real, its clock and disk are shared."""
    if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE):
        return "the processor reports a hypervisor"
    vendor = _text(root / "sys/class/dmi/id/sys_vendor")
    return f"the machine is made by {vendor}" if vendor == "QEMU" else None


def _throttled_bits(root: Path) -> int | None:
    text = _text(root / FIRMWARE) or _vcgencmd("get_throttled")
    match = re.search(r"(?:0x)?([0-9a-fA-F]+)$", text or "")
    return int(match[1], 16) if match else None


def _temperature(root: Path) -> float | None:
    match = re.search(r"temp=([\d.]+)", _vcgencmd("measure_temp") or "")
    if match:
        return float(match[1])
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*/temp"))
    return max((found for zone in zones if (found := _scaled(_text(zone), 1e-3)) is not None), default=None)


def _swap(root: Path) -> dict[str, int | None]:
    counts = dict(re.findall(r"^(pswpin|pswpout) (\d+)$", _text(root / "proc/vmstat") or "", re.MULTILINE))
    own = _kilobytes(_text(root / "proc/self/status"), "VmSwap")
    return {"swap_pages": sum(map(int, counts.values())) if counts else None, "swapped_bytes": own}


def _vcgencmd(what: str) -> str | None:
    """What the firmware of a Raspberry Pi answers."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run([program, what], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None  # /dev/vcio is not for everybody
    return done.stdout.strip()


def _text(path: Path) -> str | None:
    """A short file of the kernel's, without the NUL that ends those of the device tree."""
    try:
        return path.read_text(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _link(path: Path) -> str:
    try:
        return path.readlink().name
    except OSError:
        return ""


def _scaled(text: str | None, factor: float) -> float | None:
    try:
        return None if text is None else float(text) * factor
    except ValueError:
        return None


def _kilobytes(text: str | None, name: str) -> int | None:
    match = re.search(rf"^{name}:\s+(\d+) kB$", text or "", re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def filesystem(folder: Path, root: Path = ROOT) -> str | None:
    """The kind of file system that a folder is on."""
    where = folder.resolve()
    found = [line.split()[1:3] for line in (_text(root / "proc/self/mounts") or "").splitlines()]
    mounts = [(Path(path.replace("\\040", " ")), kind) for path, kind in found]
    under = [(len(path.parts), kind) for path, kind in mounts if where.is_relative_to(path)]
    return max(under, key=lambda one: one[0])[1] if under else None
