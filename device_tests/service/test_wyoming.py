"""Taught words as wake words, asked for by the package's own client as Home Assistant does."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.live.events import Event
from edgecl.live.options import Listening
from edgecl.operations.open_store import OpenStore
from edgecl.service import wyoming
from edgecl.service.addresses import Address
from edgecl.service.presence import is_running
from edgecl.service.wyoming import WyomingServer, avahi_service

from ..support.broker import wait_until
from ..support.commands import clips, edgecl, noise, voice_extractor, write_clips

pytest.importorskip("wyoming", reason="needs the extra [wyoming]")
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

pytestmark = pytest.mark.native("talks to a server in real time")
CHUNK = 1024


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows two words."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("wyoming")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    lesson = write_clips(folder / "clips", clips("teach", ["yes", "stop"], most=10))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder / "kitchen"


@pytest.fixture
def server(kitchen: Path) -> Iterator[WyomingServer]:
    with WyomingServer(OpenStore.open(kitchen), Address("127.0.0.1", 0), how=Listening()) as one:
        yield one


def pcm(word: str, *, number: int = 0) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A clip that taught nothing, with a second of quiet before and after."""
    spoken = [one.signal[:, 0] for one in clips("test", [word])][number]
    quiet = noise(1.0) * 0.002
    return (np.concatenate([quiet, spoken, quiet]) * 32767).astype("<i2")


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 60))


async def send(client: AsyncTcpClient, sound: np.ndarray[Any, Any]) -> None:
    await client.write_event(AudioStart(rate=16000, width=2, channels=1).event())
    for at in range(0, len(sound), CHUNK):
        chunk = AudioChunk(16000, 2, 1, sound[at : at + CHUNK].tobytes(), timestamp=at // 16)
        await client.write_event(chunk.event())


async def detected(port: int, word: str, names: list[str] | None, *, number: int = 0) -> Any:
    """What a client is told of a clip of a word."""
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Detect(names=names, context={"room": "kitchen"}).event())
        await send(client, pcm(word, number=number))
        await client.write_event(AudioStop().event())
        found = await client.read_event()
        assert found is not None
        return found


def test_home_assistant_is_told_which_words_there_are(server: WyomingServer) -> None:
    async def ask() -> Any:
        async with AsyncTcpClient("127.0.0.1", server.port) as client:
            await client.write_event(Describe().event())
            await client.write_event(Ping(text="there?").event())
            return await client.read_event(), await client.read_event()

    info, pong = run(ask())
    (program,) = Info.from_event(info).wake
    assert [(one.name, one.phrase, one.installed) for one in program.models] == [
        ("stop", "stop", True),
        ("yes", "yes", True),
    ]
    assert Pong.from_event(pong).text == "there?"


def test_a_taught_word_is_detected_under_the_name_that_was_asked_for(server: WyomingServer) -> None:
    found = [run(detected(server.port, "yes", ["yes"], number=number)) for number in range(4)]
    names = [Detection.from_event(one).name for one in found if Detection.is_type(one.type)]
    assert len(names) >= 3
    assert set(names) == {"yes"}
    first = next(one for one in found if Detection.is_type(one.type))
    assert Detection.from_event(first).timestamp is not None
    assert first.data["context"] == {"room": "kitchen"}


def test_without_names_any_word_counts_and_another_word_does_not(server: WyomingServer) -> None:
    assert Detection.from_event(run(detected(server.port, "yes", None))).name == "yes"
    other = run(detected(server.port, "yes", ["stop"]))
    assert NotDetected.is_type(other.type)
    assert other.data["context"] == {"room": "kitchen"}
    unknown = run(detected(server.port, "yes", ["hey_jarvis"]))
    assert NotDetected.is_type(unknown.type)


def test_two_clients_at_once_are_told_apart(server: WyomingServer) -> None:
    async def both() -> Any:
        return await asyncio.gather(
            detected(server.port, "yes", ["yes"]),
            detected(server.port, "yes", ["stop"]),
            detected(server.port, "stop", ["stop"], number=1),
        )

    kinds = [one.type for one in run(both())]
    assert kinds == ["detection", "not-detected", "detection"]


def test_a_lesson_between_two_chunks_counts_from_then_on(tmp_path: Path) -> None:
    voice_extractor()
    store = tmp_path / "kitchen"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    lesson = write_clips(tmp_path / "clips", clips("teach", ["yes", "stop"], most=10))

    async def talk(port: int) -> list[Any]:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Detect(names=None).event())
            await send(client, pcm("yes"))
            await client.write_event(Ping().event())
            first = await client.read_event()
            await asyncio.to_thread(lambda: edgecl("learn", store, lesson))
            await send(client, pcm("yes"))
            await client.write_event(AudioStop().event())
            return [first, await client.read_event()]

    heard: list[Event] = []
    with WyomingServer(OpenStore.open(store), Address("127.0.0.1", 0), how=Listening(), publish=heard.append) as server:
        before, after = run(talk(server.port))
    assert (before.type, after.type) == ("pong", "detection")
    assert [one.label for one in heard] == ["yes"]


def test_learn_says_that_home_assistant_has_to_ask_again(tmp_path: Path) -> None:
    voice_extractor()
    store = tmp_path / "kitchen"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    assert not is_running("wyoming", store)
    with WyomingServer(OpenStore.open(store), Address("127.0.0.1", 0), how=Listening()):
        assert is_running("wyoming", store)
        lesson = write_clips(tmp_path / "clips", clips("teach", ["yes", "stop"], most=5))
        assert "reload" in edgecl("learn", store, lesson).out
    assert not is_running("wyoming", store)


def test_other_rates_and_stereo_are_converted(server: WyomingServer) -> None:
    sound = pcm("yes").astype(np.float64)
    twice = np.repeat(np.repeat(sound, 2), 2).astype("<i2")  # 32 kHz, two channels

    async def ask() -> Any:
        async with AsyncTcpClient("127.0.0.1", server.port) as client:
            await client.write_event(Detect(names=None).event())
            for at in range(0, len(twice), 4096):
                chunk = AudioChunk(32000, 2, 2, twice[at : at + 4096].tobytes())
                await client.write_event(chunk.event())
            await client.write_event(AudioStop().event())
            return await client.read_event()

    assert Detection.is_type(run(ask()).type)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b"[1]\n",
        b'{"type": 1}\n',
        b'{"type": "audio-chunk", "payload_length": 99999999999}\n',
        b'{"type": "audio-chunk", "payload_length": -1}\n',
        b'{"type": "audio-chunk", "data": {"rate": 0, "width": 2, "channels": 1}, "payload_length": 2}\n\0\0',
        b'{"type": "audio-chunk", "data": {"rate": 16000, "width": 9, "channels": 1}}\n',
        b'{"type": "detect", "data": {"names": 7}}\n{"type": "detect", "data": [1]}\n',
        b"[" * 70000 + b"\n",
        b"x" * 200000,
    ],
)
def test_a_client_that_talks_nonsense_is_left_and_others_stay(server: WyomingServer, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as one:
        one.sendall(line)
        one.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):  # where it is left before all was read
            assert one.recv(64) == b""
    assert Detection.is_type(run(detected(server.port, "yes", ["yes"])).type)


DEEP = b'{"a":' * 975 + b"1" + b"}" * 975


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "ping", "data": {"text": "\\ud800"}}\n',
        b'{"type": "detect", "data": {"context": {"a": "\\ud800"}}}\n{"type": "audio-stop"}\n',
        b'{"type": "detect", "data_length": %d}\n{"context": %s}{"type": "audio-stop"}\n' % (len(DEEP) + 13, DEEP),
    ],
)
def test_what_cannot_be_sent_back_ends_the_connection_alone(
    server: WyomingServer, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as one:
        one.sendall(line)
        one.shutdown(socket.SHUT_WR)
        assert b"ping" not in one.recv(64)
    settle(server)
    assert caplog.messages == []
    assert Detection.is_type(run(detected(server.port, "yes", ["yes"])).type)


def test_a_fuzzed_client_brings_down_nothing(server: WyomingServer) -> None:
    draw = random.Random(0)
    good = [Describe().event(), Detect(names=["yes"]).event(), AudioStop().event(), Ping().event()]
    lines = [f'{{"type": "{one.type}", "data": {{}}}}\n'.encode() for one in good]
    for _ in range(150):
        told = bytearray(b"".join(draw.choices(lines, k=4)))
        for _ in range(draw.randint(1, 8)):
            told[draw.randrange(len(told))] = draw.randrange(256)
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as one:
            one.sendall(bytes(told))
    settle(server)
    assert Detection.is_type(run(detected(server.port, "yes", ["yes"])).type)


def settle(server: WyomingServer) -> None:
    """Wait for connections that the system has accepted for the server, and that are gone: a burst is refused."""
    time.sleep(1)
    wait_until(lambda: not server._clients)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_clients_that_send_minutes_at_once_do_not_keep_others_waiting(server: WyomingServer) -> None:
    chunk = AudioChunk(4000, 1, 1, bytes(random.Random(0).randbytes(260_000))).event()
    header = {"type": chunk.type, "data": chunk.data, "payload_length": 260_000}
    message = json.dumps(header).encode() + b"\n" + (chunk.payload or b"")
    flooding = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(6)]
    for one in flooding:
        one.sendall(message)
    wait_until(lambda: server.summary.seconds > 0)
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
            one.sendall(b'{"type": "describe"}\n')
            assert one.recv(64)
    heard = server.summary.seconds
    for one in flooding:
        one.close()
    assert heard < 200  # of 390: a client that was not served between pieces would have waited for all of it


def test_a_thousand_connections_leave_nothing(server: WyomingServer) -> None:
    run(detected(server.port, "yes", ["yes"]))
    wait_until(lambda: not server._clients)
    before = descriptors(), threading.active_count()
    for number in range(1000):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as one:
            if number % 3:
                one.sendall(b'{"type": "describe"}\n')
    wait_until(lambda: not server._clients)
    wait_until(lambda: (descriptors(), threading.active_count()) == before)
    settle(server)
    assert Detection.is_type(run(detected(server.port, "yes", ["yes"])).type)


def test_slow_readers_are_left_and_the_end_does_not_wait_for_them(kitchen: Path) -> None:
    slow = []
    with WyomingServer(OpenStore.open(kitchen), Address("127.0.0.1", 0), how=Listening()) as server:
        for _ in range(100):
            one = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            one.setblocking(False)
            with suppress(OSError):
                one.send(b'{"type": "describe"}\n' * 2000)
            slow.append(one)
        time.sleep(0.5)
        assert len(server._clients) <= 32
        started = time.monotonic()
    assert time.monotonic() - started < 15
    for one in slow:
        one.close()


def test_a_thread_that_is_too_busy_to_end_in_time_closes_its_socket_itself(
    kitchen: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = []
    monkeypatch.setattr(threading, "excepthook", ended.append)
    with WyomingServer(OpenStore.open(kitchen), Address("127.0.0.1", 0), how=Listening()) as server:
        monkeypatch.setattr(wyoming, "STOPPING_S", 0.0)
        server._loop.call_soon_threadsafe(time.sleep, 0.3)
    wait_until(lambda: not server._thread.is_alive())
    assert (ended, caplog.messages, server._socket.fileno()) == ([], [], -1)


@pytest.mark.parametrize("address", ["65536", "9" * 5000, "\u00b2", "-1", "", "x", "1e3", "127.0.0.1:"])
def test_what_is_no_port_is_no_address(address: str) -> None:
    with pytest.raises(SettingError, match="is not an address"):
        Address.parse(address)


def test_an_address_that_is_taken_is_an_error_of_the_user(server: WyomingServer, kitchen: Path) -> None:
    taken = Address("127.0.0.1", server.port)
    with pytest.raises(SettingError, match="cannot be listened at"):
        WyomingServer(OpenStore.open(kitchen), taken, how=Listening()).__enter__()


def test_avahi_is_told_in_xml() -> None:
    text = avahi_service(Path("/tmp/a & b"), 10400)
    assert "<name>edgecl a &amp; b</name>" in text
    assert "<type>_wyoming._tcp</type><port>10400</port>" in text
