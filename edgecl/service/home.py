"""The user's home folder, which a service may lack."""

from __future__ import annotations

from pathlib import Path

from edgecl.errors import SettingError


def home_folder() -> Path:
    """Return the home folder of this user; raises SettingError where $HOME is unset and the system knows none."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise SettingError("this user has no home folder: set $HOME") from error
