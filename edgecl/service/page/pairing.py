"""Who may use the page: a code that is printed where the owner sees it is traded for a token in a cookie."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edgecl.errors import EdgeclError
from edgecl.service.home import home_folder
from edgecl.store.files import read_file, replace_unlocked

DIGITS = 8
VALID_S = 600.0
TRIES = 5
MOST_DEVICES = 32
"""Browsers that are paired at once; the oldest goes."""


class Pairing:
    """Codes and tokens.

    Parameters
    ----------
    show
        Is given each new code. One that it raises an OSError for was not seen: it is void.
    path
        Where digests of tokens outlive the process; None: nowhere.
    """

    def __init__(self, show: Callable[[str], None], *, path: Path | None = None) -> None:
        self._show, self._path = show, path
        self._lock = threading.Lock()
        self._code, self._until, self._tries = "", 0.0, 0
        self._tokens = _read(path) if path else []

    def offer(self) -> None:
        """Show a new code, unless one was shown less than ten minutes ago."""
        with self._lock:
            if time.monotonic() < self._until:
                return
            self._code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
            self._until, self._tries = time.monotonic() + VALID_S, TRIES
            code = self._code
        try:
            self._show(code)
        except OSError:
            with self._lock:
                self._tries, self._until = 0, 0.0
            raise

    def trade(self, code: str) -> str | None:
        """Return a token for the right code, which is good for one browser; None for a wrong or an old one."""
        with self._lock:
            if not self._tries or time.monotonic() >= self._until:
                return None
            self._tries -= 1
            if not hmac.compare_digest(code.encode(), self._code.encode()):
                return None
            self._tries, self._until = 0, 0.0
            token = secrets.token_urlsafe(32)
            self._tokens = [*self._tokens, _digest(token)][-MOST_DEVICES:]
            self._write()
        return token

    def is_paired(self, token: str) -> bool:
        """Test whether a token was given out."""
        wanted = _digest(token)
        return any([hmac.compare_digest(wanted, one) for one in self._tokens])  # noqa: C419 (in constant time)

    def _write(self) -> None:
        if self._path is not None:
            with suppress(OSError, EdgeclError):  # it is valid as long as this process
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                before = os.umask(0o077)
                try:
                    replace_unlocked(self._path, json.dumps(self._tokens).encode())
                finally:
                    os.umask(before)


def token_file(store: Path) -> Path:
    """Return where tokens are kept: $STATE_DIRECTORY of a service, else the user's state folder."""
    own = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    state = os.environ.get("XDG_STATE_HOME")
    folder = Path(own) if own else Path(state or home_folder() / ".local/state") / "edgecl"
    return folder / f"page-{hashlib.sha256(os.fsencode(os.path.realpath(store))).hexdigest()[:16]}.json"


def _read(path: Path) -> list[str]:
    with suppress(OSError, EdgeclError, ValueError):
        found = json.loads(bytes(read_file(path, limit=1 << 14)))
        if isinstance(found, list) and all(isinstance(one, str) and len(one) == 64 for one in found):
            return found[-MOST_DEVICES:]
    return []


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
