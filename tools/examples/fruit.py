#!/usr/bin/env python3
"""Teach a third fruit without forgetting the first two: replay of a tenth, beside naive, joint and edgecl.

Two classes of 1,000 made-up samples of ten features, then a third of 500. A linear classifier takes gradient steps:
naive on the third class alone, replay on it and a tenth of the old samples, joint on all. `EdgeClassifier` is taught
the third class alone. Needs the extra [sklearn].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from edgecl.sklearn import EdgeClassifier

FEATURES, OLD, NEW, REPLAYED = 10, ("apple", "pear"), "plum", 0.1
PASSES = 20
Samples = tuple[NDArray[np.float64], NDArray[np.str_]]


def fruit(labels: tuple[str, ...], count: int, *, seed: int) -> Samples:
    """Return samples (n, 10) around a mean by label, and their labels (n,)."""
    means = dict(zip((*OLD, NEW), np.random.default_rng(7).normal(size=(3, FEATURES)), strict=True))
    rng = np.random.default_rng(seed)
    rows = [means[label] + rng.normal(size=(count, FEATURES)) for label in labels]
    return np.concatenate(rows), np.repeat(labels, count)


def joined(*parts: Samples) -> Samples:
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([labels for _, labels in parts])


def stepped(lessons: list[Samples]) -> SGDClassifier:
    """Return a softmax-like classifier after some passes over each lesson."""
    model = SGDClassifier(loss="log_loss", random_state=0)
    for rows, labels in lessons:
        for seed in range(PASSES):
            order = np.random.default_rng(seed).permutation(len(labels))
            model.partial_fit(rows[order], labels[order], classes=sorted((*OLD, NEW)))
    return model


def main() -> None:
    old, new = fruit(OLD, 1000, seed=1), fruit((NEW,), 500, seed=2)
    kept = np.random.default_rng(3).choice(len(old[1]), int(REPLAYED * len(old[1])), replace=False)
    replayed = old[0][kept], old[1][kept]
    models = {
        "naive": stepped([old, new]),
        "replay of a tenth": stepped([old, joined(new, replayed)]),
        "joint": stepped([joined(old, new)]),
        "edgecl, no replay": EdgeClassifier().partial_fit(*old).partial_fit(*new),
    }
    tests = fruit(OLD, 500, seed=4), fruit((NEW,), 500, seed=5)
    print(f"{'':20}{'old':>8}{'new':>8}")
    for name, model in models.items():
        print(f"{name:20}" + "".join(f"{model.score(*one):8.1%}" for one in tests))


if __name__ == "__main__":
    main()
