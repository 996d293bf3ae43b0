"""The build step that pyproject.toml cannot express: files that are made, not written, enter the wheel.

The extractors in `edgecl/data` are made by `export/edgecl_export`: the one of voice is composed from two public
models, the one of movement is calibrated on simulated movement. So a device needs neither `onnx` nor the package
that carries the models. The kernels are compiled into a library, so that it needs no numba; the wheel is then one
for a machine. An editable install writes all of them into the source tree, where git ignores them.

Two variables of the environment are read: EDGECL_TARGET (host, aarch64 or x86_64) names the machine of the wheel,
EDGECL_LINKER (gcc, zig, a program or none) what links the library. Where nothing links, or with `none`, the wheel is
for any machine and has no library: on the device the extra `jit` compiles the kernels.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.errors import ExecError

DATA = Path("edgecl", "data")
LIBRARY = Path("edgecl_kernels", "libedgecl_kernels.so")
FOLDERS = [".", "kernels", "export"]
LINKER = os.environ.get("EDGECL_LINKER") or None


def machine() -> str:
    """Return the machine that the library is for, or "" where none can be made, and say so."""
    sys.path[:0] = FOLDERS
    try:
        from edgecl_kernels import build
    finally:
        del sys.path[: len(FOLDERS)]
    target = os.environ.get("EDGECL_TARGET") or "host"
    found = build.target_machine(target)
    if LINKER == "none":
        reason = "EDGECL_LINKER is none"
    elif target == "host" and platform.libc_ver()[0] != "glibc":
        reason = f"this is no Linux with glibc, but {platform.platform()}"
    elif found not in build.DEFAULTS:
        reason = f"kernels are compiled for {' and '.join(build.DEFAULTS)}, not for {found}"
    elif build.find_linker(found, LINKER) is None:
        reason = f"there is no {LINKER or 'gcc'} that links for {found}"
    else:
        return found
    advice = "The device will need `edgecl[jit]`, and compiles there."
    print(f"\nNO COMPILED KERNELS: {reason}.\n{advice}\n", file=sys.stderr)
    return ""


MACHINE = machine()


def make(path: Path, target: Path) -> None:
    """Write a file of `MADE` to `target`, anew each time: one left by an older build may be stale."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        (make_library if path == LIBRARY else make_extractor)(target)
    except ImportError as error:
        raise ExecError(
            f"cannot make {path}: {error}. It needs the build requirements of pyproject.toml: "
            "build with isolation (the default of pip), or install them first."
        ) from error
    except Exception as error:
        raise ExecError(f"cannot make {path}: {type(error).__name__}: {error}") from error
    if not target.is_file():
        raise ExecError(f"cannot make {path}: its maker ended without an error and wrote no file")


def make_extractor(target: Path) -> None:
    """Write the extractor that `target` is named after."""
    sys.path[:0] = FOLDERS
    try:
        import edgecl_export

        getattr(edgecl_export, f"export_{target.stem}")(target)
    finally:
        del sys.path[: len(FOLDERS)]


def make_library(target: Path) -> None:
    """Compile the kernels, in a process of its own: numba reads its settings when it is imported."""
    path = os.pathsep.join([*FOLDERS, *filter(None, sys.path)])
    command = [sys.executable, "-m", "edgecl_kernels.build", "--target", MACHINE, "--output", str(target)]
    command += ["--linker", LINKER] if LINKER else []
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False)  # noqa: S603
    if done.returncode:
        raise ExecError(f"exit code {done.returncode} from: {' '.join(command)}; EDGECL_LINKER=none builds without it")


class BuildPy(build_py):
    """`build_py` that also makes the files in `MADE` and reports them, as PEP 660 wants."""

    # where the wheel has it: where the source tree has it
    MADE = {path: path for path in (DATA / "voice.onnx", DATA / "imu.onnx")}
    if MACHINE:
        MADE[LIBRARY] = Path("kernels", LIBRARY)

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            Path("kernels", LIBRARY).unlink(missing_ok=True)  # no longer true if it isn't made again
        for path in self.MADE:
            make(path, self._place(path))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        # an editable build lists the mapping below by itself
        return outputs if self.editable_mode else outputs + [str(self._place(path)) for path in self.MADE]

    def get_output_mapping(self) -> dict[str, str]:
        mapping = super().get_output_mapping()
        if self.editable_mode:
            mapping.update({str(Path(self.build_lib, path)): str(source) for path, source in self.MADE.items()})
        return mapping

    def _place(self, path: Path) -> Path:
        return self.MADE[path] if self.editable_mode else Path(self.build_lib, path)


class BdistWheel(bdist_wheel):
    """Wheels for any Python, and for one machine if they hold a library."""

    def get_tag(self) -> tuple[str, str, str]:
        # `edgecl_kernels.build` refuses a library that needs a newer glibc than 2.28
        return "py3", "none", f"manylinux_2_28_{MACHINE}" if MACHINE else "any"


class MachineDistribution(Distribution):
    """A distribution that goes where machine code goes, if it holds any."""

    def has_ext_modules(self) -> bool:
        return bool(MACHINE)


setup(cmdclass={"build_py": BuildPy, "bdist_wheel": BdistWheel}, distclass=MachineDistribution)
