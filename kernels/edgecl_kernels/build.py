"""Compile the kernels ahead of time into the library that a device loads, so that it needs no numba.

    python -m edgecl_kernels.build --target aarch64 -o libedgecl_kernels.so

Needs numba (the extra `jit`) and a linker: gcc, for another machine its cross twin, or `--linker zig` with the
package `ziglang`, which links against glibc 2.28 wherever it runs.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from edgecl_kernels import _elf
from edgecl_kernels._identity import LIBRARY, PROCESSORS, kernel_digest, package_version

# what a library holds code for unless told otherwise, best first
DEFAULTS = {"x86_64": ("x86-64-v4", "x86-64-v3", "x86-64-v2"), "aarch64": ("cortex-a53",)}
GLIBC = (2, 28)


class BuildError(Exception):
    """The library can't be made; the message says what is missing or wrong."""


def main() -> int:
    """Run the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m edgecl_kernels.build", description=__doc__, formatter_class=layout)
    parser.add_argument("--target", choices=["host", *DEFAULTS], default="host")
    parser.add_argument(
        "--cpu", action="append", choices=PROCESSORS, help="processor to compile for; more than one: best first"
    )
    parser.add_argument("--linker", metavar="gcc|zig|PATH", help="gcc or its cross twin unless told otherwise")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, default=LIBRARY, help="beside the kernels")
    given = parser.parse_args()
    try:
        build(target_machine(given.target), given.cpu, linker=given.linker, output=given.output)
    except BuildError as error:
        print(f"edgecl_kernels.build: {error}", file=sys.stderr)
        return 1
    return 0


def target_machine(target: str) -> str:
    """Return the machine that a target names."""
    return platform.machine() if target == "host" else target


def build(machine: str, processors: list[str] | None, *, linker: str | None, output: Path) -> None:
    """Compile every kernel for each of `processors` and link them into the library `output`.

    Raises
    ------
    BuildError
        There is no linker or no numba, linking failed, or a kernel needs what a device lacks.
    """
    if machine not in DEFAULTS:
        raise BuildError(f"kernels are compiled for {' and '.join(DEFAULTS)}, not for {machine}")
    processors = processors or list(DEFAULTS[machine])
    foreign = [name for name in processors if PROCESSORS[name].machine != machine]
    if foreign:
        raise BuildError(f"{foreign[0]} is no {machine}")
    command = find_linker(machine, linker)
    if command is None:
        raise BuildError(f"there is no {linker or f'gcc for {machine}'}: install it, or ziglang and add --linker zig")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        objects, names = _compile(machine, processors, Path(folder))
        compiled = time.monotonic()
        made = Path(folder, LIBRARY.name)
        _link(command, objects, made)
        verify(made, names)
        shutil.copyfile(made, output)
    print(
        f"{output}: {output.stat().st_size} bytes for {', '.join(processors)}; "
        f"compiled in {compiled - started:.1f} s, linked in {time.monotonic() - compiled:.1f} s"
    )


def find_linker(machine: str, linker: str | None = None) -> list[str] | None:
    """Return the words of a command that links for `machine`, or None where there is none."""
    if linker == "zig":
        triple = f"{machine}-linux-gnu.{'.'.join(map(str, GLIBC))}"
        return [sys.executable, "-m", "ziglang", "cc", "-target", triple] if find_spec("ziglang") else None
    gcc = "gcc" if machine == platform.machine() else f"{machine}-linux-gnu-gcc"
    found = shutil.which(gcc if linker in (None, "gcc") else linker)
    return [found] if found else None


def _compile(machine: str, processors: list[str], folder: Path) -> tuple[list[Path], set[str]]:
    """Write object files; return them and the symbols they define."""
    try:
        from edgecl_kernels import _compile as compiler
        from edgecl_kernels._signatures import KERNELS
    except ImportError as error:
        raise BuildError(f"{error}: install `edgecl[jit]`") from error
    about = {
        "version": package_version(),
        "digest": kernel_digest(),
        "machine": machine,
        "processors": processors,
        "compiler": compiler.VERSION,
        "kernels": {name: signature for name, (_, signature, _) in KERNELS.items()},
    }
    objects = {
        compiler.ABOUT: compiler.data_object(machine, compiler.ABOUT, json.dumps(about).encode()),
        compiler.IN_TURN: compiler.in_turn_object(machine),
    }
    try:
        objects.update(compiler.kernel_objects(machine, {name: PROCESSORS[name] for name in processors}))
    except compiler.KernelError as error:
        raise BuildError(str(error)) from error
    for name, content in objects.items():
        (folder / f"{name}.o").write_bytes(content)
    return [folder / f"{name}.o" for name in objects], set(objects)


def _link(command: list[str], objects: list[Path], output: Path) -> None:
    # no start files: nothing runs when the library is loaded
    options = ["-shared", "-nostartfiles", "-Wl,-z,defs", "-Wl,-z,noexecstack", "-Wl,--build-id=none", "-s"]
    words = [*command, *options, "-o", str(output), *map(str, objects)]
    done = subprocess.run(words, text=True, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise BuildError(f"linking failed: {' '.join(command)}: {done.stderr.strip()}")


def verify(library: Path, defined: set[str] | None = None) -> None:
    """Refuse a library that lacks a symbol of `defined` or needs more than an old libc.

    Raises
    ------
    BuildError
        It names the symbol.
    """
    symbols = _elf.symbols(library.read_bytes())
    missing = (defined or set()) - symbols.defined
    if missing:
        raise BuildError(f"{library.name} does not define {min(missing)}")
    for name, version in symbols.needed.items():
        match = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)*", version)
        if match is None or (int(match[1]), int(match[2])) > GLIBC:
            raise BuildError(f"{library.name} needs {name} {version}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
