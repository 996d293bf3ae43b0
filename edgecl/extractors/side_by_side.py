"""Many signals through an extractor at once: ONNX Runtime works beside Python, so each core takes a run of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

MOST_THREADS = 4  # the cores of most boards; each thread takes four megabytes
LEAST_BYTES = 700 << 20  # of the machine's memory: a board of 512 MiB has less to spare than time
Given = TypeVar("Given")
Made = TypeVar("Made")


def on_all_cores(function: Callable[[Given], Made], values: Sequence[Given]) -> Iterator[Made]:
    """Yield what `map` would, in its order and with its errors, from as many threads as there are cores."""
    threads = min(len(os.sched_getaffinity(0)), MOST_THREADS, len(values))
    if threads < 2 or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < LEAST_BYTES:
        yield from map(function, values)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, values)
