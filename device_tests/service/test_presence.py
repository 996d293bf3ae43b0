"""Whether a service runs for a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.service import presence


@pytest.mark.parametrize("has_list", [True, False])
def test_a_service_is_seen_by_the_name_of_its_store_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_list: bool
) -> None:
    if not has_list:
        monkeypatch.setattr(presence, "SOCKETS", tmp_path / "none")
    elif not presence.SOCKETS.exists():
        pytest.skip("the system has no list of sockets")
    store, other = tmp_path / "kitchen", tmp_path / "hall"
    assert not presence.is_running("wyoming", store)
    with presence.Presence("wyoming", store):
        assert presence.is_running("wyoming", store)
        assert not presence.is_running("wyoming", other)
        assert not presence.is_running("page", store)
    assert not presence.is_running("wyoming", store)
