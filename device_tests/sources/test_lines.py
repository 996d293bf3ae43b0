"""Lines are bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import DataError
from edgecl.sources.reading import read_samples

from ..support.recordings import WRIST


def test_a_table_without_line_ends_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("timestamp,x,y,z\n" + "1," * (1 << 20))
    with pytest.raises(DataError, match="a line is longer than 1 MiB"):
        read_samples(tmp_path / "t.csv", WRIST)
