"""What is kept of the recordings of a lesson, where the disk has no room for it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edgecl.operations.kept_signals import KeptSignals
from edgecl.sources.samples import Sample

from ..support.stores import small_disk


@pytest.mark.host
@pytest.mark.parametrize("length", [250, 750, 1000, 2250, 20_000])
def test_a_disk_that_fills_up_costs_recordings_and_no_lesson(
    tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecl.operations.kept_signals.HELD_BYTES", 0)
    sent = [np.random.default_rng(seed).normal(size=(length, 1)).astype(np.float32) for seed in range(80)]
    with small_disk(tmp_path / "disk", "64k") as disk, closing(KeptSignals(disk)) as signals:
        for one in sent:
            signals.add("a", Sample("a test", "a", one, None))
        kept = [signals.get("a", row) for row in range(len(sent))]
    there = [row for row, one in enumerate(kept) if one is not None]
    assert len(there) == min((64 << 10) // (4 * length), len(sent))
    assert all(np.array_equal(kept[row], sent[row]) for row in there)  # type: ignore[arg-type]
