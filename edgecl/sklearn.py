"""A scikit-learn classifier over edgecl's statistics, closed form, exemplars and gate; the extra `[sklearn]`.

Columns are taken as they are: scale them before, `make_pipeline(StandardScaler(), EdgeClassifier())`.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence, Set
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import EdgeclError, SettingError
from edgecl.gate.verdict import Verdict
from edgecl.learning.admission import Answer
from edgecl.learning.forgetting import without_classes
from edgecl.learning.loop import Outcome, lesson_stages
from edgecl.learning.strategies import STRATEGIES
from edgecl.model.head import factorise, linear_discriminant, whitened_cosine
from edgecl.model.model import Lesson, MemoryObjects, Model
from edgecl.model.settings import Settings, choose_tier
from edgecl.model.statistics import packed_length
from edgecl.model.weighted_statistics import combined, weighted_statistics
from edgecl.sources.array_labels import plain, repeated, require_labels, warn_of_columns, warn_of_texts
from edgecl.units import LARGEST_BYTES, parse_bytes

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets, unique_labels
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise EdgeclError('edgecl.sklearn needs scikit-learn 1.6 or later: pip install "edgecl[sklearn]"') from error

HEADS = {"whitened-cosine": whitened_cosine, "lda": linear_discriminant}
ABSENT = -1e9  # logit of a class that was announced and has no sample yet


class EdgeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classify by class statistics: learns class by class, forgets exactly, and is never trained twice.

    Parameters
    ----------
    head
        "whitened-cosine", or "lda", whose priors are the shares of the samples. With `memory` the former.
    shrinkage_floor
        Least shrinkage of the pooled covariance towards a multiple of the identity, 0 to 1.
    memory
        None: statistics alone, in float64, with sample weights. A size, such as "1 MiB" or a number of bytes: int8
        exemplars within it, gradient steps from the closed form, and the gate, as in a store.
    strategy
        How the head is updated, where there is a memory: one of `edgecl.learning.strategies.STRATEGIES`.
    max_classes
        Classes that the memory is divided for.
    random_state
        Seed of projection and gradient steps; None is 0: the result is always the same.

    Attributes
    ----------
    classes_
        (C,) labels, sorted; with those announced in `partial_fit(classes=)`.
    model_
        The `edgecl.Model`; its labels are `str(label)`.
    verdict_
        The gate's verdict on the last lesson; None without a memory.
    n_features_in_, feature_names_in_
        As scikit-learn defines them.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.9, 0.2]])
    >>> model = EdgeClassifier().fit(X, ["no", "no", "yes", "yes"])
    >>> model.predict([[0.8, 0.1]]).tolist()
    ['yes']
    >>> model.partial_fit([[5.0, 5.0], [5.2, 4.9]], ["maybe", "maybe"]).classes_.tolist()
    ['maybe', 'no', 'yes']
    >>> model.forget("maybe").classes_.tolist()
    ['no', 'yes']
    """

    def __init__(
        self,
        *,
        head: str = "whitened-cosine",
        shrinkage_floor: float = 0.03,
        memory: int | str | None = None,
        strategy: str = "auto",
        max_classes: int = 64,
        random_state: Any = None,
    ) -> None:
        self.head = head
        self.shrinkage_floor = shrinkage_floor
        self.memory = memory
        self.strategy = strategy
        self.max_classes = max_classes
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from nothing. With a memory the first lesson is kept whatever its verdict: there is none before it.

        Parameters
        ----------
        X
            (n, D), finite.
        y
            (n,) labels.
        sample_weight
            (n,), at least 0; a sample of weight 2 counts as two. With a memory whole numbers.

        Raises
        ------
        SettingError
            When a parameter cannot be used.
        ValueError
            When data or labels cannot be used, as scikit-learn says.
        """
        for name in ("model_", "classes_", "verdict_", "_objects"):
            if hasattr(self, name):
                delattr(self, name)
        return self._learn(X, y, None, sample_weight)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn one lesson more; new labels may come at any time.

        With a memory the gate judges it: where it rejects, the model stays, `verdict_` has the reasons, and a warning
        says so. Parameters as `fit`, and `classes`: labels that will come, optional.

        Raises
        ------
        SettingError
            When a parameter cannot be used.
        ValueError
            When data or labels cannot be used, as scikit-learn says.
        """
        return self._learn(X, y, classes, sample_weight)

    def _learn(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None, sample_weight: ArrayLike | None) -> Self:
        require_parameters(self, getattr(self, "model_", None))
        require_labels(y=y, classes=classes)
        rows, labels = validate_data(self, X, y, dtype=np.float64, reset=not hasattr(self, "model_"))
        check_classification_targets(labels)
        rows, labels, weight = _that_count(rows, labels, sample_weight)
        parts = [getattr(self, "classes_", None), labels, None if classes is None else np.asarray(classes)]
        announced = unique_labels(*[one for one in parts if one is not None])
        warn_of_texts(announced, np.unique(labels))
        warn_of_columns(rows, in_memory=self.memory is not None)
        if not hasattr(self, "model_"):
            self._names: dict[Any, str] = {}  # label to its name in the model: 1, 1.0 and True are one label
        for label in announced:
            self._names.setdefault(plain(label), str(label))
        if self.memory is not None:
            self._judge(rows, labels, weight)
        else:
            self._add(rows, labels, np.ones(len(labels)) if weight is None else weight)
        self.classes_ = announced
        return self

    def _add(self, X: NDArray[np.float64], y: NDArray[Any], weight: NDArray[np.float64]) -> None:
        """Add rows (n, D) to the statistics, and solve the head."""
        old = getattr(self, "model_", None) or Model(settings_of(self, X.shape[1]))
        statistics = dict(old.statistics)
        for label in np.unique(y):
            own = y == label
            fresh, name = weighted_statistics(X[own], weight[own]), name_of(self, label)
            statistics[name] = combined(statistics[name], fresh) if name in statistics else fresh
        self.model_ = solved(self, replace(old, statistics=statistics))
        self.verdict_: Verdict | None = None

    def _judge(self, X: NDArray[np.float64], y: NDArray[Any], weight: NDArray[np.float64] | None) -> None:
        """Learn rows (n, D) as a store does; the first lesson is forced."""
        is_first = not hasattr(self, "model_")
        if is_first:
            self._objects = MemoryObjects()
        before = Model(settings_of(self, X.shape[1])) if is_first else self.model_
        outcome = judged(self, before, self._objects, *repeated(X, y, weight), force=is_first)
        if outcome.model is None:
            reason = rejection(outcome, before, {name_of(self, label) for label in np.unique(y)})
            if is_first:
                raise SettingError(reason, parameter="max_classes")
            warnings.warn(f"the gate rejected the lesson: {reason}", UserWarning, stacklevel=4)
        self.model_, self.verdict_ = outcome.model or before, outcome.verdict
        self._objects.keep(self.model_.digests.values())

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return logits (n, C); with two classes the difference (n,), positive for `classes_[1]`."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return probabilities (n, C): the softmax of the logits."""
        logits = self._logits(X)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return shares

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the likeliest labels (n,)."""
        best = self._logits(X).argmax(axis=1)
        answers: NDArray[Any] = self.classes_[best]
        return answers

    def _logits(self, X: ArrayLike) -> NDArray[np.float64]:
        check_is_fitted(self, "model_")
        given: NDArray[np.float64] = validate_data(self, X, dtype=np.float64, reset=False)
        return logits_of(self.model_, [name_of(self, label) for label in self.classes_], given)

    def forget(self, labels: Any) -> Self:
        """Take classes out, exactly: what is left is the model that never saw them.

        Parameters
        ----------
        labels
            One label, or several.

        Raises
        ------
        SettingError
            When a label is not known, or nothing would be left.
        """
        check_is_fitted(self, "model_")
        require_parameters(self, self.model_)
        gone = list(labels) if isinstance(labels, Collection) and not isinstance(labels, str) else [labels]
        if unknown := [one for one in gone if one not in self.classes_.tolist()]:
            raise SettingError(f"{unknown[0]!r} is none of the classes {self.classes_.tolist()}", parameter="labels")
        names = {name_of(self, one) for one in gone}
        if not set(self.model_.statistics) - names:
            raise SettingError("no class would be left: fit again instead", parameter="labels")
        if self.memory is not None:
            self.model_ = without_classes(self.model_, names, objects=self._objects)
        else:
            left = {label: one for label, one in self.model_.statistics.items() if label not in names}
            self.model_ = solved(self, replace(self.model_, statistics=left))
        self.classes_ = self.classes_[~np.isin(self.classes_, gone)]
        return self

    def save(self, path: str | Path, *, extractor: str | Path, **budgets: int) -> None:
        """Make a store of what was learnt, around the extractor whose latents were the rows.

        Parameters
        ----------
        path
            The folder to make.
        extractor
            "voice", "imu", or the file of one; its latents have the columns that were learnt.
        budgets
            `memory_bytes`, `disk_bytes`, `max_classes`, as `edgecl init` takes them; by default what suits it.

        Raises
        ------
        SettingError
            When the store's features are not those of this model, or the path is taken.
        """
        from edgecl.operations.estimators import save

        check_is_fitted(self, "model_")
        save(self.model_, Path(path), extractor=extractor, budgets=budgets)

    @classmethod
    def from_store(cls, path: str | Path) -> Self:
        """Return the live model of a store as an estimator of its latents; the store is not changed by it.

        Raises
        ------
        ModelError
            When the store has learnt nothing.
        StoreMissingError, StoreDamagedError
            When it cannot be read.
        """
        from edgecl.operations.estimators import load

        model, objects = load(Path(path))
        settings = model.settings
        made = cls(
            shrinkage_floor=settings.shrinkage_floor,
            memory=settings.memory_bytes,
            max_classes=settings.max_classes,
            random_state=settings.seed,
        )
        made.model_, made.verdict_, made._objects, made._names = model, None, objects, {}
        made.classes_, made.n_features_in_ = np.array(model.labels), settings.latent_dimension
        return made


def require_parameters(one: EdgeClassifier, model: Model | None) -> None:
    """Check the parameters of an estimator, and that its model, if it has one, was made with them."""
    if model is not None and model.settings.memory_bytes != memory_of(one):
        raise SettingError("memory was changed since the model was fitted: fit again", parameter="memory")
    if one.head not in HEADS:
        raise SettingError(f"head {one.head!r} is none of {', '.join(HEADS)}", parameter="head")
    if one.strategy not in STRATEGIES:
        raise SettingError(f"strategy {one.strategy!r} is none of {', '.join(STRATEGIES)}", parameter="strategy")
    given: list[Any] = [one.shrinkage_floor, one.max_classes]
    floor, most = (float(each) if isinstance(each, Real) else np.nan for each in given)
    if not 0 <= floor <= 1:
        raise SettingError(f"shrinkage_floor {one.shrinkage_floor!r}: 0 to 1", parameter="shrinkage_floor")
    if not most >= 1 or most % 1:
        raise SettingError(f"max_classes {one.max_classes!r}: a whole number from 1 on", parameter="max_classes")
    if one.memory is not None and one.head != "whitened-cosine":
        raise SettingError("with a memory the head is whitened-cosine", parameter="head")


def settings_of(one: EdgeClassifier, dimension: int) -> Settings:
    """Return the settings of an estimator's model of D columns; raises SettingError where its memory is too small."""
    seed = seed_of(one.random_state)
    settings = Settings(memory_of(one), LARGEST_BYTES, one.max_classes, dimension, one.shrinkage_floor, seed=seed)
    return settings if one.memory is None else choose_tier(settings, overhead_disk_bytes=0, may_page=False)


def memory_of(one: EdgeClassifier) -> int:
    """Return the bytes that an estimator may take; no limit where it keeps statistics alone."""
    if one.memory is None:
        return LARGEST_BYTES
    return parse_bytes(one.memory) if isinstance(one.memory, str) else int(one.memory)


def seed_of(given: Any) -> int:
    """Return a number of what scikit-learn takes as `random_state`; 0 of None."""
    if given is None or isinstance(given, int | np.integer):
        return int(given or 0)
    return int(check_random_state(given).randint(1 << 31))


def solved(one: EdgeClassifier, model: Model) -> Model:
    """Return the model with the head of its statistics."""
    workspace = np.empty(packed_length(model.settings.features.dimension))
    factor = factorise(model.statistics, workspace, shrinkage_floor=one.shrinkage_floor)
    return replace(model, head=HEADS[one.head](factor))


def judged(
    one: EdgeClassifier, model: Model, objects: MemoryObjects, X: NDArray[np.float64], y: NDArray[Any], *, force: bool
) -> Outcome:
    """Learn rows (n, D) with labels (n,) by the loop of a store; names are the user's word, so none is asked about."""
    rows = {name_of(one, label): model.centred(X[y == label].astype(np.float32)) for label in np.unique(y)}
    return lesson_stages(
        model,
        Lesson.of(rows, model.settings),
        objects=objects,
        strategy=one.strategy,
        seed=seed_of(one.random_state),
        force=force,
        answer=None if force else Answer(distinct=True),
    ).finish(None)


def rejection(outcome: Outcome, before: Model, labels: Set[str]) -> str:
    """Return why a lesson of some labels was not learnt, in the words of an estimator."""
    most, count = before.settings.max_classes, len(before.statistics.keys() | labels)
    if count > most:
        return f"max_classes is {most}, and there would be {count} classes: fit with more"
    return outcome.verdict.reasons[0]


def name_of(one: EdgeClassifier, label: Any) -> str:
    """Return the name in the model of a label, whatever number or boolean it is written as."""
    names: dict[Any, str] = getattr(one, "_names", {})  # which copies of an earlier version do not have
    return names.get(plain(label), str(label))


def logits_of(model: Model, names: Sequence[str], given: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logits (n, C) of rows (n, D) in the order of the names, ABSENT where one has no sample."""
    assert model.head is not None
    is_latent = model.settings.features.dimension == given.shape[1] and model.centre is None
    rows = given if is_latent else model.features(given.astype(np.float32))
    logits = rows @ model.head.weights.T.astype(np.float64) + model.head.bias
    known = dict(zip(model.head.labels, logits.T, strict=True))
    none = np.full(len(given), ABSENT)
    return np.stack([known.get(name, none) for name in names], axis=1)


def _that_count(
    rows: NDArray[np.float64], labels: NDArray[Any], sample_weight: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.float64] | None]:
    """Return the rows (n, D) whose weight is more than 0, their labels and weights (n,); None: all count alike."""
    if sample_weight is None:
        return rows, labels, None
    weight = _weights(sample_weight, rows)
    return rows[weight > 0], labels[weight > 0], weight[weight > 0]


def _weights(given: ArrayLike, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sample weights (n,), checked."""
    weight: NDArray[np.float64] = _check_sample_weight(given, X, dtype=np.float64)
    if (weight < 0).any() or not (weight > 0).any():
        raise SettingError("sample weights are at least 0, and one is above it", parameter="sample_weight")
    return weight
