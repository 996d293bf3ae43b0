"""A user without a home folder, such as that of a container."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any

import pytest

from edgecl.errors import SettingError
from edgecl.service.home import home_folder
from edgecl.service.page.pairing import token_file


def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(user: int) -> Any:
        raise KeyError(user)

    for name in ("HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for action in (home_folder, lambda: token_file(tmp_path)):
        with pytest.raises(SettingError, match=r"\$HOME"):
            action()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert token_file(tmp_path).parent == tmp_path
