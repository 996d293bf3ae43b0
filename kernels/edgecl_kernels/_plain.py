"""Kernels as the Python that they are written in: slow, and needing nothing but numpy."""

from __future__ import annotations

from functools import cache

from edgecl_kernels._signatures import HELPERS, KERNELS, Function, rebind


@cache
def helpers() -> dict[str, Function]:
    """Return every helper by name, with signed indices: numpy before 2.0 makes floats of an unsigned one and an int."""
    names: dict[str, Function] = {"uintp": int}
    for function, _ in HELPERS:
        names[function.__name__] = rebind(function, names)
    return names


def load(name: str) -> Function:
    """Return one kernel."""
    return rebind(KERNELS[name][0], helpers())
