#!/usr/bin/env python3
"""Follow a table whose rule turns around half-way: answer each row, learn from its label when it comes.

The rows are generated. Needs the extra [export] on the machine that makes the extractor.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from edgecl_export import export_identity
from numpy.typing import NDArray

import edgecl

ROWS = 6000
COLUMNS = ("temperature", "pressure", "current")


def table() -> tuple[NDArray[np.float32], list[str]]:
    """Return rows (n, 3) and labels; in the second half of the rows the rule is the opposite."""
    rows = np.random.default_rng(0).normal(size=(ROWS, len(COLUMNS))).astype(np.float32)
    is_high = rows[:, 0] + rows[:, 1] > 0
    is_high[ROWS // 2 :] ^= True
    return rows, ["wear" if high else "fine" for high in is_high]


def main() -> None:
    rows, labels = table()
    with tempfile.TemporaryDirectory() as folder:
        extractor = Path(folder, "pump.onnx")
        export_identity(extractor, COLUMNS)
        learner = edgecl.Learner.create(Path(folder, "pump"), extractor=extractor, max_classes=4)
        report = learner.follow(rows, labels, label_delay=50)
        print(f"{report.tally.rows} rows, answered right before the label came: {report.tally.accuracy:.1%}")
        for drift in report.drifts:
            before, after = drift.accuracy["as it is"], drift.accuracy[drift.chosen]
            print(f"drift noticed at row {drift.row}: {drift.chosen}, {after:.1%} right in place of {before:.1%}")
        print(f"live: revision {learner.revision}")


if __name__ == "__main__":
    main()
