"""A text extractor that is fitted to its subject, once, on a development machine (extra `[export-adapt]`).

LoRA (Hu et al. 2021): a change of low rank on query and value of every layer of MiniLM, trained so that texts of one
intent lie together, and merged into the weights. What it is for are intents that come later, so intents that it is not
trained on decide: a quarter is left out, the closed form is solved on all, and the steps after which those left out are
predicted best are taken again on all intents. An adapter after which they are predicted no better is refused.

After that the extractor is frozen as any: latents of what was taught would not be those in the statistics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.extractors.text import open_tokenizer
from edgecl.metrics import balanced_accuracy
from edgecl.model.head import factorise, whitened_cosine
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.progress import watched
from edgecl.sources.labels import BACKGROUND
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample
from edgecl_export._minilm import ADAPTED, WIDTH, Encoder, Pair, load_torch, read_weights
from edgecl_export.text import CONTRACT, Adapter, read_model, vocabulary

RANKS = (0, 64)
FEWEST_INTENTS, FEWEST_TEXTS = 8, 10
LEFT_OUT = 4  # of so many intents one is left out
MOST_TAUGHT, MOST_LEFT_OUT = 30, 100  # texts of an intent that are evaluated
SHOTS, DRAWS = 5, 5
CHECKPOINT, CHECKPOINTS, PATIENCE = 40, 6, 2  # steps from one evaluation to the next; most; without a gain
BATCH, RATE, SHARPNESS = 48, 5e-4, 20.0
MOST_STEPS = 2 * CHECKPOINT * CHECKPOINTS


@watched
def adapt_text(path: Path, *, rank: int = 8, seed: int = 0) -> Generator[int, None, Adapter]:
    """Train an adapter of the text extractor, a step at a time.

    Parameters
    ----------
    path
        Texts with their intents, a .jsonl or a .csv, as `edgecl learn` takes them.
    rank
        Of the change of each weight, 0 to 64; with 0 nothing is trained.
    seed
        Of everything that is drawn: the same seed gives the same adapter.

    Yields
    ------
    int
        Steps done, at most MOST_STEPS.

    Raises
    ------
    SettingError
        `rank` is out of range.
    DataError
        The texts cannot be read, there are too few of them, or the adapter does not help intents that are left out.
    ContractError
        PyTorch or a package with weights is not installed.
    """
    if not RANKS[0] <= rank <= RANKS[1]:
        raise SettingError(f"rank {rank}, wanted {RANKS[0]} to {RANKS[1]}", parameter="rank")
    of, digest = _read(path), hashlib.sha256(path.read_bytes()).hexdigest()
    facts: dict[str, Any] = {"rank": rank, "texts": sum(map(len, of.values())), "intents": len(of), "digest": digest}
    if not rank:
        return Adapter(**facts, steps=0, before=0.0, after=0.0, changes={})
    load_torch()
    encode = open_tokenizer(vocabulary(), path).encode
    tokens = {label: [encode(text).ids for text in texts] for label, texts in of.items()}
    random, weights, done = np.random.default_rng(seed), read_weights(read_model()), 0
    left_out = set(random.permutation(list(of))[: len(of) // LEFT_OUT].tolist())
    known, unknown = ({one: tokens[one] for one in of if (one in left_out) == is_out} for is_out in (False, True))
    judge = Judge(known, unknown, random)
    with one_thread():
        network, shapes = partial(Encoder, weights), dict.fromkeys(ADAPTED, (WIDTH, WIDTH))
        trial = Training(network, shapes, known, rank, random)
        scores = [judge.score(trial.latents)]
        while len(scores) <= CHECKPOINTS and len(scores) - 1 - int(np.argmax(scores)) < PATIENCE:
            for _ in range(CHECKPOINT):
                trial.step()
                yield (done := done + 1)
            scores.append(judge.score(trial.latents))
        steps = CHECKPOINT * int(np.argmax(scores))
        if not steps:
            raise DataError(
                f"an adapter does not help intents that it was not trained on: of {len(unknown)} intents left out "
                f"{100 * max(scores[1:]):.1f}% are predicted with it, {100 * scores[0]:.1f}% without: export the "
                "text extractor as it is, or give more intents"
            )
        training = Training(network, shapes, tokens, rank, random)
        for _ in range(steps):
            training.step()
            yield (done := done + 1)
    return Adapter(**facts, steps=steps, before=scores[0], after=max(scores), changes=training.changes())


def _read(path: Path) -> dict[str, list[str]]:
    """Return the texts of a file by their intents, sorted; raises DataError."""
    of: dict[str, list[str]] = {}
    for one in read_samples(path, CONTRACT):
        if isinstance(one, Sample) and one.label not in BACKGROUND:
            of.setdefault(str(one.label), []).append(one.signal[:, 0].astype(np.uint8).tobytes().decode())
    enough = {label: of[label] for label in sorted(of) if len(of[label]) >= FEWEST_TEXTS}
    if len(enough) < FEWEST_INTENTS:
        raise DataError(
            f"{path} has {len(enough)} intents with {FEWEST_TEXTS} texts or more, and {len(of) - len(enough)} with "
            f"fewer: to adapt an extractor takes {FEWEST_INTENTS} with {FEWEST_TEXTS}"
        )
    return enough


class Network(Protocol):
    """What is trained: samples, of any kind, to latents of length one."""

    def __call__(self, samples: Sequence[Any], /) -> Any:
        """Return the latents, a tensor (n, D)."""

    def latents(self, samples: Sequence[Any], /) -> NDArray[np.float32]:
        """Return the latents (n, D) of any number of samples."""


class Training:
    """Gradient steps on an adapter: softmax over the cosines of a sample to a vector for each class (a proxy).

    Parameters
    ----------
    network
        Makes the network of what is added to each weight.
    shapes
        (in, out) of the weights that are adapted, by name.
    of
        Samples by class.
    """

    def __init__(
        self,
        network: Callable[[Mapping[str, Pair]], Network],
        shapes: Mapping[str, tuple[int, int]],
        of: Mapping[str, Sequence[Any]],
        rank: int,
        random: np.random.Generator,
        *,
        rate: float = RATE,
    ) -> None:
        self._torch, self._random, self._of = load_torch(), random, list(of.values())
        self._pairs: dict[str, Pair] = {name: self._pair(rank, *shape) for name, shape in shapes.items()}
        self._network = network(self._pairs)
        means = [self.latents(one[:MOST_TAUGHT]).mean(axis=0) for one in self._of]
        self._proxies = self._torch.tensor(np.array(means), requires_grad=True)
        learnt = [part for pair in self._pairs.values() for part in pair]
        self._optimiser = self._torch.optim.AdamW([*learnt, self._proxies], lr=rate, weight_decay=0.0)

    def _pair(self, rank: int, height: int, width: int) -> Pair:
        down = (2 * height**-0.5 * self._random.normal(size=(height, rank))).astype(np.float32)
        up = np.zeros((rank, width), np.float32)
        return tuple(self._torch.tensor(part, requires_grad=True) for part in (down, up))

    def step(self) -> None:
        """Take one step, on a sample of each of BATCH classes that are drawn."""
        functional = self._torch.nn.functional
        classes = self._random.integers(len(self._of), size=BATCH)
        samples = [self._of[one][self._random.integers(len(self._of[one]))] for one in classes]
        cosines = self._network(samples) @ functional.normalize(self._proxies, dim=1).T
        loss = functional.cross_entropy(SHARPNESS * cosines, self._torch.from_numpy(classes))
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()

    def latents(self, samples: Sequence[Any]) -> NDArray[np.float32]:
        """Return the latents (n, D) of samples with the adapter as it is now."""
        return self._network.latents(samples)

    def changes(self) -> dict[str, NDArray[np.float32]]:
        """Return what is added to each weight (in, out)."""
        return {name: (down @ up).detach().numpy() for name, (down, up) in self._pairs.items()}


class Judge:
    """Scores an extractor by classes that it was not trained on.

    The score is the balanced accuracy on half of their samples, of a closed form of all classes: the mean of that of a
    head that was taught their other half, and of heads that were taught five samples of each.
    """

    def __init__(
        self, known: Mapping[str, Sequence[Any]], unknown: Mapping[str, Sequence[Any]], random: np.random.Generator
    ) -> None:
        self._seed = int(random.integers(2**32))
        taught = [samples[:MOST_TAUGHT] for samples in known.values()]
        drawn = [[one[row] for row in random.permutation(len(one))[:MOST_LEFT_OUT]] for one in unknown.values()]
        self._samples = [sample for samples in (*taught, *drawn) for sample in samples]
        sizes = [len(samples) for samples in (*taught, *drawn)]
        self._classes = np.repeat(np.arange(len(sizes)), sizes)
        self._unknown = range(len(taught), len(sizes))

    def score(self, latents: Callable[[Sequence[Any]], NDArray[np.float32]]) -> float:
        """Return the score, 0 to 1."""
        x = latents(self._samples)
        rows = {int(one): np.flatnonzero(self._classes == one) for one in np.unique(self._classes)}
        halves = {one: np.split(rows[one], [len(rows[one]) // 2]) for one in self._unknown}
        asked = np.concatenate([half for _, half in halves.values()])
        statistics = {one: statistics_of(x[rows[one]]) for one in rows if one not in halves}
        random = np.random.default_rng(self._seed)
        found = []
        for draw in range(DRAWS + 1):  # the first has all of their taught halves
            for one, (half, _) in halves.items():
                few = half if not draw else random.choice(half, min(SHOTS, len(half)), replace=False)
                statistics[one] = statistics_of(x[few])
            found.append(balanced_accuracy(self._classes[asked], closed_form(statistics, x[asked])))
        return (found[0] + float(np.mean(found[1:]))) / 2


def statistics_of(x: NDArray[np.float32]) -> ClassStatistics:
    """Return the statistics of the latents (n, D) of a class."""
    scatter = np.empty(packed_length(x.shape[1]))
    count, mean = accumulate(None, [x], scatter)
    return ClassStatistics(count, mean, scatter.astype(np.float32))


def closed_form(statistics: Mapping[int, ClassStatistics], x: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the class that the closed form of some classes predicts for each latent of x (n, D)."""
    labels = {f"{one:06}": of for one, of in statistics.items()}
    workspace = np.empty(packed_length(x.shape[1]))
    head = whitened_cosine(factorise(labels, workspace, shrinkage_floor=CONTRACT.shrinkage_floor))
    return np.asarray(np.array(sorted(statistics))[head.logits(x).argmax(axis=1)], np.intp)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread, so that sums have one order, and restore what was."""
    torch = load_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
