"""Streams that a store has followed before, known by their first rows: followed again, they teach their rows twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecl.hashes import blake2b
from edgecl.notes import Logger

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 64  # that a stream is known by
FEWEST = 32  # different ones among them: a sensor that is idle begins like any other
KEPT = 8  # streams that a revision states
BYTES = 8  # of a digest
logger = Logger(__name__)


class Beginnings:
    """The first rows of the streams that taught a revision, and of the one that is followed.

    Parameters
    ----------
    body
        Of the revision; it states them in "began".
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        stated = body.get("began")
        self.known: tuple[str, ...] = tuple(map(str, stated)) if isinstance(stated, list) else ()
        """Digests, the newest last."""
        self._rows: list[bytes] = []

    def add(self, latents: NDArray[np.float32]) -> None:
        """Look at the latents (n, D) of the rows that come next; log where the stream has been followed before."""
        if len(self._rows) >= ROWS:
            return
        self._rows += [one.tobytes() for one in np.asarray(latents[: ROWS - len(self._rows)], np.float32)]
        if len(self._rows) < ROWS or len(set(self._rows)) < FEWEST:
            return
        digest = blake2b(b"".join(self._rows), digest_size=BYTES).hexdigest()
        if digest in self.known:
            logger.warning(
                "the first %d rows are those of a stream that has taught this store before: rows are learnt twice, and "
                "answered better than new ones will be. Give rows that are new, or roll back first",
                ROWS,
            )
        self.known = (*(one for one in self.known if one != digest), digest)[-KEPT:]
