"""Weights in a file that PyTorch wrote, read without PyTorch: tensors, and nothing else."""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import ContractError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensor:
    """A view of a storage that comes later in the file."""

    def __init__(self, storage: tuple[Any, ...], offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self._key, self._offset, self._size, self._stride = str(storage[2]), offset, size, stride
        steps = zip(size, stride, strict=True)
        last = offset + sum((count - 1) * step for count, step in steps)
        if min((offset, *stride)) < 0 or min((1, *size)) < 1 or last >= int(storage[4]):
            raise pickle.UnpicklingError(f"a tensor of shape {size} with strides {stride} at {offset}")
        self._last = last

    def of(self, storages: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the tensor, as a copy."""
        if self._last >= len(storages[self._key]):
            raise pickle.UnpicklingError(f"a storage of {len(storages[self._key])} numbers, wanted {self._last + 1}")
        flat = storages[self._key][self._offset : self._last + 1]
        steps = [flat.itemsize * one for one in self._stride]
        return np.lib.stride_tricks.as_strided(flat, self._size, steps).copy()


def _tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, size, stride)


class _TensorsOnly(pickle.Unpickler):
    """Refuses every global but those that a dictionary of tensors consists of."""

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Callable[..., Any] | str] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            **{("torch", one): one for one in _STORAGES},
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not a part of tensors")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or pid[1] not in _STORAGES:
            raise pickle.UnpicklingError("a reference to something else than a storage")
        return pid


def read_tensors(content: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file in PyTorch's format before 1.6, by their names.

    Nothing in the file is called: of its pickles, globals other than those of tensors are refused.

    Parameters
    ----------
    content
        The whole file.
    name
        Of the file, for messages.

    Returns
    -------
    dict
        Arrays of float32 or int64.

    Raises
    ------
    ContractError
        It is of another format, cut short, or contains something else than tensors.
    """
    try:
        return _read(io.BytesIO(content))
    except (pickle.UnpicklingError, struct.error, *_DAMAGE) as error:
        raise ContractError(f"{name} cannot be read as PyTorch's tensors: {error}") from error


# what a damaged pickle or storage raises, beyond errors of their own
_DAMAGE = (
    ValueError,
    TypeError,
    EOFError,
    KeyError,
    IndexError,
    AttributeError,
    ImportError,
    MemoryError,
    OverflowError,
)


def _read(file: io.BytesIO) -> dict[str, NDArray[Any]]:
    if _TensorsOnly(file).load() != MAGIC or _TensorsOnly(file).load() != PROTOCOL:
        raise pickle.UnpicklingError("another format than that of torch.save before 1.6")
    if not _TensorsOnly(file).load()["little_endian"]:
        raise pickle.UnpicklingError("numbers are big-endian")
    references = _Noting(file)
    tensors = references.load()
    keys = _TensorsOnly(file).load()
    storages = {str(key): _storage(file, references.kinds[str(key)]) for key in keys}
    return {str(name): tensor.of(storages) for name, tensor in tensors.items()}


class _Noting(_TensorsOnly):
    """Notes the type of every storage, which the storages themselves do not state."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.kinds: dict[str, np.dtype[Any]] = {}

    def persistent_load(self, pid: Any) -> Any:
        found: tuple[str, str, str] = super().persistent_load(pid)
        self.kinds[found[2]] = _STORAGES[found[1]]
        return found


def _storage(file: io.BytesIO, kind: np.dtype[Any]) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    content = file.read(max(count, 0) * kind.itemsize)
    if count < 0 or len(content) != count * kind.itemsize:
        raise EOFError("a storage is cut short")
    return np.frombuffer(content, kind)
