"""The compiled library: what it holds, what it refuses, and that it says what the other implementations say."""

from __future__ import annotations

import _ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgecl_kernels import _elf, _identity, _library, _plain, _signatures, build
from edgecl_kernels._identity import LIBRARY, PROCESSORS
from edgecl_kernels._library import LibraryError, open_library

from . import naive
from .conftest import COMPILED, require_library

# kernels without reordered sums or fused products, in themselves or in what they call
STRICT = (
    "gather_rows",
    "lift_rows",
    "quantise_rows",
    "dequantise_rows",
    "adwin_update",
    "page_hinkley_update",
    "nearest_rows",
    "pool_frames",
)


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def strict_arguments(name: str) -> list[object]:
    """Small arguments of a strict kernel, its outputs last; D is no multiple of a vector."""
    x = draw(5, 37)
    rows = np.random.default_rng(1).integers(-127, 128, (5, 37)).astype(np.int8)
    scales = np.abs(draw(5)) / 127
    if name == "pool_frames":
        first = np.array([1, 4], np.int32)
        return [x, first, draw(37), 1, np.empty(37), np.empty(37, np.float32)]
    if name == "gather_rows":
        indices = np.array([4, -1, 0, 0, 2], np.int32)
        return [rows, scales, indices, draw(70 + 37), np.float32(1.7), 70, 11, np.empty((5, 112), np.float32)]
    if name == "lift_rows":
        return [x, 11, np.empty((5, 70 + 37), np.float32)]
    if name == "quantise_rows":
        return [x, np.empty((5, 37), np.int8), np.empty(5, np.float32)]
    if name == "dequantise_rows":
        return [rows, scales, np.empty((5, 37), np.float32)]
    if name == "nearest_rows":
        memory, nearest = np.ascontiguousarray(rows.T), np.empty((5, 3), np.int32)
        return [memory, 4, rows, np.empty(5, np.int32), nearest]
    values = np.abs(np.concatenate([draw(300), 3 + draw(300)])).astype(np.float64)
    state = np.zeros((9, 13)) if name == "adwin_update" else np.zeros(12)
    state[..., 4:8] = 0.002, 32, 5, 10
    state[..., 8:] = (0.0,) * 5 if name == "adwin_update" else (0.005, 50, 0.9999, 30)
    return [state, values, np.empty(600, np.int32)]


def run_on(kernel: Callable[..., object], arguments: list[object]) -> list[bytes]:
    own = [one.copy() if isinstance(one, np.ndarray) else one for one in arguments]
    kernel(*own)
    return [one.tobytes() for one in own if isinstance(one, np.ndarray)]


@pytest.mark.parametrize("name", STRICT)
def test_a_strict_kernel_has_the_bits_of_plain_python(library, name):
    arguments = strict_arguments(name)
    assert run_on(library.load(name), arguments) == run_on(_plain.load(name), arguments)


@pytest.mark.host
@pytest.mark.skipif(naive.PLAIN, reason="numba compiles nothing then")
@pytest.mark.parametrize("name", STRICT)
def test_a_strict_kernel_has_the_bits_of_the_jit(library, name):
    _jit = pytest.importorskip("edgecl_kernels._jit")
    arguments = strict_arguments(name)
    assert run_on(library.load(name), arguments) == run_on(_jit.load(name), arguments)


def test_the_strict_kernels_are_those_that_reach_no_fastmath():
    loose = {function.__name__ for function, fastmath in _signatures.HELPERS if fastmath}
    for function, _ in _signatures.HELPERS:  # a helper comes after those it calls
        if loose & set(function.__code__.co_names):
            loose.add(function.__name__)
    kernels = _signatures.KERNELS.items()
    strict = {n for n, (f, _, fast) in kernels if not fast and not loose & {f.__name__, *f.__code__.co_names}}
    assert strict == set(STRICT)


@pytest.mark.parametrize("processor", COMPILED)
def test_every_processor_gives_a_strict_kernel_the_same_bits(processor):
    library = require_library(processor)
    for name in STRICT:
        arguments = strict_arguments(name)
        expected = run_on(library.load(name), arguments)
        assert run_on(library._replace(processor=processor).load(name), arguments) == expected


def about() -> str:
    content = LIBRARY.read_bytes()
    start = content.index(b'{"version"')
    return content[start : content.index(b"\0", start)].decode()


def test_the_library_needs_nothing_but_an_old_libc(library):
    build.verify(LIBRARY)
    assert set(_elf.symbols(LIBRARY.read_bytes()).needed) <= {"memcpy", "memmove", "memset"}


def test_the_library_offers_each_kernel_for_each_processor_and_nothing_else(library):
    described = json.loads(about())
    symbols = {f"{n}__{p.replace('-', '_')}" for n in _signatures.KERNELS for p in described["processors"]}
    assert _elf.symbols(LIBRARY.read_bytes()).defined == {*symbols, "edgecl_kernels_about", "edgecl_kernels_in_turn"}
    assert described["kernels"] == {name: signature for name, (_, signature, _) in _signatures.KERNELS.items()}


def test_kernels_of_the_library_load_no_compiler(library):
    code = (
        "import sys, numpy as np; from edgecl_kernels import implementation, softmax_rows\n"
        "softmax_rows(np.ones((1, 2), np.float32))\n"
        "print(implementation().name, {'numba', 'llvmlite'} & set(sys.modules))"
    )
    environ = {name: value for name, value in os.environ.items() if name not in ("EDGECL_KERNELS", "NUMBA_DISABLE_JIT")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, text=True, capture_output=True, check=True)
    assert done.stdout == "library set()\n"


def read_only() -> np.ndarray:
    z = np.ones((2, 3), np.float32)
    z.flags.writeable = False
    return z


WRONG = {
    "a type": np.ones((2, 3)),
    "a byte order": np.ones((2, 3), np.float32).astype(">f4"),
    "a layout": np.ones((3, 2), np.float32).T,
    "a stride": np.ones((2, 6), np.float32)[:, ::2],
    "a number of axes": np.ones(3, np.float32),
    "an address": np.zeros(25, np.uint8)[1:].view(np.float32).reshape(2, 3),
    "no array": [[1.0]],
    "nothing to write to": read_only(),
}


@pytest.mark.parametrize("argument", WRONG.values(), ids=WRONG)
def test_what_a_kernel_can_not_take_is_a_type_error(library, argument):
    with pytest.raises(TypeError, match=r"softmax_rows wants void\(float32\[:,::1\]\)"):
        library.load("softmax_rows")(argument)


@pytest.mark.parametrize("arguments", [[], [draw(1, 1)] * 2])
def test_a_wrong_number_of_arguments_is_a_type_error(library, arguments):
    with pytest.raises(TypeError, match="softmax_rows wants"):
        library.load("softmax_rows")(*arguments)


@pytest.mark.parametrize("seed", [1.5, "1", None, 2**63])
def test_a_wrong_number_is_a_type_error(library, seed):
    with pytest.raises(TypeError, match="lift_rows wants"):
        library.load("lift_rows")(draw(2, 3), seed, np.empty((2, 8), np.float32))


def test_an_empty_array_is_taken(library):
    library.load("softmax_rows")(np.empty((0, 3), np.float32))


def test_a_result_is_returned(library):
    assert library.load("cholesky_packed")(np.array([4.0, 2.0, 5.0])) == -1
    assert library.load("cholesky_packed")(np.array([4.0, 2.0, -5.0])) == 1
    assert library.load("inverse_trace")(np.array([2.0, 0.0, 4.0]), np.empty((4, 2))) == 0.25 + 0.0625


@pytest.fixture
def copy(library, tmp_path):
    return shutil.copy(LIBRARY, tmp_path / "copy.so")


def replace(path, old: bytes, new: bytes) -> None:
    assert len(old) == len(new)
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


def test_no_library_is_refused(tmp_path):
    with pytest.raises(LibraryError, match="installed without one"):
        open_library(tmp_path / "none.so")


@pytest.mark.parametrize("part", [0.0, 0.0001, 0.1, 0.5, 0.9, 0.9999])
def test_a_library_cut_short_is_refused(copy, part):
    os.truncate(copy, int(part * copy.stat().st_size))
    with pytest.raises(LibraryError, match="cut short"):
        open_library(copy)


def test_a_file_that_is_no_library_is_refused(tmp_path):
    path = tmp_path / "text.so"
    path.write_text("no library\n" * 20)
    with pytest.raises(LibraryError, match="no 64-bit ELF file"):
        open_library(path)


def test_a_library_without_kernels_is_refused():
    with pytest.raises(LibraryError, match="edgecl_kernels_about"):
        open_library(Path(_ctypes.__file__))


def test_a_library_for_another_machine_is_refused(copy):
    other = next(number for number, name in _elf.MACHINES.items() if name != platform.machine())
    content = bytearray(copy.read_bytes())
    content[18:20] = other.to_bytes(2, "little")
    copy.write_bytes(content)
    with pytest.raises(LibraryError, match=f"it is for {_elf.MACHINES[other]}, this machine is"):
        open_library(copy)


def test_a_library_of_other_kernels_is_refused(copy):
    digest = _identity.kernel_digest().encode()
    replace(copy, digest, digest[::-1])
    with pytest.raises(LibraryError, match="built from kernels"):
        open_library(copy)


def test_a_library_of_another_version_is_refused(copy):
    version = f'"version": "{_identity.package_version()}"'
    replace(copy, version.encode(), version.replace("0", "7").encode())
    with pytest.raises(LibraryError, match="built from edgecl"):
        open_library(copy)


def test_the_best_code_that_the_processor_can_run_is_taken(library, monkeypatch):
    monkeypatch.setattr(_library, "_flags", lambda: PROCESSORS["x86-64-v3"].flags | {"more"})
    assert _library._fitting(["x86-64-v4", "x86-64-v3", "x86-64-v2"]) == "x86-64-v3"


def test_a_library_for_a_better_processor_is_refused(monkeypatch):
    monkeypatch.setattr(_library, "_flags", lambda: PROCESSORS["x86-64-v2"].flags - {"ssse3"})
    with pytest.raises(LibraryError, match="this processor lacks ssse3"):
        _library._fitting(["x86-64-v4", "x86-64-v2"])


BAD_KERNELS = {
    "calls libm": ("import math\ndef bad(z): z[0] = math.exp(z[0])", "needs exp"),
    "prints": ("def bad(z): print(z[0])", "needs"),
    "raises": ("def bad(z):\n    if z[0] > 0: raise ValueError('no')", "may raise an exception"),
    "allocates": ("import numpy as np\ndef bad(z): z[:] = np.zeros(z.size)", "bad: Failed in nopython mode"),
}


@pytest.mark.host
@pytest.mark.parametrize(("source", "reason"), BAD_KERNELS.values(), ids=BAD_KERNELS)
def test_a_kernel_that_needs_more_than_a_device_has_is_not_compiled(source, reason):
    pytest.importorskip("numba", minversion="0.68")  # that of the build requirements
    code = (
        "from edgecl_kernels import _compile, _signatures\n"
        "from edgecl_kernels._identity import Processor\n"
        "generic = Processor('any', '', frozenset(), lanes=4, registers=16)\n"
        f"exec({source!r})\n"
        "_signatures.KERNELS.clear(); _signatures.KERNELS['bad'] = (bad, 'void(float64[::1])', False)\n"
        f"try: list(_compile.kernel_objects({platform.machine()!r}, {{'generic': generic}}))\n"
        "except _compile.KernelError as error: print(error)\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, text=True, capture_output=True, check=True)
    assert reason in done.stdout


@pytest.mark.host
def test_an_older_numba_compiles_no_library_and_is_named():
    pytest.importorskip("numba")
    code = (
        "from edgecl_kernels import _compile\n"
        "_compile.OLDEST = (999, 0)\n"
        "try: list(_compile.kernel_objects('x86_64', {}))\n"
        "except _compile.KernelError as error: print(error)\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, text=True, capture_output=True, check=True)
    assert "the library needs 999.0 or newer: upgrade numba" in done.stdout
