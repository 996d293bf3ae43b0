"""Archives of windows: labels, channels, and what is refused before it takes memory."""

from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.sources.choices import Choices
from edgecl.sources.reading import read_samples

from ..support.recordings import WRIST, contract_of, movement, npz, samples_of, skips_of, windows


def test_windows_are_read_with_labels_and_subjects(tmp_path: Path) -> None:
    names = np.array(["curl", "raise"])
    path = npz(
        tmp_path / "w.npz",
        X=windows(),
        y=np.array([0, 1, 1, 0]),
        label_names=names,
        subject=[7, 7, 8, 8],
        rate_hz=50,
    )
    samples = samples_of(path, WRIST)
    assert [(sample.label, sample.group) for sample in samples] == [
        ("curl", "7"),
        ("raise", "7"),
        ("raise", "8"),
        ("curl", "8"),
    ]
    assert samples[2].source == f"{path}[2]"
    np.testing.assert_array_equal(samples[2].signal, windows()[2])


@pytest.mark.parametrize("labels", [np.array(["a", "b", "a", "b"]), np.array([b"a", b"b", b"a", b"b"])])
def test_labels_can_be_text(tmp_path: Path, labels: NDArray[Any]) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=labels, rate_hz=50)
    assert [sample.label for sample in samples_of(path, WRIST)] == ["a", "b", "a", "b"]


def test_numbers_without_names_are_labels_as_they_are(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.array([0.0, 1.0, 5.0, 0.0]), rate_hz=50)
    assert [sample.label for sample in samples_of(path, WRIST)] == ["0", "1", "5", "0"]


def test_compressed_archives_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int))
    assert len(samples_of(tmp_path / "w.npz", WRIST)) == 4


def test_windows_without_labels_take_the_option(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), rate_hz=50)
    assert {sample.label for sample in samples_of(path, WRIST, label="curl")} == {"curl"}
    with pytest.raises(DataError, match=r"give (the|their) label"):
        read_samples(path, WRIST)


def test_label_for_labelled_windows_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int), rate_hz=50)
    with pytest.raises(DataError, match="give no other"):
        read_samples(path, WRIST, label="curl")


def test_channels_are_sorted_into_the_contracts_order(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int), channels=["az", "ax", "ay"])
    np.testing.assert_array_equal(samples_of(path, WRIST)[0].signal, windows()[0][:, [1, 2, 0]])


def test_channels_of_other_names_are_taken_in_order_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.zeros(4, int), channels=["x", "y", "z"])
    np.testing.assert_array_equal(samples_of(path, WRIST)[0].signal, windows()[0])
    assert "x, y, z are taken as ax, ay, az" in caplog.text


def test_bad_windows_are_skipped_one_by_one(tmp_path: Path) -> None:
    X = windows(6)
    X[1, 3, 0] = np.nan
    X[2] = 0
    X[3] = X[0]
    labels = np.array([0, 0, 0, 0, -1, -1])
    path = npz(tmp_path / "w.npz", X=X, y=labels, label_names=["curl"], rate_hz=50)
    reasons = [skip.reason.partition(":")[0] for skip in skips_of(path, WRIST)]
    assert reasons == ["not finite", "silent", "duplicate", "bad label", "bad label"]
    assert len(samples_of(path, WRIST)) == 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(4)}, "no array X"),
        ({"X": np.zeros((4, 20, 3)), "y": np.zeros(3)}, "y has the shape"),
        (
            {"X": np.zeros((4, 20, 6)), "y": np.zeros(4)},
            r"wrong channel count: 6, the extractor takes 3 \(ax, ay, az\)",
        ),
        ({"X": np.zeros((4, 20)), "y": np.zeros(4)}, "wrong shape"),
        ({"X": np.zeros((0, 20, 3)), "y": np.zeros(0)}, "shape"),
        ({"X": np.array([["a"]]), "y": np.zeros(1)}, "wanted numbers"),
        (
            {"X": np.zeros((4, 20, 3)), "y": np.zeros(4), "rate_hz": 10},
            "wrong rate: 10 Hz, the extractor takes 50 Hz",
        ),
        ({"X": np.zeros((4, 20, 3)), "y": np.zeros(4), "rate_hz": np.nan}, "unknown rate"),
        ({"X": np.zeros((4, 33, 3)), "y": np.zeros(4)}, "unknown rate: no rate_hz"),
        ({"X": np.array([{}, {}]), "y": np.zeros(2)}, "Python objects"),
    ],
)
def test_archive_that_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_samples(npz(tmp_path / "w.npz", **arrays), WRIST)


def test_a_zip_bomb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", X=np.zeros((1 << 19, 6, 6), np.int8))
    with pytest.raises(DataError, match="would inflate to 18 MiB, more than data does"):
        read_samples(tmp_path / "w.npz", WRIST)


def test_absurd_shape_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**4, 3)})
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("X.npy", header.getvalue())
    with pytest.raises(DataError, match="GiB"):
        read_samples(tmp_path / "w.npz", WRIST)


def test_header_that_asks_for_more_than_there_is_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1000, 20, 3)})
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("X.npy", header.getvalue())
    with pytest.raises(DataError, match="damaged"):
        read_samples(tmp_path / "w.npz", WRIST)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_archive_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, save: Any, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("npz") / "w.npz"
    save(path, X=windows(2), y=np.zeros(2, int), rate_hz=50.0)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2, 10, 0]))])
    with contextlib.suppress(DataError):
        list(read_samples(path, WRIST))


def test_labels_counted_from_one_are_refused_until_it_is_settled(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(3), y=np.array([1, 2, 3]), label_names=["a", "b", "c"], rate_hz=50)
    with pytest.raises(DataError, match="y runs from 1 to 3, and there are 3 label_names") as raised:
        samples_of(path, WRIST)
    assert raised.value.parameter == "labels_from"
    assert [one.label for one in samples_of(path, WRIST, how=Choices(labels_from=1))] == ["a", "b", "c"]
    assert [one.label for one in samples_of(path, WRIST, how=Choices(labels_from=0))] == ["b", "c"]


@pytest.mark.parametrize(
    ("labels", "names"),
    [(["1", "2", "2"], ["curl", "raise"]), (["curl", "row", "row"], ["curl", "raise"])],
)
def test_text_labels_that_are_none_of_label_names_are_refused(
    tmp_path: Path, labels: list[str], names: list[str]
) -> None:
    path = npz(tmp_path / "w.npz", X=windows(3), y=np.array(labels), label_names=names, rate_hz=50)
    with pytest.raises(DataError, match="y holds text that is none of label_names"):
        samples_of(path, WRIST)


def test_text_labels_that_are_label_names_are_read(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(3), y=["curl", "nan", "raise"], label_names=["curl", "raise"], rate_hz=50)
    assert [one.label for one in samples_of(path, WRIST)] == ["curl", "raise"]


def test_a_name_that_stands_for_a_missing_label_is_no_class(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(3), y=[0, 1, 1], label_names=["curl", "nan"], rate_hz=50)
    assert [one.label for one in samples_of(path, WRIST)] == ["curl"]
    assert {one.reason.split(":")[0] for one in skips_of(path, WRIST)} == {"no label"}


def test_channels_of_which_some_are_named_and_one_is_another_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=["a"] * 4, rate_hz=50, channels=["ax", "ay", "light"])
    with pytest.raises(DataError, match="there is no column az, and light is none") as raised:
        samples_of(path, WRIST)
    assert raised.value.parameter == "columns"
    settled = samples_of(path, WRIST, how=Choices(columns={"az": "light"}))
    np.testing.assert_array_equal(settled[0].signal, samples_of(unnamed(tmp_path), WRIST)[0].signal)


def unnamed(folder: Path) -> Path:
    return npz(folder / "unnamed.npz", X=windows(), y=["a"] * 4, rate_hz=50)


def test_columns_are_settled_only_where_an_archive_names_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no array channels") as raised:
        samples_of(unnamed(tmp_path), WRIST, how=Choices(columns={"az": "z"}))
    assert raised.value.parameter == "columns"


def test_channels_are_picked_by_name_among_more(tmp_path: Path) -> None:
    more = np.concatenate([windows()[:, :, :1], windows()], axis=2)
    path = npz(tmp_path / "w.npz", X=more, y=["a"] * 4, rate_hz=50, channels=["light", "ax", "ay", "az"])
    np.testing.assert_array_equal(samples_of(path, WRIST)[0].signal, samples_of(unnamed(tmp_path), WRIST)[0].signal)


def test_names_that_are_not_one_for_each_channel_are_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=["a"] * 4, rate_hz=50, channels=["ax", "ay"])
    with pytest.raises(DataError, match="channels names ax, ay, and X holds 3"):
        samples_of(path, WRIST)


def test_columns_of_a_table_are_taken_by_their_names(tmp_path: Path) -> None:
    rows = np.array([[1, 20], [2, 30]], np.float32)
    table = contract_of("table", 0.0, ("price", "demand"), 1, 1)
    path = npz(tmp_path / "t.npz", X=rows, y=["a", "b"], channels=["demand", "price"])
    assert [one.signal.tolist() for one in samples_of(path, table)] == [[[20, 1]], [[30, 2]]]


def test_channels_that_state_another_unit_are_refused_until_it_is_settled(tmp_path: Path) -> None:
    contract = replace(WRIST, units=("rad/s",) * 3, channels=("gyro_x", "gyro_y", "gyro_z"))
    names = ["gyro_x_dps", "gyro_y_dps", "gyro_z_dps"]
    path = npz(tmp_path / "w.npz", X=windows(), y=["a"] * 4, rate_hz=50, channels=names)
    with pytest.raises(DataError, match="states deg/s, the extractor takes rad/s") as raised:
        samples_of(path, contract)
    assert raised.value.parameter == "scale"
    assert len(samples_of(path, contract, how=Choices(scale={"gyro": 0.0174533}))) == 4


def test_one_index_without_a_name_is_skipped_and_many_refuse_the_file(tmp_path: Path) -> None:
    labels = np.zeros(30, int)
    labels[5] = 7
    one = npz(tmp_path / "one.npz", X=windows(30), y=labels, label_names=["a"], rate_hz=50)
    assert [skip.source[-3:] for skip in skips_of(one, WRIST)] == ["[5]"]
    many = npz(tmp_path / "many.npz", X=windows(30), y=np.arange(30), label_names=["a", "b"], rate_hz=50)
    with pytest.raises(DataError, match="y runs from 0 to 29"):
        samples_of(many, WRIST)


def test_a_label_that_stands_for_a_missing_one_is_skipped(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(3), y=np.array(["a", "nan", "None"]), rate_hz=50)
    assert [skip.reason.partition(":")[0] for skip in skips_of(path, WRIST)] == ["no label", "no label"]


def test_another_rate_and_none_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples_of(npz(tmp_path / "fast.npz", X=windows(2, time=40), y=np.zeros(2), rate_hz=100), WRIST)
    assert "rate_hz is 100: resampled to 50 Hz" in caplog.text
    samples_of(npz(tmp_path / "none.npz", X=windows(2), y=np.zeros(2)), WRIST)
    assert "no rate_hz: its windows are taken as 50 Hz" in caplog.text


def test_channels_are_matched_by_axis(tmp_path: Path) -> None:
    X = windows(2)
    path = npz(tmp_path / "w.npz", X=X, y=np.zeros(2), rate_hz=50, channels=["acc_z", "acc_y", "acc_x"])
    np.testing.assert_array_equal(samples_of(path, WRIST)[0].signal, X[0][:, ::-1])


def test_a_member_that_nobody_has_judged_is_not_read(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(), y=np.array(["a", "b", "b", "a"]), rate_hz=50)
    with zipfile.ZipFile(path, "a") as archive:
        for name, array in (("X", np.zeros((9, 100, 6), np.float32)), ("y", np.array(["c"] * 9))):
            file = io.BytesIO()
            np.lib.format.write_array(file, array)
            archive.writestr(name, file.getvalue())
    assert [sample.label for sample in samples_of(path, WRIST)] == ["a", "b", "b", "a"]


def test_channels_in_another_case_are_those_of_the_extractor(tmp_path: Path) -> None:
    contract = replace(WRIST, channels=("heart_rate", "eda", "skin"))
    path = npz(tmp_path / "w.npz", X=windows(), y=["a"] * 4, rate_hz=50, channels=["EDA", "Heart_Rate", "Skin"])
    same = npz(tmp_path / "s.npz", X=windows()[..., [1, 0, 2]], y=["a"] * 4, rate_hz=50, channels=contract.channels)
    for one, other in zip(samples_of(path, contract), samples_of(same, contract), strict=True):
        np.testing.assert_array_equal(one.signal, other.signal)


def test_names_of_bytes_are_text(tmp_path: Path) -> None:
    names = np.array([b"a", b"b"])
    for labels in (np.array([b"a", b"b", b"a"]), np.array([0, 1, 0])):
        path = npz(tmp_path / "w.npz", X=windows(3), y=labels, label_names=names, rate_hz=50)
        assert [one.label for one in samples_of(path, WRIST)] == ["a", "b", "a"]


def test_a_class_may_be_called_none_where_an_index_says_so(tmp_path: Path) -> None:
    path = npz(tmp_path / "w.npz", X=windows(2), y=[0, 1], label_names=["None", "walk"], rate_hz=50)
    assert [one.label for one in samples_of(path, WRIST)] == ["None", "walk"]


def test_an_archive_with_two_members_of_a_name_is_refused(tmp_path: Path) -> None:
    path, names = tmp_path / "x.npz", io.BytesIO()
    np.savez(path, X=windows(), y=np.array(["a", "b", "a", "b"]))
    np.save(names, np.array(["c", "c"]))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match=r"Duplicate name"):
        archive.writestr("y.npy", names.getvalue())
    with pytest.raises(DataError, match=r"y\.npy more than once"):
        samples_of(path, WRIST)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.zeros((4, 3, 20)), "y": np.zeros(4)}, r"its axes seem to be \(channels, time\): transpose it"),
        ({"X": np.zeros((4, 20, 3)), "y": np.eye(4)}, r"wanted \(4,\): save y.argmax\(axis=1\)"),
        ({"X": np.zeros((4, 20, 3)), "y": np.zeros((4, 1))}, r"wanted \(4,\): save y.reshape\(-1\)"),
    ],
)
def test_axes_in_another_order_say_what_to_save(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "w.npz", rate_hz=50.0, **arrays)
    with pytest.raises(DataError, match=message):
        read_samples(tmp_path / "w.npz", WRIST)


def test_indices_from_one_of_which_the_last_name_is_not_used_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["sit", "stand", "walk", "run"]
    np.savez(tmp_path / "w.npz", X=movement(60).reshape(3, 20, 3), y=[1, 2, 3], label_names=names, rate_hz=50.0)
    assert [one.label for one in samples_of(tmp_path / "w.npz", WRIST)] == names[1:]
    assert "y runs from 1 to 3, and is counted from 0: 1 is 'stand'" in caplog.text
    np.savez(tmp_path / "w.npz", X=movement(60).reshape(3, 20, 3), y=[1, 1, 2], label_names=names, rate_hz=50.0)
    assert len(samples_of(tmp_path / "w.npz", WRIST)) == 3
    assert "y runs from 1 to 2, and is counted from 0: 1 is 'stand'" in caplog.text


@pytest.mark.parametrize(("y", "names"), [([-1, 0, 1], ["sit", "walk", "run"]), ([-1, 1, 1], ["no", "yes"])])
def test_indices_that_are_counted_from_minus_one_are_refused_until_it_is_settled(
    tmp_path: Path, y: list[int], names: list[str]
) -> None:
    np.savez(tmp_path / "w.npz", X=movement(60).reshape(3, 20, 3), y=y, label_names=names, rate_hz=50.0)
    with pytest.raises(
        DataError, match=r"y runs from -1 to 1, and there are . label_names: does -1 stand for .(no|sit)"
    ) as raised:
        samples_of(tmp_path / "w.npz", WRIST)
    assert raised.value.parameter == "labels_from"
    assert len(samples_of(tmp_path / "w.npz", WRIST, how=Choices(labels_from=0))) == 2


def test_an_index_without_a_label_beside_all_others_is_skipped(tmp_path: Path) -> None:
    y, names = [-1, 0, 1, 2], ["sit", "walk", "run"]
    np.savez(tmp_path / "w.npz", X=movement(80).reshape(4, 20, 3), y=y, label_names=names, rate_hz=50.0)
    assert [one.label for one in samples_of(tmp_path / "w.npz", WRIST)] == names


def test_an_archive_without_y_names_the_arrays_that_may_be_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", X=movement(60).reshape(3, 20, 3), labels=["a", "b", "a"], note="x", rate_hz=50.0)
    with pytest.raises(
        DataError, match=r"has no array y, but labels, which may be it: call it y; or give the label"
    ) as raised:
        samples_of(tmp_path / "w.npz", WRIST)
    assert raised.value.parameter == "label"


def test_two_indices_of_one_name_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["walk", "sit", "walk"]
    arrays = {"X": movement(60).reshape(3, 20, 3), "label_names": ["", "", *names], "rate_hz": 50.0}
    np.savez(tmp_path / "w.npz", **arrays, y=[2, 3, 4])
    assert [one.label for one in samples_of(tmp_path / "w.npz", WRIST)] == names
    assert "label_names has 'walk' more than once: these are one class" in caplog.text
