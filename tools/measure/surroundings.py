"""Every command in odd surroundings: a full or read-only disk, limits of the shell, odd umasks, closed streams.

python -m measure.surroundings --json FILE [--every N] [--only COMMAND]

Each command runs in a process of its own, forked from one that has loaded it. It has to end in time with a documented
exit code and without a traceback. Its stores have to be intact, with the old or the new revision live, nothing half
written may be left beside them, and a command that ended with 0 has written what it was to write. Mounts, and another
user, need root: without it these surroundings are left out.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from edgecl.cli.__main__ import open_streams
from edgecl.cli.app import main as commands
from edgecl.errors import EdgeclError
from edgecl.store.store import Store
from measure import places

NOBODY = 65534
_NEW_MOUNTS, _RECURSIVE, _PRIVATE, _READ_ONLY, _REMOUNT = 0x20000, 0x4000, 1 << 18, 1, 32
FULL_STDOUT = "a full disk for stdout"
TMPFS_KIB = 40 << 10
LONG = {"demo"}  # it teaches for half a minute, into stores of its own
STORES = ("table", "movement", "voice")


def main() -> None:
    places.keep_what_is_found(attacked, __doc__)


def attacked(folder: Path, *, every: int = 1, only: str = "") -> tuple[int, list[str]]:
    """Run every command in every surrounding; return how many runs there were, and what went wrong."""
    folder.chmod(0o755)  # other users go through it
    runs = [(name, odd) for name in places.BASE if name not in LONG for odd in surroundings()]
    return places.tried_all(runs, _attack, folder, named=", ".join, every=every, only=only)


def surroundings() -> dict[str, Callable[[Path], None]]:
    """Return the surroundings of which this user can make all."""
    return {name: enter for name, enter in ALL.items() if name not in OF_ROOT or os.geteuid() == 0}


def _attack(one: tuple[str, str], folder: Path, place: Path) -> str:
    name, odd = one
    place.chmod(0o777)

    def run() -> int:
        if odd in OF_MOUNTS:
            _mounted(place)
        words = places.prepared([*name.split(), *places.BASE[name]], folder, place)
        before = {one.name for one in place.iterdir()}
        numbers = {one: Store.open(place / one).current().number for one in STORES}
        code, said = _ended(words, place, surroundings()[odd])
        print(said, flush=True)
        os.umask(0o022)
        wrong = _judged(name, odd, code, place, before, numbers)
        if wrong:
            print(f"WRONG {wrong}")
            return 96
        return code

    code, printed = places.in_a_fork(run, folder / "printed")
    if code not in places.CODES or "Traceback" in printed:
        return f"{code}: {printed[-700:]}"
    return ""


def _ended(words: list[str], place: Path, enter: Callable[[Path], None]) -> tuple[int, str]:
    """Run a command in a child, and return its exit code and what it printed: to a pipe, which no limit is on."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        code = 98
        try:
            for number, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(writes, number)
                setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115
            os.chdir(place)
            enter(place)
            open_streams()
            commands.main(words, prog_name="edgecl")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # what no command may end with
            os.write(writes, traceback.format_exc().encode())
        with suppress(BaseException):
            sys.stdout.flush()
        os._exit(code)
    os.close(writes)
    with open(reads, "rb") as pipe:  # noqa: PTH123 (a descriptor)
        said = pipe.read().decode("utf-8", "replace")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def _judged(name: str, odd: str, code: int, place: Path, before: set[str], numbers: dict[str, int]) -> str:
    """Return what is wrong with the files after a command."""
    for one, number in numbers.items():
        try:
            store = Store.open(place / one)
            now = store.current().number
            faults = store.check()
        except EdgeclError as error:
            return f"{one}: {error}"
        if faults:
            return f"{one}: {faults[0]}"
        if now != number and code not in (0, 1):
            return f"{one}: revision {number} became {now} with exit code {code}"
    rest = [str(one.relative_to(place)) for one in place.rglob("*") if ".tmp" in one.name]
    if rest and not odd.endswith(" descriptors"):  # to look into a folder takes one; the next command removes it
        return f"left behind: {rest}"
    made = {one.name for one in place.iterdir() if ".tmp" not in one.name} - before - {"full", "tmp"}
    has_output = "{new}" in places.BASE[name]
    if code == 0 and has_output and "new" not in made and name != "record":
        return "exit code 0, and nothing is written"
    if code != 0 and made and name != "record" and odd != FULL_STDOUT:  # the folder of clips; done, and not reported
        return f"exit code {code}, and {sorted(made)} is left"
    return ""


def _mounted(place: Path) -> None:
    """Put a file system in memory at `place`, in a mount namespace of this process alone."""
    _call("unshare", _NEW_MOUNTS)
    _call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
    _call("mount", b"none", os.fsencode(place), b"tmpfs", 0, f"size={TMPFS_KIB}k".encode())
    place.chmod(0o777)


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _read_only(place: Path) -> None:
    flags = _REMOUNT | _READ_ONLY
    _call("mount", b"none", os.fsencode(place), None, flags, None)


def _full(free_kib: int, *, is_spool: bool = False) -> Callable[[Path], None]:
    """Return what leaves so much room on the file system of a folder."""

    def enter(place: Path) -> None:
        if is_spool:
            (place / "tmp").mkdir()
            os.environ["TMPDIR"] = str(place / "tmp")
            tempfile.tempdir = None
        with (place / "full").open("wb") as file:
            block = bytes(4096)
            with suppress(OSError):
                while True:
                    os.write(file.fileno(), block)
            size = file.seek(0, os.SEEK_END)
            os.ftruncate(file.fileno(), max(size - (free_kib << 10), 0))

    return enter


def _limited(what: int, most: int, *, is_more: bool = False) -> Callable[[Path], None]:
    def enter(_: Path) -> None:
        now = 0
        if is_more:
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(what, (now + most, now + most))

    return enter


def _umask(mask: int) -> Callable[[Path], None]:
    def enter(_: Path) -> None:
        _without_powers()
        os.umask(mask)

    return enter


def _others_folder(place: Path) -> None:
    """A store of another user, in a folder of another user; this user has no home."""
    for one in (place, *place.rglob("*")):
        os.chown(one, NOBODY, NOBODY)
    place.chmod(0o755)
    _without_powers()
    for name in ("HOME", "USER", "LOGNAME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)


def _without_powers() -> None:
    """Give up what root may do with any file, and stay its owner: capset(2)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _call("capset", header, (ctypes.c_uint32 * 6)())


def _closed(*numbers: int) -> Callable[[Path], None]:
    def enter(_: Path) -> None:
        sys.stdout.flush()
        for number in numbers:
            os.close(number)
            if number == 0:
                sys.stdin = None
            elif number == 1:
                sys.stdout = None
            else:
                sys.stderr = None

    return enter


def _printed_to_full(_: Path) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def _spool(name: str) -> Callable[[Path], None]:
    def enter(place: Path) -> None:
        os.environ["TMPDIR"] = str(place / name)
        tempfile.tempdir = None

    return enter


def _no_folder(place: Path) -> None:
    (place / "gone").mkdir()
    os.chdir(place / "gone")
    (place / "gone").rmdir()


ALL: dict[str, Callable[[Path], None]] = {
    **{f"a disk with {kib} KiB left": _full(kib) for kib in (0, 4, 8, 16, 32, 64, 128, 256)},
    **{f"a disk with {kib} KiB left, for work files too": _full(kib, is_spool=True) for kib in (0, 16, 64)},
    "a read-only disk": _read_only,
    **{f"files of {size} bytes at most": _limited(resource.RLIMIT_FSIZE, size) for size in (0, 1, 1000, 5000, 70000)},
    **{f"{number} descriptors": _limited(resource.RLIMIT_NOFILE, number) for number in (4, 6, 8, 10, 16)},
    **{
        f"{mib} MiB more memory": _limited(resource.RLIMIT_AS, mib << 20, is_more=True) for mib in (4, 16, 64)
    },  # with 1 Python itself fails
    **{f"umask {mask:03o}": _umask(mask) for mask in (0o000, 0o277, 0o377, 0o777)},
    "another's folder, and no home": _others_folder,
    "no stdin": _closed(0),
    "no stdout": _closed(1),
    "no stderr": _closed(2),
    "no stream": _closed(0, 1, 2),
    FULL_STDOUT: _printed_to_full,
    "no folder for work files": _spool("nowhere"),
    "a file for work files": _spool("table/store.json"),
    "no working folder": _no_folder,
}
OF_MOUNTS = {name for name in ALL if name.startswith(("a disk", "a read-only"))}
OF_ROOT = OF_MOUNTS | {name for name in ALL if name.startswith(("umask", "another's"))}

if __name__ == "__main__":
    for package in ("edgecl.learner", "edgecl.operations.teaching", "edgecl.sources.reading"):
        import_module(package)
    main()
