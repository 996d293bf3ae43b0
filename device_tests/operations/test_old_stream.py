"""A stream that an earlier edgecl began: see device_tests/data/README.md."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgecl.learner import Learner
from edgecl.model.model import EXPERTS

from ..data.make_store_stream import ANSWERS, ROWS, STORE, rows

NEXT = rows(ROWS + 40)[ROWS:]


@pytest.fixture
def learner(tmp_path: Path) -> Learner:
    return Learner.open(shutil.copytree(STORE, tmp_path / "pump"))


def stated_format(learner: Learner) -> int:
    return int(json.loads((learner.path / "store.json").read_bytes())["format"])


def test_it_answers_what_it_answered_then(learner: Learner) -> None:
    then = json.loads(ANSWERS.read_text())
    assert len(then) == len(NEXT)
    for (row, _), wanted in zip(NEXT, then, strict=True):
        assert learner.predict_proba_one(row) == pytest.approx(wanted, abs=1e-5)


def test_it_goes_on_with_its_own_cells_in_a_store_that_an_earlier_edgecl_reads(learner: Learner) -> None:
    for row, label in NEXT:
        learner.learn_one(row, label)
    learner.commit()
    plan = Learner.open(learner.path).rows.stream.panel.experts.state.plan
    assert (plan.tables, plan.paired) == (64, False)
    assert stated_format(learner) == 3
    assert learner.store.check() == []


def test_one_whose_scale_an_earlier_edgecl_would_misread_is_refused_by_it(learner: Learner) -> None:
    scaling = learner.rows.stream.panel.experts.state.scaling
    scaling.late[0] = 1  # a column that woke up late
    learner.learn_one(*NEXT[0]).commit()
    assert stated_format(learner) == 5


def test_a_stream_that_begins_anew_in_its_store_has_cells_of_today(learner: Learner) -> None:
    learner.rollback(1)  # before its first row
    learner.learn_one(*NEXT[0]).commit()
    assert Learner.open(learner.path).rows.stream.panel.experts.state.plan.paired
    assert stated_format(learner) == 6


def test_it_is_rolled_back(learner: Learner) -> None:
    learner.rollback()
    assert EXPERTS in learner.store.current().objects
    right = [learner.predict_one(row) == label for row, label in NEXT]
    assert sum(right) / len(right) > 0.9
