"""Where a model's arrays are kept: the protocol, and a dictionary in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]


class Objects(Protocol):
    """Where arrays are kept: a store's writer on the device, a dictionary in `compare` and in tests."""

    def put(self, arrays: Arrays) -> str: ...

    def read(self, digest: str) -> Arrays: ...


class MemoryObjects:
    """Objects in a dictionary.

    Examples
    --------
    >>> objects = MemoryObjects()
    >>> objects.read(objects.put({"mean": np.ones(3)}))["mean"].tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self) -> None:
        self._held: dict[str, Arrays] = {}

    def put(self, arrays: Arrays) -> str:
        digest = f"{len(self._held):08d}"
        self._held[digest] = {name: np.array(array) for name, array in arrays.items()}
        return digest

    def read(self, digest: str) -> Arrays:
        return self._held[digest]
