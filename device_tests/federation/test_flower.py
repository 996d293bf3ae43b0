"""A real SuperLink with three SuperNodes on loopback: a round is summed, one node is killed, the others go on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edgecl.federation.app import quiet_environment, write_app
from edgecl.learner import Learner

from ..operations.test_sharing import LABELS, latents
from ..support.commands import command_line, voice_extractor

pytest.importorskip("flwr")
pytestmark = [pytest.mark.slow, pytest.mark.host]
PATIENCE_S = 240


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Federation:
    """Programs that end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._started: list[subprocess.Popen[bytes]] = []
        home = folder / "home"
        home.mkdir()
        link = f'[superlink]\ndefault = "lo"\n\n[superlink.lo]\naddress = "127.0.0.1:{self.port}"\ninsecure = true\n'
        (home / "config.toml").write_text(link)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environ = quiet_environment({**os.environ, "FLWR_HOME": str(home), "PATH": path})

    def start(self, name: str, *arguments: object) -> subprocess.Popen[bytes]:
        line = command_line("federate", *arguments)
        with (self.folder / f"{name}.log").open("wb") as log:
            made = subprocess.Popen(line, env=self.environ, stdout=log, stderr=log, start_new_session=True)
        self._started.append(made)
        return made

    def run(self, app: Path) -> str:
        """Run the app to its end, and return the line that the server prints of its round."""
        line = ["flwr", "run", str(app), "lo", "--stream"]
        done = subprocess.run(line, env=self.environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found = [one for one in (done.stdout + done.stderr).splitlines() if "EDGECL round" in one]
        assert found, done.stdout + done.stderr
        return found[0]

    def end(self) -> None:
        for one in reversed(self._started):
            with suppress(ProcessLookupError):
                one.send_signal(signal.SIGTERM)
        for one in self._started:
            one.wait(30)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    made = Federation(tmp_path)
    yield made
    made.end()


def wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.3)
    raise AssertionError("the SuperLink does not listen")


def test_three_nodes_are_summed_and_one_that_is_killed_is_left_out(federation: Federation, tmp_path: Path) -> None:
    voice_extractor()
    for seed, name in enumerate("abc"):
        Learner.create(tmp_path / name, extractor="voice").learn(latents(seed), latents=True)
    app = tmp_path / "fleet"
    write_app(app, rounds=1, nodes=3, timeout_s=100)
    federation.start("serve", "serve", "--port", federation.port)
    wait_for(federation.port)
    nodes = [
        federation.start(f"node {name}", "join", tmp_path / name, f"127.0.0.1:{federation.port}", "--port", free_port())
        for name in "abc"
    ]
    assert "3 of 3 nodes replied" in federation.run(app)
    for name in "abc":
        model = Learner.open(tmp_path / name).opened.model()[1]
        assert {label: one.count for label, one in model.statistics.items()} == dict.fromkeys(LABELS, 36)
        assert len(model.others["fleet"].members) == 2
    nodes[2].send_signal(signal.SIGTERM)
    nodes[2].wait(30)
    Learner.open(tmp_path / "a").learn(latents(7), latents=True, force=True)
    line = federation.run(app)
    assert "round 2: 2 of " in line
    assert "3 devices known" in line
    counts = {name: Learner.open(tmp_path / name).opened.model()[1].statistics["yes"].count for name in "abc"}
    assert counts == {"a": 48, "b": 48, "c": 36}
