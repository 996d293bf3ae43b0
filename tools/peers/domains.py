"""Play lessons of the same classes under other conditions through Avalanche's learners.

Usage: domains.py JOBS, a JSON object ``{"file", "orders": [[domain, ...], ...]}``, where `file` is an .npz of tx_DOMAIN
(n, D) float32, ty_DOMAIN, ax_DOMAIN and ay_DOMAIN. Prints one JSON object: `matrices`, for each learner and order the
accuracy on every domain after every lesson, and `chosen`.

A linear layer, SGD with momentum 0.9, minibatches of 32, EPOCHS epochs a lesson. The rate, and the strength of EWC and
LwF, are those of the grid with the best mean over all domains in the first order, when every fourth taught picture is
left out and evaluated in place of the test pictures. Replay keeps 200 float32 latents, balanced by class. StreamingLDA
has Avalanche's default shrinkage.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers.run import MOMENTUM, load_avalanche

EPOCHS, BATCH, REPLAY = 10, 32, 200
RATES, EWC_STRENGTHS, LWF_STRENGTHS = (1.0, 3.0), (1.0, 100.0), (1.0, 10.0)
Pair = tuple[NDArray[np.float32], NDArray[np.int64]]
Parts = dict[str, tuple[Pair, Pair]]


def accuracies(answer: Callable[[torch.Tensor], torch.Tensor], parts: Parts, order: Sequence[str]) -> list[float]:
    with torch.no_grad():
        return [
            float((answer(torch.from_numpy(x)).argmax(dim=1).numpy() == y).mean())
            for x, y in (parts[one][1] for one in order)
        ]


def experiences(parts: Parts, order: Sequence[str]) -> Any:
    from avalanche.benchmarks import tensors_benchmark

    tensors = [tuple(map(torch.from_numpy, parts[one][0])) for one in order]
    return tensors_benchmark(train_tensors=tensors, test_tensors=tensors[:1], task_labels=[0] * len(order)).train_stream


def quiet() -> dict[str, Any]:
    from avalanche.training.plugins import EvaluationPlugin

    return {"evaluator": EvaluationPlugin(loggers=[]), "device": "cpu"}


def by_gradient(parts: Parts, order: Sequence[str], kind: str, rate: float, strength: float) -> list[list[float]]:
    """Return the matrix of a learner that takes gradient steps."""
    from avalanche.training import supervised
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ClassBalancedBuffer

    torch.manual_seed(0)
    model = torch.nn.Linear(next(iter(parts.values()))[0][0].shape[1], 10)
    more: dict[str, Any] = {}
    if kind == "EWC":
        more = {"ewc_lambda": strength}
    elif kind == "LwF":
        more = {"alpha": strength, "temperature": 2.0}
    elif kind == "Replay":
        policy = ClassBalancedBuffer(max_size=REPLAY, adaptive_size=True)
        more = {"plugins": [ReplayPlugin(mem_size=REPLAY, storage_policy=policy)]}
    learner = getattr(supervised, "Naive" if kind == "Replay" else kind)(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        **more,
        **quiet(),
    )
    rows = []
    for experience in experiences(parts, order):
        learner.train(experience)
        model.eval()
        rows.append(accuracies(model, parts, order))
    return rows


def streaming_lda(parts: Parts, order: Sequence[str]) -> list[list[float]]:
    """Return the matrix of Avalanche's StreamingLDA; `fit` is the learner, `train` reports a loss besides."""
    from avalanche.training.supervised import StreamingLDA

    torch.manual_seed(0)
    learner = StreamingLDA(
        slda_model=torch.nn.Identity(),
        criterion=torch.nn.CrossEntropyLoss(),
        input_size=next(iter(parts.values()))[0][0].shape[1],
        num_classes=10,
        **quiet(),
    )
    rows = []
    for one in order:
        x, y = (torch.from_numpy(each) for each in parts[one][0])
        for index in torch.randperm(len(y)):
            learner.fit(x[index : index + 1], y[index : index + 1])
        rows.append(accuracies(learner.predict, parts, order))
    return rows


GRID = {
    "Naive": list(product(RATES, (0.0,))),
    "Replay": list(product(RATES, (0.0,))),
    "EWC": list(product(RATES, EWC_STRENGTHS)),
    "LwF": list(product(RATES, LWF_STRENGTHS)),
}


def held_out(parts: Parts) -> Parts:
    """Return the taught pictures alone, every fourth of them evaluated."""
    split = {}
    for name, ((x, y), _) in parts.items():
        is_held = np.arange(len(y)) % 4 == 0
        split[name] = ((x[~is_held], y[~is_held]), (x[is_held], y[is_held]))
    return split


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    load_avalanche()
    job = json.loads(Path(sys.argv[1]).read_text())
    with np.load(job["file"], allow_pickle=False) as file:
        pairs = {
            name: tuple((file[f"{kind}x_{name}"], file[f"{kind}y_{name}"].astype(np.int64)) for kind in "ta")
            for name in job["orders"][0]
        }
    parts: Parts = pairs  # type: ignore[assignment]
    inner, matrices, chosen = held_out(parts), {}, {}
    for kind, grid in GRID.items():
        scores = {each: np.mean(by_gradient(inner, job["orders"][0], kind, *each)[-1]) for each in grid}
        best = max(scores, key=lambda each: scores[each])
        chosen[f"Avalanche {kind}"] = best
        matrices[f"Avalanche {kind}"] = [by_gradient(parts, order, kind, *best) for order in job["orders"]]
    matrices["Avalanche StreamingLDA"] = [streaming_lda(parts, order) for order in job["orders"]]
    print(json.dumps({"matrices": matrices, "chosen": chosen}))


if __name__ == "__main__":
    main()
