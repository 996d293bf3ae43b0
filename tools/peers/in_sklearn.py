"""scikit-learn: SGDClassifier.partial_fit on each minibatch (one class against the rest, no EWC, no momentum)."""

from __future__ import annotations

from itertools import cycle

import numpy as np
from sklearn.linear_model import SGDClassifier

from peers.contestant import Contestant, Ready
from peers.workloads import RATE, Case


def step(case: Case) -> Ready:
    learner = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=RATE, alpha=0.0)
    latents, labels, slots = case.latents, case.labels, cycle(case.schedule)
    learner.partial_fit(latents, labels, classes=np.arange(case.classes))

    def run() -> None:
        chosen = next(slots)
        learner.partial_fit(latents[chosen], labels[chosen])

    return Ready(run)


CONTESTANTS = [Contestant("scikit-learn partial_fit", {"step": step})]
