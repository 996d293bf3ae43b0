"""Environments for the tools: made once, kept in a cache folder, remade only when something changed.

The folder is ``$EDGECL_CACHE``, else ``$XDG_CACHE_HOME/edgecl``, else ``~/.cache/edgecl``::

    wheels/<digest of the sources>/edgecl-....whl
    <name>-<digest of interpreter and requirements>/    a virtual environment; `ready` in it: it is complete

All checkouts share it, so a fresh clone finds its packages in place and needs no network. A lock for each
environment keeps two runs from changing it under each other. Only the standard library is used here.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (a tool is started by whatever python3 the machine has)
    sys.exit(f"edgecl needs Python 3.11 or newer, this is {sys.version.split()[0]}: try another one")

import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
SOURCE_FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "NOTICE")
SOURCE_FOLDERS = ("edgecl", "kernels", "export")
KEPT_WHEELS = 8
KEPT_ENVIRONMENTS = 2  # for each name


class CommandError(Exception):
    """A command failed. What it printed has been shown; the message repeats the command."""


@contextmanager
def environment(name: str, *, extras: str, requirements: Sequence[str] = (), fresh: bool = False) -> Iterator[Path]:
    """Yield the folder of a virtual environment that holds this checkout's wheel, locked meanwhile.

    Parameters
    ----------
    name
        What it is for. One environment is kept for each name, interpreter and set of requirements.
    extras
        Comma-separated extras of pyproject.toml, installed with the wheel; may be empty.
    requirements
        What else is installed.
    fresh
        Make it again even if nothing changed.

    Raises
    ------
    CommandError
        The wheel could not be built, or pip could not install it.
    """
    wheel = project_wheel()
    digest = wheel.parent.name
    with _virtual_environment(name, [_pyproject()["project"], *requirements], fresh=fresh) as folder:
        ready, python = folder / "ready", folder / "bin" / "python"
        if not ready.exists() or ready.read_text() != digest:
            ready.unlink(missing_ok=True)
            # forced: the version stays while the sources change, and pip would keep what it has
            pip(python, "install", "--force-reinstall", "--no-deps", wheel)
            pip(python, "install", f"{wheel}[{extras}]" if extras else wheel, *requirements)
            pip(python, "check")
            ready.write_text(digest)
        os.utime(ready)
        yield folder


def packages_python(name: str, requirements: Path) -> Path:
    """Return the Python of an environment with the packages of a requirements file, without edgecl; made if missing.

    Raises
    ------
    CommandError
        pip could not install them.
    """
    folder = cache_folder() / name
    python, ready = folder / "bin" / "python", folder / "ready"
    with _lock(folder.with_suffix(".lock")):
        if not ready.exists() or ready.read_text() != requirements.read_text():
            print(f"making the environment {folder}", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            _make_virtual_environment(folder)
            pip(python, "install", "-r", requirements)
            ready.write_text(requirements.read_text())
    return python


def project_wheel(target: str = "host", *, linker: str = "") -> Path:
    """Return the wheel of this checkout, built again if a source changed.

    It is built with the build requirements of pyproject.toml and nothing else installed, but for what links.

    Parameters
    ----------
    target
        The machine it is for: host, aarch64 or x86_64.
    linker
        What links its library (`setup.py` has the names); empty: gcc, its cross twin, or ziglang where it is missing.

    Raises
    ------
    CommandError
        It could not be built.
    """
    gcc = "gcc" if target in ("host", platform.machine()) else f"{target}-linux-gnu-gcc"
    linker = linker or (gcc if shutil.which(gcc) else "zig")
    folder = cache_folder() / "wheels" / f"{sources_digest()}-{target}-{Path(linker).name}"
    with _lock(cache_folder() / "wheels.lock"):
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            _remove_oldest(list(folder.parent.iterdir()), keep=KEPT_WHEELS - 1)
            _build_wheel(folder, EDGECL_TARGET=target, EDGECL_LINKER=linker)
        os.utime(folder)
    return next(folder.glob("*.whl"))


def build_wheel(target: str, folder: Path, **variables: str) -> Path:
    """Build the wheel of this checkout in a new folder, whatever is kept of it; raises as `project_wheel` does."""
    gcc = "gcc" if target == platform.machine() else f"{target}-linux-gnu-gcc"
    _build_wheel(folder, EDGECL_TARGET=target, EDGECL_LINKER=gcc if shutil.which(gcc) else "zig", **variables)
    return next(folder.glob("*.whl"))


def empty_environment(folder: Path) -> Path:
    """Make a virtual environment with nothing in it, and return its Python; raises CommandError."""
    _make_virtual_environment(folder)
    return folder / "bin" / "python"


def lowest() -> list[str]:
    """Return requirements of the lowest versions that pyproject.toml allows of what edgecl and its extras need.

    Flower is left out: it needs versions of others that are newer than what edgecl does with; PyTorch for its size.
    """
    project, apart = _pyproject()["project"], ("dev", "federated", "export-adapt")
    extras = [one for name, bounds in project["optional-dependencies"].items() if name not in apart for one in bounds]
    return sorted(one.replace(">=", "==") for one in {*project["dependencies"], *extras} if ">=" in one)


def run(command: Sequence[str | Path], **variables: str) -> None:
    """Run `command` in the checkout, its output shown, with `variables` added to a clean environment.

    Raises
    ------
    CommandError
        It could not start, or returned another code than 0.
    """
    _run(command, child_environ(**variables))


def run_module(python: str | Path, module: str, *arguments: str | Path, here: bool = False) -> None:
    """Run a module of `tools/` (`measure.soak`, say) with `python`, its output shown; it may import the others.

    Parameters
    ----------
    here
        Hand on this process's own environment, with its `PYTHONPATH`.

    Raises
    ------
    CommandError
        It could not start, or returned another code than 0.
    """
    path = [str(TOOLS), *filter(None, [os.environ.get("PYTHONPATH")] if here else [])]
    variables = {"PYTHONPATH": os.pathsep.join(path)}
    _run([python, "-m", module, *arguments], {**os.environ, **variables} if here else child_environ(**variables))


@contextmanager
def installed_python(*, here: bool) -> Iterator[Path]:
    """Yield the Python that the tables of accuracy are measured with: this one, or that of an environment."""
    if here:
        yield Path(sys.executable)
        return
    with environment("accuracy", extras="audio,export,jit") as folder:
        yield folder / "bin" / "python"


def _run(command: Sequence[str | Path], environ: dict[str, str]) -> None:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise CommandError(f"{shlex.join(words)}: {error}") from error
    if done.returncode:
        raise CommandError(f"exit code {done.returncode} from: {shlex.join(words)}")


def pip(python: Path, *arguments: str | Path, **variables: str) -> None:
    """Run pip in the environment of `python`: quiet, but for its warnings, unless it fails."""
    words = [str(python), "-m", "pip", *map(str, arguments), "--quiet", "--no-input"]
    done = subprocess.run(
        words,
        env=child_environ(PIP_DISABLE_PIP_VERSION_CHECK="1", **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        # pip says this of every package that a configured local index does not hold
        if not line.endswith("is ignored: it is neither a file nor a directory."):
            print(line, file=sys.stderr)
    if done.returncode:
        raise CommandError(f"exit code {done.returncode} from: {shlex.join(words)}")


@contextmanager
def kept_folder(name: str, about: object, *, fresh: bool = False) -> Iterator[Path]:
    """Yield a folder of the cache, locked; it is made again, and empty, unless it holds a file `ready`.

    Parameters
    ----------
    name
        What it is for. The last used of a name are kept.
    about
        What it is made from, as JSON: another value has another folder.
    fresh
        Empty it even if it is ready.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{digest}"
    with _lock(folder.with_suffix(".lock")):
        if fresh or not (folder / "ready").exists():
            print(f"making {folder}", file=sys.stderr, flush=True)
            names = re.compile(rf"{re.escape(name)}-[0-9a-f]{{12}}")  # and no `{name}-lowest-...`
            others = [one for one in folder.parent.iterdir() if one.is_dir() and names.fullmatch(one.name)]
            others = [one for one in others if one != folder]
            _remove_oldest(others, keep=KEPT_ENVIRONMENTS - 1)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        yield folder


def cache_folder() -> Path:
    """Return the folder that holds environments and wheels, made if it is missing."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("EDGECL_CACHE") or base / "edgecl").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def child_environ(**variables: str) -> dict[str, str]:
    """Return the environment of a child process that imports from its own site-packages only.

    Without ``PYTHONSAFEPATH``, ``python -m`` puts the working folder first on the path, and the checkout's
    `edgecl` hides the installed one. No other ``PYTHON...`` variable is handed on: what passes on one machine
    because its output is unbuffered, say, must not fail on the next.
    """
    foreign = ("PYTHON", "VIRTUAL_ENV", "MYPYPATH", "PYTEST_ADDOPTS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1", **variables}


def sources_digest() -> str:
    """Return a digest of every file that the wheel is made from, and of the interpreter that makes it."""
    digest = hashlib.sha256(sys.version.encode())
    for path in _sources():
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> list[Path]:
    """Return what the wheel is made from, without what builds and caches leave behind."""
    paths = [ROOT / name for name in SOURCE_FILES]
    for folder in SOURCE_FOLDERS:
        paths += (ROOT / folder).rglob("*")
    return sorted(path for path in paths if path.is_file() and not _is_made(path.relative_to(ROOT)))


def _is_made(path: Path) -> bool:
    left_behind = any(part.endswith(("__pycache__", ".egg-info")) for part in path.parts)
    return left_behind or path.suffix in (".onnx", ".so")


def _build_wheel(folder: Path, **variables: str) -> None:
    """Build from a copy: a module deleted in the checkout can't live on in a `build` folder."""
    requires = [*_pyproject()["build-system"]["requires"], *(["ziglang"] if "zig" in variables.values() else [])]
    scratch_folder = tempfile.TemporaryDirectory(prefix="building-", dir=cache_folder())
    with _virtual_environment("build", requires) as build, scratch_folder as scratch:
        ready, python = build / "ready", build / "bin" / "python"
        if not ready.exists():
            pip(python, "install", *requires)
            ready.touch()
        os.utime(ready)
        sources, made = Path(scratch, "sources"), Path(scratch, "made")
        for path in _sources():
            copy = sources / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        pip(python, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", made, sources, **variables)
        made.rename(folder)


@contextmanager
def _virtual_environment(name: str, requirements: object, *, fresh: bool = False) -> Iterator[Path]:
    """Yield the folder of a virtual environment, locked; it is unfinished until the caller writes `ready`."""
    with kept_folder(name, [sys.version, sys.base_prefix, requirements], fresh=fresh) as folder:
        if not (folder / "bin").exists():
            _make_virtual_environment(folder)
        yield folder


def _make_virtual_environment(folder: Path) -> None:
    command = [sys.executable, "-m", "venv", str(folder)]
    done = subprocess.run(command, env=child_environ(), text=True, capture_output=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        hint = "Debian: apt-get install python3-venv"
        raise CommandError(f"exit code {done.returncode} from: {shlex.join(command)} ({hint})")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run to release {path}", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_oldest(folders: list[Path], *, keep: int) -> None:
    """Remove all but the `keep` last used `folders`: enough stay that none of them is in use."""
    for folder in sorted(folders, key=_last_use, reverse=True)[keep:]:
        shutil.rmtree(folder, ignore_errors=True)


def _last_use(folder: Path) -> float:
    ready = folder / "ready"
    return (ready if ready.exists() else folder).stat().st_mtime


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())
