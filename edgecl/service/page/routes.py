"""The paths of the page: a table of what may be asked for, and by whom."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.service.page.desk import Desk
from edgecl.service.page.pairing import Pairing
from edgecl.service.page.requests import Answer, RefusedError, Request

ASSETS = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/recorder.js": ("recorder.js", "text/javascript; charset=utf-8"),
    "/worklet.js": ("worklet.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/texts/en.json": ("texts/en.json", "application/json"),
    "/texts/de.json": ("texts/de.json", "application/json"),
    "/texts/zh.json": ("texts/zh.json", "application/json"),
}
YEAR_S = 365 * 24 * 3600
KINDS = {".wav": "audio/wav", ".npz": "application/octet-stream"}


class Routes:
    """Finds what answers a request; raises RefusedError where nothing does."""

    def __init__(self, desk: Desk, pairing: Pairing, *, is_secure: bool, cookie_name: Callable[[], str]) -> None:
        self._desk, self._pairing, self._is_secure, self._cookie_name = desk, pairing, is_secure, cookie_name
        self._table: list[tuple[str, re.Pattern[str], Callable[..., Answer | None]]] = [
            ("GET", re.compile("/api/state"), lambda _: Answer.of(desk.state())),
            ("GET", re.compile("/api/history"), lambda _: Answer.of({"history": desk.history()})),
            ("GET", re.compile("/api/inbox"), lambda _: Answer.of({"items": desk.inbox()})),
            ("GET", re.compile(r"/api/inbox/(\d{1,6})\.(?:wav|npz)"), self._recording),
            ("GET", re.compile("/api/events"), lambda _: None),
            ("POST", re.compile("/api/takes"), self._take),
            ("POST", re.compile("/api/record"), self._record),
            ("POST", re.compile("/api/lessons"), self._lesson),
            ("POST", re.compile("/api/texts"), self._text),
            ("POST", re.compile("/api/rollback"), self._rollback),
            ("POST", re.compile("/api/forget"), self._forget),
            ("POST", re.compile("/api/wrong"), self._wrong),
            ("POST", re.compile(r"/api/inbox/(\d{1,6})/label"), self._label),
            ("POST", re.compile(r"/api/inbox/(\d{1,6})/discard"), self._discard),
        ]

    def __call__(self, request: Request) -> Answer | None:
        """Answer; None asks for the stream of events."""
        if request.method == "GET" and request.path in ASSETS:
            return self._asset(request)
        if (request.method, request.path) == ("GET", "/api/hello"):
            return Answer.of({"paired": request.is_paired})
        if (request.method, request.path) == ("POST", "/api/pair"):
            return self._pair(request)
        for method, pattern, route in self._table:
            if match := pattern.fullmatch(request.path):
                if method != request.method:
                    continue
                if not request.is_paired:
                    raise RefusedError(HTTPStatus.UNAUTHORIZED, "pair this browser first")
                return _told(partial(route, request, *match.groups()))
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such page")

    def _asset(self, request: Request) -> Answer:
        name, kind = ASSETS[request.path]
        if request.path == "/" and not request.is_paired:
            with suppress(OSError):  # nobody reads stdout any more: the page is shown all the same
                self._pairing.offer()
        return Answer(files("edgecl.service.page").joinpath("assets", *name.split("/")).read_bytes(), kind)

    def _pair(self, request: Request) -> Answer:
        token = self._pairing.trade(re.sub(r"\D", "", str(request.json().get("code", "")))[:16])
        if token is None:
            raise RefusedError(HTTPStatus.FORBIDDEN, "this is not the code that was printed, or it is too old")
        secure = "; Secure" if self._is_secure else ""
        cookie = f"{self._cookie_name()}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={YEAR_S}{secure}"
        return Answer(b'{"paired": true}', headers={"Set-Cookie": cookie})

    def _recording(self, _request: Request, name: str) -> Answer:
        content, file = self._desk.recording(name)
        return Answer(content, KINDS[file[-4:]], headers={"Content-Disposition": f'inline; filename="{file}"'})

    def _take(self, request: Request) -> Answer:
        if request.kind != "audio/wav":
            raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "wanted audio/wav")
        return Answer.of(self._desk.take_sound(request.query.get("label", ""), request.body), HTTPStatus.CREATED)

    def _record(self, request: Request) -> Answer:
        asked = request.json()
        seconds = asked.get("seconds", 2.0)
        if not isinstance(seconds, int | float) or not 0.5 <= seconds <= 120:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a take has 0.5 to 120 seconds")
        return Answer.of(self._desk.take_here(_text_of(asked, "label"), float(seconds)), HTTPStatus.CREATED)

    def _lesson(self, request: Request) -> Answer:
        asked = request.json()
        items = asked.get("items")
        if not isinstance(items, list) or not all(isinstance(one, str) for one in items) or len(items) > 200:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a lesson is a list of ids")
        answer = asked.get("answer", "")
        job = self._desk.teach(items, _text_of(asked, "label"), answer=answer if isinstance(answer, str) else "?")
        return Answer.of(job, HTTPStatus.ACCEPTED)

    def _text(self, request: Request) -> Answer:
        asked = request.json()
        if asked.get("label"):
            job = self._desk.teach_text(_text_of(asked, "text"), _text_of(asked, "label"))
            return Answer.of(job, HTTPStatus.ACCEPTED)
        return Answer.of(self._desk.try_text(_text_of(asked, "text")))

    def _rollback(self, request: Request) -> Answer:
        revision = request.json().get("revision")
        if revision is not None and (not isinstance(revision, int) or isinstance(revision, bool) or revision < 0):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a revision is a number")
        return Answer.of(self._desk.roll_back(revision), HTTPStatus.ACCEPTED)

    def _forget(self, request: Request) -> Answer:
        asked = request.json()
        job = self._desk.forget(_text_of(asked, "label"), dry_run=asked.get("dry_run") is True)
        return Answer.of(job, HTTPStatus.ACCEPTED)

    def _wrong(self, request: Request) -> Answer:
        asked = request.json()
        return Answer.of(
            self._desk.wrong(_text_of(asked, "label") if asked.get("label") else None), HTTPStatus.ACCEPTED
        )

    def _label(self, request: Request, name: str) -> Answer:
        return Answer.of(self._desk.teach([name], _text_of(request.json(), "label")), HTTPStatus.ACCEPTED)

    def _discard(self, _request: Request, name: str) -> Answer:
        return Answer.of(self._desk.discard(name))


def _told(answer: Callable[[], Answer | None]) -> Answer | None:
    """Turn the library's errors into answers."""
    try:
        return answer()
    except SettingError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
    except DataError as error:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    except EdgeclError as error:
        raise RefusedError(HTTPStatus.CONFLICT, str(error)) from error


def _text_of(asked: Mapping[str, Any], name: str) -> str:
    found = asked.get(name)
    if not isinstance(found, str) or not found.strip():
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name} is missing")
    return found
