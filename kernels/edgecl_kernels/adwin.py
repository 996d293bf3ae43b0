"""Adaptive windowing (ADWIN2) over an exponential histogram of fixed size."""

from __future__ import annotations

import math
from typing import Any

from edgecl_kernels._types import F64, I32

# row 0 of the packed state: the window, then the settings
WIDTH, TOTAL, SQUARES, TICK, DELTA, CLOCK, SHORTEST, GRACE = range(8)


def natural_log(x: float) -> float:
    """ln x for x >= 1 to the last bit or two: a device's kernels call no libm.

    x = 2^k y with y < 2, and ln y = 2 artanh z with z = (y - 1)/(y + 1) < 1/3 by its series.
    """
    halvings = 0.0
    while x >= 2:
        x *= 0.5
        halvings += 1
    z = (x - 1) / (x + 1)
    term, series = z, z
    for odd in range(3, 37, 2):
        term *= z * z
        series += term / odd
    return halvings * 0.6931471805599453 + 2 * series


def add_bucket(state: F64, row: int, total: float, squares: float) -> None:
    """Append a bucket of 2^(row - 1) values to a row: its sum, and the sum of its squared deviations."""
    slots = (state.shape[1] - 1) // 2
    count = int(state[row, 0])
    state[row, 1 + count] = total
    state[row, 1 + slots + count] = squares
    state[row, 0] += 1


def remove_buckets(state: F64, row: int, removed: int) -> None:
    """Forget the oldest buckets of a row."""
    slots = (state.shape[1] - 1) // 2
    kept = int(state[row, 0]) - removed
    for k in range(kept):
        state[row, 1 + k] = state[row, 1 + k + removed]
        state[row, 1 + slots + k] = state[row, 1 + slots + k + removed]
    state[row, 0] = kept


def drop_oldest(state: F64) -> None:
    """Take the oldest bucket out of the window."""
    slots = (state.shape[1] - 1) // 2
    row = state.shape[0] - 1
    while state[row, 0] == 0:
        row -= 1
    size = float(1 << (row - 1))
    left = state[0, WIDTH] - size
    rest = state[0, TOTAL] - state[row, 1]
    if left > 0:
        apart = state[row, 1] / size - rest / left
        squares = state[0, SQUARES] - state[row, 1 + slots] - size * left / (size + left) * apart * apart
        state[0, SQUARES] = max(squares, 0.0)
    else:
        state[0, SQUARES] = 0
    state[0, WIDTH], state[0, TOTAL] = left, rest
    remove_buckets(state, row, 1)


def compress(state: F64) -> None:
    """Merge the two oldest buckets of a row that is full into one of the next; the last row drops its oldest."""
    slots = (state.shape[1] - 1) // 2
    for row in range(1, state.shape[0]):
        if state[row, 0] < slots:
            return
        if row == state.shape[0] - 1:
            drop_oldest(state)
            return
        size = float(1 << (row - 1))
        apart = (state[row, 1] - state[row, 2]) / size
        squares = state[row, 1 + slots] + state[row, 2 + slots] + size / 2 * apart * apart
        add_bucket(state, row + 1, state[row, 1] + state[row, 2], squares)
        remove_buckets(state, row, 2)


def add_value(state: F64, value: float) -> None:
    """Append a value to the window."""
    width = state[0, WIDTH]
    if width > 0:
        apart = value - state[0, TOTAL] / width
        state[0, SQUARES] += width / (width + 1) * apart * apart
    state[0, WIDTH] += 1
    state[0, TOTAL] += value
    add_bucket(state, 1, value, 0.0)
    compress(state)


def difference_at_cut(state: F64) -> Any:
    """Mean after less mean before the first cut, oldest first, at which they differ significantly; else 0.

    Bifet and Gavaldà (2007), section 4.1: |μ0 - μ1| > √(2/m σ² ln(2 ln n/δ)) + 2/(3m) ln(2 ln n/δ). As in MOA and
    River, 1/m = 1/(n0 - shortest + 1) + 1/(n1 - shortest + 1), a little more cautious about short parts.
    """
    width, total, shortest = state[0, WIDTH], state[0, TOTAL], state[0, SHORTEST]
    confidence = natural_log(2 * natural_log(width) / state[0, DELTA])
    variance = state[0, SQUARES] / width
    before, sum_before = 0.0, 0.0
    for row in range(state.shape[0] - 1, 0, -1):
        for k in range(int(state[row, 0])):
            before += float(1 << (row - 1))
            sum_before += state[row, 1 + k]
            after = width - before
            if after < shortest:
                return 0.0
            if before < shortest:
                continue
            difference = (total - sum_before) / after - sum_before / before
            m = 1 / (before - shortest + 1) + 1 / (after - shortest + 1)
            if abs(difference) > math.sqrt(2 * m * variance * confidence) + 2 / 3 * m * confidence:
                return difference
    return 0.0


def restart_window(state: F64) -> None:
    """Forget every value, keep the settings."""
    for field in range(DELTA):
        state[0, field] = 0
    for row in range(1, state.shape[0]):
        for column in range(state.shape[1]):
            state[row, column] = 0


def adwin_update(state: F64, values: F64, changes: I32) -> None:
    """changes (n) = 0, or n1 where the mean of the last n1 of `values` (n) has risen, -n1 where it has fallen.

    `state` (1 + R, 1 + 2(M + 1)), written in place: row 0 holds width, sum, sum of squared deviations, ticks since
    the last check, then δ < 1, values from check to check, shortest part of a cut (>= 1), width below which nothing is
    checked (>= 3). Row r holds up to M buckets of 2^(r - 1) values, oldest first: their number, M + 1 sums, M + 1
    sums of squared deviations. Beyond M 2^R values the oldest are dropped.

    After a change the window begins anew, as River's does: one change, one alarm. n1 is what the published algorithm
    leaves in the window.
    """
    for i in range(values.shape[0]):
        changes[i] = 0
        add_value(state, values[i])
        state[0, TICK] += 1
        if state[0, TICK] < state[0, CLOCK]:
            continue
        state[0, TICK] = 0
        if state[0, WIDTH] <= state[0, GRACE]:
            continue
        first = difference_at_cut(state)
        difference = first
        while difference != 0:
            drop_oldest(state)
            difference = difference_at_cut(state) if state[0, WIDTH] > state[0, GRACE] else 0.0
        if first != 0:
            changes[i] = int(state[0, WIDTH]) if first > 0 else -int(state[0, WIDTH])
            restart_window(state)
