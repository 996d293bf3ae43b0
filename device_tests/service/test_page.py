"""The page by its paths: what each does, and whom it refuses."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any

import numpy as np
import pytest

from edgecl.demo.movement import CHANNELS, EXERCISES, RATE_HZ, recording
from edgecl.service.addresses import Address
from edgecl.service.page.notices import Notices
from edgecl.service.page.pairing import Pairing
from edgecl.service.page.questions import questions
from edgecl.service.page.server import LARGEST_HEAD, PageServer

from ..support.broker import wait_until
from ..support.commands import clips, edgecl, noise, voice_extractor, write_clips, write_wav
from ..support.page import Page, served

pytestmark = pytest.mark.native("serves a process in real time")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("page")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    lesson = write_clips(folder / "clips", clips("teach", ["yes", "stop"], most=10))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder / "kitchen"


@pytest.fixture(scope="module")
def page(taught: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page that is paired; tests leave the store as they found it."""
    with served(taught, state=tmp_path_factory.mktemp("state")) as one:
        one.pair()
        yield one


def wav(tmp_path: Path, word: str, number: int = 0) -> bytes:
    signal = clips("new", [word])[number].signal
    return write_wav(tmp_path / "take.wav", signal[:, 0]).read_bytes()


def test_assets_are_served_to_anybody_and_nothing_else_is(page: Page) -> None:
    stranger = Page(page.url, "", page.process)
    for path in ("/", "/page.js", "/page.css", "/texts/zh.json"):
        reply = stranger.ask(path)
        assert (reply.status, len(reply.body) > 100) == (200, True)
        assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert stranger.ask("/api/hello").value == {"paired": False}
    for path in ("/api/state", "/api/history", "/api/inbox", "/api/inbox/1.wav", "/api/events"):
        assert stranger.ask(path).status == 401
    for path in ("/api/lessons", "/api/rollback", "/api/forget", "/api/wrong", "/api/inbox/1/label"):
        assert stranger.ask(path, {}).status == 401
    assert stranger.ask("/../../etc/passwd").status == 404
    assert stranger.ask("/assets/index.html").status == 404


def test_a_cookie_is_for_this_page_alone(page: Page, taught: Path, tmp_path: Path) -> None:
    with served(taught, state=tmp_path) as other:
        reply = other.ask("/api/pair", {"code": f"{other.code[:4]} {other.code[4:]}"})
        cookie = reply.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        other.cookie = cookie.partition(";")[0]
        assert other.ask("/api/state").status == 200
        assert page.ask("/api/state", Cookie=other.cookie).status == 401


def test_a_code_is_good_once_and_five_tries_long() -> None:
    shown: list[str] = []
    pairing = Pairing(shown.append)
    pairing.offer()
    pairing.offer()
    (code,) = shown
    token = pairing.trade(code)
    assert token is not None
    assert pairing.is_paired(token)
    assert not pairing.is_paired(token + "x")
    assert pairing.trade(code) is None
    pairing.offer()
    wrong = f"{(int(shown[1]) + 1) % 10**8:08d}"
    assert [pairing.trade(wrong) for _ in range(5)] == [None] * 5
    assert pairing.trade(shown[1]) is None
    pairing.offer()  # not before ten minutes have passed, or five tries would be as many as anybody likes
    assert len(shown) == 2


def test_a_code_is_too_old_after_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    pairing = Pairing(shown.append)
    pairing.offer()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 601)
    assert pairing.trade(shown[0]) is None
    pairing.offer()
    assert pairing.trade(shown[1]) is not None


def test_browsers_stay_paired_over_a_restart(tmp_path: Path) -> None:
    shown: list[str] = []
    first = Pairing(shown.append, path=tmp_path / "tokens.json")
    first.offer()
    token = first.trade(shown[0])
    assert token is not None
    assert token not in (tmp_path / "tokens.json").read_text()
    assert (tmp_path / "tokens.json").stat().st_mode & 0o077 == 0
    assert Pairing(shown.append, path=tmp_path / "tokens.json").is_paired(token)
    (tmp_path / "tokens.json").write_text("[1")
    assert not Pairing(shown.append, path=tmp_path / "tokens.json").is_paired(token)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "["}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Length": "9999999999"}, 413),
        ({"Content_Length": "x"}, 400),
        ({"Transfer_Encoding": "chunked"}, 411),
    ],
)
def test_other_sites_and_odd_requests_are_refused(page: Page, headers: dict[str, str], status: int) -> None:
    assert page.ask("/api/rollback", {"revision": 999}, **headers).status == status


@pytest.mark.parametrize("number", ["\u00b2", "9" * 5000, "-1", "1e9"])
def test_a_number_that_is_none_is_not_followed(page: Page, number: str) -> None:
    assert page.ask("/api/hello", Last_Event_ID=number).status == 200


def test_its_own_origin_is_let_in(page: Page) -> None:
    reply = page.ask("/api/inbox/999/discard", {}, Origin=page.url, Sec_Fetch_Site="same-origin")
    assert reply.status == 400  # there is no such item


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/rollback", [1], 400),
        ("/api/rollback", {"revision": "x"}, 400),
        ("/api/rollback", {"revision": True}, 400),
        ("/api/lessons", {"items": [], "label": "x"}, 400),
        ("/api/lessons", {"items": ["../1"], "label": "x"}, 400),
        ("/api/lessons", {"items": ["1"], "label": "\x00"}, 400),
        ("/api/lessons", {"items": ["1"]}, 400),
        ("/api/lessons", {"items": ["1"], "label": "x", "answer": "maybe"}, 400),
        ("/api/forget", {}, 400),
        ("/api/record", {"label": "x", "seconds": 1e9}, 400),
        ("/api/record", {"label": "x", "seconds": 2}, 422),
        ("/api/takes?label=x", b"nonsense", 422),
        ("/api/takes?label=x", b"", 422),
        ("/api/texts", {"text": "hello"}, 422),
        ("/api/inbox/1.wav", {}, 404),
        ("/api/nothing", {}, 404),
    ],
)
def test_requests_that_make_no_sense_are_answered_with_why(page: Page, path: str, body: object, status: int) -> None:
    reply = page.ask(path, body)
    assert reply.status == status
    assert reply.value["error"]


def test_the_whole_way_from_takes_to_a_verdict_and_back(taught: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(taught, tmp_path / "kitchen"))
    with served(store, state=tmp_path / "state") as page:
        page.pair()
        with page.events() as events:
            items = []
            for number in range(5):
                reply = page.ask("/api/takes?label=coffee", wav(tmp_path, "coffee", number))
                assert reply.status == 201
                items += reply.value["items"]
            silent = write_wav(tmp_path / "silent.wav", noise(2.0) * 1e-6).read_bytes()
            assert "silent" in page.ask("/api/takes?label=coffee", silent).value["error"]
            assert [one["label"] for one in page.ask("/api/inbox").value["items"]] == ["coffee"] * 5
            assert page.ask(f"/api/inbox/{items[0]}.wav").body[:4] == b"RIFF"
            reply = page.ask("/api/lessons", {"items": items, "label": "coffee"})
            assert reply.status == 202
            verdict = events.next("verdict")
            assert (verdict["job"], verdict["label"]) == (reply.value["job"], "coffee")
            assert verdict["outcome"] in ("accepted", "unproven")
            state = page.ask("/api/state").value
            assert set(state["classes"]) == {"coffee", "stop", "yes"}
            assert page.ask("/api/inbox").value["items"] == []
            page.ask("/api/rollback", {})
            assert events.next("verdict")["outcome"] == "done"
            assert set(page.ask("/api/state").value["classes"]) == {"stop", "yes"}
            page.ask("/api/forget", {"label": "stop"})
            forgotten = events.next("verdict")
            assert (forgotten["outcome"], forgotten["forgotten"]) == ("done", {"stop": 10})
            assert forgotten["not_promised"]
            seen = events.number
        with page.events(since=seen - 1) as again:  # a browser that lost its connection misses nothing
            assert again.next("verdict", within_s=5)["verb"] == "forget"
        history = page.ask("/api/history").value["history"]
        assert [one["kind"] for one in history[:2]] == ["forget", "rollback"]


def test_detections_and_recordings_come_from_the_stream_that_is_listened_to(taught: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(taught, tmp_path / "kitchen"))
    said = [part for one in clips("test", ["yes"])[:3] for part in (noise(1.5) * 0.002, one.signal[:, 0])]
    sound = (np.concatenate([*said, noise(1.5) * 0.002]) * 32767).astype("<i2").tobytes()
    with served(store, "--listen", "-", state=tmp_path / "state", stdin=subprocess.PIPE) as page:
        page.pair()
        assert page.process.stdin is not None
        with page.events() as events:
            page.process.stdin.write(sound)
            page.process.stdin.flush()
            assert events.next("event")["label"] == "yes"
            page.process.stdin.close()
        wait_until(lambda: "ended" in page.ask("/api/record", {"label": "x", "seconds": 20}).value.get("error", ""))


def test_movement_is_shown_and_recorded_in_windows(tmp_path: Path) -> None:
    store = tmp_path / "wrist"
    assert edgecl("init", store, "--extractor", "imu").code == 0
    moved = recording("arm raise" if "arm raise" in EXERCISES else next(iter(EXERCISES)), 0, seconds=30)
    rows = ["timestamp," + ",".join(CHANNELS)]
    rows += [f"{at / RATE_HZ:.3f}," + ",".join(f"{one:.4f}" for one in row) for at, row in enumerate(moved)]
    with served(store, "--listen", "-", state=tmp_path / "state", stdin=subprocess.PIPE) as page:
        page.pair()
        stream = page.process.stdin
        assert stream is not None

        def feed() -> None:
            for at in range(0, len(rows), 50):
                stream.write(("\n".join(rows[at : at + 50]) + "\n").encode())
                stream.flush()
                time.sleep(0.05)

        with page.events() as events:
            feeding = threading.Thread(target=feed, daemon=True)
            feeding.start()
            assert len(events.next("signal")["row"]) == len(CHANNELS)
            reply = page.ask("/api/record", {"label": "exercise", "seconds": 9})
            feeding.join()
        assert (reply.status, len(reply.value["items"])) == (201, 4)
        assert {one["file"][-4:] for one in page.ask("/api/inbox").value["items"]} == {".npz"}
        assert page.ask("/api/state").value["modality"] == "imu"


def test_a_text_can_be_tried_and_taught(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="needs the extra [text]")
    from ..extractors.test_text import write

    write(tmp_path / "text.onnx")
    store = tmp_path / "desk"
    assert edgecl("init", store, "--extractor", tmp_path / "text.onnx").code == 0
    with served(store, state=tmp_path / "state") as page:
        page.pair()
        with page.events() as events:
            for text, label in (("my card", "open"), ("please refund", "close")):
                assert page.ask("/api/texts", {"text": text, "label": label}).status == 202
                assert events.next("verdict")["outcome"] in ("accepted", "unproven")
        assert page.ask("/api/texts", {"text": "my card"}).value["label"] in ("open", "close")
        assert page.ask("/api/texts", {"text": " "}).status == 400


def test_tls_works_with_a_certificate_of_its_own(taught: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    with served(taught, "--tls", state=tmp_path) as page:
        assert page.url.startswith("https://")
        page.pair()
        assert page.ask("/api/state").status == 200
        assert page.ask("/api/rollback", {"revision": "x"}, Origin=page.url.replace("https", "http")).status == 403
        host, port = page.host.split(":")
        for _ in range(20):  # no handshake
            with socket.create_connection((host, int(port)), timeout=5) as one:
                one.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with socket.create_connection((host, int(port)), timeout=5) as one:
            trusting = ssl._create_unverified_context()
            with trusting.wrap_socket(one, server_hostname="localhost") as encrypted:
                assert encrypted.version() in ("TLSv1.2", "TLSv1.3")
        assert (tmp_path / "page.key").stat().st_mode & 0o077 == 0
        assert page.ask("/api/state").status == 200


def usage(page: Page) -> tuple[int, int]:
    """Descriptors and threads of the service."""
    folder = Path(f"/proc/{page.process.pid}")
    return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))


def resident_mib(page: Page) -> float:
    return int(Path(f"/proc/{page.process.pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def test_a_thousand_connections_leave_nothing(page: Page) -> None:
    host, port = page.host.split(":")
    page.ask("/api/state")
    before, memory = usage(page), resident_mib(page)
    for number in range(1000):
        with socket.create_connection((host, int(port)), timeout=5) as one:
            if number % 3:
                one.sendall(b"GET /api/hello HTTP/1.1\r\nHost: localhost\r\n\r\n"[: number % 50])
    assert page.ask("/api/state").status == 200
    wait_until(lambda: usage(page) <= before)
    assert resident_mib(page) < memory + 8


def test_heads_without_end_are_refused_and_take_no_memory(page: Page) -> None:
    host, port = page.host.split(":")
    page.ask("/api/state")
    before = resident_mib(page)
    head = f"GET /api/hello HTTP/1.1\r\nHost: {page.host}\r\n".encode()
    for more in (b"".join(b"X%d: %s\r\n" % (one, b"y" * 60_000) for one in range(90)), b"X: " + b"y" * 60_000):
        sending = [socket.create_connection((host, int(port)), timeout=5) for _ in range(16)]
        for one in sending:
            with suppress(OSError):
                one.sendall(head + more)
        for one in sending:
            one.close()
    with socket.create_connection((host, int(port)), timeout=5) as one:
        one.sendall(head + b"X: " + b"y" * (LARGEST_HEAD - len(head) - 2))
        assert one.recv(64).startswith(b"HTTP/1.1 431 ")
    assert resident_mib(page) < before + 8
    assert page.ask("/api/hello", X="y" * 20_000).status == 200


def test_a_connection_that_gets_no_thread_leaves_no_place_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadingMixIn, "process_request", none_left)
    pairing = Pairing(lambda _: None)
    with Address("127.0.0.1", 0).bound() as listening, socket.create_connection(listening.getsockname()) as one:
        server = PageServer(listening, names=[], handle=lambda _: None, notices=Notices(), pairing=pairing)
        with pytest.raises(RuntimeError):
            server.process_request(one, one.getsockname())
        assert server.connections == 0


def test_a_page_goes_on_and_ends_where_nobody_reads_its_stdout(taught: Path, tmp_path: Path) -> None:
    with served(taught, state=tmp_path) as page:
        page.pair()  # from here on a stranger who opens the page has a new code printed
        stdout = os.open(f"/proc/{page.process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while os.write(stdout, b" " * size):
                    pass
        os.close(stdout)
        assert Page(page.url, "", page.process).ask("/").status == 200
        page.process.terminate()
        assert page.process.wait(20) == 0


def test_a_code_that_could_not_be_shown_is_void_and_another_is_offered() -> None:
    shown: list[str] = []

    def show(code: str) -> None:
        shown.append(code)
        if len(shown) == 1:
            raise BrokenPipeError

    pairing = Pairing(show)
    with pytest.raises(BrokenPipeError):
        pairing.offer()
    assert pairing.trade(shown[0]) is None
    pairing.offer()
    assert pairing.trade(shown[1]) is not None


def test_slow_readers_do_not_keep_anybody_out(page: Page) -> None:
    host, port = page.host.split(":")
    before = usage(page)
    slow = []
    for number in range(100):
        one = socket.create_connection((host, int(port)), timeout=5)
        one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + (b"\r\n" if number % 2 else b""))
        slow.append(one)
    try:
        started = time.monotonic()
        assert page.ask("/api/state").status == 200
        assert time.monotonic() - started < 15
    finally:
        for one in slow:
            one.close()
    wait_until(lambda: usage(page) <= before)


def test_a_reader_of_events_that_does_not_read_is_dropped(page: Page) -> None:
    host, port = page.host.split(":")
    with page.events() as quick:
        streams = []
        for _ in range(10):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            one.connect((host, int(port)))
            head = f"GET /api/events HTTP/1.1\r\nHost: {page.host}\r\nCookie: {page.cookie}\r\n\r\n"
            one.sendall(head.encode())
            streams.append(one)
        time.sleep(0.5)
        page.ask("/api/rollback", {"revision": 999})
        assert quick.next("verdict")["outcome"] == "error"
        for one in streams:
            one.close()


def test_a_fuzzed_client_brings_down_nothing(page: Page) -> None:
    draw = random.Random(0)
    host, port = page.host.split(":")
    body = json.dumps({"items": ["1"], "label": "x"})
    good = (
        f"POST /api/lessons HTTP/1.1\r\nHost: {page.host}\r\nCookie: {page.cookie}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nOrigin: {page.url}\r\n\r\n{body}"
    ).encode()
    before = usage(page)
    for _ in range(300):
        told = bytearray(good)
        for _ in range(draw.randint(1, 12)):
            told[draw.randrange(len(told))] = draw.randrange(256)
        with socket.create_connection((host, int(port)), timeout=5) as one:
            one.sendall(bytes(told[: draw.randint(1, len(told))]))
    assert page.ask("/api/state").status == 200
    wait_until(lambda: usage(page) <= before)
    assert page.process.poll() is None


def test_questions_of_the_gate_are_found_in_its_answer() -> None:
    asked: dict[str, Any] = {"asks": [{"label": "tea", "like": "tee", "odds": 3}]}
    assert questions(asked) == [{"label": "tea", "like": "tee"}]
    assert questions({"error": "x"}) == []


def test_texts_say_the_same_in_every_language() -> None:
    from importlib.resources import files

    folder = files("edgecl.service.page").joinpath("assets", "texts")
    texts = {name: json.loads(folder.joinpath(f"{name}.json").read_text()) for name in ("en", "de", "zh")}
    for name in ("de", "zh"):
        assert set(texts[name]) == set(texts["en"])
        for key, text in texts[name].items():
            assert set(fields(text)) == set(fields(texts["en"][key])), key


def fields(text: str) -> list[str]:
    return [part.partition("}")[0] for part in text.split("{")[1:]]


def test_the_page_is_small() -> None:
    from importlib.resources import files

    folder = Path(str(files("edgecl.service.page").joinpath("assets")))
    assert sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()) < 40_000
