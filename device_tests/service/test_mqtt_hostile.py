"""Brokers, and clients of a broker, that send what nobody should: packets that cannot be read, and endless messages."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import threading
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edgecl.errors import SettingError
from edgecl.service.home_assistant import device_document
from edgecl.service.mqtt import PASSWORD, Broker, Publisher

from ..support.broker import FakeBroker, answering, free_port, published, wait_until
from ..support.certificates import make_certificates

pytest.importorskip("paho.mqtt.client", reason="needs the extra [mqtt]")
pytestmark = pytest.mark.native("talks to a broker in real time")
CONFIG, COMMAND = "homeassistant/device/edgecl_kitchen/config", "edgecl/kitchen/command"
UNREADABLE = {
    "a topic that is no text": published(b"\xff\xfe", b"x"),
    "a message without a topic": b"\x30\x00",
    "a topic longer than its packet": b"\x30\x03\xff\xffa",
    "a message without its number": b"\x32\x03\x00\x01a",
    "an answer without codes": b"\x90\x00",
    "an answer with a code that is none": b"\x90\x03\x00\x01\x77",
    "a receipt of nothing": b"\x40\x00",
    "a packet of no kind": b"\x00\x00",
    "a length without an end": b"\x30\xff\xff\xff\xff\xff",
}


def publisher(port: int, obeyed: list[Any]) -> Publisher:
    broker = Broker.from_url(f"mqtt://127.0.0.1:{port}")
    topics = broker.topics(Path("kitchen"))

    def describe(labels: tuple[str, ...], gone: Any) -> dict[str, Any]:
        return device_document(topics, labels, name="kitchen", model="voice", version="1", gone=gone)

    def obey(asked: dict[str, Any]) -> dict[str, Any]:
        obeyed.append(asked)
        return {}

    return Publisher(broker, topics, describe, obey=obey)


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_packet_that_cannot_be_read_costs_no_more_than_its_connection(kind: str) -> None:
    command = published(COMMAND, json.dumps({"command": "rollback"}).encode())
    obeyed: list[Any] = []
    with FakeBroker(UNREADABLE[kind] + command, command) as broker, publisher(broker.port, obeyed):
        wait_until(lambda: obeyed)
        assert broker.connections <= 2


def test_a_message_of_any_length_takes_little_memory_and_no_connection() -> None:
    command = published(COMMAND, json.dumps({"command": "rollback"}).encode())
    long = b"".join(published(topic, bytes(24 << 20), retain=True) for topic in (CONFIG, COMMAND))
    obeyed: list[Any] = []
    with FakeBroker(long + command) as broker:
        tracemalloc.start()
        with publisher(broker.port, obeyed):
            wait_until(lambda: obeyed, within_s=60)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (obeyed, broker.connections) == ([{"command": "rollback"}], 1)
    assert peak < 8 << 20


def test_a_broker_that_never_answers_delays_no_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with publisher(silent.getsockname()[1], []):
            time.sleep(0.3)
            started = time.monotonic()
        assert time.monotonic() - started < 3


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # paho leaves a socket that could not be encrypted
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_cannot_be_trusted_or_is_not_there_is_said_to_be_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    good, other = map(make_certificates, folders)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(good.certificate, good.key)

    def refused(one: socket.socket) -> None:
        with suppress(ssl.SSLError):
            context.wrap_socket(one, server_side=True).close()

    with answering(refused) as port:
        broker = Broker.from_url(f"mqtts://127.0.0.1:{port}", ca_file=other.ca)
        with Publisher(broker, broker.topics(Path("kitchen")), lambda labels, gone: {}):
            wait_until(lambda: caplog.messages)
        wait_until(lambda: not any("mqtt network" in one.name for one in threading.enumerate()))
    gc.collect()
    said = ("certificate signature failure", "unable to get local issuer", "Missing Authority Key Identifier")
    assert any(one in caplog.messages[0] for one in said)
    caplog.clear()
    with publisher(free_port(), []):
        wait_until(lambda: caplog.messages)
    assert "Connection refused" in caplog.messages[0]


def test_a_server_that_accepts_and_closes_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with answering(lambda _: None) as port, publisher(port, []):
        wait_until(lambda: caplog.messages)
    assert "is gone" in caplog.messages[0]
    assert "events wait" in caplog.messages[0]


@pytest.mark.parametrize(
    "url",
    ["mqtt://h/\udcff", "mqtt://\udcff@h", "mqtt://a%00b@h", f"mqtt://{'u' * 70_000}@h", f"mqtt://h/{'p' * 70_000}"],
)
def test_what_no_broker_can_be_sent_is_refused_at_once(url: str) -> None:
    with pytest.raises(SettingError, match=r"of a broker"):
        Broker.from_url(url)


@pytest.mark.parametrize("password", ["\udcff", "x" * 70_000])
def test_a_password_that_no_broker_can_be_sent_is_refused_and_not_shown(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, password)
    with pytest.raises(SettingError) as refused:
        Broker.from_url("mqtt://user@localhost")
    assert password not in str(refused.value)
