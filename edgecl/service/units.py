"""Fill in the systemd units that ship with edgecl: a listener, a daily check of its store, a page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from edgecl.errors import SettingError

FOLDER = Path("/etc/systemd/system")
"""Where an administrator's units belong."""

NAMES = ("edgecl-listen.service", "edgecl-health.service", "edgecl-health.timer", "edgecl-page.service")
ACCOUNT = "edgecl"
PAGE_OPTIONS = ("--host", "0.0.0.0", "--tls")  # noqa: S104 (phones are elsewhere)
_STATE = Path("/var/lib")
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # a unit with PrivateTmp has its own
_SANDBOX = """
    CapabilityBoundingSet DeviceAllow DevicePolicy LockPersonality PrivateDevices PrivateNetwork PrivateTmp
    ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
    ProtectKernelTunables ProtectProc ProtectSystem ReadWritePaths RemoveIPC RestrictAddressFamilies
    RestrictNamespaces RestrictRealtime RestrictSUIDSGID SystemCallArchitectures SystemCallFilter
"""
_NOT_A_USERS: dict[str, str | None] = {
    **dict.fromkeys(("DynamicUser", "User", "SupplementaryGroups", "StateDirectory", "StateDirectoryMode")),
    **dict.fromkeys(_SANDBOX.split()),
    "WantedBy": "default.target",
}


def shipped(name: str) -> str:
    """Return the text of a unit as it ships, for `/opt/edgecl` and the store `/var/lib/edgecl/kitchen`."""
    return files("edgecl").joinpath("data", "systemd", name).read_text(encoding="utf-8")


def filled(
    store: Path,
    *,
    user: str | None,
    program: Sequence[str],
    listen_options: Sequence[str],
    page_options: Sequence[str] = PAGE_OPTIONS,
) -> dict[str, str]:
    """Return the units for one store, by file name.

    Parameters
    ----------
    store
        Absolute path of the store.
    user
        Account that the services run under; None: one that systemd makes, where the store is below /var/lib.
    program
        Words that start edgecl: a path, or an interpreter with its arguments.
    listen_options
        Words that follow the store when a stream is followed.
    page_options
        Words that follow the store when the page is served.

    Raises
    ------
    SettingError
        A path is in a temporary folder, or a value contains characters that a unit cannot express.
    """
    _require_expressible(str(store), user or ACCOUNT, *program, *listen_options, *page_options)
    if any(store.is_relative_to(folder) for folder in _TEMPORARY):
        raise SettingError(f"{store} is in a temporary folder, and a service has one of its own: move the store")
    common = {
        "ConditionPathExists": _plain(str(store / "current")),
        "User": user or ACCOUNT,
        "DynamicUser": "yes" if user is None and _is_state(store) else None,
        **_access(store, Path(program[0])),
    }
    recorder = re.search(r"< <\((.+)\)'$", shipped(NAMES[0]), re.MULTILINE)
    assert recorder is not None
    listener = f"exec {shlex.join([*program, 'listen', str(store), *listen_options])} < <({recorder[1]})"
    page = f"exec {shlex.join([*program, 'serve', str(store), *page_options, '--listen', '-'])} < <({recorder[1]})"
    commands = {
        "edgecl-listen.service": f"/bin/bash -c {_argument(listener)}",
        "edgecl-page.service": f"/bin/bash -c {_argument(page)}",
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
    if _is_state(store):
        state = store.relative_to(_STATE).parts[0]
        return {**home, "StateDirectory": _word(state), "StateDirectoryMode": "0750"}
    return {**home, "StateDirectory": f"\nReadWritePaths={_word(str(store))}", "StateDirectoryMode": None}


def _is_state(store: Path) -> bool:
    """Test whether a store is in a folder that systemd makes for a service."""
    return store.is_relative_to(_STATE) and store.parent != _STATE


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


def for_user(units: Mapping[str, str]) -> dict[str, str]:
    """Return units for a user's own systemd: without what only the system's may do."""
    return {name: _replaced(text, _NOT_A_USERS) for name, text in units.items()}


def write(units: Mapping[str, str], folder: Path) -> list[Path]:
    """Write units into a folder, each whole or not at all.

    Raises
    ------
    SettingError
        The folder cannot be written to.
    """
    paths = []
    for name, text in units.items():
        part = folder / f".{name}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part.write_text(text, encoding="utf-8")
            part.replace(folder / name)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise SettingError(f"{folder / name} cannot be written ({error.strerror}): run it as root") from error
        paths.append(folder / name)
    return paths
