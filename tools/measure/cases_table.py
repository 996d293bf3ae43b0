"""Situations that users are in, and what edgecl says: run by tools/cases_table where edgecl is installed.

Every input is made here: words by the voices of `edgecl.demo`, movement by its simulation.
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.demo import movement
from edgecl.demo.clips import voice_clips
from edgecl.sources.sound import encode_wav

RATE = 16_000
LINE = 240  # characters of what edgecl says


class Scene:
    """A folder with stores, and one command after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self.run("init", "kitchen", "--extractor", "voice")
        self.run("init", "wrist", "--extractor", "imu")
        for label in ("yes", "no", "stop"):
            for index, sound in enumerate(words(label)):
                put(folder / "words" / label / f"{index}.wav", encode_wav(sound, rate_hz=RATE))
        self.run("learn", "kitchen", "words")

    def run(self, *arguments: str, content: bytes = b"") -> tuple[int, str]:
        command = [sys.executable, "-m", "edgecl.cli", *arguments]
        done = subprocess.run(command, input=content, capture_output=True, cwd=self.folder, check=False)
        said = (done.stderr + done.stdout).decode("utf-8", "replace")
        return done.returncode, said.replace(f"{self.folder}/", "")

    def play(self, situation: str, *arguments: str, content: bytes = b"", shown: str = "") -> None:
        """Run a command and keep what it says: the line with `shown`, else the first."""
        code, text = self.run(*arguments, content=content)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        said = next((line for line in lines if shown and shown in line), lines[0] if lines else "")
        told = " ".join(arguments)
        row = {"situation": situation, "command": f"`edgecl {told}`", "edgecl says": said[:LINE], "exit": code}
        self.rows.append(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        for part in (repeats, sounds, headers, folders, tables, recordings, pipes, models):
            part(scene, Path(folder))
        arguments.json.write_text(json.dumps(scene.rows))


def words(label: str) -> Iterator[NDArray[np.float32]]:
    return (one.signal for one in [one for one in voice_clips("teach") if one.label == label][:5])


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def wav(
    samples: NDArray[np.int32], *, bits: int, size: int, channels: int = 1, before: bytes = b"", kind: bytes = b"RIFF"
) -> bytes:
    """Return a WAV file of whole numbers, of `size` bytes a sample."""
    data = samples.astype("<i4").reshape(-1, 1).view("u1").reshape(-1, 4)[:, :size].tobytes()
    frame = channels * size
    layout = struct.pack("<HHIIHH", 1, channels, RATE, RATE * frame, frame, bits)
    length = 0xFFFFFFFF if kind == b"RF64" else len(data)
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", length) + data
    return kind + struct.pack("<I", 0xFFFFFFFF if kind == b"RF64" else len(body)) + body


def whole(sound: NDArray[np.float32], bits: int) -> NDArray[np.int32]:
    scaled: NDArray[np.int32] = (sound.reshape(-1).astype(np.float64).clip(-1, 1) * (2 ** (bits - 1) - 1)).astype(
        np.int32
    )
    return scaled


def sounds(scene: Scene, folder: Path) -> None:
    for index, sound in enumerate(words("left")):
        pair = np.stack([whole(sound, 16), -whole(sound, 16)], axis=1)
        put(folder / "inverted" / f"{index}.wav", wav(pair, bits=16, size=2, channels=2))
    scene.play(
        "stereo of a balanced microphone, right is minus left", "learn", "kitchen", "inverted", "--label", "left"
    )
    scene.play("the same, one channel taken", "learn", "kitchen", "inverted", "--label", "left", "--channel", "left")
    scene.play("the same as background", "learn", "kitchen", "--background", "inverted")
    noise = np.random.default_rng(0).normal(size=RATE)
    times = np.arange(RATE) / RATE
    click: NDArray[np.float64] = 1e-3 * noise
    click[8000:8040] += 0.8
    made: dict[str, NDArray[np.float64]] = {
        "a dead microphone": 1e-3 * noise,
        "a click": click,
        "mains hum": 0.2 * np.sin(2 * np.pi * 50 * times) + 1e-4 * noise,
        "a constant": 0.3 + 1e-5 * noise,
    }
    for name, signal in made.items():
        file = f"{name.split()[-1]}.wav"
        put(folder / file, encode_wav(signal.astype(np.float32), rate_hz=RATE))
        scene.play(name, "learn", "kitchen", file, "--label", "left")
    scene.play("a click to predict", "predict", "kitchen", "click.wav", shown="transient")


def repeats(scene: Scene, folder: Path) -> None:
    scene.play("the same folder again", "learn", "kitchen", "words", shown="taught before")
    scene.play("the same, forced", "learn", "kitchen", "words", "--force", shown="--again")
    scene.run("init", "hall", "--extractor", "voice")
    for label in ("up", "left"):
        for index, sound in enumerate(list(words(label))[:2]):
            for level in (100, 70, 50, 35):
                put(folder / "levels" / label / f"{index}-{level}.wav", encode_wav(level / 100 * sound, rate_hz=RATE))
    scene.play("two takes of a word at four levels", "learn", "hall", "levels", "--dry-run", shown="same recording")
    scene.play("the same, what they prove", "learn", "hall", "levels", "--dry-run", shown="to be judged by")
    for label in ("yes", "no"):
        put(folder / "both" / label / "1.wav", encode_wav(next(words("up")), rate_hz=RATE))
    scene.play("the same clip under two labels", "learn", "kitchen", "both")


def headers(scene: Scene, folder: Path) -> None:
    sound = next(words("yes"))
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 2**33, 2 * len(sound), len(sound), 0)
    files = {
        "odd.wav": wav(whole(sound, 16), bits=16, size=2, before=b"LIST\x03\x00\x00\x00abc"),
        "rf64.wav": wav(whole(sound, 16), bits=16, size=2, before=sizes, kind=b"RF64"),
        "s24le.wav": wav(whole(sound, 24), bits=24, size=4),
    }
    for name, content in files.items():
        put(folder / name, content)
    scene.play("WAV with an odd chunk that has no pad", "predict", "kitchen", "odd.wav", shown=".wav")
    scene.play("RF64 of a recorder", "predict", "kitchen", "rf64.wav", shown=".wav")
    scene.play("S24_LE of arecord", "predict", "kitchen", "s24le.wav", shown=".wav")
    scene.play("WAV on a pipe of raw PCM", "listen", "kitchen", content=files["rf64.wav"])
    put(folder / "voice.m4a", bytes(4) + b"ftypM4A " + bytes(100))
    scene.play("an M4A file", "predict", "kitchen", "voice.m4a")


def folders(scene: Scene, folder: Path) -> None:
    for part, index in (("train", 0), ("test", 1), ("validation", 2)):
        for label in ("yes", "no"):
            sound = list(words(label))[index]
            put(folder / "split" / part / label / "1.wav", encode_wav(sound, rate_hz=RATE))
    scene.play("train, test, validation above the labels", "learn", "kitchen", "split")
    scene.play("the same, the second folder taken", "learn", "hall", "split", "--label-folder", "2", "--dry-run")
    for label, index in (("Left", 0), ("left", 1)):
        put(folder / "cases" / label / "1.wav", encode_wav(list(words("left"))[index], rate_hz=RATE))
    scene.play("labels that differ in case alone", "learn", "kitchen", "cases")
    put(folder / "shout" / "YES" / "1.wav", encode_wav(list(words("left"))[2], rate_hz=RATE))
    scene.play("a class of the store in capitals", "learn", "kitchen", "shout")
    for subject, index in (("subject_1", 0), ("subject_2", 1)):
        for label in ("yes", "no"):
            put(folder / "people" / subject / label / "1.wav", encode_wav(list(words(label))[index], rate_hz=RATE))
    scene.play("people above the labels", "learn", "kitchen", "people")
    for label, index in (("train", 0), ("bus", 1)):
        for person in ("ann", "ben"):
            sound = 0.5 * (1 + (person == "ann")) * list(words("left"))[index]
            put(folder / "traffic" / label / person / "1.wav", encode_wav(sound, rate_hz=RATE))
    scene.play("a label train beside bus, of the same people", "learn", "kitchen", "traffic")
    scene.play("the same, settled", "learn", "hall", "traffic", "--label-folder", "1", "--dry-run", shown="lesson of")
    put(folder / "yes.wav", encode_wav(list(words("left"))[3], rate_hz=RATE))
    scene.play("a label of the command line in capitals", "learn", "kitchen", "yes.wav", "--label", "YES")
    heard = np.concatenate([np.zeros(RATE, np.float32), *(one.reshape(-1) for one in words("yes"))])
    put(folder / "evening.wav", encode_wav(heard.reshape(-1, 1), rate_hz=RATE))
    scene.run("listen", "kitchen", "evening.wav", "--inbox")
    scene.play("the same, of a detection that was wrong", "wrong", "kitchen", "--label", "YES", shown="the class")
    scene.play("the same, of a recording that waits", "inbox", "kitchen", "label", "1", "YES")


def tables(scene: Scene, folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'hot' if a > 0 else 'cold'}" for a, b in rng.normal(size=(60, 2))]
    rows[::20] = [row.rpartition(",")[0] + ",nan" for row in rows[::20]]
    put(folder / "t.csv", "a,b,y\n" + "\n".join(rows) + "\n")
    scene.run("export", "identity", "--like", "t.csv", "--label-column", "y", "-o", "t.onnx")
    scene.run("init", "rows", "--extractor", "t.onnx")
    scene.play("label cells that are nan", "learn", "rows", "t.csv", "--label-column", "y", shown="no label")
    taught = movement.windows([*movement.EXERCISES][:3], movement.TEACHING_SUBJECTS[:1], seconds=20)
    X = np.stack([one.signal for one in taught])
    names = sorted({str(one.label) for one in taught})
    y = [names.index(str(one.label)) + 1 for one in taught]
    np.savez(folder / "one.npz", X=X, y=y, label_names=names, rate_hz=50)
    scene.play("y counted from 1 with label_names", "learn", "wrist", "one.npz")
    scene.play("the same, settled", "learn", "wrist", "one.npz", "--labels-from", "1", "--dry-run")


def recordings(scene: Scene, folder: Path) -> None:
    taught = movement.windows([*movement.EXERCISES][:1], movement.TEACHING_SUBJECTS[:1], seconds=20)
    values = np.concatenate([one.signal for one in taught]).astype(float)
    write = csv_writer(folder, values)
    write("raw.csv", scale=16384 / 9.80665)
    scene.play("raw counts of an accelerometer", "learn", "wrist", "raw.csv", "--label", "walk")
    write("g.csv", scale=1 / 9.80665)
    scene.play("g where m/s2 is wanted", "learn", "wrist", "g.csv", "--label", "walk")
    scene.play("the same, settled", "learn", "wrist", "g.csv", "--label", "walk", "--scale", "acc=9.80665", "--dry-run")
    stated = [f"{sensor} {axis} ({unit})" for sensor, unit in (("Acc", "g"), ("Gyro", "rad/s")) for axis in "xyz"]
    write("stated.csv", names=stated)
    scene.play("columns that state another unit", "learn", "wrist", "stated.csv", "--label", "walk")
    partly = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "light"]
    write("partly.csv", names=partly)
    scene.play("columns of which one is another", "learn", "wrist", "partly.csv", "--label", "walk")
    windows = np.stack([one.signal for one in taught])
    np.savez(folder / "partly.npz", X=windows, channels=partly, rate_hz=50)
    scene.play("the same in an .npz", "learn", "wrist", "partly.npz", "--label", "walk")
    settled = ["learn", "wrist", "partly.npz", "--label", "walk", "--columns", "gyro_z=light", "--dry-run"]
    scene.play("the same, settled", *settled, shown="lesson of")
    write("degrees.csv", rates=180 / np.pi)
    scene.play("degrees a second where rad/s is wanted", "learn", "wrist", "degrees.csv", "--label", "walk")
    write("walk.csv")
    scene.play(
        "windows of one recording", "learn", "wrist", "walk.csv", "--label", "walk", "--dry-run", shown="one recording"
    )
    gravity(scene, folder, values)
    write("sep.csv", before="sep=;\n", delimiter=";")
    scene.play("Excel: sep=; and decimal commas", "learn", "wrist", "sep.csv", "--label", "walk", "--dry-run")
    write("utf16.csv", delimiter="\t", encoding="utf-16")
    scene.play("Excel: UTF-16 with tabs", "learn", "wrist", "utf16.csv", "--label", "walk", "--dry-run")
    names = [f"{sensor} {axis}" for sensor in ("Acceleration", "Gyroscope") for axis in "xyz"]
    write("phyphox.csv", time="Time (s)", names=names)
    scene.play("Phyphox: Time (s), Acceleration x", "learn", "wrist", "phyphox.csv", "--label", "walk", "--dry-run")
    write(
        "logger.csv",
        time="time",
        unit=1e9,
        names=[f"{sensor}_{axis}" for sensor in ("accel", "gyro") for axis in "xyz"],
    )
    scene.play("Sensor Logger: time in ns", "learn", "wrist", "logger.csv", "--label", "walk", "--dry-run")
    write("clock.csv", time="clock")
    scene.play("a clock of another name", "learn", "wrist", "clock.csv", "--label", "walk")
    scene.play(
        "the same, named", "learn", "wrist", "clock.csv", "--label", "walk", "--time-column", "clock", "--dry-run"
    )
    write("ms.csv", time="timestamp_ms")
    scene.play("a unit of time that does not fit", "learn", "wrist", "ms.csv", "--label", "walk")
    (folder / "blanks.csv").write_text((folder / "walk.csv").read_text().replace(",", " "))
    scene.play("columns between blanks", "learn", "wrist", "blanks.csv", "--label", "walk")
    (folder / "commas.csv").write_text((folder / "walk.csv").read_text().replace(".", ","))
    scene.play("a comma in numbers and between columns", "learn", "wrist", "commas.csv", "--label", "walk")
    put(folder / "walk.csv.gz", gzip.compress((folder / "walk.csv").read_bytes()))
    scene.play("a packed table", "learn", "wrist", "walk.csv.gz", "--label", "walk")
    write("coarse.csv", unit=0.01, whole=True)
    scene.play("times in whole seconds", "learn", "wrist", "coarse.csv", "--label", "walk")
    write("odd.csv", names=["mag_x", "mag_y", "mag_z", "gyro_z", "gyro_y", "gyro_x"])
    scene.play("axes of other sensors", "learn", "wrist", "odd.csv", "--label", "walk")
    rows = [
        json.dumps({"timestamp": index / 50, **dict(zip(movement.CHANNELS, row.tolist(), strict=True))})
        for index, row in enumerate(values)
    ]
    put(folder / "rows.jsonl", "\n".join(rows) + "\n")
    scene.play("JSON Lines of rows, as listen takes them", "learn", "wrist", "rows.jsonl", "--label", "walk")
    scene.play("the same on stdin", "predict", "wrist", "-", content="\n".join(rows).encode(), shown=".jsonl")
    scene.play("an extractor like a recording", "export", "imu", "--like", "sep.csv", "-o", "like.onnx")


def gravity(scene: Scene, folder: Path, values: NDArray[np.float64]) -> None:
    """Play acceleration without gravity, as phones offer it, to a store that was taught with it, and mixed lessons."""
    scene.run("init", "gym", "--extractor", "imu")
    scene.run("learn", "gym", "walk.csv", "--label", "walk")
    slow = np.stack([np.convolve(column, np.ones(100) / 100, "same") for column in values[:, :3].T], axis=1)
    linear = np.concatenate([values[:, :3] - slow, values[:, 3:]], axis=1)[100:-100]
    csv_writer(folder, linear)("linear.csv")
    for verb in ("learn", "predict", "listen"):
        options = ["--label", "run"] if verb == "learn" else []
        scene.play("acceleration without gravity after such with it", verb, "gym", "linear.csv", *options)
    settled = ["learn", "gym", "linear.csv", "--label", "run", "--scale", "acc=1", "--dry-run"]
    scene.play("the same, settled", *settled, shown="lesson of")
    fresh = ["learn", "wrist", "linear.csv", "--label", "run", "--dry-run"]
    scene.play("a store that was taught nothing", *fresh, shown="lesson of")
    for label, signal in (("walk", values), ("run", linear)):
        (folder / "mixed" / label).mkdir(parents=True)
        csv_writer(folder / "mixed" / label, signal)("1.csv")
    scene.play("a lesson of both", "learn", "wrist", "mixed")


def csv_writer(folder: Path, values: NDArray[np.float64]) -> Callable[..., None]:
    """Return a function that writes the movement in one form or another."""

    def write(
        name: str,
        *,
        time: str = "timestamp",
        unit: float = 1.0,
        whole: bool = False,
        scale: float = 1.0,
        rates: float = 1.0,
        names: Any = movement.CHANNELS,
        delimiter: str = ",",
        before: str = "",
        encoding: str = "utf-8",
    ) -> None:
        scaled = values * np.array([scale] * 3 + [rates] * (values.shape[1] - 3))
        lines = [delimiter.join([time, *names])]
        for index, row in enumerate(scaled):
            moment = index / 50 * unit * (100 if whole else 1)
            cells = [repr(int(moment) if whole or unit > 1 else moment), *(f"{one:.5f}" for one in row)]
            text = delimiter.join(cells)
            lines.append(text if delimiter == "," else text.replace(".", ","))
        put(folder / name, (before + "\n".join(lines) + "\n").encode(encoding))

    return write


def pipes(scene: Scene, folder: Path) -> None:
    silence = np.zeros(RATE, np.float32)
    sound = np.concatenate([silence, next(words("yes")).reshape(-1), silence])
    sound = sound + 0.003 * np.random.default_rng(1).normal(size=len(sound)).astype(np.float32)
    stereo = np.repeat(whole(sound, 16).astype("<i2"), 2).tobytes()
    wide = whole(sound, 32).astype("<i4").tobytes()
    scene.play("stereo on the pipe", "listen", "kitchen", content=stereo, shown="sounds like")
    scene.play("the same, stated", "listen", "kitchen", "--channels", "2", content=stereo, shown="yes")
    scene.play("S32_LE on the pipe", "listen", "kitchen", content=wide, shown="sounds like")
    scene.play("the same, stated", "listen", "kitchen", "--format", "S32_LE", content=wide, shown="yes")


def models(scene: Scene, folder: Path) -> None:
    import onnx

    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.ones((4, 3, 5), np.float32), "w")
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")

    def save(name: str, nodes: list[Any], inputs: dict[str, tuple[Any, ...]], width: int, constants: list[Any]) -> None:
        ends = [helper.make_tensor_value_info(one, kind, shape) for one, shape in inputs.items()]
        answer = helper.make_tensor_value_info("y", kind, ("n", width))
        graph = helper.make_graph(nodes, "theirs", ends, [answer], constants)
        opsets = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / name)

    node = helper.make_node
    turned = [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]), node("Flatten", ["p"], ["y"])]
    mean = node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=0)
    noisy = [mean, node("RandomNormalLike", ["m"], ["r"]), node("Add", ["m", "r"], ["y"])]
    save("turned.onnx", turned, {"x": ("n", 3, "t")}, 4, [weights])
    save("random.onnx", noisy, {"x": ("n", 20, 3)}, 3, [])
    save("constant.onnx", [mean, node("Mul", ["m", "zero"], ["y"])], {"x": ("n", 20, 3)}, 3, [zero])
    both = [mean, node("Add", ["m", "lengths"], ["y"])]
    save("two.onnx", both, {"x": ("n", 20, 3), "lengths": ("n", 3)}, 3, [])
    for situation, name in (
        ("a model with channels before time", "turned"),
        ("a model of random answers", "random"),
        ("a model of one answer", "constant"),
        ("a model of two inputs", "two"),
    ):
        options = f"export wrap {name}.onnx --modality imu --rate 50 --channels x,y,z --window 20 -o out.onnx"
        scene.play(situation, *options.split())


if __name__ == "__main__":
    main()
