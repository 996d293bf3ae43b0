"""Which form of the kernels runs here: the compiled library, numba's compiler, or plain Python.

`EDGECL_KERNELS` set to `library`, `jit` or `plain` forces one; so does `NUMBA_DISABLE_JIT=1` the last. Set to a
processor (`x86-64-v3`), it forces the library's code for that one, where this machine can run it. Left alone, plain
Python is never chosen: it is hundreds of times slower.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

NAMES = ("library", "jit", "plain")
_WAYS_OUT = (
    "install a wheel with the compiled library (pip install --only-binary edgecl edgecl; from a checkout, "
    "python -m edgecl_kernels.build), or install `edgecl[jit]`, which compiles on this machine"
)


def in_turn(*calls: Callable[[], int]) -> Callable[[], int]:
    """Return what makes calls in turn, up to the first that returns 0."""

    def run() -> int:
        last = 1
        for call in calls:
            last = call()
            if not last:
                break
        return last

    return run


class Implementation(NamedTuple):
    """What runs the kernels, and why what comes before it does not."""

    name: str  # one of NAMES
    detail: str
    passed_over: dict[str, str]  # name: reason
    load: Callable[[str], Callable[..., Any]]
    in_turn: Callable[..., Callable[[], int]] = in_turn


@cache
def implementation() -> Implementation:
    """Return the implementation in use.

    Raises
    ------
    ImportError
        There is none, or not the one that was asked for.
    """
    forced, processor = _forced()
    passed_over: dict[str, str] = {}
    for name in [forced] if forced else NAMES[:2]:
        try:
            opened = _library(processor) if name == "library" else _OPENERS[name]()
        except _UnusableError as error:
            passed_over[name] = str(error)
        else:
            detail, *loaders = opened
            return Implementation(name, detail, passed_over, *loaders)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in passed_over.items())
    raise ImportError(f"edgecl's kernels have nothing to run on ({reasons}): {_WAYS_OUT}")


class _UnusableError(Exception):
    """An implementation is not for here; the message says why."""


def _forced() -> tuple[str, str]:
    """Return the implementation and the processor that were asked for; empty ones are free."""
    name = os.environ.get("EDGECL_KERNELS", "")
    if name and name not in NAMES:
        from edgecl_kernels._identity import PROCESSORS

        if name not in PROCESSORS:
            raise ImportError(
                f"EDGECL_KERNELS is {name!r}, wanted one of {', '.join(NAMES)} or a processor: {', '.join(PROCESSORS)}"
            )
        return "library", name
    if not name and os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "plain", ""
    return name, ""


def _library(processor: str) -> tuple[str, Callable[[str], Callable[..., Any]], Callable[..., Callable[[], int]]]:
    from edgecl_kernels._library import LibraryError, open_library

    try:
        library = open_library(processor=processor)
    except LibraryError as error:
        raise _UnusableError(str(error)) from error
    return f"compiled library for {library.processor}", library.load, library.in_turn


def _jit() -> tuple[str, Callable[[str], Callable[..., Any]]]:
    try:
        from edgecl_kernels import _jit as compiler
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        raise _UnusableError("numba is not installed") from error
    return f"numba {compiler.VERSION}", compiler.load


def _plain() -> tuple[str, Callable[[str], Callable[..., Any]]]:
    from edgecl_kernels._plain import load

    return "plain Python, slow", load


_OPENERS = {"jit": _jit, "plain": _plain}
