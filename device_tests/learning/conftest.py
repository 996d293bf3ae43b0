"""Words with known answers."""

from __future__ import annotations

import pytest

from ..support.learning import Words


@pytest.fixture
def words() -> Words:
    return Words(6)
