"""Peak memory and time of refused hostile inputs, and clients of a control socket; `tools/hostile` calls it.

python measure/hostile.py --json FILE [--clients N]

Each input is made in a folder of its own, and read in a process that has loaded what reads it already, forked for it:
what is counted is its processor time until it was refused, and the peak of resident memory beyond what the process had.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import socket
import struct
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgecl.errors import EdgeclError
from edgecl.learner import Learner
from edgecl.service.control import PATIENCE_S, Control

MIB = 1 << 20
LONGEST_S = 60
CLIENTS = 200
Attack = Callable[[Path], Callable[[], object]]  # makes an input in a folder, and returns what reads it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgecl-hostile-") as folder:
        figures = {"inputs": inputs(Path(folder)), "clients": clients(Path(folder), arguments.clients)}
    arguments.json.write_text(json.dumps(figures, indent=1))


def inputs(folder: Path) -> list[dict[str, Any]]:
    """Return, of each input, how it ended, its time in seconds and its memory in MiB."""
    learner = Learner.create(folder / "kitchen", extractor="voice")
    movement = Learner.create(folder / "wrist", extractor="imu")
    noise = np.random.default_rng(0).normal(size=(10, 100, 6)).astype(np.float32)
    movement.learn(list(noise), ["a"] * 5 + ["b"] * 5)
    list(movement.predict(list(noise[:1])))
    with suppress(EdgeclError):
        read(movement, _csv(folder / "warm.csv", "1,2\n"))
    found = []
    for name, attack in attacks(movement, learner):
        place = Path(tempfile.mkdtemp(dir=folder))
        found.append({"input": name, **judged(attack, place)})
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    return found


def judged(attack: Attack, place: Path) -> dict[str, Any]:
    """Make an input, then read it in a fork."""
    action = attack(place)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(_spent(action)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:  # noqa: PTH123
        told = file.read()
    os.waitpid(child, 0)
    return dict(json.loads(told)) if told else {"ended": "the process was killed", "seconds": 0.0, "mib": 0.0}


def _spent(action: Callable[[], object]) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again: proc(5)
    signal.alarm(LONGEST_S)  # what waits for ever is killed
    before, started = _resident("VmRSS"), time.process_time()
    try:
        action()
        ended = "not refused"
    except EdgeclError as error:
        ended = f"refused: {type(error).__name__}"
    except BaseException as error:  # what no input may cause
        ended = f"{type(error).__name__}: {error}"
    spent = time.process_time() - started
    return {"ended": ended, "seconds": round(spent, 3), "mib": round((_resident("VmHWM") - before) / 1024, 1)}


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def read(learner: Learner, path: Path) -> list[object]:
    """Read a file as `predict` does; raises DataError where nothing in it can be used."""
    return list(learner.predict(learner.run.samples(_samples(learner, path))))


def _samples(learner: Learner, path: Path) -> Any:
    from edgecl.sources.reading import read_samples

    return read_samples(path, learner.contract)


def attacks(movement: Learner, words: Learner) -> Iterator[tuple[str, Attack]]:
    """Yield the name of each input, and what makes it and returns what reads it."""

    def data(name: str, make: Callable[[Path], object], learner: Learner = movement) -> Attack:
        def attack(place: Path) -> Callable[[], object]:
            make(place / name)
            return lambda: read(learner, place / name)

        return attack

    yield "an .npz that states 2^60 numbers", data("x.npz", _npz_claim)
    yield "an .npz of 8 MiB of zeros in a hundredth of that, 2,000 times", data("x.npz", _npz_bomb)
    yield "a line of CSV of 200 MiB", data("x.csv", _hole(200 * MIB, b"acc_x,acc_y,acc_z\n"))
    yield "a line of JSON Lines of 200 MiB", data("x.jsonl", _hole(200 * MIB, b'{"signal": ['))
    yield "JSON nested 500,000 times", data("x.jsonl", lambda path: path.write_text("[" * 500_000))
    yield (
        "a rate of 401 digits",
        data("x.jsonl", lambda path: path.write_text('{"signal":[[1]],"rate_hz":%s}' % ("9" * 401))),
    )
    yield "a .wav of 200 MiB", data("x.wav", _hole(200 * MIB, _wav(200 * MIB)), words)
    yield "a .wav that states 4 GiB", data("x.wav", lambda path: path.write_bytes(_wav((1 << 32) - 100)), words)
    for name in ("x.csv", "x.npz", "x.wav", "x.jsonl"):
        yield f"a pipe in place of {name[1:]}", data(name, os.mkfifo, words if name == "x.wav" else movement)
        yield f"/dev/zero in place of {name[1:]}", data(name, lambda path: path.symlink_to("/dev/zero"))
    for name, make in (
        ("a pipe in place of an extractor", os.mkfifo),
        ("an extractor that is 48 MiB of zeros", _hole(48 * MIB, b"")),
        ("an extractor of 24 million fields", lambda path: path.write_bytes(b"\x08\x01" * (24 << 20))),
        ("an extractor with weights in /etc/passwd", lambda path: path.write_bytes(_external())),
        ("an extractor that is nested 10,000 times", lambda path: path.write_bytes(_nested(10_000))),
        ("an extractor of 2 GiB", _hole(2 << 30, b"")),
    ):
        yield name, _extractor(make)
    for name, part, make in (
        ("a store.json of 100 MiB", "store.json", _hole(100 * MIB, b"{")),
        ("a revision of 100 MiB, all others gone", "revisions/000002.json", _hole(100 * MIB, b"{")),
        ("a pipe in place of store.json", "store.json", os.mkfifo),
        ("an object of 300 MiB", "objects", _hole(300 * MIB, b"PK")),
    ):
        yield name, _store(movement, part, make)
    for name, make in (
        ("a backup whose first member states 4 GiB", lambda path: path.write_bytes(_member("backup.json", 1 << 32))),
        ("a backup with a path out of its folder", lambda path: path.write_bytes(_tar("../../evil"))),
        ("a backup that is a pipe", os.mkfifo),
        ("a backup of 2 GiB of nothing", _hole(2 << 30, b"")),
    ):
        yield name, _backup(make)


def _csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _hole(length: int, begins: bytes) -> Callable[[Path], object]:
    """Return what makes a file of that length that takes no room."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(begins)
            file.truncate(length)

    return make


def _npz_claim(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50, 1 << 10)}
        )
        archive.writestr("X.npy", header.getvalue())


def _npz_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2000, 1 << 21)})
        with archive.open("X.npy", "w", force_zip64=True) as file:
            file.write(header.getvalue())
            for _ in range(64):
                file.write(bytes(8 * MIB))


def _wav(length: int) -> bytes:
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", (length + 36) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16
    )
    return head + struct.pack("<4sI", b"data", length)


def _field(number: int, content: bytes) -> bytes:
    tag, length, out = number << 3 | 2, len(content), bytearray()
    for value in (tag, length):
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    return bytes(out) + content


def _external() -> bytes:
    location = _field(13, _field(1, b"location") + _field(2, b"/etc/passwd"))
    return b"\x08\x08" + _field(7, _field(5, b"\x08\x60\x10\x01" + location + b"\x70\x01"))


def _nested(depth: int) -> bytes:
    graph = b""
    for _ in range(depth):
        graph = _field(1, _field(5, _field(6, graph)))
    return _field(7, graph)


def _extractor(make: Callable[[Path], object]) -> Attack:
    def attack(place: Path) -> Callable[[], object]:
        make(place / "x.onnx")
        return lambda: Learner.create(place / "new", extractor=place / "x.onnx")

    return attack


def _store(learner: Learner, part: str, make: Callable[[Path], object]) -> Attack:
    def attack(place: Path) -> Callable[[], object]:
        store = Path(shutil.copytree(learner.path, place / "store"))
        path = store / part
        for one in [path] if path.is_file() else list(path.iterdir()):
            one.unlink()
            make(one)
        if part.startswith("revisions"):
            (store / "revisions" / "000001.json").unlink()
        window = np.ones((100, 6), np.float32)
        return lambda: Learner.open(store).predict([window])

    return attack


def _member(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.USTAR_FORMAT)


def _tar(name: str) -> bytes:
    return b"".join(_member(one, 2) + b"{}" + bytes(510) for one in ("backup.json", name)) + bytes(1024)


def _backup(make: Callable[[Path], object]) -> Attack:
    def attack(place: Path) -> Callable[[], object]:
        make(place / "x.backup")
        return lambda: Learner.restore(place / "x.backup", place / "again")

    return attack


def clients(folder: Path, count: int) -> dict[str, Any]:
    """Let hostile clients use a control socket; after each, an honest one has to be answered."""
    draw, survived, slowest = random.Random(0), 0, 0.0  # noqa: S311
    path = folder / "control"
    with Control(path, folder, command=("false",)) as control:
        for _ in range(count):
            attacker = _attacked(path, draw)
            started = time.monotonic()
            survived += _is_answered(path)
            slowest = max(slowest, time.monotonic() - started)
            attacker.close()
        is_alive = control.is_alive()
    return {"tried": count, "survived": survived if is_alive else 0, "slowest_s": round(slowest, 2)}


def _attacked(path: Path, draw: random.Random) -> socket.socket:
    """Connect, send something hostile, and return the socket: closed, or left open with half a request."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.settimeout(PATIENCE_S)
    words = [
        b'{"learn":"/a\\u0000b"}\n',
        b'{"learn":"/a\\ud800"}\n',
        b'{"learn":"/a","label":"\\ud800"}\n',
        b'{"answer":"\\u0000","distinct":true}\n',
        b"[" * 60_000 + b"\n",
        b"\xff\xfe\x00\n",
        b'{"learn": 3}\n',
        b'{"learn":"/a","--force":true}\n',
        b"x" * (1 << 17),
        b'{"learn',
        b"",
        draw.randbytes(draw.randrange(4096)),
    ]
    with suppress(OSError):
        one.connect(str(path))
        one.sendall(draw.choice(words))
        if draw.random() < 0.9:
            one.shutdown(socket.SHUT_WR)
    return one


def _is_answered(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
            one.settimeout(2 * PATIENCE_S + 1)
            one.connect(str(path))
            one.sendall(b'{"learn":"relative"}\n')
            return b"wanted a line" in one.recv(4096)
    except OSError:
        return False


if __name__ == "__main__":
    main()
