"""What tools/plugged runs where edgecl is installed: a listener and a page under load, and a page that is killed."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from edgecl.demo.clips import voice_clips
from edgecl.learner import Learner
from edgecl.live.fanout import Fanout
from edgecl.live.inputs.chunks import Piece
from edgecl.sources.sound import encode_wav
from measure import plugged_load
from measure.plugged_processes import WORDS, Client, evening, running, status

KILLED_WITHIN_S = (0.3, 1.5)  # of the request, by turns of chance: a lesson's time on a free and on a busy machine


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
            *(report(name, found) for name, found in plugged_load.phases(store, options.connections)),
            report("kills", kills(store, options.lessons)),
        ]
    if options.out:
        options.out.write_text("".join(found))


def report(name: str, found: dict[str, Any]) -> str:
    """Print what was found, and return the line."""
    line = json.dumps({"what": name, **found}) + "\n"
    print(line, end="", flush=True)
    return line


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
                    time.sleep(draw.uniform(0, draw.choice(KILLED_WITHIN_S)))
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


if __name__ == "__main__":
    main()
