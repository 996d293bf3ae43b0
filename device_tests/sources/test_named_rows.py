"""Rows and recordings from Python whose columns have names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.learner import Learner
from edgecl.operations.data import samples_of
from edgecl.sources.named_rows import NamedRows
from edgecl.sources.samples import Sample, Skip

from ..support.recordings import contract_of

NAMES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
IMU = contract_of("imu", 50.0, NAMES, 100, 50)


@pytest.fixture
def shop(tmp_path: Path) -> Learner:
    export = pytest.importorskip("edgecl_export")  # the extractor of a table is made by the exporter
    like = tmp_path / "like.csv"
    lines = [f"{at % 90 + 10},{'Oslo' if at % 2 else 'Bern'},{'ab'[at % 2]}\n" for at in range(100)]
    like.write_text("amount,city,label\n" + "".join(lines))
    export.export_table(tmp_path / "t.onnx", like)
    return Learner.create(tmp_path / "shop", extractor=tmp_path / "t.onnx", max_classes=2)


def signals(learner: Learner, data: Any, labels: Any = None) -> list[list[float]]:
    found = samples_of(data, labels, contract=learner.contract)
    return [one.signal[0].tolist() for one in found if isinstance(one, Sample)]


EXPECTED = [[12.0, 0, 0, 1], [0, 1, 1, 0]]  # amount, whether it is missing, Bern, Oslo


@pytest.mark.host
def test_rows_are_read_by_the_names_of_their_columns_or_in_their_order(shop: Learner) -> None:
    for rows in (
        [{"city": "Oslo", "amount": 12.0}, {"Amount": None, "City": "Bern"}],
        [[12, "Oslo"], (float("nan"), "Bern")],
        np.array([[12, "Oslo"], [None, "Bern"]], object),
    ):
        assert signals(shop, rows) == EXPECTED
    assert signals(shop, EXPECTED) == EXPECTED
    assert signals(shop, np.array(EXPECTED[0])) == EXPECTED[:1]


@pytest.mark.host
def test_one_row_in_the_order_of_the_columns_is_a_row_and_a_mapping_of_cells_names_what_to_give(shop: Learner) -> None:
    assert signals(shop, [12, "Oslo"]) == EXPECTED[:1]
    assert signals(shop, ("12", "Oslo")) == EXPECTED[:1]
    with pytest.raises(DataError, match=r"a number is no signal: a row with names is given in a list, \[row\]"):
        signals(shop, {"amount": 12.0, "city": "Oslo"})


@pytest.mark.host
def test_cells_that_were_read_as_missing_or_as_none_are_named(shop: Learner, caplog: pytest.LogCaptureFixture) -> None:
    assert signals(shop, [{"amount": None, "city": "Rome"}]) == [[0, 1, 0, 0]]
    assert "no value in 1 of the cells of 'amount'" in caplog.text
    assert "categories that the extractor does not know in 1 of the cells of 'city', 'Rome'" in caplog.text


@pytest.mark.host
def test_a_row_whose_cell_cannot_be_used_is_skipped_and_one_with_another_column_refused(shop: Learner) -> None:
    found = list(samples_of([{"amount": "12,5", "city": "Oslo"}, EXPECTED[0]], contract=shop.contract))
    assert isinstance(found[0], Skip)
    assert found[0].reason.startswith("not a number: '12,5'")
    assert isinstance(found[1], Sample)
    with pytest.raises(DataError, match="no column 'amount'"):
        signals(shop, [{"amuont": 12.0, "city": "Oslo"}])


@pytest.mark.host
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_table_of_another_library_is_read_by_names_whatever_their_order(shop: Learner, library: str) -> None:
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({"label": ["a", "b"], "city": ["Oslo", "Bern"], "amount": [12.0, None]})
    assert signals(shop, frame) == EXPECTED
    report = shop.learn(frame, frame["label"], force=True)
    assert (report.samples, shop.classes) == (2, ("a", "b"))
    assert [one.label for one in shop.predict(frame[["amount", "city"]])] == ["a", "b"]
    assert signals(shop, {"a": frame[:1]}) == EXPECTED[:1]
    with pytest.raises(DataError, match="no column 'amount'"):
        shop.predict(frame[["city"]])


@pytest.mark.host
def test_a_row_of_pandas_and_nullable_types_are_read(shop: Learner) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"city": ["Oslo", "Bern"], "amount": pandas.array([12, None], "Int64")})
    assert signals(shop, frame) == EXPECTED
    assert signals(shop, frame.iloc[0]) == EXPECTED[:1]
    assert signals(shop, [row for _, row in frame.iterrows()]) == EXPECTED
    assert shop.learn_one(frame.iloc[0], "a").predict_one(frame.iloc[1]) == "a"
    assert signals(shop, pandas.DataFrame(EXPECTED)) == EXPECTED  # columns without names are in order
    with pytest.raises(DataError, match="two columns of the same name, city"):
        signals(shop, frame.set_axis(["city", "city"], axis=1))


def test_a_recording_of_pandas_is_read_by_its_axes() -> None:
    pandas = pytest.importorskip("pandas")
    draw = np.random.default_rng(0).normal(0, 1, (100, 6))
    draw[:, 2] += 9.8
    frame = pandas.DataFrame(draw, columns=NAMES)
    turned = frame[list(NAMES[::-1])].assign(label="run")
    phone = frame.set_axis(["ax", "ay", "az", "gx", "gy", "gz"], axis=1)[["gx", "gy", "gz", "ax", "ay", "az"]]
    for data in (frame, [frame], turned, phone, {"run": turned}):
        (sample,) = samples_of(data, contract=IMU)
        assert isinstance(sample, Sample)
        np.testing.assert_allclose(sample.signal, draw, rtol=1e-6)
    with pytest.raises(DataError, match=r"wrong columns: .*7 columns of measurements"):
        list(samples_of(frame.set_axis(list("abcdef"), axis=1).assign(g=1.0), contract=IMU))


def test_a_dataframe_where_texts_or_sounds_are_wanted_names_what_to_give() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": ["hello", "bye"]})
    for modality, wanted in (("text", r"frame\['text'\]"), ("voice", "arrays, one for each sample")):
        contract = contract_of(modality, 16000.0 if modality == "voice" else 0.0, ("audio",), 1, 1)
        with pytest.raises(DataError, match=wanted):
            list(samples_of({"greeting": frame}, contract=contract))


@pytest.mark.parametrize("labels", [{"a": 0, "b": 1}, {"a", "b"}])
def test_labels_without_an_order_are_refused(labels: Any) -> None:
    with pytest.raises(DataError, match="one for each signal, in their order"):
        list(samples_of(np.ones((2, 100, 6)), labels, contract=IMU))


@pytest.mark.parametrize("none", [None, float("nan"), np.float64("nan"), np.datetime64("NaT", "s"), "nan"])
def test_labels_that_stand_for_none_are_none(none: Any) -> None:
    data = np.random.default_rng(0).normal(0, 5, (2, 100, 6))
    assert [one.label for one in samples_of(data, ["a", none], contract=IMU)] == ["a", None]


@pytest.mark.host
def test_a_row_is_read_alike_by_names_and_by_cells(shop: Learner) -> None:
    rows = NamedRows(shop.contract)
    assert rows.encode({"city": "Oslo", "amount": True}) == rows.encode_cells([True, "Oslo"])
