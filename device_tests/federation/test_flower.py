"""A real SuperLink with TLS and keys, and three SuperNodes on loopback: one is killed in a round, the others go on."""

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

import numpy as np
import pytest

from edgecl.federation.app import quiet_environment, write_app
from edgecl.learner import Learner

from ..operations.test_sharing import LABELS, latents
from ..support.certificates import make_certificates, make_node_key
from ..support.commands import command_line, voice_extractor

pytest.importorskip("flwr")
pytestmark = [pytest.mark.slow, pytest.mark.host]
PATIENCE_S = 480
ROUND_S = 100
ASKED = "Receiving: train message"  # in a node's log


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Federation:
    """Programs that end with the test: a SuperLink with TLS that takes registered nodes alone, and nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._started: list[subprocess.Popen[bytes]] = []
        self.files = make_certificates(folder)
        home = folder / "home"
        home.mkdir()
        link = f'address = "127.0.0.1:{self.port}"\nroot-certificates = "{self.files.ca}"\n'
        (home / "config.toml").write_text(f'[superlink]\ndefault = "lo"\n\n[superlink.lo]\n{link}')
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environ = quiet_environment({**os.environ, "FLWR_HOME": str(home), "PATH": path})

    def start(self, name: str, *arguments: object) -> subprocess.Popen[bytes]:
        line = command_line("federate", *arguments)
        with (self.folder / f"{name}.log").open("wb") as log:
            made = subprocess.Popen(line, env=self.environ, stdout=log, stderr=log, start_new_session=True)
        self._started.append(made)
        return made

    def join(self, name: str, key: Path) -> subprocess.Popen[bytes]:
        where = ("127.0.0.1:" + str(self.port), "--port", free_port(), "--ca", self.files.ca, "--key", key)
        return self.start(f"node {name}", "join", self.folder / name, *where)

    def serve(self, names: str) -> dict[str, Path]:
        """Start the SuperLink, and register the keys of these nodes; returns them."""
        self.start("serve", "serve", "--port", self.port, "--tls", self.files.stated, "--keys")
        wait_for(self.port)
        keys = {name: make_node_key(self.folder / f"{name}.key") for name in names}
        for key in keys.values():
            self.flwr("supernode", "register", key.with_suffix(".pub"), "lo")
        return keys

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def flwr(self, *arguments: object) -> str:
        """Run one of Flower's commands to its end, and return what it prints."""
        line = ["flwr", *map(str, arguments)]
        done = subprocess.run(line, env=self.environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def begin(self, app: Path) -> subprocess.Popen[str]:
        """Start the app."""
        line = ["flwr", "run", str(app), "lo", "--stream"]
        return subprocess.Popen(
            line, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    def line_of(self, run: subprocess.Popen[str]) -> str:
        """Wait for the app's end, and return the line that the server prints of its round."""
        try:
            out = run.communicate(timeout=PATIENCE_S)[0]
        except subprocess.TimeoutExpired:
            run.kill()
            raise
        found = [one for one in out.splitlines() if "EDGECL round" in one]
        assert found, out
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
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.3)
    raise AssertionError("the SuperLink does not listen")


def running(words: str) -> list[str]:
    """Processes with these words in their command line."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = one.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [one.parent.name] if words in line else []
    return found


def counts(folder: Path, names: str) -> dict[str, int]:
    return {name: Learner.open(folder / name).opened.model()[1].statistics["yes"].count for name in names}


def test_a_node_killed_in_a_round_is_left_out_of_it_and_counts_in_the_next(
    federation: Federation, tmp_path: Path
) -> None:
    voice_extractor()
    for seed, name in enumerate("abcd"):
        Learner.create(tmp_path / name, extractor="voice").learn(latents(seed), latents=True)
    app = tmp_path / "fleet"
    write_app(app, rounds=1, nodes=3, timeout_s=ROUND_S)
    keys = {**federation.serve("abc"), "d": make_node_key(tmp_path / "d.key")}  # nobody has registered d
    nodes = {name: federation.join(name, keys[name]) for name in "abcd"}

    run = federation.begin(app)
    until = time.monotonic() + ROUND_S
    while ASKED not in federation.log("node c") and time.monotonic() < until:
        time.sleep(0.05)
    assert ASKED in federation.log("node c")
    nodes["c"].send_signal(signal.SIGTERM)
    nodes["c"].wait(30)
    assert not running(f'store="{tmp_path / "c"}"')  # and nothing that it had started
    assert "round 1: 2 of 3 nodes replied, 2 devices known" in federation.line_of(run)
    assert counts(tmp_path, "abcd") == {"a": 24, "b": 24, "c": 12, "d": 12}

    federation.join("c", keys["c"])
    assert "round 2: 3 of 3 nodes replied, 3 devices known" in federation.line_of(federation.begin(app))
    assert counts(tmp_path, "abcd") == {"a": 36, "b": 36, "c": 36, "d": 12}
    whole = dict.fromkeys(LABELS, 36)
    for name in "abc":
        model = Learner.open(tmp_path / name).opened.model()[1]
        assert {label: one.count for label, one in model.statistics.items()} == whole
        assert len(model.others["fleet"].members) == 2


def test_a_secure_sum_over_the_superlink_is_that_of_the_plain_files(federation: Federation, tmp_path: Path) -> None:
    voice_extractor()
    for seed, name in enumerate("abc"):
        Learner.create(tmp_path / name, extractor="voice").learn(latents(seed), latents=True)
    app = tmp_path / "fleet"
    write_app(app, rounds=1, nodes=3, timeout_s=ROUND_S, secure=LABELS, bound=16)
    for name, key in federation.serve("abc").items():
        federation.join(name, key)
    assert "round 1: 3 of 3 nodes replied, 3 devices known" in federation.line_of(federation.begin(app))
    assert counts(tmp_path, "abc") == dict.fromkeys("abc", 36)
    heads = [Learner.open(tmp_path / name).opened.head().head.weights for name in "abc"]
    central = Learner.create(tmp_path / "central", extractor="voice")
    every = [latents(seed) for seed in range(3)]
    whole = {label: np.concatenate([one[label] for one in every]) for label in LABELS}
    central.learn(whole, latents=True, force=True, strategy="closed-form")
    wanted = central.opened.head().head.weights
    assert max(float(np.abs(one - wanted).max()) for one in heads) <= 1e-4 * float(np.abs(wanted).max())
