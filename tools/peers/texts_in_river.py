"""Play the lessons of jobs (see run.py) through River's SoftmaxRegression, one pass, a row at a time.

Run by tools/text_table in an environment of its own (river.txt): prints a JSON line for each job. It is played in the
first class order alone, as a step takes milliseconds. The rate was chosen on a fifth of hwu64's training texts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from river import linear_model, optim

RATE = 1.0


def main() -> None:
    for job in json.loads(Path(sys.argv[1]).read_text()):
        started = time.perf_counter()
        with np.load(job["file"], allow_pickle=False) as file:
            arrays = dict(file)
        learner = linear_model.SoftmaxRegression(optimizer=optim.SGD(RATE))
        generator = np.random.default_rng(0)
        for lesson in job["lessons"][0]:
            for row in generator.permutation(np.flatnonzero(np.isin(arrays["train_y"], lesson))):
                learner.learn_one(dict(enumerate(arrays["train_x"][row].tolist())), int(arrays["train_y"][row]))
        answers = np.array([learner.predict_one(dict(enumerate(row.tolist()))) for row in arrays["test_x"]])
        truth = arrays["test_y"]
        found = float(np.mean([np.mean(answers[truth == one] == one) for one in np.unique(truth)]))
        result = {"set": job["set"], "split": job["split"], "peer": "river-softmax", "accuracies": [found]}
        print(json.dumps({**result, "seconds": time.perf_counter() - started}), flush=True)


if __name__ == "__main__":
    main()
