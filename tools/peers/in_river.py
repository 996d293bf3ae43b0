"""River: SoftmaxRegression.learn_one, which takes one row as a dictionary; a step is the time of a row times B."""

from __future__ import annotations

from itertools import cycle

from river import linear_model, optim

from peers.contestant import Contestant, Ready
from peers.workloads import RATE, Case

ROWS = 4  # for each timing, as dictionaries made beforehand


def step(case: Case) -> Ready:
    learner = linear_model.SoftmaxRegression(optimizer=optim.SGD(RATE))
    for label in range(case.classes):
        learner.learn_one(dict(enumerate(case.latents[label].tolist())), label)
    chosen = case.schedule.ravel()[:16]
    rows = cycle([(dict(enumerate(case.latents[i].tolist())), int(case.labels[i])) for i in chosen])

    def run() -> None:
        for _ in range(ROWS):
            learner.learn_one(*next(rows))

    return Ready(run, ROWS / case.batch)


CONTESTANTS = [Contestant("River SoftmaxRegression", {"step": step})]
