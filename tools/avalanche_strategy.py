#!/usr/bin/env python3
"""Run edgecl as a strategy of Avalanche 0.6, in its own loop, on its own benchmark, by its own metrics.

    tools/avalanche_strategy.py                    scikit-learn's digits, two classes an experience
    tools/avalanche_strategy.py --experiences 10   one class an experience

Beside it Avalanche's naive training, EWC and replay of 200, each in the same loop; their rates are not tuned.
Avalanche's benchmarks download
their pictures; the digits are a set that comes with a package. Needs avalanche-lib and scikit-learn, see
tools/peers/requirements.txt.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT), str(ROOT / "kernels")]

from peers.run import load_avalanche

load_avalanche()
warnings.simplefilter("ignore")

from avalanche.benchmarks.scenarios.deprecated.generators import nc_benchmark
from avalanche.evaluation.metrics import accuracy_metrics, bwt_metrics, forgetting_metrics
from avalanche.training.plugins import EvaluationPlugin, EWCPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from avalanche.training.templates import SupervisedTemplate

from edgecl.sklearn import EdgeClassifier

ABSENT = -1e9  # logit of a class that has not been taught
BATCH, EPOCHS, RATE = 32, 20, 0.1
EWC_STRENGTH, REPLAYED = 10.0, 200


class EdgeModule(torch.nn.Module):  # type: ignore[misc]
    """An `EdgeClassifier` as a torch module: rows (n, D) to logits (n, C)."""

    def __init__(self, classes: int, **parameters: Any) -> None:
        super().__init__()
        self.classifier, self.classes = EdgeClassifier(**parameters), classes
        self.anchor = torch.nn.Parameter(torch.zeros(1))  # an optimiser wants one

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        logits = np.full((len(rows), self.classes), ABSENT)
        if hasattr(self.classifier, "model_"):
            given = self.classifier.decision_function(rows.detach().cpu().numpy().astype(np.float64))
            if given.ndim == 1:  # scikit-learn's form for two classes
                given = np.stack([np.zeros(len(given)), given], axis=1)
            logits[:, self.classifier.classes_] = given
        return torch.from_numpy(logits.astype(np.float32)) + 0 * self.anchor


class EdgeStrategy(SupervisedTemplate):  # type: ignore[misc]
    """A strategy that sees each experience once: one lesson for `EdgeClassifier.partial_fit`, no gradient.

    Parameters
    ----------
    classes
        Classes of the whole benchmark, numbered from 0.
    parameters
        Of `EdgeClassifier`.
    """

    def __init__(
        self, classes: int, *, evaluator: EvaluationPlugin, parameters: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        module = EdgeModule(classes, **parameters)
        super().__init__(
            model=module,
            optimizer=torch.optim.SGD(module.parameters(), lr=0.0),
            criterion=torch.nn.CrossEntropyLoss(),
            train_mb_size=BATCH,
            train_epochs=1,
            eval_mb_size=256,
            evaluator=evaluator,
        )

    def training_epoch(self, **kwargs: Any) -> None:
        """Collect the minibatches of the experience, and teach them as one lesson."""
        rows, labels = [], []
        for minibatch in self.dataloader:
            self.mbatch = minibatch
            self._unpack_minibatch()
            self._before_training_iteration(**kwargs)
            rows.append(self.mb_x.numpy())
            labels.append(self.mb_y.numpy())
            self.mb_output = self.forward()
            self.loss = self._criterion(self.mb_output, self.mb_y)
            self._after_training_iteration(**kwargs)
        self.model.classifier.partial_fit(np.concatenate(rows), np.concatenate(labels))


def stepping(name: str, dimension: int, classes: int, evaluator: EvaluationPlugin) -> Any:
    """Return one of Avalanche's own strategies on a linear layer."""
    plugins = {"naive": [], "EWC": [EWCPlugin(ewc_lambda=EWC_STRENGTH)], "replay of 200": [ReplayPlugin(REPLAYED)]}
    torch.manual_seed(0)
    layer = torch.nn.Linear(dimension, classes)
    return Naive(
        model=layer,
        optimizer=torch.optim.SGD(layer.parameters(), lr=RATE, momentum=0.9),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=EPOCHS,
        eval_mb_size=256,
        plugins=plugins[name],
        evaluator=evaluator,
    )


def as_set(rows: NDArray[np.float32], labels: NDArray[np.integer]) -> Any:
    """Return a torch data set of rows (n, D) and labels (n,), as Avalanche takes it."""
    made = torch.utils.data.TensorDataset(torch.from_numpy(rows), torch.from_numpy(labels).long())
    made.targets = labels.tolist()
    return made


def class_benchmark(train: Any, test: Any, experiences: int, **options: Any) -> Any:
    """Return Avalanche's class-incremental benchmark of two data sets; `options` as its `nc_benchmark` takes them."""
    return nc_benchmark(train, test, experiences, task_labels=False, **options)


def metrics() -> EvaluationPlugin:
    return EvaluationPlugin(
        accuracy_metrics(stream=True, experience=True),
        forgetting_metrics(stream=True),
        bwt_metrics(stream=True),
        loggers=[],
    )


def followed(strategy: Any, benchmark: Any) -> dict[str, float]:
    """Train through all experiences, and return Avalanche's figures after the last, by their names.

    `Top1_Acc_Stream`, `StreamForgetting`, `StreamBWT`, and `Exp000` and so on: the accuracy on one experience.
    """
    found: dict[str, Any] = {}
    warnings.simplefilter("ignore")  # Avalanche warns of its own plug-ins at each experience
    for experience in benchmark.train_stream:
        strategy.train(experience)
        found = strategy.eval(benchmark.test_stream)
    by_experience = {name.split("/")[-1]: value for name, value in found.items() if name.startswith("Top1_Acc_Exp")}
    of_stream = {name.split("/")[0]: value for name, value in found.items() if "Stream" in name.split("/")[0]}
    return {name: float(value) for name, value in (by_experience | of_stream).items()}


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    """Return scaled rows (n, 64), labels (n,) and which are for training."""
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    return (rows / 16).astype(np.float32), labels, np.random.default_rng(0).random(len(labels)) < 0.75


def main() -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout, allow_abbrev=False)
    parser.add_argument("--experiences", type=int, default=5, help="into which the ten classes are divided")
    experiences = parser.parse_args().experiences
    rows, labels, chosen = digits()
    classes = int(labels.max()) + 1
    print(f"{'':18}{'accuracy':>10}{'forgetting':>12}{'BWT':>8}")
    for name in ("naive", "EWC", "replay of 200", "edgecl", "edgecl, 1 MiB"):
        sets = as_set(rows[chosen], labels[chosen]), as_set(rows[~chosen], labels[~chosen])
        benchmark = class_benchmark(*sets, experiences, seed=0)
        if name.startswith("edgecl"):
            memory = {"memory": "1 MiB"} if "MiB" in name else {}
            strategy = EdgeStrategy(classes, evaluator=metrics(), parameters=memory)
        else:
            strategy = stepping(name, rows.shape[1], classes, metrics())
        found = followed(strategy, benchmark)
        shown = (found["Top1_Acc_Stream"], found["StreamForgetting"], found["StreamBWT"])
        print(f"{name:18}" + "".join(f"{value:{width}.3f}" for value, width in zip(shown, (10, 12, 8), strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
