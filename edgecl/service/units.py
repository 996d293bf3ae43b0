"""Fill in the systemd units that ship with edgecl: a listener, and a daily check of its store."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from edgecl.errors import SettingError

FOLDER = Path("/etc/systemd/system")
"""Where an administrator's units belong."""

NAMES = ("edgecl-listen.service", "edgecl-health.service", "edgecl-health.timer")
_STATE = Path("/var/lib")
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # a unit with PrivateTmp has its own


def shipped(name: str) -> str:
    """Return the text of a unit as it ships, for `/opt/edgecl` and the store `/var/lib/edgecl/kitchen`."""
    return files("edgecl").joinpath("data", "systemd", name).read_text(encoding="utf-8")


def filled(store: Path, *, user: str, program: Sequence[str], listen_options: Sequence[str]) -> dict[str, str]:
    """Return the units for one store, by file name.

    Parameters
    ----------
    store
        Absolute path of the store.
    user
        Account that the services run under.
    program
        Words that start edgecl: a path, or an interpreter with its arguments.
    listen_options
        Words that follow the store when a stream is followed.

    Raises
    ------
    SettingError
        A path is in a temporary folder, or a value contains characters that a unit cannot express.
    """
    _require_expressible(str(store), user, *program, *listen_options)
    if any(store.is_relative_to(folder) for folder in _TEMPORARY):
        raise SettingError(f"{store} is in a temporary folder, and a service has one of its own: move the store")
    common = {
        "ConditionPathExists": _plain(str(store / "current")),
        "User": user,
        **_access(store, Path(program[0])),
    }
    recorder = re.search(r"< <\((.+)\)'$", shipped(NAMES[0]), re.MULTILINE)
    assert recorder is not None
    listener = f"exec {shlex.join([*program, 'listen', str(store), *listen_options])} < <({recorder[1]})"
    commands = {
        "edgecl-listen.service": f"/bin/bash -c {_argument(listener)}",
        "edgecl-health.service": " ".join(map(_argument, [*program, "doctor", str(store)])),
    }
    return {name: _replaced(shipped(name), {**common, "ExecStart": commands.get(name)}) for name in NAMES}


def _require_expressible(*values: str) -> None:
    for value in values:
        if not value or not value.isprintable():
            raise SettingError(f"{value!a} cannot be written into a unit: it is empty or has control characters")


def _access(store: Path, program: Path) -> dict[str, str | None]:
    """Return the settings that let a service write to the store and read the program."""
    in_home = any(path.is_relative_to(home) for path in (store, program) for home in _HOMES)
    home = {"ProtectHome": "read-only" if in_home else "yes"}
    if store.is_relative_to(_STATE) and store.parent != _STATE:
        state = store.relative_to(_STATE).parts[0]
        return {**home, "StateDirectory": _word(state), "StateDirectoryMode": "0750"}
    return {**home, "StateDirectory": f"\nReadWritePaths={_word(str(store))}", "StateDirectoryMode": None}


def _replaced(text: str, values: Mapping[str, str | None]) -> str:
    """Return the unit with other values of keys that it has; None removes a key, a line break begins another one."""
    lines = []
    for line in text.splitlines():
        key, separator, _ = line.partition("=")
        if not separator or line.startswith("#") or key not in values:
            lines.append(line)
        elif (value := values[key]) is not None:
            lines.append(value[1:] if value.startswith("\n") else f"{key}={value}")
    return "\n".join(lines) + "\n"


def _plain(value: str) -> str:
    """Return the value without specifiers."""
    return value.replace("%", "%%")


def _word(value: str) -> str:
    r"""Return the value as one word of a unit, quoted where it has to be.

    >>> print(_word("/var/lib/edgecl"), _word("100 % 'mine'"))
    /var/lib/edgecl '100 %% \'mine\''
    """
    if re.fullmatch(r"[\w/.:=@+-]+", value, re.ASCII):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{_plain(escaped)}'"


def _argument(value: str) -> str:
    """Return the value as one word of a command, in which no variable is expanded."""
    return _word(value).replace("$", "$$")
