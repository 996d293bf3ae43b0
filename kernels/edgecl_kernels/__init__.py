"""Numeric kernels of edgecl: functions on C-contiguous, writeable arrays.

They run from a compiled library where one fits, else numba compiles them (`implementation()` says which, and why).
Importing a kernel loads neither. The caller has validated shapes, types and finiteness: kernels allocate
nothing, raise nothing and write in place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from edgecl_kernels._implementation import Implementation, implementation

if TYPE_CHECKING:
    from edgecl_kernels.adagrad import adagrad_steps
    from edgecl_kernels.adwin import adwin_update
    from edgecl_kernels.cells import cell_steps
    from edgecl_kernels.cholesky import (
        cholesky_packed,
        forward_packed,
        inverse_trace,
        packed_sums,
        solve_packed,
    )
    from edgecl_kernels.experts import follow_rows
    from edgecl_kernels.fisher import fisher_diagonal
    from edgecl_kernels.herding import herding_order
    from edgecl_kernels.hop import ask_student, bound_by_means, bound_by_noise, pool_frames
    from edgecl_kernels.least_squares import least_squares_steps
    from edgecl_kernels.lift import lift_rows, lift_signs
    from edgecl_kernels.neighbours import nearest_rows
    from edgecl_kernels.page_hinkley import page_hinkley_update
    from edgecl_kernels.quantise import dequantise_rows, gather_rows, quantise_rows
    from edgecl_kernels.refine import refine_steps
    from edgecl_kernels.scatter import scatter_update
    from edgecl_kernels.softmax import scores, softmax_rows

    cholesky_packed_f32 = cholesky_packed
    forward_packed_f32 = forward_packed
    inverse_trace_f32 = inverse_trace
    packed_sums_f32 = packed_sums
    scatter_update_f32 = scatter_update
    solve_packed_f32 = solve_packed

__all__ = [
    "Implementation",
    "adagrad_steps",
    "adwin_update",
    "ask_student",
    "bound_by_means",
    "bound_by_noise",
    "cell_steps",
    "cholesky_packed",
    "cholesky_packed_f32",
    "dequantise_rows",
    "fisher_diagonal",
    "follow_rows",
    "forward_packed",
    "forward_packed_f32",
    "gather_rows",
    "herding_order",
    "implementation",
    "in_turn",
    "inverse_trace",
    "inverse_trace_f32",
    "least_squares_steps",
    "lift_rows",
    "lift_signs",
    "nearest_rows",
    "packed_sums",
    "packed_sums_f32",
    "page_hinkley_update",
    "pool_frames",
    "prepared",
    "quantise_rows",
    "refine_steps",
    "scatter_update",
    "scatter_update_f32",
    "scores",
    "softmax_rows",
    "solve_packed",
    "solve_packed_f32",
]


class _Kernel:
    """A kernel that picks its implementation at the first call, so that importing it costs nothing."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self._call: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self._call is None:
            self._call = implementation().load(self.__name__)
        return self._call(*arguments)


def prepared(name: str, *arguments: Any) -> Callable[[], Any]:
    """Return a call of a kernel on arrays that stay: they are checked now, and read and written at each call.

    For a stream, where checking takes longer than the kernel.
    """
    kernel = implementation().load(name)
    prepare = getattr(kernel, "prepared", None)
    call: Callable[[], Any] = prepare(*arguments) if prepare else partial(kernel, *arguments)
    return call


def in_turn(*calls: Callable[[], int]) -> Callable[[], int]:
    """Return one call that makes prepared calls in turn, up to the first that returns 0; it returns what the last did.

    For a stream, where a call from Python takes longer than the kernel.
    """
    return implementation().in_turn(*calls)


def __getattr__(name: str) -> Any:
    if name == "lift_signs":
        from edgecl_kernels.lift import lift_signs

        return lift_signs
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kernel = globals()[name] = _Kernel(name)
    return kernel
