"""The processors that are emulated, as Linux on a Raspberry Pi describes them.

A program that opens `/proc/cpuinfo` in emulation must not see the host's: ONNX Runtime 1.29 and later dies on import
when what it reads there is no ARM processor, and edgecl chooses its kernels by the features listed.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

_EVERY = "fp asimd evtstrm crc32 cpuid"
_CORES = 4


@dataclass(frozen=True)
class Processor:
    """The contents of `/proc/cpuinfo` and `/sys/devices/system/cpu` for the four cores of a board."""

    board: str
    part: str
    revision: str  # "variant revision", as Linux prints them
    highest_khz: int
    second_level: str  # size of the cache; of the Pi 5 each core has its own
    features: str


# by the name that QEMU has for them
PROCESSORS = {
    "cortex-a53": Processor("Raspberry Pi Zero 2 W Rev 1.0", "0xd03", "0x0 4", 1_000_000, "512K", _EVERY),
    "cortex-a72": Processor("Raspberry Pi 4 Model B Rev 1.4", "0xd08", "0x0 3", 1_800_000, "1024K", _EVERY),
    "cortex-a76": Processor(
        "Raspberry Pi 5 Model B Rev 1.0",
        "0xd0b",
        "0x4 1",
        2_400_000,
        "512K",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
    ),
}


def describe(name: str, root: Path) -> None:
    """Write `proc` and `sys` of a processor below `root`."""
    processor = PROCESSORS[name]
    files = {"proc/cpuinfo": _cpuinfo(processor), **_sysfs(processor)}
    for folder in ("proc", "sys"):
        shutil.rmtree(root / folder, ignore_errors=True)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n")


def _cpuinfo(processor: Processor) -> str:
    variant, revision = processor.revision.split()
    core = (
        f"BogoMIPS\t: 38.40\nFeatures\t: {processor.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        f"CPU variant\t: {variant}\nCPU part\t: {processor.part}\nCPU revision\t: {revision}\n"
    )
    cores = [f"processor\t: {number}\n{core}" for number in range(_CORES)]
    return "\n".join([*cores, f"Model\t\t: {processor.board}"])


def _sysfs(processor: Processor) -> dict[str, str]:
    folder, together = "sys/devices/system/cpu", f"0-{_CORES - 1}"
    files = {f"{folder}/{name}": together for name in ("possible", "present", "online")}
    files[f"{folder}/kernel_max"] = "255"
    for number in range(_CORES):
        core = f"{folder}/cpu{number}"
        files[f"{core}/cpufreq/cpuinfo_max_freq"] = str(processor.highest_khz)
        files[f"{core}/cpufreq/cpuinfo_min_freq"] = "600000"
        files[f"{core}/topology/physical_package_id"] = "0"
        for name in ("cluster_cpus_list", "core_siblings_list", "package_cpus_list"):
            files[f"{core}/topology/{name}"] = together
        caches = [("1", "32K", "Data"), ("1", "32K", "Instruction"), ("2", processor.second_level, "Unified")]
        for index, (level, size, kind) in enumerate(caches):
            shared = together if level == "2" else str(number)
            about = {"level": level, "size": size, "type": kind, "shared_cpu_list": shared}
            files |= {f"{core}/cache/index{index}/{name}": text for name, text in about.items()}
    return files
