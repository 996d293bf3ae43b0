"""The scikit-learn classifier: scikit-learn's own checks, and what the closed form adds."""

from __future__ import annotations

import pickle
import warnings
from functools import partial

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6", reason="the extra [sklearn] is not installed")

from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from edgecl import Learner, SettingError
from edgecl.sklearn import EdgeClassifier

from .support.commands import voice_extractor

pytestmark = pytest.mark.host
WAYS = [EdgeClassifier(), EdgeClassifier(head="lda"), EdgeClassifier(memory="1 MiB")]
CHECKS = [pair for way in WAYS for pair in estimator_checks_generator(way)]


def blobs(labels=("a", "b", "c"), count=30, columns=6, seed=0):
    rng = np.random.default_rng(seed)
    means = {label: np.random.default_rng(ord(str(label)[0])).normal(size=columns) * 2 for label in labels}
    rows = np.concatenate([means[label] + rng.normal(size=(count, columns)) for label in labels])
    return rows, np.repeat(labels, count)


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks warn on purpose
@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=[f"{at} {check.func.__name__}" for at, (_, check) in enumerate(CHECKS)]
)
def test_scikit_learn_finds_nothing_to_object_to(estimator, check):
    check(estimator)


@pytest.mark.parametrize("memory", [None, "1 MiB"])
def test_digits_are_told_apart_nearly_as_well_class_by_class_as_all_at_once(memory):
    X, y = load_digits(return_X_y=True)
    train, test, labels, wanted = train_test_split(X / 16, y, random_state=0, stratify=y)
    joint = EdgeClassifier(memory=memory).fit(train, labels)
    model = EdgeClassifier(memory=memory)
    for part in ((0, 1, 2, 3), (4, 5, 6), (7, 8, 9)):
        chosen = np.isin(labels, part)
        model.partial_fit(train[chosen], labels[chosen])
    assert model.classes_.tolist() == list(range(10))
    assert model.score(test, wanted) >= joint.score(test, wanted) - 0.01
    assert joint.score(test, wanted) > 0.92


def test_lessons_in_any_order_give_the_answers_of_one():
    X, y = blobs()
    order = np.random.default_rng(1).permutation(len(y))
    parts = EdgeClassifier()
    for rows in np.array_split(order, 7):
        parts.partial_fit(X[rows], y[rows])
    np.testing.assert_allclose(
        parts.decision_function(X), EdgeClassifier().fit(X, y).decision_function(X), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("memory", [None, "1 MiB"])
def test_a_forgotten_class_leaves_the_model_that_never_saw_it(memory):
    X, y = blobs()
    model = EdgeClassifier(memory=memory).fit(X[y != "c"], y[y != "c"])
    before = model.decision_function(X)
    with_c = clone(model).fit(X[y != "c"], y[y != "c"]).partial_fit(X[y == "c"], y[y == "c"])
    assert "c" in with_c.predict(X)
    np.testing.assert_allclose(with_c.forget("c").decision_function(X), before, rtol=1e-5, atol=1e-6)
    assert with_c.classes_.tolist() == ["a", "b"]
    with pytest.raises(SettingError, match="none of the classes"):
        with_c.forget(["a", "c"])
    with pytest.raises(SettingError, match="no class would be left"):
        with_c.forget(["a", "b"])


@pytest.mark.parametrize("memory", [None, "1 MiB"])
def test_a_sample_of_weight_three_counts_as_three(memory):
    X, y = blobs()
    weight = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    times = weight.astype(int)
    weighted = EdgeClassifier(memory=memory).fit(X, y, sample_weight=weight)
    repeated = EdgeClassifier(memory=memory).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-6)


def test_weights_that_mean_nothing_are_refused():
    X, y = blobs()
    with pytest.raises(SettingError, match="at least 0"):
        EdgeClassifier().fit(X, y, sample_weight=-np.ones(len(y)))
    with pytest.raises(SettingError, match="whole numbers"):
        EdgeClassifier(memory="1 MiB").fit(X, y, sample_weight=np.full(len(y), 0.5))


@pytest.mark.parametrize("labels", [(1, 2, 3), ("one", "two", "six"), (True, False)])
def test_labels_come_back_in_the_type_that_was_given(labels):
    X, y = blobs(labels)
    model = EdgeClassifier().fit(X, y)
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > 0.9


def test_a_class_that_was_announced_is_no_answer_before_it_has_a_sample():
    X, y = blobs(("a", "b"))
    model = EdgeClassifier().partial_fit(X, y, classes=["a", "b", "z"])
    assert model.predict_proba(X).shape == (len(y), 3)
    assert model.predict_proba(X)[:, 2].max() == 0


def test_the_gate_keeps_the_model_from_a_lesson_of_swapped_labels():
    X, y = blobs()
    model = EdgeClassifier(memory="1 MiB").fit(X, y)
    before = model.predict_proba(X)
    swapped = np.where(y == "a", "b", np.where(y == "b", "a", y))
    with pytest.warns(UserWarning, match="the gate rejected the lesson"):
        model.partial_fit(X, swapped)
    assert not model.verdict_.accepted
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_a_memory_does_not_grow_with_the_lessons():
    X, y = blobs()
    model = EdgeClassifier(memory="256 KiB", max_classes=8).fit(X, y)
    sizes = []
    for seed in range(6):
        X, y = blobs(count=300, seed=seed)
        model.partial_fit(X, y)
        sizes.append(len(pickle.dumps(model)))
    assert model.model_.bytes()["total"] <= 256 << 10
    assert sizes[-1] <= 1.1 * sizes[2]


def test_pipelines_searches_and_pickles_work():
    X, y = blobs()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), EdgeClassifier()), {"edgeclassifier__head": ["whitened-cosine", "lda"]}, cv=3
    ).fit(X, y)
    assert search.best_score_ > 0.9
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))


def test_names_of_columns_are_kept_and_compared():
    pandas = pytest.importorskip("pandas")
    X, y = blobs()
    table = pandas.DataFrame(X, columns=[f"column {at}" for at in range(X.shape[1])])
    model = EdgeClassifier().fit(table, pandas.Series(y))
    assert model.feature_names_in_.tolist() == table.columns.tolist()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table.rename(columns={"column 0": "other"}))


@pytest.mark.parametrize("dtype", ["string", "category", "object", "Int64", "boolean", "str"])
def test_labels_of_pandas_that_are_missing_are_refused_whatever_their_type(dtype):
    pandas = pytest.importorskip("pandas")
    X, _ = blobs()
    labels = [1, 0] if dtype == "Int64" else [True, False] if dtype == "boolean" else ["a", "b"]
    y = pandas.Series(labels * (len(X) // 2), dtype=dtype)
    assert EdgeClassifier().fit(X[: len(y)], y).classes_.tolist() == sorted(labels)
    y[3] = pandas.NA
    with pytest.raises(ValueError, match=r"no label in 1 rows, 3 for one|contains NaN"):
        EdgeClassifier().fit(X[: len(y)], y)


def test_labels_of_two_types_are_refused():
    X, _ = blobs()
    y = np.array([1, "b"] * (len(X) // 2), object)
    with pytest.raises(ValueError, match="labels of two types, 'b' and 1"):
        EdgeClassifier().fit(X[: len(y)], y)
    with pytest.raises(ValueError, match="Input classes has no label in 1 rows"):
        EdgeClassifier().partial_fit(X[:2], ["a", "b"], classes=["a", "b", None])


def test_labels_that_differ_in_spelling_alone_are_named():
    X, y = blobs()
    model = EdgeClassifier().fit(X, y)
    with pytest.warns(UserWarning, match="'A ' and 'a' differ in spelling alone"):
        model.partial_fit(X[:9], ["A "] * 9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(X[:9], ["b"] * 9)
    with pytest.warns(UserWarning, match="'B' and 'b' differ in spelling alone"):  # beside the pair of before
        model.partial_fit(X[:9], ["B"] * 9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head": "cosine"}, "head 'cosine' is none of"),
        ({"strategy": "hope"}, "strategy 'hope' is none of"),
        ({"shrinkage_floor": 2}, "0 to 1"),
        ({"memory": "1 MiB", "head": "lda"}, "whitened-cosine"),
        ({"memory": "2 KiB"}, r"^2 KiB of memory are too small for 64 classes: .* are [^ ]+ KiB of memory, or make"),
        ({"max_classes": 2, "memory": "1 MiB"}, "max_classes is 2, .* 3 classes"),
        ({"max_classes": "ten"}, "max_classes 'ten': a whole number"),
        ({"max_classes": 0}, "max_classes 0: a whole number"),
        ({"shrinkage_floor": None}, "shrinkage_floor None: 0 to 1"),
    ],
)
def test_a_wrong_parameter_is_named(given, message):
    with pytest.raises(SettingError, match=message):
        EdgeClassifier(**given).fit(*blobs())


def test_a_lesson_of_more_classes_than_there_is_memory_for_names_the_parameter():
    model = EdgeClassifier(memory="1 MiB", max_classes=3).fit(*blobs())
    with pytest.warns(UserWarning, match="max_classes is 3, .* 4 classes"):
        model.partial_fit(*blobs(labels=("d",)))


@pytest.mark.parametrize(("before", "after"), [(None, "1 MiB"), ("1 MiB", None), ("1 MiB", "2 MiB")])
def test_a_memory_that_was_changed_after_fit_takes_a_fit(before, after):
    model = EdgeClassifier(memory=before).fit(*blobs()).set_params(memory=after)
    with pytest.raises(SettingError, match="memory was changed since the model was fitted: fit again"):
        model.partial_fit(*blobs())
    with pytest.raises(SettingError, match="memory was changed since the model was fitted: fit again"):
        model.forget("a")
    assert model.fit(*blobs()).partial_fit(*blobs()).score(*blobs()) > 0.9
    back = model.set_params(memory=before).fit(*blobs())
    assert back.partial_fit(*blobs()).score(*blobs()) > 0.9


def test_before_fit_there_is_no_answer():
    for ask in (EdgeClassifier().predict, EdgeClassifier().predict_proba, EdgeClassifier().forget):
        with pytest.raises(NotFittedError):
            ask([[0.0]])


def voice_latents(seed=0):
    """Draw latents of the voice extractor's width, of three words."""
    return blobs(("yes", "no", "up"), count=20, columns=96, seed=seed)


@pytest.mark.parametrize("memory", [None, "1 MiB"])
def test_an_estimator_becomes_a_store_that_answers_and_goes_on_learning(tmp_path, memory):
    voice_extractor()
    X, y = voice_latents()
    model = EdgeClassifier(memory=memory, shrinkage_floor=0.03).fit(X, y)
    model.save(tmp_path / "store", extractor="voice")
    learner = Learner.open(tmp_path / "store")
    answers = learner.predict(X.astype(np.float32), latents=True)
    assert [one.label for one in answers] == model.predict(X).tolist()
    confidence = [one.confidence for one in answers]
    np.testing.assert_allclose(confidence, model.predict_proba(X).max(axis=1), atol=1e-5)
    more, labels = blobs(("on",), count=20, columns=96, seed=5)
    assert learner.learn(more.astype(np.float32), labels.tolist(), latents=True).verdict.accepted
    assert learner.classes == ("no", "on", "up", "yes")


def test_a_store_becomes_an_estimator_with_its_answers(tmp_path):
    voice_extractor()
    X, y = voice_latents()
    learner = Learner.create(tmp_path / "store", extractor="voice")
    learner.learn(X.astype(np.float32), y.tolist(), latents=True)
    model = EdgeClassifier.from_store(tmp_path / "store")
    head = partial(learner.predict, latents=True)
    np.testing.assert_allclose(
        model.predict_proba(X).max(axis=1), [one.confidence for one in head(X.astype(np.float32))], atol=1e-6
    )
    fresh, labels = blobs(("on",), count=20, columns=96)
    again = pickle.loads(pickle.dumps(model)).partial_fit(fresh, labels)
    assert again.classes_.tolist() == ["no", "on", "up", "yes"]
    assert learner.classes == ("no", "up", "yes")


def test_a_store_that_has_merged_others_becomes_an_estimator_of_the_sum(tmp_path):
    def unit(seed):
        rows, labels = voice_latents(seed)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels

    voice_extractor()
    for seed, name in enumerate(("kitchen", "bath")):
        learner, (rows, labels) = Learner.create(tmp_path / name, extractor="voice"), unit(seed)
        assert learner.learn(rows, labels.tolist(), latents=True, force=True).revision == 2
    learner.share(tmp_path / "bath.share")
    kitchen = Learner.open(tmp_path / "kitchen")
    assert kitchen.merge(tmp_path / "bath.share").revision == 3
    model, (rows, labels) = EdgeClassifier.from_store(tmp_path / "kitchen"), unit(2)
    assert model.predict(rows).tolist() == [one.label for one in kitchen.predict(rows, latents=True)]
    model.partial_fit(rows, labels).save(tmp_path / "again", extractor="voice")
    again = Learner.open(tmp_path / "again")
    assert (again.check(), again.status()["devices"]) == ([], {})
    assert [one["samples"] for one in again.status()["classes"].values()] == [60] * 3


@pytest.mark.parametrize("label", ["a\nb", "x" * 70, " yes ", "../x"])
def test_a_label_that_no_lesson_would_take_is_in_no_store(tmp_path, label):
    voice_extractor()
    rows, labels = voice_latents()
    model = EdgeClassifier().fit(rows, np.where(labels == "yes", label, labels.astype("U80")))
    with pytest.raises(SettingError, match=r"the label .* cannot be that of a store"):
        model.save(tmp_path / "store", extractor="voice")
    assert not (tmp_path / "store").exists()


def test_a_store_of_other_columns_is_refused_before_it_is_made(tmp_path):
    voice_extractor()
    with pytest.raises(SettingError, match="6 features of 6 columns, the store would have"):
        EdgeClassifier().fit(*blobs()).save(tmp_path / "store", extractor="voice")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("memory", [None, "1 MiB"])
@pytest.mark.parametrize(("first", "then"), [(int, float), (float, int), (bool, int), (int, bool)])
def test_labels_that_are_equal_are_one_class_whatever_their_type(first, then, memory):
    rows, labels = blobs(labels=(0, 1))
    whole = EdgeClassifier(memory=memory).fit(rows, labels.astype(first))
    model = EdgeClassifier(memory=memory).fit(rows[::2], labels[::2].astype(first))
    model.partial_fit(rows[1::2], labels[1::2].astype(then))
    assert list(model.model_.statistics) == list(whole.model_.statistics)
    assert sum(one.count for one in model.model_.statistics.values()) == len(rows)
    assert model.score(rows, labels.astype(then)) > 0.9
    assert pickle.loads(pickle.dumps(model)).forget(then(1)).classes_.tolist() == [0]


def test_a_missing_label_is_refused_or_named():
    rows, labels = blobs(count=5)
    with pytest.raises(ValueError, match="no label in 1 rows, 3 for one"):
        EdgeClassifier().fit(rows, np.where(np.arange(15) == 3, None, labels.astype(object)))
    with pytest.warns(UserWarning, match="'nan' stands for a missing one"):
        EdgeClassifier().fit(rows, np.where(np.arange(15) == 3, "nan", labels))


def test_weights_that_would_fill_the_memory_are_refused():
    rows, labels = blobs(count=5)
    with pytest.raises(SettingError, match="sum to at most 1,000,000, not 15,000,000"):
        EdgeClassifier(memory="1 MiB").fit(rows, labels, sample_weight=np.full(15, 1e6))


@pytest.mark.parametrize("memory", [None, "1 MiB"])
def test_a_column_that_single_precision_hardly_tells_apart_is_named(memory: str | None) -> None:
    rng = np.random.default_rng(0)
    seconds = 1.7e9 + 100 * rng.random(200)
    X, y = np.c_[rng.normal(size=200), seconds], (seconds > 1.7e9 + 50).astype(int)
    with pytest.warns(
        UserWarning, match=r"the values of column 1, 1700000000\.\d* to 1700000099\.\d*, are hardly told"
    ):
        EdgeClassifier(memory=memory).fit(X, y)
    scaled = make_pipeline(StandardScaler(), EdgeClassifier(memory=memory)).fit(X, y)
    assert scaled.score(X, y) > 0.95


def test_columns_that_eight_bits_lose_beside_a_larger_one_are_named() -> None:
    rows, labels = blobs()
    large = np.c_[rows, 1e5 + 1e4 * np.random.default_rng(0).random(len(rows))]
    with pytest.warns(UserWarning, match=r"the values of column 0, .* are lost in the 8 bits .*: scale"):
        blurred = EdgeClassifier(memory="1 MiB").fit(large, labels)
    assert blurred.score(large, labels) < 0.6
    assert make_pipeline(StandardScaler(), EdgeClassifier(memory="1 MiB")).fit(large, labels).score(large, labels) > 0.9
    EdgeClassifier().fit(large, labels)
    EdgeClassifier(memory="1 MiB").fit(np.c_[rows, np.ones(len(rows))], labels)


def test_few_rows_that_are_close_and_columns_of_single_precision_are_not_named() -> None:
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    pressure = 101325.2 + 0.01 * np.arange(4)
    EdgeClassifier().partial_fit(np.c_[rows[:4], pressure], y[:4])
    lengths = np.linalg.norm((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), axis=1)
    assert len(set(lengths)) > 1
    EdgeClassifier().fit(np.c_[rows, lengths].astype(np.float32), y)
