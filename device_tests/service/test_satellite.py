"""A real satellite of Home Assistant streams its microphone here, and goes on to the pipeline when a word is heard.

wyoming-satellite pins an early `wyoming`, so it has an environment of its own, whose Python EDGECL_SATELLITE_PYTHON
names: see CONTRIBUTING.md.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.live.options import Listening
from edgecl.operations.open_store import OpenStore
from edgecl.service.addresses import Address
from edgecl.service.wyoming import WyomingServer

from ..support.broker import free_port
from ..support.commands import clips, edgecl, noise, voice_extractor, write_clips

pytest.importorskip("wyoming", reason="needs the extra [wyoming]")
from wyoming.client import AsyncTcpClient
from wyoming.satellite import RunSatellite

pytestmark = [pytest.mark.host, pytest.mark.native("talks to a satellite in real time")]
PYTHON = os.environ.get("EDGECL_SATELLITE_PYTHON")
if PYTHON is None:
    pytest.skip("EDGECL_SATELLITE_PYTHON names no environment with wyoming-satellite", allow_module_level=True)
WAIT_S = 30
# a microphone that says a recording again and again at its own speed
MICROPHONE = """
import sys, time
content = open(sys.argv[1], "rb").read()
while True:
    for at in range(0, len(content), 2048):
        sys.stdout.buffer.write(content[at : at + 2048])
        sys.stdout.buffer.flush()
        time.sleep(0.064)
"""


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("satellite")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    lesson = write_clips(folder / "clips", clips("teach", ["yes", "stop"], most=10))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder / "kitchen"


@pytest.fixture
def satellite(kitchen: Path, tmp_path: Path) -> Iterator[int]:
    """Run a satellite that asks for "yes" here; yields its port."""
    quiet = noise(1.5) * 0.002
    spoken = [part for one in clips("test", ["yes"], most=4) for part in (quiet, one.signal[:, 0])]
    (tmp_path / "room.raw").write_bytes((np.concatenate(spoken) * 32767).astype("<i2").tobytes())
    (tmp_path / "microphone.py").write_text(MICROPHONE)
    port = free_port()
    with WyomingServer(OpenStore.open(kitchen), Address("127.0.0.1", 0), how=Listening()) as server:
        command = [
            *(str(PYTHON), "-m", "wyoming_satellite", "--no-zeroconf", "--uri", f"tcp://127.0.0.1:{port}"),
            *("--mic-command", f"{sys.executable} {tmp_path / 'microphone.py'} {tmp_path / 'room.raw'}"),
            *("--wake-uri", f"tcp://127.0.0.1:{server.port}", "--wake-word-name", "yes"),
        ]
        environment = {name: one for name, one in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.terminate()
            process.wait(10)


async def first_of(port: int, kind: str) -> Any:
    """Act as Home Assistant: let the satellite run, and return its first event of a kind."""
    while True:
        with suppress(OSError):
            client = AsyncTcpClient("127.0.0.1", port)
            await client.connect()
            break
        await asyncio.sleep(0.2)
    await client.write_event(RunSatellite().event())
    while (event := await client.read_event()) is not None:
        if event.type == kind:
            await client.disconnect()
            return event
    raise AssertionError(f"the satellite left before {kind}")


def test_a_satellite_runs_the_pipeline_from_speech_on_when_the_word_is_said(satellite: int) -> None:
    event = asyncio.run(asyncio.wait_for(first_of(satellite, "run-pipeline"), WAIT_S))
    assert event.data["start_stage"] == "asr"
