"""Experts at several time scales, row by row, mixed by fixed share on log loss (Herbster and Warmuth 1998)."""

from __future__ import annotations

import math

import numpy as np

from edgecl_kernels._types import F32, F64, I8, I32
from edgecl_kernels.adagrad import adagrad_learn, linear_scores
from edgecl_kernels.calibration import best_of, calibrate, count_answer
from edgecl_kernels.cells import cell_scores, cells_learn, find_cells
from edgecl_kernels.least_squares import least_squares_learn, least_squares_scores, load_row
from edgecl_kernels.neighbours import nearest_of, remember_row, squared_distances_to, vote
from edgecl_kernels.softmax import softmax_columns

# counters
CLASSES, FILLED, NEXT, LAST = range(4)
# columns of `steps`
ANSWERED, LEARNT, LABEL = range(3)
# settings
SHARE, FLOOR, FADING, FIRST_RATE = range(4)

_LEAST = 0.01  # the least probability that a score of least squares stands for
_PRIOR = np.float32(0.5)  # of a transition that was not seen


def follow_transition(transitions: F32, last: int, classes: int, out: F32, at: int) -> None:
    """out[at, :classes] = how often each label has followed the last one that was known."""
    if last < 0:
        for c in range(classes):
            out[at, c] = np.float32(1.0) / np.float32(classes)
        return
    total = np.float32(0)
    for c in range(classes):
        out[at, c] = transitions[last, c] + _PRIOR
        total += out[at, c]
    for c in range(classes):
        out[at, c] /= total


def count_transition(transitions: F32, last: int, label: int, classes: int, fading: np.float32) -> None:
    """Add a transition; earlier ones from the same label fade."""
    if last < 0:
        return
    for c in range(classes):
        transitions[last, c] *= fading
    transitions[last, label] += np.float32(1)


def least_squares_answer(x: F32, row: int, classes: int, weights: F64, work: F64, out: F32, at: int) -> None:
    """out[at, :classes] = scores as probabilities: held to [0.01, 1], in sum 1."""
    load_row(x, row, work)
    total = 0.0
    for c in range(classes):
        score = min(max(least_squares_scores(work, weights, c), _LEAST), 1.0)
        out[at, c] = score
        total += score
    for c in range(classes):
        out[at, c] /= total


def mix_answers(weights: F64, held: F32, classes: int, table: F64, out: F32, row: int) -> None:
    """out[row, :classes] = Σ weight of an expert times its answer, as sure as such answers have been right.

    The mixture before that becomes the last row of `held`.
    """
    mixture = held.shape[0] - 1
    for c in range(classes):
        total = 0.0
        for k in range(mixture):
            total += weights[0, k] * held[k, c]
        held[mixture, c] = total
    calibrate(table, held, mixture, classes, out, row)


def count_mixture(held: F32, classes: int, label: int, table: F64) -> None:
    """Note how sure the mixture was, and whether it was right; nothing where it did not answer."""
    mixture = held.shape[0] - 1
    best = best_of(held, mixture, classes)
    if held[mixture, best] > 0:
        count_answer(table, held[mixture, best], 1.0 if best == label else 0.0)


def share_weights(weights: F64, held: F32, label: int, share: float, floor: float) -> None:
    """Weigh every expert that takes part by the probability it gave the label, then share a little of all.

    The learning rate is 1/4: the fourth root, which needs no libm and so has the same bits on every machine.
    """
    total, present = 0.0, 0.0
    for k in range(weights.shape[1]):
        weights[0, k] *= weights[1, k] * math.sqrt(math.sqrt(max(held[k, label], floor)))
        total += weights[0, k]
        present += weights[1, k]
    for k in range(weights.shape[1]):
        kept = weights[0, k] / total if total > 0 else weights[1, k] / present
        weights[0, k] = (1 - share) * kept + share * weights[1, k] / present


def answer_row(
    x: F32,
    rows: I8,
    row: int,
    fixed: int,
    counters: I32,
    transitions: F32,
    gradient: F32,
    columns: I32,
    thresholds: F32,
    cells: F32,
    solved: F64,
    memory: I8,
    memory_labels: I32,
    nearest: I32,
    distances: I32,
    active: I32,
    work: F64,
    held: F32,
) -> None:
    """Write what every expert but the fixed ones answers to a row."""
    classes, at = counters[CLASSES], fixed
    follow_transition(transitions, counters[LAST], classes, held, at)
    at += 1
    for a in range(gradient.shape[0]):
        linear_scores(x, row, gradient[a, 0], classes, held, at + a)
    if gradient.shape[0] > 0:
        softmax_columns(held[at : at + gradient.shape[0]], classes)
    at += gradient.shape[0]
    if columns.shape[0] > 0:
        find_cells(x, row, x.shape[1] - 1 - rows.shape[1], columns, thresholds, active)
        cell_scores(active, cells[0], classes, held, at)
        softmax_columns(held[at : at + 1], classes)
        at += 1
    for r in range(solved.shape[0]):
        least_squares_answer(x, row, classes, solved[r], work, held, at + r)
    at += solved.shape[0]
    if memory.shape[1] > 0:
        squared_distances_to(memory, counters[FILLED], rows, row, distances)
        found = nearest_of(distances, counters[FILLED], nearest)
        vote(memory_labels, distances, nearest, found, classes, held, at)


def learn_row(
    x: F32,
    rows: I8,
    row: int,
    label: int,
    before: int,
    weight: float,
    settings: F64,
    counters: I32,
    transitions: F32,
    gradient: F32,
    columns: I32,
    thresholds: F32,
    cells: F32,
    forgetting: F64,
    solved: F64,
    inverses: F64,
    memory: I8,
    memory_labels: I32,
    active: I32,
    work: F64,
    scratch: F32,
) -> None:
    """Let every expert but the fixed ones take in the label of a row."""
    counters[CLASSES] = max(counters[CLASSES], label + 1)
    classes = counters[CLASSES]
    count_transition(transitions, before, label, classes, np.float32(settings[FADING]))
    counters[LAST] = label
    for a in range(gradient.shape[0]):
        rate = np.float32(settings[FIRST_RATE + a])
        adagrad_learn(x, row, label, np.float32(weight), classes, rate, gradient[a], scratch)
    if columns.shape[0] > 0:
        find_cells(x, row, x.shape[1] - 1 - rows.shape[1], columns, thresholds, active)
        rate = np.float32(settings[FIRST_RATE + gradient.shape[0]])
        cells_learn(active, label, np.float32(weight), classes, rate, cells, scratch)
    for r in range(solved.shape[0]):
        least_squares_learn(x, row, label, weight, classes, forgetting[r], solved[r], inverses[r], work)
    if memory.shape[1] > 0:
        remember_row(memory, memory_labels, counters[NEXT], rows, row, label)
        counters[NEXT] = (counters[NEXT] + 1) % memory.shape[1]
        counters[FILLED] = min(counters[FILLED] + 1, memory.shape[1])


def follow_rows(
    x: F32,
    rows: I8,
    steps: I32,
    fixed: int,
    sample_weights: F32,
    settings: F64,
    counters: I32,
    weights: F64,
    reliability: F64,
    transitions: F32,
    gradient: F32,
    columns: I32,
    thresholds: F32,
    cells: F32,
    forgetting: F64,
    solved: F64,
    inverses: F64,
    memory: I8,
    memory_labels: I32,
    nearest: I32,
    distances: I32,
    active: I32,
    work: F64,
    scratch: F32,
    before: I32,
    held: F32,
    out: F32,
) -> None:
    """Answer rows and learn from labels, in the order of `steps`; every state is written in place.

    A step (answered row, learnt row, label) does both, -1 leaves one out; a row is answered before it is learnt. Before
    the first label nothing is answered.

    x (n, d): random units, then the row, then a constant; rows (n, p) as int8 of one scale; `sample_weights` (C) of a
    label. held (n, K + 1, C) is what each expert answered to a row, then the mixture: written where a row is
    answered, but for the first `fixed` experts, which the caller has filled in; read where it is learnt. `before` (n)
    likewise: the last label known when the row was answered, or -1. out (n, C): the mixture, calibrated. C is a
    capacity: `counters` say how many classes are in use, how many places of the memory are filled, the next one, and
    the last label.

    Experts in order: the fixed ones; the label that follows the last one (`transitions` (C, C), which fade); AdaGrad
    (`gradient` (A, 2, C, d)); where M > 0, `cells` (2, C, M 2^T) by `columns` and `thresholds` (M, T); least
    squares (`forgetting` (R, 4), `solved` (R, C, d), `inverses` (R, d(d + 1)/2)); where N > 0, neighbours in `memory`
    (p, N) with `memory_labels` (N). `weights` (2, K): of the mixture, and 1 for an expert that takes part.
    `reliability` (3, BINS): see `calibration`. `settings`: the share of fixed share, the least probability in its loss,
    the fading of transitions, a rate for each AdaGrad and one for the cells. The rest is overwritten: `nearest` (k),
    `distances` (N), `active` (M), `work` (2, d), `scratch` (1, C).
    """
    for step in range(steps.shape[0]):
        row, learnt, label = steps[step, ANSWERED], steps[step, LEARNT], steps[step, LABEL]
        if row >= 0 and counters[CLASSES] > 0:
            answer_row(
                x,
                rows,
                row,
                fixed,
                counters,
                transitions,
                gradient,
                columns,
                thresholds,
                cells,
                solved,
                memory,
                memory_labels,
                nearest,
                distances,
                active,
                work,
                held[row],
            )
            before[row] = counters[LAST]
            mix_answers(weights, held[row], counters[CLASSES], reliability, out, row)
        if learnt >= 0:
            if counters[CLASSES] > 0:
                count_mixture(held[learnt], counters[CLASSES], label, reliability)
            share_weights(weights, held[learnt], label, settings[SHARE], settings[FLOOR])
            learn_row(
                x,
                rows,
                learnt,
                label,
                before[learnt],
                sample_weights[label],
                settings,
                counters,
                transitions,
                gradient,
                columns,
                thresholds,
                cells,
                forgetting,
                solved,
                inverses,
                memory,
                memory_labels,
                active,
                work,
                scratch,
            )
