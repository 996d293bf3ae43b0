"""Rows as dictionaries, the revision that a stream leaves, and that it answers what the stream would have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.learner import Learner
from edgecl.learning import row_scaling
from edgecl.learning.row_scaling import MANY
from edgecl.model.model import EXPERTS
from edgecl.operations.late_labels import LateLabel, Row, follow_by_id
from edgecl.sources.samples import Sample

from ..support.commands import edgecl, voice_extractor

export = pytest.importorskip("edgecl_export")
pytestmark = pytest.mark.host  # the extractor of a table is made by the exporter


def payments(count: int, *, seed: int = 0) -> list[tuple[dict[str, object], str]]:
    generator = np.random.default_rng(seed)
    rows = []
    for amount, hour in zip(generator.gamma(2, 50, count), generator.integers(24, size=count), strict=True):
        rows.append(({"amount": round(float(amount), 2), "hour": int(hour)}, "large" if amount > 90 else "small"))
    return rows


def table(rows: list[dict[str, object]]) -> np.ndarray:
    """Rows as the extractor takes them: numbers, then what is missing."""
    return np.array([[row["amount"], row["hour"], 0, 0] for row in rows], np.float32)


@pytest.fixture
def learner(tmp_path: Path) -> Learner:
    like = tmp_path / "like.csv"
    lines = [f"{row['amount']},{row['hour']},{label}" for row, label in payments(300)]
    like.write_text("\n".join(["amount,hour,label", *lines]) + "\n")
    export.export_table(tmp_path / "table.onnx", like)
    return Learner.create(tmp_path / "shop", extractor=tmp_path / "table.onnx", max_classes=4)


def taught(learner: Learner, count: int = 400) -> Learner:
    for row, label in payments(count):
        learner.learn_one(row, label)
    return learner


def test_before_the_first_label_there_is_no_answer(learner: Learner) -> None:
    assert learner.predict_one({"amount": 3, "hour": 1}) is None
    assert learner.predict_proba_one({"amount": 3, "hour": 1}) == {}


def test_rows_are_learnt_one_at_a_time(learner: Learner) -> None:
    taught(learner)
    right = [learner.predict_one(row) == label for row, label in payments(200, seed=1)]
    assert np.mean(right) > 0.9
    assert sum(learner.predict_proba_one({"amount": 200, "hour": 3}).values()) == pytest.approx(1, abs=1e-5)


def test_a_row_that_was_changed_is_read_anew(learner: Learner) -> None:
    taught(learner)
    row: dict[str, object] = {"amount": 400, "hour": 3}
    assert learner.predict_one(row) == "large"
    row["amount"] = 4
    assert learner.predict_one(row) == "small"


def test_the_committed_revision_answers_what_the_stream_would_have(learner: Learner) -> None:
    taught(learner)
    assert learner.commit().accepted
    asked = [row for row, _ in payments(60, seed=2)]
    expected = np.array([sorted(learner.predict_proba_one(row).items()) for row in asked])[:, :, 1].astype(float)
    again = Learner.open(learner.store.path)
    np.testing.assert_array_equal(again.predict_proba(table(asked)), expected.astype(np.float32))
    assert [again.predict_one(row) for row in asked] == [learner.predict_one(row) for row in asked]


def test_a_stream_goes_on_from_its_revision_as_if_it_had_never_stopped(learner: Learner) -> None:
    taught(learner).commit()
    again = Learner.open(learner.store.path)
    for row, label in payments(50, seed=3):
        for one in (learner, again):
            one.learn_one(row, label)
    experts = again.rows.stream.panel.experts.state, learner.rows.stream.panel.experts.state
    np.testing.assert_array_equal(experts[0].gradient, experts[1].gradient)
    np.testing.assert_array_equal(experts[0].inverses, experts[1].inverses)
    np.testing.assert_array_equal(experts[0].memory, experts[1].memory)


def test_same_rows_give_the_same_bytes(learner: Learner, tmp_path: Path) -> None:
    taught(learner).commit()
    other = Learner.create(tmp_path / "other", extractor=tmp_path / "table.onnx", max_classes=4)
    taught(other).commit()
    assert learner.store.current().objects == other.store.current().objects


def test_a_rollback_brings_the_experts_of_that_revision_back(learner: Learner) -> None:
    taught(learner).commit()
    before = learner.store.current().objects[EXPERTS]
    again = Learner.open(learner.store.path)
    taught(again, 200).commit()
    assert again.store.current().objects[EXPERTS] != before
    again.rollback()
    assert again.store.current().objects[EXPERTS] == before
    assert again.predict(table([{"amount": 300, "hour": 3}]))


@pytest.mark.parametrize(
    "change",
    [
        lambda learner: learner.set(unknown_above=0.7),
        lambda learner: learner.keep("large", "always"),
        lambda learner: learner.resize(memory_bytes=2 << 20),
        lambda learner: learner.resize(max_classes=8),
    ],
)
def test_a_stream_goes_on_after_a_setting_was_changed(
    learner: Learner, change: Callable[[Learner], object], caplog: pytest.LogCaptureFixture
) -> None:
    taught(learner).commit()
    rows = table([row for row, _ in payments(60, seed=2)])
    before = Learner.open(learner.store.path).predict_proba(rows)
    change(Learner.open(learner.store.path))
    again = Learner.open(learner.store.path)
    np.testing.assert_array_equal(again.predict_proba(rows), before)
    taught(again).commit()
    assert again.store.current().body["experts"]["labels"] == ["large", "small"]
    assert "left behind" not in caplog.text
    assert "has taught this store before" in caplog.text


def test_where_less_memory_leaves_experts_behind_it_says_so(learner: Learner, caplog: pytest.LogCaptureFixture) -> None:
    taught(learner).commit()
    learner.resize(memory_bytes=512 << 10)
    assert "the experts of the stream that revision 2 has are left behind" in caplog.text
    assert EXPERTS not in learner.store.current().objects


def test_a_store_with_what_others_have_taught_follows_no_stream(learner: Learner, tmp_path: Path) -> None:
    other, rows = Learner.create(tmp_path / "other", extractor=learner.store.extractor_path), payments(60, seed=3)
    for one in (learner, other):
        one.learn(table([row for row, _ in rows]), [label for _, label in rows])
    other.share(tmp_path / "other.share")
    learner.merge([tmp_path / "other.share"])
    (first, label), *_ = rows
    arrivals = [Row("1", {name: str(value) for name, value in first.items()}), LateLabel("1", label)]
    ways: list[Callable[[], object]] = [
        lambda: learner.learn_one(first, label),
        lambda: list(follow_by_id(learner.opened, arrivals)),
        lambda: learner.follow([Sample("1", label, table([first]), None)]),
    ]
    for way in ways:
        with pytest.raises(SettingError, match="has merged other devices, a stream follows its own"):
            way()
    assert learner.predict_one(first) == label
    Learner.open(learner.store.path).predict(table([first]))


def test_where_a_merge_leaves_experts_behind_it_says_so(
    learner: Learner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taught(learner).commit()
    other = Learner.create(tmp_path / "other", extractor=learner.store.extractor_path)
    rows = payments(60, seed=3)
    other.learn(table([row for row, _ in rows]), [label for _, label in rows])
    other.share(tmp_path / "other.share")
    learner.merge([tmp_path / "other.share"])
    assert "the experts of the stream that revision 2 has are left behind" in caplog.text


def test_a_class_that_is_forgotten_leaves_no_experts(learner: Learner) -> None:
    taught(learner).commit()
    assert learner.forget(["small"], dry_run=True).had_experts
    assert learner.forget(["small"]).as_dict()["removed"]["experts"]
    assert EXPERTS not in learner.store.current().objects
    assert learner.store.check() == []
    assert [one.label for one in Learner.open(learner.store.path).predict(table([{"amount": 3, "hour": 3}]))] == [
        "large"
    ]


def test_the_receipt_of_a_class_names_the_experts_that_go_and_the_head_that_there_was(learner: Learner) -> None:
    taught(learner).commit()
    told = edgecl("forget", learner.store.path, "small").out
    assert "the experts of the stream, which were made from all classes: `follow` begins them again" in told
    assert "2 classes, linear discriminant" in told
    assert "experts" not in edgecl("forget", learner.store.path, "large", "--dry-run").out


def test_what_a_stream_taught_is_not_centred_and_its_experts_stay(learner: Learner) -> None:
    taught(learner).commit()
    with pytest.raises(SettingError, match="cannot be centred: its head is that of a stream"):
        learner.centre(table([row for row, _ in payments(60, seed=3)]))
    assert EXPERTS in learner.store.current().objects


def test_a_lesson_is_answered_by_its_head_again(learner: Learner) -> None:
    taught(learner).commit()
    learner.learn(
        table([row for row, _ in payments(100, seed=5)]), [label for _, label in payments(100, seed=5)], force=True
    )
    assert EXPERTS not in learner.store.current().objects


@pytest.mark.parametrize(
    ("row", "label", "message"),
    [({"amount": "much", "hour": 1}, "small", "not a number"), ({"amount": 1, "hour": 1}, "", "label")],
)
def test_what_cannot_be_used_is_refused_and_changes_nothing(learner: Learner, row, label, message) -> None:
    taught(learner, 20)
    with pytest.raises(DataError, match=message):
        learner.learn_one(row, label)
    assert learner.rows.stream.tally.labelled == 20


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"amout": 3, "hour": 1}, "the row has no column 'amount', only amout, hour: give None"),
        ({"hours": 3}, "the row has no column 'amount'"),
        ({}, "the row has no column 'amount', only none"),
        ({"amount": 3, "hour": 1, "Amount": 4}, "two columns of the same name, amount"),
    ],
)
def test_a_column_that_is_misspelt_or_twice_is_no_missing_value(learner: Learner, row, message) -> None:
    taught(learner, 20)
    for call in (learner.predict_one, lambda one: learner.learn_one(one, "small")):
        for _ in range(2):
            with pytest.raises(DataError, match=message):
                call(row)
    assert learner.predict_one({"amount": None, "hour": 1, "id": 7}) in ("small", "large")
    assert learner.predict_one({"amount": 400}) in ("small", "large")


@pytest.mark.parametrize("label", ["nan", "None", "<NA>"])
def test_a_text_that_stands_for_a_missing_label_is_no_class(learner: Learner, label: str) -> None:
    with pytest.raises(DataError, match=r"the row has no label: .* stands for a missing one"):
        learner.learn_one({"amount": 3, "hour": 1}, label)


def test_a_class_too_many_is_refused(learner: Learner) -> None:
    for label in "abcd":
        learner.learn_one({"amount": 1, "hour": 1}, label)
    with pytest.raises(DataError, match="no room for 'e'"):
        learner.learn_one({"amount": 1, "hour": 1}, "e")


def test_a_store_of_sound_has_no_rows(tmp_path: Path) -> None:
    sound = Learner.create(tmp_path / "kitchen", extractor=voice_extractor())
    with pytest.raises(SettingError, match="not a store for rows"):
        sound.learn_one({"amount": 1}, "small")


def test_a_boolean_in_a_column_of_numbers_is_a_number(learner: Learner) -> None:
    taught(learner, 50)
    said = learner.predict_proba_one({"amount": True, "hour": np.bool_(False)})
    assert said == learner.predict_proba_one({"amount": 1, "hour": 0})
    with pytest.raises(DataError, match="not a number: 'yes'"):
        learner.predict_one({"amount": True, "hour": "yes"})
    with pytest.raises(DataError, match="mapping from column to value, not list"):
        learner.predict_one([1, 2])  # type: ignore[arg-type]


def test_rows_go_on_from_what_the_same_object_has_made_live(learner: Learner) -> None:
    taught(learner).commit()
    rows = [row for row, _ in payments(100, seed=5)]
    learner.follow(table(rows), ["huge"] * 100)
    assert "huge" in learner.predict_proba_one(rows[0])
    learner.learn_one(*payments(1)[0]).commit()
    learner.rollback()
    learner.rollback()
    assert "huge" not in learner.predict_proba_one(rows[0])
    assert learner.learn_one(*payments(1)[0]).commit().accepted


def test_rows_that_were_not_committed_are_not_lost_silently(learner: Learner) -> None:
    taught(learner).commit()
    learner.learn_one(*payments(1)[0])
    learner.follow(table([{"amount": 3, "hour": 3}]), ["small"])
    with pytest.raises(EdgeclError, match="what rows taught since is not committed; open the store again"):
        learner.commit()


def test_a_stream_lists_the_first_rows_that_it_skips_and_counts_the_others(learner: Learner) -> None:
    rows = np.vstack([table([{"amount": 3, "hour": 3}]), np.full((1500, 4), np.nan, np.float32)])
    report = learner.follow(rows, ["small"] * len(rows))
    assert report.tally.labelled == 1
    assert len(report.skipped) == 1001
    assert report.skipped[-1].reason == "not finite: 500 more like the 1000 listed"


def test_one_row_after_the_other_has_the_latents_of_rows_together(learner: Learner) -> None:
    rows = table([row for row, _ in payments(20)])
    latent = learner.extractor.one_by_one()
    alone = [latent(row[None]) for row in rows]  # each an array of its own
    np.testing.assert_array_equal(np.concatenate(alone), learner.extractor.latents([row[None] for row in rows]))
    with pytest.raises(DataError, match="NaN or infinity"):
        latent(np.full((1, 4), np.nan, np.float32))
    with pytest.raises(DataError, match="has shape"):
        latent(np.zeros((1, 3), np.float32))


def stated_format(learner: Learner) -> int:
    return int(json.loads((learner.path / "store.json").read_bytes())["format"])


def test_an_earlier_edgecl_refuses_the_store_of_a_stream_from_its_first_commit_on(learner: Learner) -> None:
    assert stated_format(learner) == 3
    rows = payments(150)
    for row, label in rows:
        learner.learn_one(row, label)
    learner.commit()
    assert stated_format(learner) == 6
    opened = Learner.open(learner.path)
    opened.rollback()
    opened.learn_one(*rows[0]).commit()
    assert opened.store.check() == []
    assert stated_format(learner) == 6


def test_a_store_keeps_that_values_far_out_have_come_of_late(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_scaling, "OUT", 30.0)  # what a store's extractor makes of a value is hardly farther out
    rows = [({**row, "amount": row["hour"]}, label) for row, label in payments(140)]
    for row, label in [*rows, *[({**row, "amount": 1e8}, label) for row, label in rows[:3]]]:
        learner.learn_one(row, label)
    learner.commit()
    opened = Learner.open(learner.path)
    for one in (learner, opened):
        one.learn_one({"amount": 1e8, "hour": 3}, "large")  # the fourth, which counts in full
    here, there = (one.rows.stream.panel.experts.state.scaling.arrays() for one in (learner, opened))
    for name, array in here.items():
        np.testing.assert_array_equal(array, there[name])
    assert here["out"].max() == MANY
