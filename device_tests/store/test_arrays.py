"""The strict npz: what is written can be read by anyone, and nothing else is read."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.store import arrays as npz_format
from edgecl.store.arrays import DTYPES, MAX_MEMBERS, pack, unpack

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True)
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: hnp.arrays(
        np.dtype(name),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
        elements=({"allow_nan": False, "allow_infinity": False} if "f" in name else None),
    )
)


def packed(arrays: dict[str, NDArray[Any]]) -> bytes:
    return b"".join(pack(arrays))


def small() -> bytes:
    return packed({"rows": np.arange(6, dtype=np.int8).reshape(2, 3), "scale": np.float32([0.5, 2])})


def forged(npy: bytes, *, member: bytes = b"rows.npy", count: int = 1) -> bytes:
    """A zip that is as it should be, round an npy that perhaps is not, repeated."""
    data = directory = b""
    for _ in range(count):
        local, central = npz_format._zip_headers(member, zlib.crc32(npy), size=len(npy), offset=len(data))
        data += local + npy
        directory += central
    return data + directory + npz_format._zip_end(count, directory, offset=len(data))


def npy_of(text: str, data: bytes = b"", *, version: int = 1) -> bytes:
    """An npy member as it stands first in a file, with a header of our choosing."""
    header = text.encode() + b" " * (-(len(text) + 38 + 10 + 1) % 64) + b"\n"
    return npz_format._NPY.pack(b"\x93NUMPY", version, 0, len(header)) + header + data


def header_of(*, descr: str = "|i1", order: str = "False", shape: str = "(4,)") -> str:
    return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.mark.native("tries many arrays")
@settings(max_examples=80, deadline=None)
@given(st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_arrays_come_back_as_they_were(arrays: dict[str, NDArray[Any]]) -> None:
    read = unpack(packed(arrays))
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(NAMES, ARRAYS, max_size=4))
def test_numpy_and_zipfile_read_the_file(arrays: dict[str, NDArray[Any]]) -> None:
    data = packed(arrays)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
    with np.load(io.BytesIO(data), allow_pickle=False) as read:
        assert {name: read[name].tolist() for name in read.files} == {
            name: array.tolist() for name, array in arrays.items()
        }


def test_the_order_of_the_arrays_does_not_matter() -> None:
    arrays = {"b": np.zeros(3, np.float32), "a": np.ones(2, np.int8)}
    assert packed(arrays) == packed(dict(reversed(arrays.items())))


def test_memory_order_does_not_matter() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert packed({"a": array}) == packed({"a": np.asfortranarray(array)})


def test_data_is_aligned_in_the_file() -> None:
    arrays = {"a": np.ones(3, np.int8), "longer_name": np.ones(5, np.float64), "c": np.ones(1, np.float16)}
    pieces = pack(arrays)
    offsets = np.cumsum([0, *map(len, pieces)])
    assert [offset % 64 for offset, piece in zip(offsets, pieces, strict=False) if isinstance(piece, memoryview)] == [
        0,
        0,
        0,
    ]


def test_arrays_read_are_aligned_and_writable() -> None:
    array = unpack(bytearray(packed({"a": np.ones(5), "b": np.ones(1, np.int8)})))["a"]
    assert array.flags.aligned
    assert array.flags.writeable


def test_writing_does_not_copy_the_data() -> None:
    array = np.ones(1 << 20, np.float32)
    tracemalloc.start()
    pack({"a": array})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 18


def test_any_flipped_bit_is_refused() -> None:
    data = bytearray(small())
    for position in range(len(data)):
        for bit in range(8):
            data[position] ^= 1 << bit
            with pytest.raises(ValueError, match=r"."):
                unpack(data)
            data[position] ^= 1 << bit


def test_any_shorter_file_is_refused() -> None:
    data = small()
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"."):
            unpack(data[:length])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(b"PK\3\4" + data)


def test_anything_behind_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match="directory"):
        unpack(small() + b"\0")


def test_a_zip_comment_is_refused() -> None:
    data = small()
    with pytest.raises(ValueError, match="directory"):
        unpack(data[:-2] + b"\4\0note")


def test_deflated_members_are_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("rows.npy"), npy_of(header_of(), b"abcd"), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="plain stored"):
        unpack(file.getvalue())


def test_files_of_numpy_itself_are_refused() -> None:
    file = io.BytesIO()
    np.savez(file, rows=np.zeros(4, np.int8))
    with pytest.raises(ValueError, match=r"claims|plain stored"):
        unpack(file.getvalue())


def test_the_forger_of_these_tests_can_make_a_good_file() -> None:
    assert unpack(forged(npy_of(header_of(), b"abcd")))["rows"].tolist() == [97, 98, 99, 100]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(header_of(descr="|O"), id="pickle"),
        pytest.param(header_of(descr=">f4"), id="big endian"),
        pytest.param(header_of(descr="<u4"), id="dtype not listed"),
        pytest.param(header_of(descr="<f2', 'x': '"), id="quotes in the dtype"),
        pytest.param(header_of(order="True"), id="fortran order"),
        pytest.param(header_of(shape="(-1,)"), id="negative"),
        pytest.param(header_of(shape="(4)"), id="no tuple"),
        pytest.param(header_of(shape="(" + "1, " * 9 + "1)"), id="ten dimensions"),
        pytest.param(header_of(shape="(99999999999999999999,)"), id="absurd length"),
        pytest.param(header_of(shape="__import__('os').abort()"), id="code"),
        pytest.param("{" * 500, id="nested"),
        pytest.param("", id="empty"),
    ],
)
def test_npy_headers_that_we_do_not_write_are_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"npy header .* is not allowed"):
        unpack(forged(npy_of(header, b"abcd")))


def test_a_second_spelling_of_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match="one allowed form"):
        unpack(forged(npy_of(header_of(shape="(04,)"), b"abcd")))


def test_a_newer_npy_version_is_refused() -> None:
    with pytest.raises(ValueError, match="one allowed form"):
        unpack(forged(npy_of(header_of(), b"abcd", version=2)))


@pytest.mark.parametrize("shape", ["(3,)", "(5,)", "(2147483647, 2147483647, 4)", "(0, 9999999999)", "()"])
def test_shapes_that_do_not_fit_the_file_are_refused_before_anything_is_allocated(shape: str) -> None:
    data = forged(npy_of(header_of(shape=shape), b"abcd"))
    tracemalloc.start()
    with pytest.raises(ValueError, match="does not fit"):
        unpack(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 16


def test_an_npy_header_longer_than_its_member_is_refused() -> None:
    with pytest.raises(ValueError, match="npy header"):
        unpack(forged(npz_format._NPY.pack(b"\x93NUMPY", 1, 0, 65535) + b"{" * 10))


@pytest.mark.parametrize(
    "member",
    [b"../rows.npy", b"/etc/rows.npy", b"a/b.npy", b".npy", b".hidden.npy", b"rows", b"rows.npy\0.npy", b"r\xff.npy"],
)
def test_member_names_that_we_do_not_write_are_refused(member: bytes) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        unpack(forged(npy_of(header_of(), b"abcd"), member=member))


def test_a_member_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"twice|form"):
        unpack(forged(npy_of(header_of(), b"abcd"), count=2))


def test_too_many_members_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 64"):
        pack({f"a{index}": np.zeros(1) for index in range(MAX_MEMBERS + 1)})
    full = {f"a{index:02d}": np.zeros(1) for index in range(MAX_MEMBERS)}
    assert len(unpack(packed(full))) == MAX_MEMBERS


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinity_are_refused_when_read_and_when_written(value: float, dtype: type) -> None:
    good = np.zeros(100_000, dtype)
    bad = good.copy()
    bad[-1] = value
    with pytest.raises(DataError, match="'a' contains NaN or infinity"):
        pack({"a": bad})
    npy = npy_of(header_of(descr=good.dtype.str, shape="(100000,)"), bad.tobytes())
    with pytest.raises(ValueError, match="NaN or infinity"):
        unpack(forged(npy))


@pytest.mark.parametrize("dtype", [">f4", "u4", "c8", "?", "U3", "O"])
def test_dtypes_that_are_not_listed_are_refused_when_written(dtype: str) -> None:
    with pytest.raises(ValueError, match="allowed are"):
        pack({"a": np.zeros(3, dtype)})


@pytest.mark.parametrize("name", ["", "a/b", "..", "ä", "-a", "a" * 65])
def test_names_that_are_not_plain_are_refused_when_written(name: str) -> None:
    with pytest.raises(ValueError, match="array name"):
        pack({name: np.zeros(1)})
