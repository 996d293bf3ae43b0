"""Measure what listening costs; run by tools/listen_cost where edgecl is installed."""

from __future__ import annotations

import argparse
import inspect
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from edgecl.demo.clips import KNOWN_WORDS, NEW_WORDS, voice_clips
from edgecl.extractors.base import FrameStream
from edgecl.extractors.onnx import OnnxExtractor
from edgecl.live.events import Summary
from edgecl.live.inputs.chunks import Piece
from edgecl.live.listener import listen, spotter_for
from edgecl.live.novelty import Noticer
from edgecl.live.options import Listening
from edgecl.live.scorer import LiveScorer
from edgecl.live.stream import Stream
from edgecl.operations.inbox import Inbox
from edgecl.operations.open_store import OpenStore
from edgecl.sources.sound import encode_wav
from edgecl.spotting.spotters import REFRACTORY_HOPS

COMPARED_HOPS = 4000
LIVEKIT_HOPS = 400
LISTEN_HOP = "a hop of `listen`, µs (median)"
QUIET = 10 ** (-75 / 20)  # the noise of a good microphone
STARTING_S, FED_S, HOP_S = 5, 30, 0.08  # of a listener that is fed in real time
TAUGHT_AFTER_S, PLAYED_S = 4, 16
SAMPLED_HOPS = 10_000  # between two looks at the memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = taught(Path(folder))
        device = OpenStore.open(store)
        sound = spoken(device)
        figures = {
            **beside_the_extractor(device, sound),
            **resident(device, sound, hours=arguments.hours),
            **during_a_lesson(device, sound, Path(folder)),
            **in_real_time(store, sound),
        }
        if arguments.peers:  # last, as it takes memory, and threads that would disturb the others
            figures |= in_livekit(device, sound, Path(folder), listen_us=figures[LISTEN_HOP])
    arguments.json.write_text(json.dumps(figures, indent=1))


def taught(folder: Path) -> Path:
    """A store that knows the words of the demo."""
    write_clips(folder / "clips", "teach", KNOWN_WORDS)
    write_clips(folder / "new", "new", NEW_WORDS[:1])
    edgecl("init", folder / "kitchen", "--extractor", "voice")
    edgecl("learn", folder / "kitchen", folder / "clips")
    return folder / "kitchen"


def edgecl(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "edgecl.cli", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def write_clips(folder: Path, split: str, labels: Sequence[str]) -> None:
    for number, one in enumerate(clip for clip in voice_clips(split) if clip.label in labels):
        path = folder / str(one.label) / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_wav(one.signal, rate_hz=16_000))


def spoken(device: OpenStore) -> NDArray[np.float32]:
    """Words of the demo by voices that did not teach, each within two seconds of noise, (hops, hop_samples, 1)."""
    generator, hop = np.random.default_rng(0), device.extractor.contract.hop_samples
    parts = [np.pad(one.signal[:, 0], (0, 32_000 - len(one.signal))) for one in voice_clips("test")]
    sound = np.concatenate(parts)
    sound = (sound + generator.normal(0, 0.003, len(sound))).astype(np.float32)
    return sound[: len(sound) - len(sound) % hop].reshape(-1, hop, 1)


def beside_the_extractor(device: OpenStore, sound: NDArray[np.float32]) -> dict[str, Any]:
    """The same hops through ONNX Runtime alone and through everything that `listen` does, by turns."""
    extractor = device.extractor
    assert isinstance(extractor, OnnxExtractor)
    contract, state = extractor.contract, None
    lead = np.zeros((contract.window_samples - contract.hop_samples, 1), np.float32)
    first = np.concatenate([lead, sound[0]])
    _, state = extractor._run(first[None])
    live, stream = following(device)
    bare, whole = [], []
    for hop in itertools.islice(itertools.cycle(sound), COMPARED_HOPS):
        started = time.perf_counter()
        _, state = extractor._run(hop[None], state)
        between = time.perf_counter()
        live.refresh()
        stream.push(Piece(hop))
        whole.append(time.perf_counter() - between)
        bare.append(between - started)
    step, all_of_it = 1e6 * float(np.median(bare)), 1e6 * float(np.median(whole))
    hop_us = 1e6 * contract.hop_samples / contract.sample_rate_hz
    return {
        "extractor's step, µs (median)": round(step),
        LISTEN_HOP: round(all_of_it),
        "ratio": round(all_of_it / step, 2),
        "of real time": f"{all_of_it / hop_us:.2%}",
    }


def in_real_time(store: Path, sound: NDArray[np.float32]) -> dict[str, Any]:
    """The share of a core that a process of `edgecl listen` takes, by what it hears; caches are cold."""
    quiet = np.random.default_rng(1).normal(0, QUIET, sound.shape).astype(np.float32)
    heard = {"silence at -75 dBFS": quiet, "words without a pause": sound}
    shares = {f"of a core in real time, {name}": share_of_core(store, hops) for name, hops in heard.items()}
    return {name: f"{share:.2%}" for name, share in shares.items()}


def share_of_core(store: Path, hops: NDArray[np.float32]) -> float:
    """Feed a listener as a recorder would, and look at its processor time once it has started."""
    command = [sys.executable, "-m", "edgecl.cli", "listen", str(store)]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere) as child:
        assert child.stdin is not None
        begins, marks = time.monotonic(), []
        count = round((STARTING_S + FED_S) / HOP_S)
        for number, hop in enumerate(itertools.islice(itertools.cycle(hops), count)):
            child.stdin.write((np.clip(hop, -1, 1) * 32767).astype("<i2").tobytes())
            child.stdin.flush()
            if number in (round(STARTING_S / HOP_S), count - 1):
                marks.append((processor_s(child.pid), time.monotonic()))
            time.sleep(max(begins + (number + 1) * HOP_S - time.monotonic(), 0))
        child.kill()
    (first, started), (last, ended) = marks
    return (last - first) / (ended - started)


def processor_s(pid: int) -> float:
    """Processor time of a process, in seconds: to the nanosecond, where /proc/stat counts hundredths."""
    return sum(int(one.read_text().split()[0]) for one in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def in_livekit(device: OpenStore, sound: NDArray[np.float32], folder: Path, *, listen_us: float) -> dict[str, Any]:
    """The same hops through livekit-wakeword: at each its listener calls `predict` on the last two seconds.

    Its classifier is a mean and a sigmoid, made here: what a hop costs are its 16 embeddings. Its ONNX sessions are as
    it makes them.
    """
    from livekit.wakeword.inference import listener
    from livekit.wakeword.inference.model import WakeWordModel

    model = WakeWordModel(models=[write_classifier(folder / "mean.onnx")])
    frames: deque[NDArray[np.float32]] = deque(maxlen=listener.CHUNK_FRAMES)
    spent = []
    for hop in itertools.islice(itertools.cycle(sound), LIVEKIT_HOPS + listener.CHUNK_FRAMES):
        frames.append(hop[:, 0])
        if len(frames) == listener.CHUNK_FRAMES:
            started = time.perf_counter()
            model.predict(np.concatenate(frames))
            spent.append(time.perf_counter() - started)
    hop_us = 1e6 * device.extractor.contract.hop_samples / device.extractor.contract.sample_rate_hz
    median = 1e6 * float(np.median(spent))
    deaf = inspect.signature(listener.WakeWordListener).parameters["debounce"].default
    return {
        "a hop of livekit-wakeword, µs (median)": round(median),
        "its ratio to a hop of `listen`": round(median / listen_us, 1),
        "its share of real time": f"{median / hop_us:.1%}",
        "it is deaf after a detection, s": deaf,
        "`listen` is deaf after an event, s": round(REFRACTORY_HOPS * hop_us / 1e6, 2),
    }


def write_classifier(path: Path) -> Path:
    """The mean of embeddings (1, 16, 96) through a sigmoid, (1, 1)."""
    from onnx import TensorProto, checker, helper, save

    nodes = [
        helper.make_node("Reshape", ["embeddings", "flat"], ["row"]),
        helper.make_node("ReduceMean", ["row"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["score"]),
    ]
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [1, 16, 96])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])
    flat = helper.make_tensor("flat", TensorProto.INT64, [2], [1, -1])
    graph = helper.make_graph(nodes, "mean", [embeddings], [score], [flat])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)
    return path


def following(device: OpenStore, noticer: Noticer | None = None) -> tuple[LiveScorer, Stream]:
    live = LiveScorer(device)
    live.refresh()
    stream = Stream(device.extractor, spotter_for(device.extractor.contract, Listening()), Summary(), noticer)
    stream.spotter.scorer = live.scorer
    return live, stream


class Replayed(FrameStream):
    """Frames that were made before: all that `listen` does, without the extractor."""

    def __init__(self, frames: NDArray[np.float32]) -> None:
        self._frames = itertools.cycle(frames)

    def push(self, signal: Any) -> NDArray[np.float32]:
        return np.asarray(next(self._frames))[None]


def resident(device: OpenStore, sound: NDArray[np.float32], *, hours: float) -> dict[str, Any]:
    """Resident memory over hours of hops, with an inbox that is full before the first look."""
    frames = device.extractor.frames(sound.reshape(-1, 1))
    inbox = Inbox(device.store.path / "inbox", device.extractor.contract, capacity_bytes=1 << 18)
    live, stream = following(device, Noticer(inbox, device.extractor))
    stream._frames, stream._withheld = Replayed(frames), None
    contract = device.extractor.contract
    hops = round(hours * 3600 * contract.sample_rate_hz / contract.hop_samples)
    seen = []
    for number, hop in enumerate(itertools.islice(itertools.cycle(sound), hops)):
        live.refresh()
        stream.push(Piece(hop))
        if number % SAMPLED_HOPS == SAMPLED_HOPS - 1:
            seen.append(resident_kib())
    return {
        f"resident after {SAMPLED_HOPS:,} hops, MiB": round(seen[0] / 1024, 1),
        f"resident after {hops:,} hops ({hours:g} h), MiB": round(seen[-1] / 1024, 1),
    }


def resident_kib() -> int:
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1])


def during_a_lesson(device: OpenStore, sound: NDArray[np.float32], folder: Path) -> dict[str, Any]:
    """The longest hop at real time, alone and while another process teaches and commits; hops are counted."""
    contract = device.extractor.contract
    hop_s = contract.hop_samples / contract.sample_rate_hz
    count = round(PLAYED_S / hop_s)
    alone, meanwhile = Summary(), Summary()
    list(listen(device, played(sound[:count], hop_s), summary=alone))
    lesson = [sys.executable, "-m", "edgecl.cli", "learn", str(device.store.path), str(folder / "new")]
    list(listen(device, played(sound[:count], hop_s, lesson), summary=meanwhile))
    return {
        "worst hop, ms": round(alone.worst_hop_ms, 1),
        "worst hop while a lesson is taught and taken up, ms": round(meanwhile.worst_hop_ms, 1),
        "revisions heard with": ", ".join(map(str, meanwhile.revisions)),
        "hops lost": count - round(meanwhile.seconds / hop_s),
    }


def played(sound: NDArray[np.float32], hop_s: float, command: Sequence[str] = ()) -> Iterator[Piece]:
    """Hops at their own speed; a command is started among them, and has ended before the last."""
    started, child = time.monotonic(), None
    for number, hop in enumerate(sound):
        time.sleep(max(started + number * hop_s - time.monotonic(), 0))
        if command and child is None and number * hop_s >= TAUGHT_AFTER_S:
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        yield Piece(hop)
    if child is not None and child.wait() != 0:
        raise SystemExit("the lesson failed")


if __name__ == "__main__":
    main()
