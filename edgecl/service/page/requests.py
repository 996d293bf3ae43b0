"""What a browser asks for and what it is answered, and who is let in: hosts, origins, cookies, sizes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edgecl.units import number_of

LARGEST_BODY = 2 << 20
LARGEST_JSON = 1 << 16
POLICY = (
    "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-store",
    "Connection": "close",
}


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """A request whose sender may make it."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    kind: str = ""
    """Content type of the body."""
    last_event: int = 0
    """Number of the latest event that the browser has seen."""
    is_paired: bool = False

    def json(self) -> dict[str, Any]:
        """Return the body; raises RefusedError where it is not a JSON object."""
        if self.kind != "application/json":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "wanted application/json")
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
        if not isinstance(found, dict):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
        return found


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    body: bytes
    kind: str = "application/json"
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object, status: int = HTTPStatus.OK) -> Answer:
        """Return JSON."""
        return cls(json.dumps(value, allow_nan=False).encode(), status=status)


def parsed(method: str, target: str) -> Request:
    """Return a request without its body; raises RefusedError where the target is not a path."""
    try:
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query, max_num_fields=8).items()}
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "not a path") from error
    if not parts.path.startswith("/") or parts.scheme or parts.netloc:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "not a path")
    return Request(method, parts.path, query)


def require_host(host: str | None, own: Iterable[str]) -> str:
    """Return the host that was asked for, if it is one of ours: no name that was bent to point here (DNS rebinding)."""
    try:
        name = urlsplit(f"//{host or ''}").hostname or ""
    except ValueError:
        name = ""
    if name.lower().rstrip(".") not in {one.lower() for one in own}:
        raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, "this page has another name")
    return host or ""


def require_same_origin(headers: Mapping[str, str], host: str, *, scheme: str) -> None:
    """Refuse a request that another site's page makes."""
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if (origin is not None and origin.lower() != f"{scheme}://{host}".lower()) or site not in (
        None,
        "same-origin",
        "none",
    ):
        raise RefusedError(HTTPStatus.FORBIDDEN, "another site may not do this")


def body_length(headers: Mapping[str, str], *, largest: int) -> int:
    """Return how long a body is; raises RefusedError where it is too long, or does not say."""
    if headers.get("Transfer-Encoding"):
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "say how long the body is")
    length = number_of(headers.get("Content-Length") or "0")
    if length is None:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "a length is a number")
    if length > largest:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {largest} bytes are read")
    return length


def cookie(headers: Mapping[str, str], name: str) -> str:
    """Return the value of a cookie, or an empty text."""
    try:
        jar = SimpleCookie(headers.get("Cookie", "")[:4096])
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""
