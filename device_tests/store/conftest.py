"""Where stores of tests are made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.stores import folder_in_memory


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory."""
    with folder_in_memory() as path:
        yield path
