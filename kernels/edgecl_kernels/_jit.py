"""Kernels compiled by numba when they are first used.

Compiled code is cached on disk by numba: in `NUMBA_CACHE_DIR`, else beside the source, else in the user's cache.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

import numba
from llvmlite.binding import get_host_cpu_features
from numba import njit

from edgecl_kernels import _simd
from edgecl_kernels._identity import kernel_digest
from edgecl_kernels._signatures import FASTMATH, HELPERS, KERNELS, Function, rebind

VERSION: str = numba.__version__


def options(fastmath: bool) -> dict[str, Any]:
    """Return the compiler options of a function of the table.

    Without numba's runtime (`_nrt`) a kernel that allocates does not compile, and views cost no reference counts.
    """
    return {
        "error_model": "numpy",
        "nogil": True,
        "boundscheck": False,
        "fastmath": set(FASTMATH) if fastmath else False,
        "_nrt": False,
    }


# a helper is called by kernels only
_INTERNAL: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@cache
def helpers(tiles: _simd.Shape | None) -> dict[str, Function]:
    """Every helper by name, compiled for the types it is first called with; without `tiles`, the plain ones alone."""
    compiled: dict[str, Function] = {}
    for function, fastmath in HELPERS:
        decorate = njit(**_INTERNAL, **options(fastmath))
        compiled[function.__name__] = decorate(rebind(function, compiled))
    if tiles is None:
        return compiled
    return compiled | _simd.vectorised(tiles, {**_INTERNAL, **options(False)}, compiled)


def host_tiles() -> _simd.Shape:
    """What fits the registers of this processor."""
    features = get_host_cpu_features()
    lanes = 16 if features.get("avx512f") else 8 if features.get("avx2") else 4
    return _simd.shape(lanes, 32 if lanes == 16 or platform.machine() == "aarch64" else 16)


@cache
def load(name: str) -> Function:
    """Return one kernel, compiled or read from the cache."""
    function, signature, fastmath = KERNELS[name]
    plain = rebind(function, helpers(host_tiles()))
    # numba names cache files so, and by itself would not notice that a helper in another file has changed
    plain.__qualname__ = f"{name}_{kernel_digest()[:16]}"
    kernel: Function = njit(signature, cache=True, **options(fastmath))(plain)
    return kernel
