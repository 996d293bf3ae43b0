"""Windows of the frames of a stream, and their latents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.sounds import FACTORY_MINUTES, FACTORY_SEED, Signal, World
from edgecl.extractors.base import FileExtractor

FOUND = 0.999  # cosine of a row, which is quantised, with the hop that it was


def windowed(frames: NDArray[Any], pool: int) -> NDArray[Any]:
    """Return windows (..., T, pool, D) of frames (..., T + pool - 1, D), as a view."""
    return np.lib.stride_tricks.sliding_window_view(frames, pool, axis=-2).swapaxes(-1, -2)


def hops_of(extractor: FileExtractor, frames: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the latents (..., T, D) of frames (..., T + pool - 1, D)."""
    windows = windowed(np.asarray(frames, np.float32), extractor.contract.pool_frames)
    return extractor.pool(windows.reshape(-1, *windows.shape[-2:])).reshape(*windows.shape[:-2], -1)


def minutes_with(
    world: World, extractor: FileExtractor, rows: NDArray[np.float32], *, every: int
) -> Iterator[tuple[Signal, NDArray[np.float32], dict[int, int]]]:
    """Yield sound, frames and, by row, hops of each Nth minute of FACTORY that rows (n, D) of its latents are of.

    These are the rows of the background that ships, found again by their latents; minutes of noise are left out.
    """
    plan = [kind for kind, count in FACTORY_MINUTES.items() for _ in range(count)]
    of_unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).T
    for index in range(0, len(plan), every):
        if plan[index] == "noise":
            continue
        sound = world.chunk(plan[index], np.random.default_rng([FACTORY_SEED, index]))
        frames = extractor.frames(sound)
        cosines = hops_of(extractor, frames) @ of_unit
        hops = {row: int(cosines[:, row].argmax()) for row in np.flatnonzero(cosines.max(axis=0) > FOUND).tolist()}
        yield sound, frames, hops
