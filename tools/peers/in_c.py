"""head.c through ctypes, compiled by gcc when the bench begins."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.contestant import Contestant, Ready
from peers.workloads import (
    FISHER_ROWS,
    HERDING_PICKS,
    HERDING_ROWS,
    MOMENTUM,
    RATE,
    SCATTER_ROWS,
    STEPS,
    STRENGTH,
    TASKS,
    TILE,
    Case,
)

SOURCE = Path(__file__).with_name("head.c")
# no start files: with -ffast-math gcc's would switch denormals off in the whole process
COMMON = ("-O3", "-ffast-math", "-fPIC", "-shared", "-nostartfiles")
# as wide as the code that edgecl's library runs here
WIDTHS = {
    "x86-64-v4": ("-march=native", "-mprefer-vector-width=512"),
    "x86-64-v3": ("-march=x86-64-v3", "-mprefer-vector-width=256"),
    "x86-64-v2": ("-march=x86-64-v2",),
}
LIBRARY = "EDGECL_BENCH_C"  # variable with the path of the compiled library
_SCATTER_TILE = 64


def flags(processor: str) -> list[str]:
    """What gcc is told, to compile for the processor that edgecl's kernels were compiled for."""
    return [*COMMON, *WIDTHS.get(processor, ("-march=native",))]


def compile_library(folder: Path, processor: str) -> str:
    """Compile head.c into `folder`; return why not where that fails, else nothing."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return "there is no gcc here"
    command = [gcc, *flags(processor), str(SOURCE), "-o", str(folder / "head.so"), "-lm"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    return done.stderr.strip()


def library() -> ctypes.CDLL:
    """The compiled library."""
    opened = ctypes.CDLL(os.environ[LIBRARY])
    opened.multiply_adds.restype, opened.round_operations.restype = ctypes.c_float, ctypes.c_int64
    return opened


class Head(ctypes.Structure):
    """`Head` of head.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("classes", "columns", "batch", "stride")),
        *((name, ctypes.c_void_p) for name in ("weights", "velocity", "precision", "anchor", "latents", "labels")),
        *((name, ctypes.c_void_p) for name in ("x", "p")),
        *((name, ctypes.c_float) for name in ("rate", "momentum", "strength")),
    )


def pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    """Address of an array; it must outlive its use."""
    return ctypes.c_void_p(array.ctypes.data)


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that begin on a line of the cache."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 16, np.float32)
    first = -raw.ctypes.data // 4 % 16
    return raw[first : first + size].reshape(shape)


def _aligned_copy(array: NDArray[np.float32]) -> NDArray[np.float32]:
    out = aligned(array.shape)
    out[...] = array
    return out


def _stride(case: Case) -> int:
    return -(-case.classes // TILE) * TILE


def step(case: Case) -> Ready:
    run_steps: Callable[..., Any] = library().head_steps
    parameters, latents = _aligned_copy(case.start), _aligned_copy(case.padded)
    x, p = aligned((case.batch, case.columns)), aligned((case.batch, _stride(case)))
    arrays = (*parameters, latents, case.labels, x, p)
    head = Head(
        case.classes,
        case.columns,
        case.batch,
        _stride(case),
        *(array.ctypes.data for array in arrays),
        RATE,
        MOMENTUM,
        STRENGTH,
    )
    head.held = arrays  # else they would be freed
    schedule = case.schedule

    def run() -> None:
        run_steps(ctypes.byref(head), pointer(schedule), ctypes.c_int64(STEPS))

    return Ready(run, STEPS, lambda: arrays[0])


def fisher(case: Case) -> Ready:
    kernel = library().fisher_diagonal
    x, weights = _aligned_copy(case.padded[:FISHER_ROWS]), _aligned_copy(case.start[0])
    out, q = aligned(weights.shape), aligned((64, _stride(case)))
    sizes = [ctypes.c_int64(n) for n in (FISHER_ROWS, case.classes, case.columns, _stride(case))]

    def run() -> None:
        out[:] = 0
        kernel(pointer(x), sizes[0], pointer(weights), sizes[1], sizes[2], pointer(q), sizes[3], pointer(out))

    return Ready(run, answer=lambda: out)


def herding(case: Case) -> Ready:
    kernel = library().herding_order
    x = _aligned_copy(case.latents[:HERDING_ROWS])
    target = x.mean(axis=0)
    scratch, order = aligned((3, HERDING_ROWS)), np.empty(HERDING_PICKS, np.int32)
    rows, dimension, picks = (ctypes.c_int64(n) for n in (HERDING_ROWS, case.dimension, HERDING_PICKS))

    def run() -> None:
        kernel(pointer(x), rows, dimension, pointer(target), pointer(scratch), pointer(order), picks)

    return Ready(run, answer=lambda: order)


def scatter(case: Case) -> Ready:
    """The lower blocks of a full matrix."""
    kernel = library().scatter_update
    columns = -(-case.dimension // _SCATTER_TILE) * _SCATTER_TILE
    x, out = aligned((SCATTER_ROWS, columns)), aligned((columns, columns))
    x[:, : case.dimension] = case.latents[:SCATTER_ROWS]
    rows, width = ctypes.c_int64(SCATTER_ROWS), ctypes.c_int64(columns)

    def answer() -> NDArray[Any]:
        lower = np.tril(out[: case.dimension, : case.dimension])
        return np.asarray(lower + np.tril(lower, -1).T)

    return Ready(lambda: kernel(pointer(x), rows, width, pointer(out)), SCATTER_ROWS, answer=answer)


def arithmetic(case: Case) -> Ready:
    """Fused multiply-adds on registers; the unit is one operation."""
    rounds = 20_000
    opened = library()
    return Ready(lambda: opened.multiply_adds(ctypes.c_int64(rounds)), rounds * opened.round_operations())


def traffic(case: Case) -> Ready:
    """The reads and writes of an update of this head; the unit is one byte."""
    arrays = _aligned_copy(case.start)
    count = case.classes * case.columns
    rounds = max(1, 500_000 // count)
    call = library().update_pass
    sizes = ctypes.c_int64(count), ctypes.c_int64(rounds)
    arrays[1] = 1  # no denormals
    return Ready(lambda: call(*map(pointer, arrays), *sizes), rounds * count * 24)


CONTESTANTS = [
    Contestant("hand-fused C", {"step": step, "fisher": fisher, "herding": herding, "scatter": scatter}),
    Contestant("peak arithmetic", dict.fromkeys(TASKS, arithmetic)),
    Contestant("peak traffic", dict.fromkeys(TASKS, traffic)),
]
