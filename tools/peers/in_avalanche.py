"""Avalanche 0.6: its strategy with EWC and replay, its herding, its streaming covariance.

A step is one turn of its own training loop (`training_epoch`): plug-ins, forward, EWC penalty, backward, optimiser.
Twice: with the data loader that mixes new and replayed rows, as people use it, and alone, on minibatches handed to it.
The EWC state is that of a first experience. Its importances square the gradient of a batch's mean, which is not the
Fisher diagonal.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from peers.contestant import Contestant, Ready
from peers.in_torch import linear
from peers.run import load_avalanche
from peers.workloads import FISHER_ROWS, HERDING_ROWS, MOMENTUM, POOL, RATE, STRENGTH, Case

load_avalanche()
warnings.simplefilter("ignore")

from avalanche.benchmarks import tensors_benchmark
from avalanche.training.plugins import EvaluationPlugin, EWCPlugin, ReplayPlugin
from avalanche.training.storage_policy import HerdingSelectionStrategy
from avalanche.training.supervised import Naive, StreamingLDA

UNITS = 8  # turns of the loop for each timing, handed to it
LOADED = 64  # and with its loader, which costs something to start
REPLAY = 200


def _experiences(case: Case, rows: int = FISHER_ROWS) -> Any:
    x, y = torch.from_numpy(case.latents[:rows].copy()), torch.from_numpy(case.labels[:rows]).long()
    return tensors_benchmark(train_tensors=[(x, y)], test_tensors=[(x, y)], task_labels=[0]).train_stream


def _strategy(case: Case) -> tuple[Any, EWCPlugin]:
    """A learner that has had one experience."""
    layer, ewc = linear(case), EWCPlugin(ewc_lambda=STRENGTH, mode="online", decay_factor=1.0)
    learner = Naive(
        model=layer,
        optimizer=torch.optim.SGD(layer.parameters(), lr=RATE, momentum=MOMENTUM),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=case.batch - case.batch // 2,
        train_epochs=1,
        device="cpu",
        plugins=[ewc, *([ReplayPlugin(REPLAY, batch_size_mem=case.batch // 2)] if case.batch > 1 else [])],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    learner.train(_experiences(case)[0])
    return learner, ewc


class _Minibatches:
    """What stands for the data loader: new and replayed rows picked out of the pool, as the others do."""

    def __init__(self, case: Case) -> None:
        self.latents, self.labels = torch.from_numpy(case.latents), torch.from_numpy(case.labels).long()
        self.schedule, self.tasks = torch.from_numpy(case.schedule), torch.zeros(case.batch, dtype=torch.long)

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        for slots in islice(self.schedule, UNITS):
            yield [self.latents[slots], self.labels[slots], self.tasks]


def _taught(case: Case) -> Any:
    """A learner that is about to take steps under a penalty."""
    learner, ewc = _strategy(case)
    learner.model.train()
    learner.is_training = True
    assert learner.clock.train_exp_counter == 1, "without a first experience there is no penalty"
    assert ewc.saved_params[0]
    return learner


def step(case: Case) -> Ready:
    learner = _taught(case)
    new = case.batch - case.batch // 2
    learner.experience = _experiences(case, min(new * LOADED, POOL))[0]
    learner._before_training_exp()
    return Ready(learner.training_epoch, len(learner.dataloader))


def bare_step(case: Case) -> Ready:
    learner = _taught(case)
    learner.dataloader = _Minibatches(case)
    return Ready(learner.training_epoch, UNITS)


def fisher(case: Case) -> Ready:
    learner, ewc = _strategy(case)
    data = _experiences(case)[0].dataset
    parts = learner.model, learner._criterion, learner.optimizer, data, learner.device, learner.train_mb_size
    return Ready(lambda: ewc.compute_importances(*parts))


def herding(case: Case) -> Ready:
    """It sorts all rows, where the others stop after the first few picks."""
    x = torch.from_numpy(case.latents[:HERDING_ROWS].copy())
    selection = HerdingSelectionStrategy(torch.nn.Identity(), "")
    return Ready(lambda: selection.make_sorted_indices_from_features(x))


def scatter(case: Case) -> Ready:
    """`StreamingLDA.fit`, a row at a time."""
    learner = StreamingLDA(
        slda_model=torch.nn.Identity(),
        criterion=torch.nn.CrossEntropyLoss(),
        input_size=case.dimension,
        num_classes=case.classes,
        device="cpu",
        evaluator=EvaluationPlugin(loggers=[]),
    )
    x, y = torch.from_numpy(case.latents[:1]), torch.from_numpy(case.labels[:1]).long()
    return Ready(lambda: learner.fit(x, y))


CONTESTANTS = [
    Contestant("Avalanche", {"step": step, "fisher": fisher, "herding": herding, "scatter": scatter}),
    Contestant("Avalanche without its loader", {"step": bare_step}),
]
