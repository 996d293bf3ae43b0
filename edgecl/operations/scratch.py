"""Arrays that are pages of a file without a name: the system may write them out and drop them when memory is short."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import EdgeclError
from edgecl.notes import Logger
from edgecl.operations.data import spool_folder
from edgecl.store.files import reason_of

logger = Logger(__name__)


def file_pages(shape: int | Sequence[int], dtype: Any, *, spare: int = 0) -> NDArray[Any]:
    """Return an array of zeros whose room on disk is taken already; whatever ends the process, nothing is left behind.

    Parameters
    ----------
    spare
        Bytes of the disk that must stay free.

    Raises
    ------
    EdgeclError
        When the disk has no room for it: a page that could not be written would end the process.
    """
    size = max(int(np.prod(shape)) * np.dtype(dtype).itemsize, 1)
    try:
        with tempfile.TemporaryFile(dir=spool_folder()) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            free = os.fstatvfs(file.fileno())
            if free.f_bavail * free.f_frsize < spare:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return np.asarray(np.memmap(file, np.dtype(dtype), mode="r+", shape=tuple(np.atleast_1d(shape))))
    except OSError as error:
        raise EdgeclError(f"{size:,} bytes of work space do not fit on the disk: {reason_of(error)}") from error


class PagesOrMemory:
    """Gives pages of files, or memory where no disk has room for them, which the first of these arrays logs.

    Without a free byte a store is still read, and a class forgotten; what `--memory` grants is then exceeded.

    Parameters
    ----------
    spare
        Bytes that must stay free where the files are, which may be the store's disk: what a forgetting writes.
    """

    def __init__(self, spare: int) -> None:
        self._spare = spare
        self._has_warned = False

    def __call__(self, shape: int | Sequence[int], dtype: Any) -> NDArray[Any]:
        """Return an array of zeros."""
        try:
            return file_pages(shape, dtype, spare=self._spare)
        except EdgeclError as error:
            if not self._has_warned:
                logger.warning("%s; it is taken from memory, beyond what was granted", error)
            self._has_warned = True
            return np.zeros(shape, dtype)
