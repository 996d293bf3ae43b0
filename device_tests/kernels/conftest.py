"""The implementations that each test of a kernel runs on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

import edgecl_kernels
import pytest
from edgecl_kernels import _library, build
from edgecl_kernels._identity import PROCESSORS

from . import naive

COMPILED = build.DEFAULTS.get(platform.machine(), ())
NAMES = ["plain"] if naive.PLAIN else [*COMPILED, pytest.param("jit", marks=pytest.mark.host)]


@pytest.fixture(params=NAMES)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What runs the kernels during a test: the library's code for a processor, numba's compiler, plain Python."""
    if request.param == "jit":
        pytest.importorskip("numba")
    if request.param in COMPILED:
        require_library(request.param)
    monkeypatch.setenv("EDGECL_KERNELS", request.param)
    for kernel in vars(edgecl_kernels).values():
        if isinstance(kernel, edgecl_kernels._Kernel):
            monkeypatch.setattr(kernel, "_call", None)
    edgecl_kernels.implementation.cache_clear()
    yield request.param
    edgecl_kernels.implementation.cache_clear()


@pytest.fixture
def library() -> _library.Library:
    """The compiled library."""
    return require_library()


def require_library(processor: str | None = None) -> _library.Library:
    """Return the library; skip where a checkout without one is tested, fail where a wheel lacks it."""
    try:
        library = _library.open_library()
    except _library.LibraryError as error:
        if os.environ.get("EDGECL_TEST_INSTALLED") == "1":
            raise
        pytest.skip(f"no library ({error}): python -m edgecl_kernels.build makes it")
    if processor and not PROCESSORS[processor].flags <= _library._flags():
        pytest.skip(f"this processor is no {processor}")
    return library
