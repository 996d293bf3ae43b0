"""Streams that are followed again in one store are named: their rows are learnt twice."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from edgecl.learner import Learner
from edgecl.operations.late_labels import LateLabel, Row, follow_by_id
from edgecl.sources.samples import Sample

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
SAID = "a stream that has taught this store before"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    from edgecl_export import export_identity

    export_identity(tmp_path / "identity.onnx", ["a", "b"])
    Learner.create(tmp_path / "store", extractor=tmp_path / "identity.onnx", max_classes=4)
    return tmp_path / "store"


def rows(count: int, *, seed: int = 0, idle: int = 0) -> list[Sample]:
    values = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    values[:idle] = 1
    return [Sample(f"row {at}", "high" if row[0] > 0 else "low", row[None], None) for at, row in enumerate(values)]


def said(store: Path, samples: Iterable[Sample], caplog: pytest.LogCaptureFixture, **how: object) -> int:
    """Follow, and return how often it is named."""
    caplog.clear()
    Learner.open(store).follow(samples, **how)
    return caplog.text.count(SAID)


def test_a_stream_that_is_followed_again_is_named_also_when_it_has_grown(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert said(store, rows(200), caplog, dry_run=True) == 0
    assert said(store, rows(200), caplog) == 0
    assert said(store, rows(200, seed=1), caplog, label_delay=10) == 0
    assert said(store, rows(300), caplog) == 1
    assert said(store, rows(300, seed=1), caplog, dry_run=True) == 1
    assert said(store, rows(200)[100:], caplog) == 0  # those that are new


def test_a_rollback_takes_back_what_a_stream_has_taught(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert said(store, rows(200), caplog) == 0
    Learner.open(store).rollback(1)
    assert said(store, rows(200), caplog) == 0


def test_streams_that_begin_with_an_idle_sensor_are_not_taken_for_one(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert said(store, rows(200, idle=70), caplog) == 0
    assert said(store, rows(200, seed=1, idle=70), caplog) == 0


def test_rows_one_by_one_and_labels_by_id_are_the_same_stream(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = [(dict(zip("ab", map(float, one.signal[0]), strict=True)), one.label or "") for one in rows(100)]
    learner = Learner.open(store)
    for row, label in pairs:
        learner.learn_one(row, label)
    learner.commit()
    assert SAID not in caplog.text
    arrivals = [
        one
        for at, (row, label) in enumerate(pairs)
        for one in (Row(str(at), {name: repr(value) for name, value in row.items()}), LateLabel(str(at), label))
    ]
    for _ in follow_by_id(Learner.open(store).opened, arrivals, dry_run=True):
        pass
    assert caplog.text.count(SAID) == 1
    caplog.clear()
    again = Learner.open(store)
    for row, label in pairs:
        again.learn_one(row, label)
    assert caplog.text.count(SAID) == 1
