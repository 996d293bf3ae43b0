"""An ARM64 Python environment that the host starts like its own: every program in it runs under QEMU.

`python` of the environment is a shell script that starts Debian's arm64 Python in `qemu-aarch64` under the script's
own name. So `sys.executable`, `pip`, console scripts and child processes work as on a board, without binfmt, root
rights or a chroot. `EDGECL_CPU` chooses the processor; it is also what decides which `/proc/cpuinfo` is seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.environments import CommandError, kept_folder, pip, project_wheel, run
from emulation import processors, sysroot

DEFAULT = "cortex-a53"
QEMU = "/usr/bin/qemu-aarch64"  # whole, for programs that are started without a PATH
DEBIAN = ("python3", "python3-venv", "libstdc++6")
TOOLS = ("pytest>=9.2", "pytest-xdist>=3.8", "hypothesis>=6.170")
EXTRAS = "audio"
_LAUNCHER = """\
#!/bin/sh
# QEMU's own default, `max`, makes ONNX Runtime 15 to 20 times slower than a named processor
cpu=${{EDGECL_CPU:-{default}}}
exec {qemu} -cpu "$cpu" -L "{folder}/$cpu" -0 "$0" "{root}/usr/bin/{python}" "$@"
"""


@dataclass(frozen=True)
class Arm64:
    """An emulated environment."""

    folder: Path
    wheel: Path  # of this checkout, for aarch64

    @property
    def root(self) -> Path:
        """Debian's arm64 files."""
        return self.folder / "root"

    @property
    def venv(self) -> Path:
        """The environment that holds the wheel."""
        return self.folder / "venv"

    def program(self, name: str) -> Path:
        """A program of the environment, `python` or `edgecl`."""
        return self.venv / "bin" / name


@contextmanager
def arm64(*, fresh: bool = False) -> Iterator[Arm64]:
    """Yield an environment in which this checkout's aarch64 wheel was installed as on a board, locked meanwhile.

    Raises
    ------
    CommandError
        QEMU is missing, or something could not be downloaded, built or installed.
    """
    if not Path(QEMU).exists():
        raise CommandError(f"looking for {QEMU}: Debian has it in qemu-user")
    wheel = project_wheel("aarch64")
    with kept_folder("arm64", [DEBIAN, TOOLS, EXTRAS, _LAUNCHER, release()], fresh=fresh) as folder:
        made = Arm64(folder, wheel)
        ready = folder / "ready"
        if not made.venv.exists():
            _make_root(made)
            run([_launcher(made), "-m", "venv", made.venv])
        if not ready.exists() or ready.read_text() != wheel.parent.name:
            ready.unlink(missing_ok=True)
            _install(made.program("python"), wheel, EXTRAS, TOOLS)
            ready.write_text(wheel.parent.name)
        os.utime(ready)
        yield made


@contextmanager
def bare_arm64() -> Iterator[Path]:
    """Yield the emulated Python of the system, with nothing of edgecl; raises as `arm64` does."""
    if not Path(QEMU).exists():
        raise CommandError(f"looking for {QEMU}: Debian has it in qemu-user")
    with kept_folder("bare-arm64", [DEBIAN, _LAUNCHER, release()]) as folder:
        made = Arm64(folder, Path())
        if not (folder / "ready").exists():
            _make_root(made)
            (folder / "ready").touch()
        yield _launcher(made)


def release() -> str:
    """Which Debian the host is: packages are taken from the same."""
    return next((line for line in Path("/etc/os-release").read_text().splitlines() if "VERSION_ID" in line), "")


def _make_root(made: Arm64) -> None:
    sysroot.unpack(DEBIAN, made.root)
    for name in processors.PROCESSORS:
        view = made.folder / name
        processors.describe(name, view)
        for path in made.root.iterdir():
            (view / path.name).symlink_to(path)
    python = (made.root / "usr" / "bin" / "python3").readlink().name
    launcher = _launcher(made)
    launcher.write_text(_LAUNCHER.format(qemu=QEMU, default=DEFAULT, folder=made.folder, root=made.root, python=python))
    launcher.chmod(0o755)


def _launcher(made: Arm64) -> Path:
    return made.root / "usr" / "bin" / "emulated-python"


def beside(made: Arm64, name: str, *requirements: str) -> Path:
    """Python of another environment of the same machine, with the wheel and other requirements; made if it is missing.

    Raises
    ------
    CommandError
        Something could not be downloaded or installed.
    """
    venv = made.folder / name
    ready = venv / "ready"
    about = " ".join([made.wheel.parent.name, *requirements])
    if not ready.exists() or ready.read_text() != about:
        if not venv.exists():
            run([_launcher(made), "-m", "venv", venv])
        ready.unlink(missing_ok=True)
        _install(venv / "bin" / "python", made.wheel, "", requirements)
        ready.write_text(about)
    return venv / "bin" / "python"


def _install(python: Path, wheel: Path, extras: str, requirements: Sequence[str]) -> None:
    """Install as the README shows for a board; the emulated pip chooses wheels for the emulated machine."""
    # forced: the version stays while the sources change, and pip would keep what it has
    pip(python, "install", "--no-compile", "--force-reinstall", "--no-deps", wheel)
    pip(python, "install", "--no-compile", f"{wheel}[{extras}]" if extras else wheel, *requirements)
    pip(python, "check")
