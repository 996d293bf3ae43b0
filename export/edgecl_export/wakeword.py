"""A taught word as one classifier of openWakeWord's shape: embeddings [1, 16, 96] in, [1, 1] out.

openWakeWord computes mel spectrogram and embeddings itself, by the same public model that the voice extractor is made
of. So the file holds what comes after them: the mean of the latest embeddings, the word's score against the background
and the other words, and the probability that this stands for, 0.5 at the word's own threshold.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgecl.errors import SettingError
from edgecl.store.files import replace_unlocked, require_replaceable
from edgecl_export._graph import Graph

if TYPE_CHECKING:
    from edgecl.extractors.contract import Contract
    from edgecl.model.exemplars import FeatureMap
    from edgecl.spotting.background import BackgroundScorer, WordParameters

EMBEDDINGS, DIMENSION = 16, 96


def export_wakeword(
    scorer: BackgroundScorer, label: str, out: Path, *, contract: Contract, features: FeatureMap, revision: int
) -> int:
    """Write the classifier of a word; returns the bytes written.

    Raises
    ------
    SettingError
        The word is not known, the store's latents are not those of openWakeWord's embeddings, or `out` cannot be
        written.
    """
    if label not in scorer.labels:
        raise SettingError(f"{label!a} is not known: there is {', '.join(scorer.labels)}", parameter="label")
    if contract.dimension != DIMENSION or contract.pool_frames > EMBEDDINGS:
        raise SettingError(
            f"latents of {contract.dimension} columns are not the {DIMENSION} of openWakeWord's embeddings"
        )
    model = _model(scorer.word(label), contract, features, label)
    told = {"label": label, "revision": str(revision), "source": contract.source, "licence": contract.licence}
    helper.set_model_props(model, {f"edgecl.{name}": text for name, text in told.items()})
    return write(model, out)


def write(model: onnx.ModelProto, out: Path) -> int:
    """Write a model beside `out`, and only then give it that name; raises SettingError where it cannot be written."""
    content = model.SerializeToString(deterministic=True)
    out = require_replaceable(out)
    try:
        replace_unlocked(out, content)
    except OSError as error:
        raise SettingError(f"cannot write {out}: {error.strerror}") from error
    return len(content)


def _model(word: WordParameters, contract: Contract, features: FeatureMap, label: str) -> onnx.ModelProto:
    graph = Graph()
    rows = _rows(graph, contract, features)
    whitened, gaussians = _gaussians(graph, rows, word)
    length = graph.add(
        "ReduceSum", graph.add("Mul", whitened, whitened, name="square"), graph.integers(1), name="length"
    )
    distance = _distances(graph, whitened, word.distractors, "distractor")
    nearest = graph.add("Add", graph.add("ReduceMin", distance, name="least", axes=[1]), length, name="nearest")
    half = graph.add("Mul", nearest, graph.constant("half", np.float32(-0.5)), name="nearest_half")
    distractor = graph.add("Sub", half, _scalar(graph, "tied", word.half_determinant), name="distractor_density")
    rival = graph.add("Max", gaussians, distractor, name="background")
    if len(word.others):
        spreads = word.other_spreads[None]
        others = _density(graph, whitened, length, word.others, spreads, word.half_determinant, "other")
        best = graph.add("ReduceMax", others, name="best_other", axes=[1])
        rival = graph.add("Max", rival, best, name="rival")
    own = _density(
        graph, whitened, length, word.own, np.full((1, 1), word.own_spread, np.float32), word.half_determinant, "own"
    )
    score = graph.add("Sub", own, rival, name="score")
    above = graph.add("Sub", score, _scalar(graph, "threshold", word.threshold), name="above")
    logit = graph.add("Mul", above, _scalar(graph, "steepness", word.steepness), name="logit")
    graph.add("Sigmoid", logit, name="probability")
    return graph.model(
        inputs={"embeddings": (1, EMBEDDINGS, DIMENSION)}, outputs={"probability": (1, 1)}, name=f"edgecl-{label}"
    )


def _scalar(graph: Graph, name: str, value: float) -> str:
    return graph.constant(name, np.full((1, 1), value, np.float32))


def _rows(graph: Graph, contract: Contract, features: FeatureMap) -> str:
    """The latest embeddings to a row (1, p), as the store's own latents are made."""
    latest = graph.slice("embeddings", EMBEDDINGS - contract.pool_frames, EMBEDDINGS, axis=1, name="latest")
    pooled = graph.add("ReduceMean", latest, name="pooled", axes=[1], keepdims=0)
    mean = np.broadcast_to(np.asarray(contract.mean, np.float32), (1, DIMENSION))
    latent = graph.add("Sub", pooled, graph.constant("mean", mean), name="centred")
    if contract.normalisation == "l2":
        latent = graph.add("LpNormalization", latent, name="latent", axis=1, p=2)
    if features.projection:
        projection = features.project(np.eye(DIMENSION, dtype=np.float32))
        latent = graph.add("MatMul", latent, graph.constant("projection", projection), name="row")
    return latent


def _gaussians(graph: Graph, rows: str, word: WordParameters) -> tuple[str, str]:
    """The row whitened (1, p), and the largest log density (1, 1) of the background's Gaussians."""
    width, count = len(word.factors), len(word.half_determinants)
    product = graph.add("MatMul", rows, graph.constant("factors", word.factors), name="product")
    shifted = graph.add("Sub", product, graph.constant("shifts", word.shifts[None]), name="shifted")
    apart = graph.add("Reshape", shifted, graph.integers(1, count + 1, width), name="apart")
    first, rest = graph.split(apart, [1, count], axis=1, name="parts")
    whitened = graph.add("Reshape", first, graph.integers(1, width), name="whitened")
    squared = graph.add("Mul", rest, rest, name="rest_square")
    sums = graph.add("ReduceSum", squared, graph.integers(2), name="rest_sum", keepdims=0)
    half = graph.add("Mul", sums, graph.constant("half", np.float32(-0.5)), name="rest_half")
    density = graph.add("Sub", half, graph.constant("determinants", word.half_determinants[None]), name="rest_density")
    return whitened, graph.add("ReduceMax", density, name="gaussians", axes=[1])


def _distances(graph: Graph, whitened: str, points: NDArray[np.float32], name: str) -> str:
    """Squared distances (1, M) to points (M, p), less the length of the row itself."""
    turned = graph.constant(f"{name}_points", (-2 * points.T).astype(np.float32))
    along = graph.add("MatMul", whitened, turned, name=f"{name}_along")
    lengths = graph.constant(f"{name}_lengths", np.square(points).sum(axis=1)[None].astype(np.float32))
    return graph.add("Add", along, lengths, name=f"{name}_distance")


def _density(
    graph: Graph,
    whitened: str,
    length: str,
    means: NDArray[np.float32],
    spreads: NDArray[np.float32],
    half_determinant: float,
    name: str,
) -> str:
    """Log densities (1, C) of words with means (C, p)."""
    squared = graph.add("Add", _distances(graph, whitened, means, name), length, name=f"{name}_squared")
    scale = graph.constant(f"{name}_scale", (-0.5 / spreads).astype(np.float32))
    scaled = graph.add("Mul", squared, scale, name=f"{name}_scaled")
    rest = -0.5 * means.shape[1] * np.log(spreads.astype(np.float64)) - half_determinant
    assert all(map(math.isfinite, rest.ravel()))
    return graph.add("Add", scaled, graph.constant(f"{name}_rest", rest.astype(np.float32)), name=f"{name}_density")
