"""How often answers of some confidence are right, as a table that forgets, and confidence read off it."""

from __future__ import annotations

from typing import Any

from edgecl_kernels._types import F32, F64

# upper ends of the bins of confidence but the last
EDGES = (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 0.995, 0.998, 0.999)
BINS = len(EDGES) + 1
# rows of a reliability table: weight of the answers, sum of their confidence, sum of those right
WEIGHT, CONFIDENCE, RIGHT = range(3)
REMEMBERING = 0.999  # of the answers of a bin, at each that is added


def best_of(held: F32, at: int, classes: int) -> int:
    """Index of the largest of held[at, :classes], the first of equals."""
    best = 0
    for c in range(classes):
        if held[at, c] > held[at, best]:
            best = c
    return best


def count_answer(table: F64, confidence: float, right: float) -> None:
    """Add an answer to its bin; earlier ones fade."""
    at = 0
    for edge in EDGES:
        at += 1 if confidence > edge else 0
    table[WEIGHT, at] = REMEMBERING * table[WEIGHT, at] + 1.0
    table[CONFIDENCE, at] = REMEMBERING * table[CONFIDENCE, at] + confidence
    table[RIGHT, at] = REMEMBERING * table[RIGHT, at] + right


def reliable(table: F64, confidence: float) -> Any:
    """The share that is right at a confidence: between the bins' means by straight lines, and never falling."""
    low, low_rate = 0.0, 0.0
    for at in range(table.shape[1]):
        mean = table[CONFIDENCE, at] / table[WEIGHT, at]
        rate = max(table[RIGHT, at] / table[WEIGHT, at], low_rate)
        if mean >= confidence:
            if mean <= low:
                return rate
            return low_rate + (rate - low_rate) * (confidence - low) / (mean - low)
        low, low_rate = mean, rate
    return low_rate


def calibrate(table: F64, held: F32, at: int, classes: int, out: F32, row: int) -> None:
    """out[row, :classes] = held[at, :classes] with the confidence of the table; the answer stays the same."""
    best = best_of(held, at, classes)
    confidence = held[at, best]
    rest = 1.0 - confidence
    second = 0.0
    for c in range(classes):
        if c != best:
            second = max(second, held[at, c])
    # where the answer would change, it is as sure as the next
    wanted = max(reliable(table, confidence), second / (rest + second) if second > 0 else 1.0)
    factor = (1.0 - wanted) / rest if rest > 0 else 0.0
    for c in range(classes):
        out[row, c] = wanted if c == best else held[at, c] * factor
