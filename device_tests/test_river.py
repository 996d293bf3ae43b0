"""The River classifier: River's own checks, and rows of any columns and labels."""

from __future__ import annotations

import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("river", reason="the extra [river] is not installed")

from river import checks

from edgecl import DataError, SettingError
from edgecl.river import EdgeClassifier

pytestmark = [pytest.mark.host, pytest.mark.filterwarnings("ignore")]  # River warns of its own dependencies
CHECKS = [one for one in checks.yield_checks(EdgeClassifier()) if "bounded_memory" not in one.__name__]


def stream(rows, *, seed=0, columns=("a", "b", "c")):
    """Yield rows whose label is the sign of the first column's deviation."""
    rng = np.random.default_rng(seed)
    for _ in range(rows):
        values = rng.normal(size=len(columns))
        yield dict(zip(columns, values.tolist(), strict=True)), "up" if values[0] > 0 else "down"


def accuracy(model, rows):
    right = seen = 0
    for row, label in rows:
        right, seen = right + (model.predict_one(row) == label), seen + 1
        model.learn_one(row, label)
    return right / seen


@pytest.mark.parametrize("check", CHECKS, ids=[f"{at} {one.__name__}" for at, one in enumerate(CHECKS)])
def test_river_finds_nothing_to_object_to(check):
    check(EdgeClassifier())


def test_what_follows_a_stream_learns_it():
    assert accuracy(EdgeClassifier(), stream(400)) > 0.85


def test_a_new_column_costs_little_of_what_was_known():
    model = EdgeClassifier()
    accuracy(model, stream(400))
    assert accuracy(model, stream(400, seed=1, columns=tuple("abcdefg"))) > 0.8


def test_words_are_columns_of_their_own_until_there_are_too_many():
    model = EdgeClassifier(max_columns=3)
    for at in range(60):
        model.learn_one({"colour": "red" if at % 2 else "blue", "size": 1.0}, at % 2)
    assert (model.predict_one({"colour": "red"}), model.predict_one({"colour": "blue"})) == (1, 0)
    with pytest.warns(UserWarning, match=r"'green' is ignored .* leave 'colour' out .* it has 2 of 3 columns"):
        model.learn_one({"colour": "green"}, 2)
    model.learn_one({"colour": "grey"}, 2)  # and no more than once: warnings are errors here
    assert model.predict_one({"colour": "red", "size": float("nan"), "other": None}) == 1


def test_more_numbers_than_columns_are_not_taken_for_keys():
    model, row = EdgeClassifier(max_columns=3), dict.fromkeys("abcde", 1.0)
    with pytest.warns(UserWarning, match="max_columns is reached: 'd' is ignored") as named:
        model.learn_one(row, 1)
    assert "keys" not in str(named[0].message)
    model.learn_one(row, 1)


def test_a_memory_without_room_is_refused():
    with pytest.raises(SettingError, match="the experts of a stream need"):
        EdgeClassifier(memory=1000).learn_one({"a": 1.0}, "up")


def test_odd_values_and_labels_are_taken_or_refused() -> None:
    model = EdgeClassifier()
    for at in range(40):
        model.learn_one({"a": at % 2, "b": bool(at % 2), "c": None, "d": float("nan")}, at % 2)
    assert model.predict_one({"a": 10**400}) in (0, 1)
    assert model.predict_one({"a": -float("inf"), "new": [1, 2]}) in (0, 1)
    with pytest.raises(DataError, match="no label"):
        model.learn_one({"a": 1}, None)


def test_decimals_and_fractions_are_numbers() -> None:
    one, other = EdgeClassifier(), EdgeClassifier()
    for at in range(60):
        one.learn_one({"price": Decimal(at) / 4, "part": Fraction(at, 7), "none": Decimal("NaN")}, at % 20 > 9)
        other.learn_one({"price": at / 4, "part": at / 7, "none": None}, at % 20 > 9)
    asked = {"price": Decimal("12.5"), "part": Fraction(50, 7)}
    assert one.predict_proba_one(asked) == other.predict_proba_one({"price": 12.5, "part": 50 / 7})


def test_a_value_that_pandas_calls_missing_is_none() -> None:
    pandas = pytest.importorskip("pandas")
    one, other = EdgeClassifier(), EdgeClassifier()
    for at in range(40):
        odd = (pandas.NA, pandas.NaT)[at % 2] if at % 3 else "red"
        one.learn_one({"a": float(at % 5), "colour": odd}, at % 5 > 2)
        other.learn_one({"a": float(at % 5), "colour": None if at % 3 else "red"}, at % 5 > 2)
    assert one.predict_proba_one({"a": 1.0}) == other.predict_proba_one({"a": 1.0})


def test_a_seed_may_be_none_as_rivers_own() -> None:
    one, other = EdgeClassifier(seed=None), EdgeClassifier()
    for model in (one, other):
        for at in range(40):
            model.learn_one({"a": float(at % 5)}, at % 5 > 2)
    assert one.predict_proba_one({"a": 1.0}) == other.predict_proba_one({"a": 1.0})


def test_a_row_that_was_changed_between_prediction_and_label_is_read_again() -> None:
    one, other = EdgeClassifier(), EdgeClassifier()
    for at in range(60):
        row = {"a": float(at % 2), "odd": np.zeros(3)}
        one.predict_one(row)
        row["a"] = float(at % 3)
        one.learn_one(row, at % 3)
        other.learn_one({"a": float(at % 3), "odd": np.zeros(3)}, at % 3)
    assert one.predict_proba_one({"a": 2.0}) == other.predict_proba_one({"a": 2.0})


def test_memory_holds_from_the_first_row_on() -> None:
    model, generator = EdgeClassifier(memory=1 << 17), np.random.default_rng(0)
    for _ in range(200):
        values = generator.normal(size=100)
        model.learn_one({f"x{at}": float(one) for at, one in enumerate(values)}, values[0] > 0)
        assert model._experts is not None
        assert model._experts.state.nbytes <= 1 << 17


def test_a_value_that_is_missing_of_a_heavy_tail_says_little() -> None:
    model, generator = EdgeClassifier(), np.random.default_rng(1)
    for amount in np.exp(generator.normal(size=300) * 2.5).tolist():
        model.learn_one({"amount": amount, "hour": 1.0}, amount > 1)
    assert model.predict_proba_one({"amount": 50.0, "hour": 1.0})[True] > 0.9
    assert 0.2 < model.predict_proba_one({"hour": 1.0})[True] < 0.8


def test_what_changes_far_from_zero_is_learnt() -> None:
    generator, model, right = np.random.default_rng(0), EdgeClassifier(), 0
    for at, value in enumerate(generator.normal(size=600) * 30):
        row = {"time": 1.7e9 + value}
        right += at >= 300 and model.predict_one(row) == (value > 0)
        model.learn_one(row, bool(value > 0))
    assert right / 300 > 0.9


@pytest.mark.parametrize(
    "first",
    [[999_999_999.0], [1e6], [-9_999_999], [-9_999_999] * 20, [10**400], [5e7, -3e8], [1e35]],
    ids=["one", "least", "below zero", "twenty", "huge", "two", "beyond"],
)
def test_a_sentinel_as_first_value_does_not_blind_a_column(first: list[float]) -> None:
    generator, model, right = np.random.default_rng(0), EdgeClassifier(), 0
    values = [*first, *generator.uniform(size=600).tolist()]
    for at, value in enumerate(values):
        row, label = {"a": value, "b": 1.0 + at % 3}, bool(value > 0.5)
        right += at >= len(values) - 300 and model.predict_one(row) == label
        model.learn_one(row, label)
    assert right / 300 > 0.9


def test_a_sentinel_before_a_column_far_from_zero_does_not_blind_it() -> None:
    generator, model, right = np.random.default_rng(0), EdgeClassifier(), 0
    for at, value in enumerate([-9_999_999, *(1.7e9 + generator.normal(size=600) * 30).tolist()]):
        row, label = {"time": value}, bool(value > 1.7e9)
        right += at > 300 and model.predict_one(row) == label
        model.learn_one(row, label)
    assert right / 300 > 0.9


def test_columns_that_are_far_on_both_sides_of_zero_keep_their_values() -> None:
    generator, model, right = np.random.default_rng(0), EdgeClassifier(), 0
    for at, side in enumerate(generator.choice([-1e7, 1e7], size=400).tolist()):
        right += at >= 200 and model.predict_one({"a": side}) == (side > 0)
        model.learn_one({"a": side}, side > 0)
    assert right / 200 > 0.95


def test_a_prediction_decides_nothing_about_a_column() -> None:
    one, other = EdgeClassifier(), EdgeClassifier()
    for at in range(60):
        row = {"a": 1.7e9 + at % 5, "b": at % 2}
        one.predict_proba_one({"a": 0.5, "b": 1})
        one.predict_proba_one(row)
        one.learn_one(row, at % 2)
        other.learn_one(row, at % 2)
        assert one.predict_proba_one(row) == other.predict_proba_one(row)


def test_a_copy_of_an_earlier_version_goes_on() -> None:
    model = EdgeClassifier()
    accuracy(model, stream(200))
    early = pickle.loads(pickle.dumps(model))
    early.__dict__.pop("_origins")
    early.__dict__.pop("_chances", None)
    early._experts.__dict__.pop("_alone")
    early._experts.state.scaling.__dict__.pop("out")
    early._last[1].__dict__.pop("out", None)
    early = pickle.loads(pickle.dumps(early))
    for row, label in stream(200, seed=1):
        assert early.predict_proba_one(row) == model.predict_proba_one(row)
        early.learn_one(row, label)
        model.learn_one(row, label)


@pytest.mark.parametrize("other", [float, bool, np.int64, np.float32])
def test_labels_that_are_equal_are_one_class_whatever_their_type(other) -> None:
    mixed, plain = EdgeClassifier(), EdgeClassifier()
    for at in range(60):
        mixed.learn_one({"a": float(at % 3)}, other(at % 3 > 1) if at % 4 else int(at % 3 > 1))
        plain.learn_one({"a": float(at % 3)}, int(at % 3 > 1))
    assert mixed.predict_proba_one({"a": 2.0}) == plain.predict_proba_one({"a": 2.0})


@pytest.mark.parametrize("label", [float("nan"), np.float64("nan"), "nan", "<NA>", np.datetime64("NaT", "s")])
def test_a_label_that_is_missing_is_no_class(label: object) -> None:
    with pytest.raises(DataError, match="the row has no label"):
        EdgeClassifier().learn_one({"a": 1}, label)


def test_a_label_in_another_spelling_is_named() -> None:
    model = EdgeClassifier()
    model.learn_one({"a": 1}, "fraud")
    with pytest.warns(UserWarning, match="'Fraud ' is a known one in another spelling"):
        model.learn_one({"a": 1}, "Fraud ")
    model.learn_one({"a": 1}, "Fraud ")  # and no more than once: warnings are errors here
    model.learn_one({"a": 1}, "fair")


def test_a_label_that_changes_its_type_is_named() -> None:
    model = EdgeClassifier()
    model.learn_one({"a": 1}, 1)
    with pytest.warns(UserWarning, match="the label '1' is learnt as 1, which came first"):
        model.learn_one({"a": 1}, "1")
    model.learn_one({"a": 1}, "1")


def test_a_row_that_is_no_dictionary_is_refused() -> None:
    model = EdgeClassifier()
    with pytest.raises(DataError, match="a row is a dictionary from feature to value, not ndarray"):
        model.learn_one(np.zeros(3), 1)
    model.learn_one({"a": 1}, 1)
    with pytest.raises(DataError, match="a row is a dictionary"):
        model.predict_one([1.0])


def test_numbers_as_text_are_named_and_codes_are_not() -> None:
    model = EdgeClassifier()
    for at in range(15):
        model.learn_one({"amount": f"{at}.5", "city": f"city {at}", "code": str(at % 4)}, "a")
    with pytest.warns(UserWarning, match="'amount' has numbers as text, such as '15.5'"):
        model.learn_one({"amount": "15.5", "city": "city 15", "code": "3"}, "b")
    model.learn_one({"amount": "16.5", "city": "city 16", "code": "3"}, "b")


class NAType:
    """What pandas puts where there is no value: no comparison with it is true or false."""

    def __eq__(self, other):
        return self

    def __hash__(self):
        return 0

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.parametrize("odd", [NAType(), Decimal("sNaN")])
def test_a_value_that_cannot_be_compared_is_missing_in_its_row_and_the_next(odd):
    model = EdgeClassifier()
    for row in ({"a": odd, "b": 1.0}, {"a": 1.2, "b": 1.0}, {"a": odd, "b": 1.0}):
        model.predict_one(row)
        model.learn_one(row, "yes")
