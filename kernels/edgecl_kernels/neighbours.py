"""Nearest neighbours among int8 rows of one scale, kept column by column so that a distance is added up in vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import uintp

from edgecl_kernels._types import F32, I8, I32

EVEN_VOTE = np.float32(0.2)


def add_column(memory: I8, column: int, value: np.int32, filled: int, distances: I32) -> None:
    """distances[m] += (memory[column, m] - value)²."""
    for m in range(uintp(filled)):
        apart = np.int32(memory[column, m]) - value
        distances[m] += apart * apart


def squared_distances_to(memory: I8, filled: int, rows: I8, row: int, distances: I32) -> None:
    """distances[:filled] = squared distances of the kept rows to a row."""
    for m in range(uintp(filled)):
        distances[m] = np.int32(0)
    for column in range(memory.shape[0]):
        add_column(memory, column, np.int32(rows[row, column]), filled, distances)


def insert_nearest(nearest: I32, at: int, count: int, distances: I32) -> None:
    """Put a kept row among the nearest found, the farthest of which falls out; of two as near the first stays."""
    place = count - 1
    while place > 0 and distances[nearest[place - 1]] > distances[at]:
        nearest[place] = nearest[place - 1]
        place -= 1
    nearest[place] = at


def nearest_of(distances: I32, filled: int, nearest: I32) -> Any:
    """Write the indices of the smallest distances, in order; return how many there are."""
    wanted = min(nearest.shape[0], filled)
    for m in range(wanted):
        insert_nearest(nearest, m, m + 1, distances)
    if wanted == 0:
        return 0
    limit = distances[nearest[wanted - 1]]
    for m in range(wanted, filled):
        if distances[m] < limit:
            insert_nearest(nearest, m, wanted, distances)
            limit = distances[nearest[wanted - 1]]
    return wanted


def remember_row(memory: I8, labels: I32, at: int, rows: I8, row: int, label: int) -> None:
    """Put a row in a place of the memory."""
    for column in range(memory.shape[0]):
        memory[column, at] = rows[row, column]
    labels[at] = label


def vote(labels: I32, distances: I32, nearest: I32, found: int, classes: int, out: F32, at: int) -> None:
    """out[at, :classes] = share of each class among the neighbours, near ones weighing more, and EVEN_VOTE.

    A neighbour at distance d weighs (d0 + 1)/(d + 1) for the nearest's d0, squared distances both.
    """
    even = EVEN_VOTE / np.float32(classes)
    for c in range(classes):
        out[at, c] = even
    total = EVEN_VOTE
    for n in range(found):
        weight = np.float32(distances[nearest[0]] + 1.0) / np.float32(distances[nearest[n]] + 1.0)
        out[at, labels[nearest[n]]] += weight
        total += weight
    for c in range(classes):
        out[at, c] /= total


def nearest_rows(memory: I8, filled: int, rows: I8, distances: I32, nearest: I32) -> None:
    """nearest (n, k) = indices of the k nearest among the first `filled` kept rows; -1 where there are fewer.

    `memory` (p, M) holds rows as columns; rows (n, p); `distances` (M) is overwritten.
    """
    for row in range(rows.shape[0]):
        squared_distances_to(memory, filled, rows, row, distances)
        found = nearest_of(distances, filled, nearest[row])
        for n in range(found, nearest.shape[1]):
            nearest[row, n] = -1
