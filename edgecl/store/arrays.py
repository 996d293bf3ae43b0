"""Read and write arrays in one plain `.npz` of one fixed layout; everything else is refused.

The file is an ordinary zip of stored `.npy` members that `np.load(allow_pickle=False)` opens. The layout
leaves nothing to choose: members in name order, the date 1980-01-01, no extra fields, no comments, data
aligned to 64 bytes by blanks in the npy header. So the same arrays give the same bytes, and a reader need not
trust a header: it reads name, dtype and shape, writes the header that belongs to them and compares.
The central directory is checked in the same way.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.store.files import Bytes

DTYPES = {name: np.dtype(name) for name in ("<f2", "<f4", "<f8", "|i1", "<i4", "<i8", "|u1")}
MAX_MEMBERS = 64
MAX_BYTES = 1 << 28  # 256 MiB: no object of a small device is larger
MAX_DIMENSION = (1 << 31) - 1

_ALIGNMENT = 64
_FINITE_BLOCK = 1 << 16  # entries checked at once, so that the check needs 64 KiB
_NAME = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_LOCAL = struct.Struct("<4s5H3I2H")  # PKZIP appnote 4.3.7
_CENTRAL = struct.Struct("<4s6H3I5H2I")  # 4.3.12
_END = struct.Struct("<4s4H2IH")  # 4.3.16
_NPY = struct.Struct("<6sBBH")
_MAGIC = b"\x93NUMPY"
_DATE = 0x21  # 1980-01-01, the first day of the zip format
_SHAPE = rb"\((?:|\d{1,10},|\d{1,10}(?:, \d{1,10}){1,7})\)"
_HEADER = re.compile(rb"\{'descr': '([<|][fiu][1248])', 'fortran_order': False, 'shape': (%s), \} *\n" % _SHAPE)


def pack(arrays: Mapping[str, NDArray[Any]]) -> list[bytes | memoryview]:
    """Return the file of `arrays`, as pieces to be written one after the other: data is not copied.

    Parameters
    ----------
    arrays
        At most 64, each of a dtype in `DTYPES`, named by letters, digits, `_` and `-`.

    Raises
    ------
    DataError
        When a floating array contains NaN or infinity.
    ValueError
        For a name, dtype or size that the format does not allow: a mistake of the caller.
    """
    if len(arrays) > MAX_MEMBERS:
        raise ValueError(f"{len(arrays)} arrays in one object, at most {MAX_MEMBERS} fit")
    pieces: list[bytes | memoryview] = []
    directory = b""
    offset = 0
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        _require_storable(name, array)
        data = array.reshape(-1).view(np.uint8).data
        npy = _npy_header(array.dtype.str, array.shape, start=offset + _LOCAL.size + len(_member(name)))
        checksum = zlib.crc32(data, zlib.crc32(npy))
        local, central = _zip_headers(_member(name), checksum, size=len(npy) + array.nbytes, offset=offset)
        pieces += [local, npy, data]
        directory += central
        offset += len(local) + len(npy) + array.nbytes
    if offset > MAX_BYTES:
        raise ValueError(f"an object of {offset:,} bytes, at most {MAX_BYTES:,} fit")
    return [*pieces, directory, _zip_end(len(arrays), directory, offset=offset)]


def unpack(data: Bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays in `data`, as views of it.

    Raises
    ------
    ValueError
        For anything that `pack` would not have written, and for NaN and infinity. Nothing is allocated by
        what a header claims: shapes are compared with the length of the file first.
    """
    arrays: dict[str, NDArray[Any]] = {}
    directory = b""
    offset = 0
    while data[offset : offset + 4] == b"PK\3\4" and len(arrays) < MAX_MEMBERS:
        name, array, central, end = _read_member(data, offset)
        if arrays and name <= max(arrays):
            raise ValueError(f"member {name!r} is twice there or out of order")
        arrays[name] = array
        directory += central
        offset = end
    if memoryview(data)[offset:] != directory + _zip_end(len(arrays), directory, offset=offset):
        raise ValueError("the directory of the zip does not fit its members")
    return arrays


def _read_member(data: Bytes, offset: int) -> tuple[str, NDArray[Any], bytes, int]:
    """Read the member at `offset` and return its name, its array, its directory entry and where it ends."""
    if len(data) < offset + _LOCAL.size:
        raise ValueError("cut short in a zip header")
    fields = _LOCAL.unpack_from(data, offset)
    checksum, size, name_length = fields[6], fields[7], fields[9]
    start = offset + _LOCAL.size + name_length
    end = start + size
    if end > len(data):
        raise ValueError(f"a member claims {size} bytes, {len(data)} are all there is")
    member = bytes(data[offset + _LOCAL.size : start])
    if not member.endswith(b".npy") or not _NAME.fullmatch(member[:-4]):
        raise ValueError(f"member name {member[:80]!r} is not allowed")
    local, central = _zip_headers(member, checksum, size=size, offset=offset)
    if data[offset:start] != local:
        raise ValueError(f"the zip header of {member!r} is not a plain stored one")
    array = _read_npy(data, start, end)
    if zlib.crc32(memoryview(data)[start:end]) != checksum:
        raise ValueError(f"the checksum of {member!r} is wrong")
    return member[:-4].decode("ascii"), array, central, end


def _read_npy(data: Bytes, start: int, end: int) -> NDArray[Any]:
    """Read the npy member between two offsets."""
    if end < start + _NPY.size:
        raise ValueError("cut short in an npy header")
    length = _NPY.unpack_from(data, start)[3]
    first = start + _NPY.size + length
    match = _HEADER.fullmatch(data, start + _NPY.size, min(first, end))
    dtype = DTYPES.get(match[1].decode("ascii")) if match else None
    if match is None or dtype is None:
        raise ValueError(f"npy header {bytes(data[start : min(first, start + 120)])!r} is not allowed")
    shape = tuple(int(digits) for digits in re.findall(rb"\d+", match[2]))
    if data[start:first] != _npy_header(dtype.str, shape, start=start):
        raise ValueError("the npy header is not in its one allowed form")
    if max(shape, default=0) > MAX_DIMENSION or math.prod(shape) * dtype.itemsize != end - first:
        raise ValueError(f"shape {shape} of {dtype} does not fit the {end - first} bytes of the member")
    array: NDArray[Any] = np.ndarray(shape, dtype, buffer=data, offset=first)
    if not is_finite(array):
        raise ValueError("the data contains NaN or infinity")
    return array


def is_finite(array: NDArray[Any]) -> bool:
    """Test whether a C-contiguous array has neither NaN nor infinity."""
    if array.dtype.kind != "f":
        return True
    flat = array.reshape(-1)
    return all(np.isfinite(flat[at : at + _FINITE_BLOCK]).all() for at in range(0, flat.size, _FINITE_BLOCK))


def _require_storable(name: str, array: NDArray[Any]) -> None:
    if not _NAME.fullmatch(name.encode()):
        raise ValueError(f"array name {name!r} should be letters, digits, '_' and '-', at most 64")
    if array.dtype.str not in DTYPES:
        raise ValueError(f"array {name!r} is {array.dtype}, allowed are {', '.join(DTYPES)}")
    if array.ndim > 8 or max(array.shape, default=0) > MAX_DIMENSION:
        raise ValueError(f"array {name!r} has shape {array.shape}: at most 8 dimensions below 2^31")
    if not is_finite(array):
        raise DataError(f"array {name!r} contains NaN or infinity: it cannot be stored")


def _member(name: str) -> bytes:
    return name.encode("ascii") + b".npy"


def _npy_header(descr: str, shape: tuple[int, ...], *, start: int) -> bytes:
    """Return the header of version 1.0 of an npy member at byte `start`: its data is at a multiple of 64."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode("ascii")
    blanks = -(start + _NPY.size + len(text) + 1) % _ALIGNMENT
    return _NPY.pack(_MAGIC, 1, 0, len(text) + blanks + 1) + text + b" " * blanks + b"\n"


def _zip_headers(member: bytes, checksum: int, *, size: int, offset: int) -> tuple[bytes, bytes]:
    """Return the local header with the name, and the entry in the central directory."""
    common = (0, 0, 0, _DATE, checksum, size, size, len(member), 0)  # flags, method 0: stored, time
    local = _LOCAL.pack(b"PK\3\4", 20, *common) + member
    central = _CENTRAL.pack(b"PK\1\2", 20, 20, *common, 0, 0, 0, 0, offset) + member
    return local, central


def _zip_end(members: int, directory: bytes, *, offset: int) -> bytes:
    return _END.pack(b"PK\5\6", 0, 0, members, members, len(directory), offset, 0)
