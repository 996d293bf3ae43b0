"""Play the same latents in the same lessons through the continual learners that people use on a server.

Run by tools/accuracy_table and tools/text_table in an environment of its own (requirements.txt): reads jobs, prints a
JSON line for each.

Usage: run.py JOBS, a JSON list of
``{"set", "split", "modality", "file", "lessons": [[[class, ...], ...] for each class order], "memory_bytes"}``, where
`file` is an .npz of `train_x` (n, D) float32, `train_y` (n,), `test_x` and `test_y`.

What the peers are given, fixed on inner splits of training groups (text: on clinc150's validation texts and a fifth of
hwu64's training texts) before a test group was looked at:

- Avalanche EWC and Replay: a linear layer that grows with the classes (IncrementalClassifier), SGD with momentum 0.9,
  minibatches of 32 (Replay: 32 new and 32 replayed), EPOCHS epochs a lesson but MOST_STEPS steps at most (edgecl's
  own gradient strategies have the same two), a rate and an EWC strength for each modality;
- Replay keeps as many float32 latents as fit in all the memory that edgecl is granted, class-balanced;
- StreamingLDA: Avalanche's default shrinkage 1e-4, one pass; in the first class order alone, as its statistics do not
  depend on it but for the first few samples;
- scikit-learn: SGDClassifier(loss="log_loss").partial_fit, PASSES shuffled passes over each lesson, all classes named.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

EPOCHS = 20
MOST_STEPS = 2000  # of a lesson
PASSES = 5
BATCH = 32
MOMENTUM = 0.9
REPLAY_RATE = {"voice": 1.0, "imu": 3.0, "text": 10.0}
EWC_RATE = {"voice": 0.1, "imu": 0.01, "text": 0.1}
EWC_STRENGTH = {"voice": 100.0, "imu": 1000.0, "text": 100.0}
LATENT_BYTES = 4  # float32

Lessons = Sequence[Sequence[int]]


def load_avalanche() -> None:
    """Import Avalanche, which imports torchvision; its compiled part is missing beside a torch without CUDA."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        try:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:  # it is there
            continue
    import avalanche.training.supervised  # noqa: F401


class Stream:
    """One split in one class order; classes are numbered in the order in which they are taught."""

    def __init__(self, arrays: dict[str, NDArray[Any]], lessons: Lessons, job: dict[str, Any]) -> None:
        order = [label for lesson in lessons for label in lesson]
        rank = np.full(max(order) + 1, -1)
        rank[order] = np.arange(len(order))
        self.classes, self.dimension = len(order), arrays["train_x"].shape[1]
        self.modality, self.memory_bytes = job["modality"], job["memory_bytes"]
        self.test_x, self.test_y = arrays["test_x"], rank[arrays["test_y"]]
        self.lessons = []
        for lesson in lessons:
            rows = np.isin(arrays["train_y"], lesson)
            self.lessons.append((arrays["train_x"][rows], rank[arrays["train_y"][rows]]))

    @property
    def epochs(self) -> int:
        """EPOCHS, or as many as MOST_STEPS allow in the longest lesson."""
        steps = max(-(-len(y) // BATCH) for _, y in self.lessons)
        return max(1, min(EPOCHS, MOST_STEPS // steps))

    def tensors(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(torch.from_numpy(x), torch.from_numpy(y).long()) for x, y in self.lessons]


def balanced_accuracy(truth: NDArray[Any], answers: NDArray[Any]) -> float:
    return float(np.mean([np.mean(answers[truth == one] == one) for one in np.unique(truth)]))


def play_ewc(stream: Stream) -> NDArray[Any]:
    from avalanche.training.supervised import EWC

    strength = EWC_STRENGTH[stream.modality]
    return _play_avalanche(stream, EWC, rate=EWC_RATE[stream.modality], ewc_lambda=strength)


def play_replay(stream: Stream) -> NDArray[Any]:
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ClassBalancedBuffer
    from avalanche.training.supervised import Naive

    size = stream.memory_bytes // (LATENT_BYTES * stream.dimension)
    plugin = ReplayPlugin(mem_size=size, storage_policy=ClassBalancedBuffer(max_size=size, adaptive_size=True))
    return _play_avalanche(stream, Naive, rate=REPLAY_RATE[stream.modality], plugins=[plugin])


def _play_avalanche(stream: Stream, strategy: Callable[..., Any], *, rate: float, **settings: Any) -> NDArray[Any]:
    from avalanche.models import IncrementalClassifier

    model = IncrementalClassifier(stream.dimension, initial_out_features=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)
    learner = strategy(
        model=model,
        optimizer=optimizer,
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=stream.epochs,
        **settings,
        **_quiet(),
    )
    for experience in _experiences(stream):
        learner.train(experience)
    model.eval()
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(stream.test_x)).argmax(dim=1).numpy())


def play_streaming_lda(stream: Stream) -> NDArray[Any]:
    from avalanche.training.supervised import StreamingLDA

    learner = StreamingLDA(
        slda_model=torch.nn.Identity(),
        criterion=torch.nn.CrossEntropyLoss(),
        input_size=stream.dimension,
        num_classes=stream.classes,
        **_quiet(),
    )
    # `train` would invert the covariance for every minibatch, to report a loss that is never read: `fit` is the learner
    for x, y in stream.tensors():
        for index in torch.randperm(len(y)):
            learner.fit(x[index : index + 1], y[index : index + 1])
    return np.asarray(learner.predict(torch.from_numpy(stream.test_x)).argmax(dim=1).numpy())


def _quiet() -> dict[str, Any]:
    from avalanche.training.plugins import EvaluationPlugin

    return {"evaluator": EvaluationPlugin(loggers=[]), "device": "cpu"}


def _experiences(stream: Stream) -> Any:
    from avalanche.benchmarks import tensors_benchmark

    tensors = stream.tensors()
    return tensors_benchmark(
        train_tensors=tensors, test_tensors=tensors[:1], task_labels=[0] * len(tensors)
    ).train_stream


def play_partial_fit(stream: Stream) -> NDArray[Any]:
    from sklearn.linear_model import SGDClassifier

    learner = SGDClassifier(loss="log_loss", random_state=0)
    generator = np.random.default_rng(0)
    for x, y in stream.lessons:
        for _ in range(PASSES):
            order = generator.permutation(len(y))
            learner.partial_fit(x[order], y[order], classes=np.arange(stream.classes))
    return np.asarray(learner.predict(stream.test_x))


PEERS = {
    "avalanche-ewc": play_ewc,
    "avalanche-replay": play_replay,
    "avalanche-slda": play_streaming_lda,
    "sklearn-partial-fit": play_partial_fit,
}


def results(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Accuracies of every peer, one for each class order."""
    with np.load(job["file"], allow_pickle=False) as file:
        arrays = dict(file)
    for peer, play in PEERS.items():
        accuracies, started = [], time.perf_counter()
        for lessons in job["lessons"][: 1 if play is play_streaming_lda else None]:
            torch.manual_seed(0)
            stream = Stream(arrays, lessons, job)
            accuracies.append(balanced_accuracy(stream.test_y, play(stream)))
        seconds = time.perf_counter() - started
        yield {"set": job["set"], "split": job["split"], "peer": peer, "accuracies": accuracies, "seconds": seconds}


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    load_avalanche()
    for job in json.loads(Path(sys.argv[1]).read_text()):
        for result in results(job):
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
