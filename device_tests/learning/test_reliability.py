"""Reliability: answers counted by confidence, and how far the two are apart."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from edgecl.learning import reliability
from edgecl.learning.prequential import Prequential
from edgecl.learning.reliability import BINS, Reliability
from edgecl.model.model import Model

from ..support import learning


def test_the_example_runs() -> None:
    assert doctest.testmod(reliability).failed == 0


def test_the_error_is_that_of_the_formula() -> None:
    draw = np.random.default_rng(0)
    sure = draw.uniform(0, 1, 500)
    right = draw.random(500) < sure**2
    found = Reliability()
    found.add(sure.tolist(), right.tolist())
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    parts = [(bins == at) for at in range(BINS)]
    expected = sum(one.mean() * abs(sure[one].mean() - right[one].mean()) for one in parts if one.any())
    assert found.error == pytest.approx(expected)
    stated = found.as_dict()
    assert sum(one["rows"] for one in stated["bins"]) == found.rows == 500
    assert stated["ece"] == found.error


def test_nothing_answered_is_no_error() -> None:
    assert Reliability().as_dict() == {"ece": 0, "confidence": 0, "bins": []}
    certain = Reliability()
    certain.add([1.0], [True])
    assert certain.as_dict()["bins"][0]["from"] == 0.9


def stream_of(rows: int, *, noise: float, delay: int = 0) -> Prequential:
    draw = np.random.default_rng(1)
    latents = draw.normal(size=(rows, 4)).astype(np.float32)
    labels = ["high" if (one > 0) != (draw.random() < noise) else "low" for one in latents[:, 0]]
    stream = Prequential(Model(learning.settings(dimension=4, max_classes=4)), label_delay=delay)
    for first in range(0, rows, 64):
        stream.take(labels[first : first + 64], latents[first : first + 64])
    stream.flush()
    return stream


@pytest.mark.parametrize("delay", [0, 50])
def test_a_stream_of_noisy_labels_is_as_sure_as_it_is_right(delay: int) -> None:
    stream = stream_of(4000, noise=0.2, delay=delay)
    found = stream.reliability
    assert stream.tally.labelled - found.rows == 1 + delay  # what was taken before anything was known
    assert found.error < 0.05
    assert abs(found.as_dict()["confidence"] - stream.tally.accuracy) < 0.05
    window = stream.curves.windows[-1].shares()
    assert abs(window["mean confidence"] - window["accuracy"]) < 0.15


def test_a_row_whose_label_comes_later_by_id_is_counted_with_the_confidence_it_had() -> None:
    stream = stream_of(500, noise=0.0)
    before = stream.reliability.rows
    (row,) = stream.open(np.array([[2.0, 0, 0, 0]], np.float32))
    sure = float(row.probabilities.max())
    stream.close(row, "high")
    assert stream.reliability.rows == before + 1
    assert sure > 0.5
