"""What tools/plugged runs where edgecl is installed: a listener and a page under load, and a page that is killed."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edgecl.demo.clips import voice_clips
from edgecl.learner import Learner
from edgecl.live.fanout import Fanout
from edgecl.live.inputs.chunks import Piece
from edgecl.sources.sound import encode_wav

COMMAND = (sys.executable, "-m", "edgecl.cli")
WORDS = ("yes", "stop")


def main() -> None:
    """Measure, and print one JSON object per measurement."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--lessons", type=int, default=200, help="Lessons through the page, killed at random.")
    parser.add_argument("--hops", type=int, default=20000, help="Hops of the comparison with and without consumers.")
    parser.add_argument("--connections", type=int, default=1000, help="Connections that are opened and dropped.")
    parser.add_argument("--out", type=Path, help="Also write the lines there.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "kitchen"
        learner = Learner.create(store, extractor="voice")
        learner.learn([one for one in voice_clips("teach") if one.label in WORDS])
        found = [
            report("memory", memory(store)),
            report("hops", hops(store, options.hops)),
            report("connections", connections(store, options.connections)),
            report("kills", kills(store, options.lessons)),
        ]
    if options.out:
        options.out.write_text("".join(found))


def report(name: str, found: dict[str, Any]) -> str:
    """Print what was found, and return the line."""
    line = json.dumps({"what": name, **found}) + "\n"
    print(line, end="", flush=True)
    return line


@contextmanager
def running(*arguments: object, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of edgecl; it is killed at the end where it has not ended."""
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "STATE_DIRECTORY": state, "EDGECL_MQTT_PASSWORD": "x"}
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, **more}
        with subprocess.Popen([*COMMAND, *map(str, arguments)], env=environment, **given) as one:
            try:
                yield one
            finally:
                one.kill()


def status(process: subprocess.Popen[bytes], key: str) -> float:
    """Return a line of the process's status, such as VmRSS, in MiB."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.partition(f"{key}:")[2].split()[0]) / 1024


def memory(store: Path) -> dict[str, Any]:
    """Measure the resident memory of a listener with every door open, and of the page with its listener."""
    sound = evening()
    doors = ("--wyoming", "0", "--mqtt", "mqtt://edge@127.0.0.1:1", "--mqtt-commands", "--exec", "true")
    with running("serve", store, "--port", 0, "--listen", "-", "--json") as one:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdout.readline()
        one.stdin.write(sound)
        one.stdin.flush()
        time.sleep(3)
        page = status(one, "VmHWM")
    with running("serve", store, "--port", 0, "--listen", "-", "--json", *doors) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdout.readline()
        one.stdin.write(sound)
        one.stdin.flush()
        time.sleep(3)
        both = status(one, "VmHWM")
    with running("listen", store, "--json", *doors) as one:
        time.sleep(4)
        listener = status(one, "VmHWM")
    return {"serve_listen_mib": round(page, 1), "serve_with_all_mib": round(both, 1), "listen_mib": round(listener, 1)}


def evening() -> bytes:
    """Some seconds of words, as raw PCM."""
    said = [one.signal[:, 0] for one in voice_clips("test") if one.label in WORDS][:6]
    quiet = np.random.default_rng(0).normal(0, 0.0002, 16000)
    return bytes((np.concatenate([part for one in said for part in (quiet, one)]) * 32767).astype("<i2").tobytes())


def hops(store: Path, count: int) -> dict[str, Any]:
    """Measure hops with no consumer and with four, of which one hangs and one is slow; in turns."""
    learner = Learner.open(store)
    hop = learner.contract.hop_samples
    sound = np.frombuffer(evening(), "<i2").astype(np.float32)[:, None] / 32768
    sound = np.tile(sound, (count * hop // len(sound) + 1, 1))[: count * hop]
    times: dict[str, list[float]] = {"none": [], "four": []}
    never = threading.Event()
    for turn in range(10):
        fanout: Fanout[Any] = Fanout()
        if turn % 2:
            fanout.attach("hangs", _waiting(never))
            fanout.attach("slow", lambda _: time.sleep(0.2))
            fanout.attach("json", _written)
            fanout.attach("idle", lambda _: None)
        part = sound[turn * len(sound) // 10 :][: len(sound) // 10]
        pieces = [part[at : at + hop] for at in range(0, len(part), hop)]
        kept = times["four" if turn % 2 else "none"]
        kept += _timed(learner, pieces, fanout)
        fanout.close(within_s=0)
    never.set()
    p99 = {name: float(np.percentile(kept, 99)) * 1e6 for name, kept in times.items()}
    median = {name: float(np.median(kept)) * 1e6 for name, kept in times.items()}
    ratio = p99["four"] / p99["none"]
    return {"p99_us": p99, "median_us": median, "ratio_p99": round(ratio, 3), "hops": sum(map(len, times.values()))}


def _waiting(never: threading.Event) -> Callable[[Any], None]:
    """Return a consumer that hangs."""

    def take(_event: Any) -> None:
        never.wait()

    return take


def _written(event: Any) -> None:
    json.dumps(event.as_dict())


def _timed(learner: Learner, pieces: list[np.ndarray[Any, Any]], fanout: Fanout[Any]) -> list[float]:
    """CPU time of the listening thread for each hop, in seconds: a busy machine's pauses are not in it."""
    kept: list[float] = []

    def arriving() -> Iterator[Piece]:
        for number, piece in enumerate(pieces):
            started = time.thread_time()
            yield Piece(piece, 0.0 if number == 0 else None)
            kept.append(time.thread_time() - started)

    for event in learner.listen(arriving()):
        fanout.publish(event)
    return kept


class Client:
    """A browser that is paired."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        parts = urlsplit(told["url"])
        self.host, self.port, self.cookie = parts.hostname or "", parts.port or 0, ""
        _, headers, _ = self.ask("/api/pair", {"code": told["code"]})
        self.cookie = headers["Set-Cookie"].partition(";")[0]

    def ask(self, path: str, body: object = None) -> tuple[int, dict[str, str], bytes]:
        """GET, or POST where there is a body."""
        one = HTTPConnection(self.host, self.port, timeout=20)
        is_sound = isinstance(body, bytes)
        kind = "audio/wav" if is_sound else "application/json"
        sent = body if body is None or is_sound else json.dumps(body)
        try:
            one.request("GET" if body is None else "POST", path, sent, {"Cookie": self.cookie, "Content-Type": kind})  # type: ignore[arg-type]
            found = one.getresponse()
            return found.status, dict(found.getheaders()), found.read()
        finally:
            one.close()


def usage(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Return the descriptors and threads of a process."""
    folder = Path(f"/proc/{process.pid}")
    return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))


def connections(store: Path, count: int) -> dict[str, Any]:
    """Open and drop connections to page and Wyoming while sound comes; no hop may be lost, nothing may be left."""
    wyoming = free_port()
    sound = evening() * 20
    arguments = ("serve", store, "--port", 0, "--listen", "-", "--json", "--wyoming", wyoming)
    with running(*arguments) as one:
        assert one.stdin is not None
        client = Client(one)
        client.ask("/api/state")
        wait_for(lambda: _is_open(wyoming))
        time.sleep(1)
        before, resident = usage(one), status(one, "VmRSS")
        feeding = threading.Thread(target=one.stdin.write, args=(sound,), daemon=True)
        feeding.start()
        started = time.monotonic()
        for number in range(count):
            port = client.port if number % 2 else wyoming
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as dropped:
                dropped.sendall(random.Random(number).randbytes(number % 200))  # noqa: S311
        spent = time.monotonic() - started
        feeding.join(60)
        answered, _, _ = client.ask("/api/state")
        wait_for(lambda: usage(one) <= before)
        after, now = usage(one), status(one, "VmRSS")
        stopping = time.monotonic()
        one.terminate()
        one.wait(10)
        return {
            "connections": count,
            "seconds": round(spent, 1),
            "still_answers": answered == 200,
            "descriptors": [before[0], after[0]],
            "threads": [before[1], after[1]],
            "rss_mib": [round(resident, 1), round(now, 1)],
            "stopped_in_s": round(time.monotonic() - stopping, 2),
        }


def kills(store: Path, count: int) -> dict[str, Any]:
    """Teach through the page and kill the service at random; the live revision is the old or the new one."""
    draw = random.Random(0)  # noqa: S311
    contract = Learner.open(store).contract
    takes = [
        encode_wav(one.signal, rate_hz=contract.sample_rate_hz) for one in voice_clips("new") if one.label == "coffee"
    ]
    outcomes = {"old": 0, "new": 0, "neither": 0}
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copytree(store, Path(folder) / "kitchen"))
            with running("serve", copy, "--port", 0, "--json", start_new_session=True) as one:
                client = Client(one)
                with suppress(OSError, HTTPException):
                    kept = [json.loads(client.ask("/api/takes?label=coffee", take)[2])["items"][0] for take in takes]
                    client.ask("/api/lessons", {"items": kept, "label": "coffee"})
                    time.sleep(draw.uniform(0, 1.5))
                os.killpg(one.pid, 9)
            outcomes[_left(copy)] += 1
        if number % 20 == 19:
            print(f"{number + 1} of {count}: {outcomes}", file=sys.stderr)
    return {"lessons": count, **outcomes}


def _left(store: Path) -> str:
    """Return which revision a killed lesson left, or "neither" where anything is damaged."""
    learner = Learner.open(store)
    if learner.check():
        return "neither"
    return {("stop", "yes"): "old", ("coffee", "stop", "yes"): "new"}.get(learner.classes, "neither")


def _is_open(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(is_so: Callable[[], bool], *, within_s: float = 20) -> None:
    """Wait until something is so, or for so long."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        with suppress(OSError):
            if is_so():
                return
        time.sleep(0.05)


if __name__ == "__main__":
    main()
