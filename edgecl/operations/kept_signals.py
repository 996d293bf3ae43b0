"""The signals of a lesson, for what is kept of them beside their latents: in memory, or in a file without a name."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgecl.operations.data import Latent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import FileIO
    from pathlib import Path

    from edgecl.sources.samples import Sample

HELD_BYTES = 2 << 20  # signals of a lesson held in memory; more go to a file without a name
LARGEST_BYTES = 64 << 20  # signals of a lesson in all; of later samples only the source is known


class KeptSignals:
    """The signals of a lesson by label, in the order in which they came.

    Parameters
    ----------
    spool
        The folder for those that are not held in memory; None: the usual one for temporary files.
    """

    def __init__(self, spool: Path | None) -> None:
        self._spool = spool
        self._rows: dict[str, list[tuple[int, tuple[int, ...]] | NDArray[np.float32] | None]] = {}
        self._frames: dict[str, list[NDArray[np.float32] | None]] = {}
        self._bytes = 0
        self._file: FileIO | None = None

    def add(self, label: str, sample: Sample, frames: NDArray[np.float32] | None = None) -> None:
        """Keep the signal of a sample, and its frames (P, D) where the signal stays in memory.

        What has no signal, or no room, is counted alone.
        """
        rows, signal = self._rows.setdefault(label, []), sample.signal
        if isinstance(sample, Latent) or self._bytes + signal.nbytes > LARGEST_BYTES:
            rows.append(None)
        else:
            self._bytes += signal.nbytes
            rows.append(signal if self._bytes <= HELD_BYTES else self._spooled(signal))
        self._frames.setdefault(label, []).append(frames if isinstance(rows[-1], np.ndarray) else None)

    def get(self, label: str, row: int) -> NDArray[np.float32] | None:
        """Return the signal (n, channels) of a row; None where it was not kept."""
        kept = self._rows[label][row]
        if not isinstance(kept, tuple):
            return kept
        assert self._file is not None
        first, shape = kept
        self._file.seek(first)
        return np.frombuffer(self._file.read(4 * int(np.prod(shape))), np.float32).reshape(shape)

    def frames(self, label: str, row: int) -> NDArray[np.float32] | None:
        """Return the frames (P, D) of a row; None where they were not kept."""
        return self._frames[label][row]

    def only(self, keep: Mapping[str, NDArray[np.bool_]]) -> None:
        """Leave the signals of rows that are true in `keep`, (n,) by label; they are counted from 0 again."""
        self._rows = {label: list(compress(rows, keep[label])) for label, rows in self._rows.items()}
        self._frames = {label: list(compress(rows, keep[label])) for label, rows in self._frames.items()}

    def close(self) -> None:
        """Let go of what is spooled."""
        if self._file:
            self._file.close()

    def _spooled(self, signal: NDArray[np.float32]) -> tuple[int, tuple[int, ...]] | None:
        try:
            import tempfile

            # without a buffer, which would report a full disk later, and where nothing may fail
            self._file = self._file or tempfile.TemporaryFile(dir=self._spool, buffering=0)  # noqa: SIM115 (see `close`)
            first, data = self._file.seek(0, 2), np.ascontiguousarray(signal, np.float32).tobytes()
            is_whole = self._file.write(data) == len(data)
        except OSError:
            return None  # a recording less in the inbox is no reason to lose the lesson
        return (first, signal.shape) if is_whole else None
