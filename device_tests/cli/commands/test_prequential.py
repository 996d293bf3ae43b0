"""`edgecl learn --prequential` on tables as they come: categories, missing values, bad rows, drift."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecl.store.store import Store

from ...support.commands import edgecl

pytestmark = pytest.mark.host  # `edgecl export` makes the extractor
CITIES = ("Rome", "Paris", "Oslo")
HEADER = "timestamp,amount,city,y"


def table(count: int, *, seed: int = 0, swapped: bool = False) -> list[str]:
    """Payments: large ones are fraud, in Oslo small ones, or the other way round."""
    generator = np.random.default_rng(seed)
    lines = []
    for at in range(count):
        amount, city = float(generator.gamma(2, 50)), CITIES[generator.integers(3)]
        is_fraud = ((amount > 90) != (city == "Oslo")) != swapped
        cell = "" if generator.random() < 0.02 else f"{amount:.2f}"
        lines.append(f"{at},{cell},{city},{'fraud' if is_fraud else 'fair'}")
    return lines


def write(path: Path, lines: list[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store for such a table that has learnt nothing."""
    like, out = write(tmp_path / "like.csv", table(400)), tmp_path / "table.onnx"
    assert edgecl("export", "identity", "--like", like, "--label-column", "y", "-o", out).code == 0
    made = edgecl("init", tmp_path / "shop", "--extractor", out, "--max-classes", "4", "--lift", "16")
    assert made.code == 0, made.err
    return tmp_path / "shop"


def follow(store: Path, path: Path, *more: object):
    return edgecl("learn", store, path, "--prequential", "--label-column", "y", *more)


def test_a_stream_is_answered_learnt_and_committed(store: Path, tmp_path: Path) -> None:
    done = follow(store, write(tmp_path / "s.csv", table(2000)), "--json")
    assert done.code == 0
    assert done.value["rows"] == done.value["labelled"] == 2000
    assert done.value["accuracy"] > 0.75
    assert Store.open(store).current().number == done.value["revision"] == 2
    assert all(edgecl("status", store, "--json").value["classes"][label]["taught"] for label in ("fair", "fraud"))
    heard = edgecl("eval", store, write(tmp_path / "t.csv", table(300, seed=1)), "--label-column", "y", "--json")
    assert heard.value["accuracy"] > 0.75


def test_predict_finds_the_columns_by_name_in_any_order(store: Path, tmp_path: Path) -> None:
    follow(store, write(tmp_path / "s.csv", table(1000)))
    lines = ["20.00,Oslo,1", "20.00,Rome,2"]
    asked = write(tmp_path / "a.csv", [",".join(line.split(",")[::-1]) for line in lines], "other,city,amount")
    assert [one["label"] for one in edgecl("predict", store, asked, "--json").lines] == ["fraud", "fair"]


def test_bad_rows_are_counted_and_named_and_no_other_is_lost(store: Path, tmp_path: Path) -> None:
    bad = {
        "ragged row": "7,8",
        "not a number": "5000,lots,Rome,fair",
        "not finite": "5001,inf,Rome,fair",
        "bad timestamp": "noon,1.0,Rome,fair",
        "bad label": "5002,1.0,Rome,.hidden",
    }
    used = ["5003,1.0,Atlantis,fair", "3,1.0,Rome,fair", "5004,NaN,Rome,fair", "5005,1.0,Rome,"]
    path = write(tmp_path / "s.csv", [*table(300), *bad.values(), *used])
    done = follow(store, path, "--json")
    assert {one["reason"].partition(":")[0] for one in done.value["skipped"]} == set(bad)
    assert (done.value["rows"], done.value["labelled"]) == (304, 303)
    assert "does not know in 1 of the cells of 'city', 'Atlantis' for one" in done.err
    assert "unsorted time: in 1 of the rows, line 308 for one" in done.err
    assert "of the cells of 'amount': read as missing" in done.err


def test_a_class_too_many_is_skipped_and_named(store: Path, tmp_path: Path) -> None:
    lines = [*table(100), *(f"{at},1.0,Rome,typo{at}" for at in range(100, 104))]
    done = follow(store, write(tmp_path / "s.csv", lines), "--json")
    assert len(done.value["per_class"]) == 4
    assert [one["reason"].partition(":")[0] for one in done.value["skipped"]] == ["too many classes"] * 2


def test_a_concept_that_comes_back_is_answered_by_its_revision(store: Path, tmp_path: Path) -> None:
    lines = [*table(2500), *table(1500, seed=1, swapped=True), *table(1000, seed=2)]
    path = write(tmp_path / "s.csv", [line.partition(",")[2] for line in lines], "amount,city,y")
    done = follow(store, path)
    assert done.code == 0
    assert "2 confirmed drifts" in done.out
    assert "revision 2" in done.out
    told = edgecl("history", store).out
    assert "before the drift" in told
    assert "revision 2" in told


def test_a_dry_run_writes_nothing(store: Path, tmp_path: Path) -> None:
    done = follow(store, write(tmp_path / "s.csv", table(500)), "--dry-run")
    assert "DRY RUN" in done.out
    assert Store.open(store).revisions() == [1]


def test_a_stream_without_labels_is_no_lesson(store: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", [line.rpartition(",")[0] + "," for line in table(50)])
    done = follow(store, path)
    assert done.code == 3
    assert "no row had a label" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--prequential", "--label", "x"), "--label does not go with --prequential"),
        (("--prequential", "--force"), "--force does not go with --prequential"),
        (("--label-delay", "3"), "--label-delay is for streams"),
    ],
)
def test_options_that_do_not_go_together_are_refused(store: Path, tmp_path: Path, options, message: str) -> None:
    done = edgecl("learn", store, write(tmp_path / "s.csv", table(5)), *options)
    assert (done.code, message in done.err) == (2, True)


def test_a_label_column_that_is_not_there_is_named(store: Path, tmp_path: Path) -> None:
    done = edgecl("learn", store, write(tmp_path / "s.csv", table(5)), "--prequential", "--label-column", "class")
    assert done.code == 4
    assert "has no column class, only timestamp, amount, city, y" in done.err


@pytest.mark.host
def test_a_change_of_some_rows_alone_is_followed_although_the_alarm_dates_it_too_early(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[3] / "tools" / "make_interests"
    if not script.exists():
        pytest.skip("tools/make_interests is not beside the tests")
    table, out, store = tmp_path / "interests.csv", tmp_path / "interests.onnx", tmp_path / "interests"
    subprocess.run([script, table], check=True)
    assert edgecl("export", "identity", "--like", table, "--label-column", "topic", "-o", out).code == 0
    assert edgecl("init", store, "--extractor", out, "--max-classes", "8").code == 0
    told = edgecl("learn", store, table, "--prequential", "--label-column", "topic", "--json").value
    assert [one["chosen"] for one in told["drifts"]] == ["anew", "revision 2"]
    assert told["drifts"][0]["since"] > 256
    assert told["per_class"]["travel"]["accuracy"] > 0.6


def test_follow_is_the_command_and_writes_curve_and_plot(store: Path, tmp_path: Path) -> None:
    stream = write(tmp_path / "s.csv", table(1500))
    curve, plot = tmp_path / "c.csv", tmp_path / "p.svg"
    options = (
        "--label-column",
        "y",
        "--curve",
        curve,
        "--plot",
        plot,
        "--watch",
        "fraud",
        "--cost",
        "missed=5,false=1",
    )
    done = edgecl("follow", store, stream, *options, "--json")
    assert done.code == 0
    assert done.value["alerts"]["recall"] > 0.7
    assert curve.read_text().startswith("labelled rows,accuracy,")
    assert plot.read_text().startswith("<svg ")
    (answer,) = edgecl("predict", store, write(tmp_path / "one.csv", table(1)), "--top", "2", "--json").lines
    assert sum(one["probability"] for one in answer["top"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--cost", "missed=5,false=1"), "add --watch NAME"),
        (("--watch", "fraud", "--cost", "5"), "--cost"),
        (("--watch", "fraud", "--alerts-per-1000", "1000"), "--alerts-per-1000"),
        (("--prior", "even"), "--prior"),
        (("--watch", "fraud", "--cost", "missed=5,false=1", "--alerts-per-1000", "3"), "choose one"),
    ],
)
def test_options_that_cannot_work_are_refused(store: Path, tmp_path: Path, options, message: str) -> None:
    done = edgecl("follow", store, write(tmp_path / "s.csv", table(50)), "--label-column", "y", *options)
    assert done.code == 2
    assert message in done.err


def test_a_store_of_before_learns_on_and_rolls_back(tmp_path: Path) -> None:
    old = Path(__file__).parents[2] / "data"
    shutil.copytree(old / "store_0_1", tmp_path / "pump")
    before = Store.open(tmp_path / "pump").current()
    assert edgecl("follow", tmp_path / "pump", old / "new.csv", "--json").code == 0
    assert "experts" in Store.open(tmp_path / "pump").current().objects
    assert edgecl("rollback", tmp_path / "pump").code == 0
    after = Store.open(tmp_path / "pump").current()
    assert after.objects == before.objects
