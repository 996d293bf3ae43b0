"""The Page-Hinkley test for a change of the mean, both ways."""

from __future__ import annotations

from edgecl_kernels._types import F64, I32

COUNT, MEAN, RISE, LOWEST, LOWEST_AT, FALL, HIGHEST, HIGHEST_AT, DELTA, THRESHOLD, ALPHA, GRACE = range(12)


def page_hinkley_update(state: F64, values: F64, changes: I32) -> None:
    """changes (n) = 0, or n1 where the mean of the last n1 of `values` (n) has risen, -n1 where it has fallen.

    `state` (12), written in place: count, mean, the two sums with the extremes that they had and when, then δ, λ, α
    and the count from which on changes are told. Page (1954); Sebastião and Fernandes (2017), equations 1 to 4:

        U = αU + x - x̄ - δ,    a rise where U - min U > λ;    L = αL + x - x̄ + δ,    a fall where max L - L > λ

    The change lies where the sum had its extreme. After it the test begins anew.
    """
    for i in range(values.shape[0]):
        changes[i] = 0
        state[COUNT] += 1
        state[MEAN] += (values[i] - state[MEAN]) / state[COUNT]
        apart = values[i] - state[MEAN]
        state[RISE] = state[ALPHA] * state[RISE] + apart - state[DELTA]
        state[FALL] = state[ALPHA] * state[FALL] + apart + state[DELTA]
        if state[COUNT] == 1 or state[RISE] < state[LOWEST]:
            state[LOWEST], state[LOWEST_AT] = state[RISE], state[COUNT]
        if state[COUNT] == 1 or state[FALL] > state[HIGHEST]:
            state[HIGHEST], state[HIGHEST_AT] = state[FALL], state[COUNT]
        if state[COUNT] < state[GRACE]:
            continue
        if state[RISE] - state[LOWEST] > state[THRESHOLD]:
            changes[i] = int(state[COUNT] - state[LOWEST_AT])
        elif state[HIGHEST] - state[FALL] > state[THRESHOLD]:
            changes[i] = -int(state[COUNT] - state[HIGHEST_AT])
        if changes[i] != 0:
            for field in range(DELTA):
                state[field] = 0
