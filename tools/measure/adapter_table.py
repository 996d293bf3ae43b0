"""Adapt the last block of the extractors of sound and pictures; `tools/adapter_table` runs this where edgecl is.

As `export text --adapt` does it: a change of low rank, here of every weight of the last block, on the classes of a
first lesson, while a quarter of these is left out and decides. For words of speech_commands (tools/common/splits.py):
splits whose people teach or are tested, each with an order of the classes of its own, 20 of 29 words in the first
lesson; for digits under weather (tools/measure/image_sets.py): three orders, 7 of 10 in the first lesson. What comes
before the last block is computed once and kept. Closed forms are then evaluated, on people or pictures that taught
nothing, of all classes, and of later ones from five samples each. Rates are those that are given, all of them shown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
import onnx
from edgecl_export import export_image, export_voice
from edgecl_export._minilm import Pair, load_torch
from edgecl_export.adapt import LEFT_OUT, Judge, Training, closed_form, one_thread, statistics_of
from numpy.typing import NDArray
from onnx import numpy_helper

from common.splits import NEW_AT_ONCE, SETS, class_orders, data_root, names_of, splits, taking_part
from edgecl.extractors.base import fit
from edgecl.extractors.opening import open_extractor
from edgecl.metrics import balanced_accuracy
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample
from measure.cases import SHOTS, note
from measure.image_sets import ASKED, DOMAINS, TAUGHT, digits

Figures = dict[str, Any]
RATES = (1e-4, 5e-4, 2e-3)
RANK, STEPS, CHECKPOINT, DRAWS, ORDERS = 8, 80, 20, 5, 3
FIRST = {"voice": 20, "digits": 7}  # classes of the first lesson
AT_ONCE = 64
VOICE_LAYERS = range(15, 20)  # after the last halving of the bands; three taps in mel or in time, in turns
SLOPE, LOWEST = 0.2, -0.4  # of the activation, as in edgecl_export.voice
BLOCK, HEAD = "_blocks.15.", "_conv_head"


@dataclass(frozen=True)
class Maps:
    """What the last block takes of every sample (n, ...), their classes (n,), and which are evaluated (splits, n)."""

    x: NDArray[np.float32]
    y: NDArray[np.intp]
    asked: NDArray[np.bool_]
    extractor: Path


class Block:
    """The last block of an extractor: rows of the maps that it takes, to latents."""

    def __init__(self, maps: Maps, pairs: Mapping[str, Pair]) -> None:
        self.torch, self._maps, self._pairs = load_torch(), maps.x, pairs
        held = onnx.load(maps.extractor).graph.initializer
        self.weights = {one.name: self.torch.tensor(numpy_helper.to_array(one)) for one in held}
        self._mean = self.torch.tensor(open_extractor(maps.extractor).contract.mean)

    def __call__(self, rows: Sequence[Any]) -> Any:
        latents = self.frames(self.torch.from_numpy(self._maps[list(rows)])) - self._mean
        return self.torch.nn.functional.normalize(latents, dim=1)

    def latents(self, rows: Sequence[Any]) -> NDArray[np.float32]:
        with self.torch.no_grad():
            return np.concatenate([self(rows[at : at + AT_ONCE]).numpy() for at in range(0, len(rows), AT_ONCE)])

    def frames(self, x: Any) -> Any:
        """Return the mean frames (n, D) of maps."""
        raise NotImplementedError

    def matrix(self, name: str) -> Any:
        """Return a weight (in, out) that is adapted."""
        raise NotImplementedError

    def product(self, x: Any, name: str) -> Any:
        """Return x times a weight, with what is added to it."""
        if name not in self._pairs:
            return x @ self.matrix(name)
        down, up = self._pairs[name]
        return x @ self.matrix(name) + x @ down @ up


class VoiceBlock(Block):
    """Convolutions in mel and in time, in turns, of maps (n, time, bands, channels)."""

    ADAPTED = tuple(f"layer_{number}" for number in VOICE_LAYERS)
    INPUT = "pool_14_2"

    def frames(self, x: Any) -> Any:
        functional = self.torch.nn.functional
        for name in self.ADAPTED:
            is_time = name in self.ADAPTED[1::2] or name == self.ADAPTED[-1]
            if is_time:
                shifted = [x[:, tap : x.shape[1] - 2 + tap] for tap in range(3)]
            else:
                padded = functional.pad(x, (0, 0, 1, 1))
                shifted = [padded[:, :, tap : tap + x.shape[2]] for tap in range(3)]
            x = self.product(self.torch.cat(shifted, dim=3), name)
            if f"{name}_bias" in self.weights:
                x = functional.leaky_relu(x + self.weights[f"{name}_bias"], SLOPE).clamp(min=LOWEST)
            if name == self.ADAPTED[-2]:  # halved in both, before the last
                x = self.torch.maximum(x[:, :, 0::2], x[:, :, 1::2])
                whole = x.shape[1] // 2 * 2
                x = self.torch.maximum(x[:, 0:whole:2], x[:, 1:whole:2])
        return x.squeeze(2).mean(dim=1)

    def matrix(self, name: str) -> Any:
        return self.weights[f"{name}_taps"]


class ImageBlock(Block):
    """An inverted bottleneck, the last map and the projection, of maps (n, channels, height, width)."""

    ADAPTED = (f"{BLOCK}_expand_conv", f"{BLOCK}_project_conv", HEAD, "projection")
    INPUT = "_blocks.14.sum"

    def frames(self, x: Any) -> Any:
        x = self._pointwise(x.permute(0, 2, 3, 1), self.ADAPTED[0]).clamp(0, 6).permute(0, 3, 1, 2)
        deep = f"{BLOCK}_depthwise_conv"
        weights, bias = self.weights[f"{deep}.weights"], self.weights[f"{deep}.bias"]
        x = self.torch.nn.functional.conv2d(x, weights, bias, padding=1, groups=len(weights)).clamp(0, 6)
        x = self._pointwise(x.permute(0, 2, 3, 1), self.ADAPTED[1])
        x = self._pointwise(x, HEAD).clamp(0, 6).mean(dim=(1, 2))
        return self.product(x, "projection")

    def matrix(self, name: str) -> Any:
        return self.weights[name] if name == "projection" else self.weights[f"{name}.weights"][:, :, 0, 0].T

    def _pointwise(self, x: Any, name: str) -> Any:
        return self.product(x, name) + self.weights[f"{name}.bias"]


BLOCKS: dict[str, type[VoiceBlock] | type[ImageBlock]] = {"voice": VoiceBlock, "digits": ImageBlock}


# What the blocks take


def read_voice(extractor: Path) -> Maps:
    """Return the maps of the words that take part."""
    export_voice(extractor)
    data, root, contract = SETS["speech_commands"], data_root(), open_extractor(extractor).contract
    classes = taking_part(data, *names_of(data, root))
    run = _upto(extractor, VoiceBlock.INPUT)
    x, labels, people = [], [], []
    for one in read_samples(data.path(root), contract):
        if isinstance(one, Sample) and one.label in classes:
            x.append(run(fit(one.signal, contract)[None]))
            labels.append(str(one.label))
            people.append(Path(one.source).stem.rpartition("_")[0])
    found = splits(data, labels, people)[:ORDERS]
    asked = np.array([np.isin(people, sorted(split.unseen)) for split in found])
    return Maps(np.concatenate(x), np.searchsorted(classes, labels), asked, extractor)


def read_digits(extractor: Path) -> Maps:
    """Return the maps of digits under all weather."""
    export_image(extractor)
    draw, run, held = digits(), _upto(extractor, ImageBlock.INPUT), len(DOMAINS) * TAUGHT
    x, y, asked = [], [], []
    for label in range(10):
        for index, weather in enumerate(DOMAINS):
            taught = range(index * TAUGHT, (index + 1) * TAUGHT)
            for number in (*taught, *range(held, held + ASKED)):
                x.append(run(draw(label, number, weather).reshape(1, -1, 3).astype(np.float32)))
                y.append(label)
                asked.append(number >= held)
    return Maps(np.concatenate(x), np.array(y), np.array([asked] * ORDERS), extractor)


def _upto(extractor: Path, tensor: str) -> Any:
    """Return what runs an extractor up to one of its tensors."""
    import onnxruntime

    model = onnx.load(extractor)
    model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda signal: session.run([tensor], {"signal": signal})[0]


def kept(name: str, cache: Path, scratch: Path) -> Maps:
    """Return the maps of a set, from the cache where the exporter and this file are the same."""
    from edgecl_export import image, voice

    sources = b"".join(Path(one.__file__ or "").read_bytes() for one in (image, voice)) + Path(__file__).read_bytes()
    file, extractor = cache / f"{name}-maps-{hashlib.sha256(sources).hexdigest()[:16]}.npz", scratch / f"{name}.onnx"
    if not file.exists():
        note(f"{name}: samples through the extractor, up to its last block")
        made = {"voice": read_voice, "digits": read_digits}[name](extractor)
        np.savez(file.with_suffix(".part.npz"), x=made.x, y=made.y, asked=made.asked)
        file.with_suffix(".part.npz").replace(file)
    {"voice": export_voice, "digits": export_image}[name](extractor)
    with np.load(file) as arrays:
        return Maps(arrays["x"], arrays["y"], arrays["asked"], extractor)


# What is measured


def training_of(name: str, maps: Maps, of: Mapping[str, Sequence[Any]], rate: float, seed: int) -> Training:
    """Return gradient steps on an adapter of the block, trained on rows by class."""
    block = BLOCKS[name]
    plain = block(maps, {})
    shapes = {one: tuple(plain.matrix(one).shape) for one in block.ADAPTED}
    return Training(partial(block, maps), shapes, of, RANK, np.random.default_rng(seed), rate=rate)


def orders(maps: Maps) -> list[list[int]]:
    """Return the classes in the orders in which they are taught."""
    names = [f"{one:03}" for one in np.unique(maps.y)]
    return [[int(name) for name in order] for order in class_orders(names)[:ORDERS]]


def evaluated(x: NDArray[np.float32], maps: Maps, split: int, first: Sequence[int], later: Sequence[int]) -> Figures:
    """Return the balanced accuracy of closed forms: of all classes, of both parts, and of later ones from five."""
    y, is_asked = maps.y, maps.asked[split]
    taught = {one: np.flatnonzero((y == one) & ~is_asked) for one in (*first, *later)}
    whole = {one: statistics_of(x[rows]) for one, rows in taught.items()}
    asked = np.flatnonzero(is_asked & np.isin(y, (*first, *later)))
    answers = closed_form(whole, x[asked])
    found = {}
    for name, part in (("all", (*first, *later)), ("first", first), ("later", later)):
        is_part = np.isin(y[asked], part)
        found[name] = balanced_accuracy(y[asked][is_part], answers[is_part])
    draw, few = np.random.default_rng(0), []
    for at in range(0, len(later), NEW_AT_ONCE):
        fresh = later[at : at + NEW_AT_ONCE]
        rows = asked[np.isin(y[asked], fresh)]
        for _ in range(DRAWS):
            five = {one: statistics_of(x[draw.choice(taught[one], SHOTS, replace=False)]) for one in fresh}
            few.append(balanced_accuracy(y[rows], closed_form({**whole, **five}, x[rows])))
    return {**found, "five": float(np.mean(few))}


def measure_split(name: str, maps: Maps, split: int, rate: float) -> Figures:
    """Return the scores of the classes left out after every CHECKPOINT steps, and what STEPS on all classes reach."""
    order, random = orders(maps)[split], np.random.default_rng(split)
    first, later = order[: FIRST[name]], order[FIRST[name] :]
    of = {str(one): np.flatnonzero((maps.y == one) & ~maps.asked[split]).tolist() for one in first}
    left_out = set(random.permutation(list(of))[: max(len(of) // LEFT_OUT, 1)].tolist())
    known = {one: rows for one, rows in of.items() if one not in left_out}
    judge = Judge(known, {one: of[one] for one in of if one in left_out}, random)
    every = list(range(len(maps.y)))
    with one_thread():
        trial = training_of(name, maps, known, rate, split)
        scores = [judge.score(trial.latents), *(judge.score(done.latents) for done in _stepped(trial))]
        plain = evaluated(BLOCKS[name](maps, {}).latents(every), maps, split, first, later)
        whole = training_of(name, maps, of, rate, split)
        for _ in _stepped(whole):
            pass
        adapted = evaluated(whole.latents(every), maps, split, first, later)
    note(f"{name} {rate:g}: left out {100 * scores[0]:.1f}, then {', '.join(f'{100 * one:.1f}' for one in scores[1:])}")
    return {"scores": scores, "plain": plain, "adapted": adapted}


def _stepped(training: Training) -> Iterator[Training]:
    """Take STEPS steps, and yield the training after every CHECKPOINT of them."""
    for done in range(1, STEPS + 1):
        training.step()
        if done % CHECKPOINT == 0:
            yield training


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=BLOCKS, default=list(BLOCKS))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="of the gradient steps")
    parser.add_argument("--cache", type=Path, required=True, help="folder for what the last blocks take")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    started = time.perf_counter()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    found: Figures = {}
    with tempfile.TemporaryDirectory(prefix="edgecl-adapter-") as folder:
        for name in chosen.sets:
            maps = kept(name, chosen.cache, Path(folder))
            found[name] = {
                f"{rate:g}": [measure_split(name, maps, split, rate) for split in range(ORDERS)]
                for rate in chosen.rates
            }
    chosen.json.write_text(json.dumps({"seconds": time.perf_counter() - started, "sets": found}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
