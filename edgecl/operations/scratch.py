"""Arrays that are pages of a file without a name: the system may write them out and drop them when memory is short."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import EdgeclError
from edgecl.operations.data import spool_folder


def file_pages(shape: int | Sequence[int], dtype: Any) -> NDArray[Any]:
    """Return an array of zeros whose room on disk is taken already; whatever ends the process, nothing is left behind.

    Raises
    ------
    EdgeclError
        When the disk has no room for it: a page that could not be written would end the process.
    """
    size = max(int(np.prod(shape)) * np.dtype(dtype).itemsize, 1)
    try:
        with tempfile.TemporaryFile(dir=spool_folder()) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return np.asarray(np.memmap(file, np.dtype(dtype), mode="r+", shape=tuple(np.atleast_1d(shape))))
    except OSError as error:
        raise EdgeclError(f"{size:,} bytes of work space do not fit on the disk: {error}") from error
