"""Kernels from the compiled library, called through ctypes: no compiler, no numba.

A kernel is a C function of one argument, the address of a block of 8-byte slots (see `_compile`). Types and
layout are checked here, at each call, as strictly as numba does: a wrong array is a `TypeError`, never read.
"""

from __future__ import annotations

import ctypes
import json
import platform
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from edgecl_kernels import _elf, _identity
from edgecl_kernels._identity import PROCESSORS, kernel_digest, package_version

_RESULTS = {"void": None, "int64": ctypes.c_int64, "float64": ctypes.c_double}
_SCALARS = {"int64": "q", "float32": "d"}
_address = ctypes.addressof
_Anchor: Any = ctypes.c_char * 0


class LibraryError(Exception):
    """The library can't be used here; the message says why."""


class Library(NamedTuple):
    """An open library that fits the package and the machine."""

    functions: ctypes.CDLL
    processor: str
    signatures: dict[str, str]

    def load(self, name: str) -> Callable[..., Any]:
        """Return one kernel."""
        symbol = f"{name}__{self.processor.replace('-', '_')}"
        return _caller(name, self.functions[symbol], self.signatures[name])

    def in_turn(self, *calls: Any) -> Callable[[], int]:
        """Return one call of the library that makes prepared calls in turn, up to the first that returns 0."""
        function: Any = self.functions["edgecl_kernels_in_turn"]
        function.argtypes, function.restype = [ctypes.c_char_p], ctypes.c_int64
        slots = [len(calls)]
        for call in calls:
            slots += [ctypes.cast(one, ctypes.c_void_p).value or 0 for one in (call.func, call.args[0])]
        again: Any = partial(function, struct.pack(f"{len(slots)}q", *slots))
        again.held = calls
        return cast("Callable[[], int]", again)


def open_library(path: Path | None = None, processor: str = "") -> Library:
    """Open the compiled library: the package's own, or another; its best code for this machine, or one `processor`'s.

    Raises
    ------
    LibraryError
        There is none, or it is damaged, of other kernels, of another version, for another machine or without code for
        `processor`.
    """
    path = path or _identity.LIBRARY
    try:
        _check_machine(path)
        functions = ctypes.CDLL(str(path))
        about = json.loads(ctypes.string_at(_address(ctypes.c_char.in_dll(functions, "edgecl_kernels_about"))))
    except FileNotFoundError:
        raise LibraryError("this package was installed without one") from None
    except (OSError, ValueError) as error:
        raise LibraryError(str(error)) from error
    for what, found, wanted in (
        ("edgecl", about["version"], package_version()),
        ("kernels", about["digest"], kernel_digest()),
    ):
        if found != wanted:
            raise LibraryError(f"it was built from {what} {found[:12]}, this is {what} {wanted[:12]}")
    processors = [name for name in about["processors"] if processor in ("", name)]
    if not processors:
        raise LibraryError(f"it is for {' or '.join(about['processors'])}, not for {processor}")
    return Library(functions, _fitting(processors), about["kernels"])


def _check_machine(path: Path) -> None:
    with path.open("rb") as file:
        machine = _elf.machine(file.read(64), path.stat().st_size)
    if machine != platform.machine():
        raise LibraryError(f"it is for {machine}, this machine is {platform.machine()}")


def _fitting(processors: list[str]) -> str:
    """Return the first of `processors`, best first, whose code this machine can run."""
    flags = _flags()
    for name in processors:
        if PROCESSORS[name].flags <= flags:
            return name
    lacking = sorted(PROCESSORS[processors[-1]].flags - flags)
    raise LibraryError(f"it is for {' or '.join(processors)}, and this processor lacks {' '.join(lacking)}")


def _flags() -> frozenset[str]:
    """What Linux says that the first processor can do."""
    try:
        with Path("/proc/cpuinfo").open() as file:
            for line in file:
                if line.startswith(("flags", "Features")):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def _array(word: str) -> tuple[np.dtype[Any], int] | None:
    """Type and number of axes of an array of numba's notation, `float32[:,::1]`; None for a number."""
    dtype, bracket, axes = word.partition("[")
    return (np.dtype(dtype), axes.count(":") - axes.count("::")) if bracket else None


def _mismatch(name: str, signature: str, arguments: tuple[Any, ...]) -> TypeError:
    given = ", ".join(
        f"{one.dtype}{list(one.shape)}" if isinstance(one, np.ndarray) else type(one).__name__ for one in arguments
    )
    return TypeError(f"{name} wants {signature}, arrays C-contiguous, aligned and writeable; these were given: {given}")


def _caller(name: str, function: Any, signature: str) -> Callable[..., Any]:
    """Return the Python function that packs arguments for a C function; `signature` is numba's."""
    result, _, listed = signature.rstrip(")").partition("(")
    kinds = [_array(word) for word in listed.split(", ")]
    slots = [
        "q" * (1 + kind[1]) if kind else _SCALARS[word] for word, kind in zip(listed.split(", "), kinds, strict=True)
    ]
    function.argtypes, function.restype = [ctypes.c_char_p], _RESULTS[result]
    pack = struct.Struct("".join(slots)).pack

    def packed(arguments: tuple[Any, ...]) -> bytes:
        if len(arguments) != len(kinds):
            raise _mismatch(name, signature, arguments)
        values: list[Any] = []
        for argument, kind in zip(arguments, kinds, strict=True):
            if kind is None:
                values.append(argument)
            elif (
                isinstance(argument, np.ndarray)
                and argument.dtype == kind[0]
                and argument.ndim == kind[1]
                and argument.flags.carray
            ):
                values.append(_address(_Anchor.from_buffer(argument)))
                values += argument.shape
            else:
                raise _mismatch(name, signature, arguments)
        try:
            return pack(*values)
        except struct.error as error:
            raise _mismatch(name, signature, arguments) from error

    def call(*arguments: Any) -> Any:
        return function(packed(arguments))

    def prepared(*arguments: Any) -> Any:
        again: Any = partial(function, packed(arguments))
        again.held = arguments  # whose addresses are in the block
        return again

    call.prepared = prepared  # type: ignore[attr-defined]
    return call
