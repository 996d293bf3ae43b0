"""Change files with few system calls, each so that a power cut leaves the old file or the new one.

A new file is written under a temporary name in its own folder, flushed with fsync and renamed; the rename
lasts once the folder is flushed too. The journal alone is extended in place. Every change goes through `os`,
one call at a time, so that a test can stop the writer between any two.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edgecl.errors import EdgeclError, ModelError, SettingError, StoreDamagedError, StoreLockedError
from edgecl.hashes import sha256
from edgecl.values import dataclass

TEMPORARY = ".tmp"  # the ending of a file that is not yet, or no longer, part of the store

Bytes = bytes | bytearray | mmap.mmap

_POLL_S = 0.02
_BLOCK = _MAPPED_BYTES = 1 << 16
_MAPPED_DESCRIPTORS = 512  # Python before 3.13 keeps one open for each map, and the usual limit is 1024
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCKS_NO_FOLDERS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}  # NFS, FAT over FUSE
_NOT_THE_FILES_FAULT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EROFS: "the file system is mounted read-only",
    errno.EACCES: "check who owns the folder",
    errno.EPERM: "check who owns the folder",
    errno.EIO: "the disk or card fails, the kernel log says more",
}


@contextmanager
def explained(doing: str, *, outcome: str = "the live model is unchanged") -> Iterator[None]:
    """Turn an OSError into an EdgeclError that states what failed, what to do and what is left."""
    try:
        yield
    except OSError as error:
        raise EdgeclError(f"{doing} failed: {reason_of(error)}; {outcome}") from error


def reason_of(error: OSError) -> str:
    """Return what the system says of an error, and what to do about it."""
    advice = _ADVICE.get(error.errno or 0)
    return f"{error.strerror or error}{f' ({advice})' if advice else ''}"


@contextmanager
def _opened(path: Path, *, limit: int) -> Iterator[tuple[int, int]]:
    """Open a regular file for its descriptor and length; a link, pipe or device is refused, not followed."""
    try:
        descriptor = os.open(path, _READ_FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StoreDamagedError(f"{path} is not a regular file")
            if status.st_size > limit:
                raise StoreDamagedError(f"{path} has {status.st_size:,} bytes, at most {limit:,} were expected")
            yield descriptor, status.st_size
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> EdgeclError:
    if isinstance(error, FileNotFoundError):
        return StoreDamagedError(f"{path} is missing")
    if error.errno == errno.ELOOP:
        return StoreDamagedError(f"{path} is a symbolic link, which a store never contains")
    message = f"{path} cannot be read: {error.strerror}"
    if isinstance(error, PermissionError):
        return ModelError(message)
    return EdgeclError(message) if error.errno in _NOT_THE_FILES_FAULT else StoreDamagedError(message)


def read_file(path: Path, *, limit: int) -> bytearray:
    """Return the content of a file.

    Raises
    ------
    StoreDamagedError
        When it is missing, unreadable, not a regular file, or longer than `limit` bytes.
    ModelError
        When there is no permission to read it.
    """
    with _opened(path, limit=limit) as (descriptor, size):
        return _copied(descriptor, size)


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Return the content of a file as bytes, which some libraries want; raises as `read_file` does."""
    with _opened(path, limit=limit) as (descriptor, size):
        return os.pread(descriptor, size, 0)


def map_file(path: Path, *, limit: int) -> Bytes:
    """Return the content of a file that never changes: a copy, or from 64 KiB on its pages.

    The pages are private and may be written to. Unlike a copy, clean ones need not stay in memory, so objects
    of many megabytes are read on a device that could not hold them all. Raises as `read_file` does.
    """
    with _opened(path, limit=limit) as (descriptor, size):
        if size < _MAPPED_BYTES or descriptor >= _MAPPED_DESCRIPTORS:
            return _copied(descriptor, size)
        if sys.version_info >= (3, 13):
            return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY, trackfd=False)
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)


def _copied(descriptor: int, size: int) -> bytearray:
    data = bytearray(size)
    length = os.preadv(descriptor, [data], 0)
    del data[length:]
    return data


def digest_file(path: Path, *, limit: int) -> str:
    """Return the sha256 of a file, read in small blocks; raises as `read_file` does."""
    with _opened(path, limit=limit) as (descriptor, size):
        digest, block = sha256(of_bytes=size), memoryview(bytearray(_BLOCK))
        at = 0
        while length := os.preadv(descriptor, [block], at):
            digest.update(block[:length])
            at += length
        return digest.hexdigest()


def temporary(path: Path) -> Path:
    """Return the name under which `path` is written."""
    return path.with_name(path.name + TEMPORARY)


def write_temporary(path: Path, pieces: Iterable[bytes | memoryview], *, mode: int = 0o666) -> None:
    """Write the temporary file of `path`, without flushing it; it is removed again where that fails.

    One that is there was left by a process that was killed, since the caller has a lock or a name of its own: it is
    removed first, or nothing could be written any more.
    """
    name = temporary(path)
    try:
        descriptor = os.open(name, _CREATE_FLAGS, mode)
    except FileExistsError:
        name.unlink()
        descriptor = os.open(name, _CREATE_FLAGS, mode)
    try:
        for piece in pieces:
            _write_all(descriptor, piece)
    except OSError:
        with suppress(OSError):
            name.unlink()
        raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while len(left):
        left = left[os.write(descriptor, left) :]


def flush(path: Path) -> None:
    """Flush a file or folder to the disk with fsync; a link to a folder is followed, as by what is made in it."""
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, mode: int = 0o666, by: Path | None = None) -> None:
    """Replace `path` by `data`: at every moment the old file or the new one is there, whole.

    The new one is written as the temporary file of `by`, which is `path` itself unless given.
    """
    name = temporary(by or path)
    write_temporary(by or path, [data], mode=mode)
    try:
        flush(name)
        name.replace(path)
    except OSError:
        with suppress(OSError):
            name.unlink()
        raise
    flush(path.parent)


def replace_unlocked(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Replace a file that no lock is on as `replace_file` does: other processes may be writing it too."""
    replace_file(path, data, mode=mode, by=_of_this_process(path))


def write_output(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file that a user named: whole, or what was there stays. A link, pipe or device is written to in place.

    Parameters
    ----------
    mode
        Of a new file, before the umask.

    Raises
    ------
    EdgeclError
        When it cannot be written.
    """
    path = path.absolute()
    if is_replaceable(path):
        with explained(f"writing {path}", outcome="what was there is unchanged"):
            replace_unlocked(path, data, mode=mode)
    else:
        with explained(f"writing {path}", outcome="it may be incomplete"), path.open("wb") as file:
            file.write(data)


def beside(path: Path) -> Path:
    """Return the name under which a file without a lock is written: hidden, and another in each process."""
    return temporary(_of_this_process(path))


def _of_this_process(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def require_replaceable(path: Path) -> Path:
    """Return where a file is written that replaces what is there; SettingError where that is no file."""
    path = Path(os.path.realpath(path))
    if not is_replaceable(path):
        raise SettingError(f"{path} is there, and no file: name another one")
    return path


def is_replaceable(path: Path) -> bool:
    """Test whether a file, or nothing, has that name: a rename would put a file in the place of anything else."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def has_other_names(path: Path) -> bool:
    """Test whether a file that is there has other names (hard links), by which a change of it would be seen."""
    return path.lstat().st_nlink > 1


def remove_folder(folder: Path) -> None:
    """Remove a folder that was being made, if it is there: also one that a umask has closed to its owner."""
    import shutil  # where something went wrong alone

    if folder.is_symlink():  # chmod would follow it
        raise OSError(errno.ELOOP, "it is a symbolic link", str(folder))
    with suppress(OSError):
        folder.chmod(0o700)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def extend(path: Path, data: bytes, *, offset: int) -> None:
    """Write `data` at `offset` as the end of the file, flushed; what is before it is not touched."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        os.lseek(descriptor, offset, os.SEEK_SET)
        _write_all(descriptor, data)
        os.ftruncate(descriptor, offset + len(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Lock:
    """A lock that this process has on a file or folder."""

    path: Path
    descriptor: int

    def require(self) -> None:
        """Raise StoreLockedError where what is locked was removed, moved or replaced: others wait for another one."""
        if not _is_at(self.path, self.descriptor):
            raise StoreLockedError(
                f"{self.path} was removed, moved or replaced while this process was writing: nothing was committed; "
                "look at what is there now, then try again"
            )


@contextmanager
def locked(path: Path, *, timeout_s: float) -> Iterator[Lock]:
    """Hold the lock on a file, made where it is missing, or on a folder.

    The kernel releases it when the process ends, however it ends. The file has the lock, not its name: where the name
    means another file once the lock is there, that one is waited for.

    Raises
    ------
    StoreLockedError
        When another process, or another thread of this one, still has it after `timeout_s` seconds.
    EdgeclError
        When the file cannot be opened for writing.
    """
    with explained(f"locking {path}"):
        descriptor = _acquired(path, timeout_s)
    try:
        yield Lock(path, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked_store(folder: Path, *, timeout_s: float) -> Iterator[Lock]:
    """Hold the writer lock of a store: on its file `lock`, which others wait for, and on the folder itself.

    Anybody may remove a file; the folder stays what it is as long as there is a store. A file system that locks no
    folders has the file alone. Raises as `locked` does.
    """
    with locked(folder / "lock", timeout_s=timeout_s) as lock, ExitStack() as stack:
        try:
            lock = stack.enter_context(locked(folder, timeout_s=timeout_s))
        except EdgeclError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno in _LOCKS_NO_FOLDERS):
                raise
        yield lock


def _acquired(path: Path, timeout_s: float) -> int:
    """Return the descriptor of the file that `path` names, locked."""
    deadline = time.monotonic() + timeout_s
    while True:
        flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            if _is_acquired(descriptor):
                if _is_at(path, descriptor):
                    return descriptor
            elif time.monotonic() < deadline:
                time.sleep(_POLL_S)
            else:
                raise StoreLockedError(
                    f"another process is writing to {path.parent}: waited {timeout_s:g} s for its lock; "
                    "try again when it has finished"
                )
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Test whether `path` still names the open file."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=path.is_dir()), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_acquired(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
