"""A page that is served by a process of its own, and a browser's side of it by http.client."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .commands import command_line


@dataclass
class Reply:
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


@dataclass
class Page:
    """Speaks to a page as a browser does."""

    url: str
    code: str
    process: subprocess.Popen[bytes]
    cookie: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme == "https":
            trusting = ssl._create_unverified_context()
            return http.client.HTTPSConnection(parts.hostname or "", parts.port, context=trusting, timeout=timeout)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)

    def ask(self, path: str, body: object = None, **headers: str) -> Reply:
        """GET, or POST where there is a body."""
        sent = {**self.extra, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.cookie:
            sent.setdefault("Cookie", self.cookie)
        if body is not None:
            is_sound = isinstance(body, bytes)
            sent.setdefault("Content-Type", "audio/wav" if is_sound else "application/json")
            body = body if is_sound else json.dumps(body).encode()
        one = self.connect()
        try:
            one.request("GET" if body is None else "POST", path, body=body, headers=sent)  # type: ignore[arg-type]
            found = one.getresponse()
            return Reply(found.status, dict(found.getheaders()), found.read())
        finally:
            one.close()

    def pair(self) -> None:
        reply = self.ask("/api/pair", {"code": self.code})
        assert reply.status == 200
        self.cookie = reply.headers["Set-Cookie"].partition(";")[0]

    @contextmanager
    def events(self, *, since: int = 0) -> Iterator[Events]:
        one = self.connect()
        one.request("GET", "/api/events", headers={"Cookie": self.cookie, "Last-Event-ID": str(since)})
        found = one.getresponse()
        assert found.status == 200
        try:
            yield Events(found)
        finally:
            found.close()
            one.close()


class Events:
    """A stream of server-sent events."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.number = 0

    def next(self, kind: str, *, within_s: float = 180) -> dict[str, Any]:
        """The next one of a kind."""
        until = time.monotonic() + within_s
        name = ""
        while time.monotonic() < until:
            line = self._response.readline().decode().rstrip("\n")
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "id":
                self.number = int(value)
            elif key == "data" and name == kind:
                found = json.loads(value)
                assert isinstance(found, dict)
                return found
        raise AssertionError(f"no {kind} came")


@contextmanager
def served(store: Path, *arguments: object, state: Path, stdin: Any = subprocess.DEVNULL) -> Iterator[Page]:
    """A page; ends by SIGTERM."""
    command = command_line("serve", store, "--port", "0", "--json", *arguments)
    environment = {**os.environ, "STATE_DIRECTORY": str(state)}
    with subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise AssertionError(process.stderr.read().decode() if process.stderr else "")
            told = json.loads(line)
            yield Page(told["url"].rstrip("/"), told["code"], process)
            process.terminate()
            if process.stdin is not None:
                process.stdin.close()
                process.stdin = None  # or it would be flushed once more
            error = process.communicate(timeout=20)[1]  # how long it takes, `tools/plugged` measures
            assert process.returncode == 0, error.decode()
        finally:
            process.kill()
