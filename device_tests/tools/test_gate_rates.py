"""What tools/gate_rates counts, and that it decides as `learn` does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgecl.gate.verdict import Policy
from edgecl.learning.loop import learn
from edgecl.model.model import MemoryObjects, Model

from ..support.learning import Words, as_lesson, settings, taught
from ..support.tools import tool


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    return tool("report.gate_rates", monkeypatch)


def lesson(*, before: list[int], clean: list[int], after: list[int], samples: int = 50) -> dict[str, Any]:
    named = [dict(zip("abcdefgh", counts, strict=False)) for counts in (before, clean, after)]
    return {"samples": dict.fromkeys(named[0], samples), "before": named[0], "clean": named[1], "after": [named[2]]}


def test_a_lesson_is_harmful_from_more_than_two_points_of_all_or_ten_of_one(report: Any) -> None:
    same, steady = [40, 40], [40, 40, 40, 40]
    assert not report.is_harmful(lesson(before=same, clean=same, after=[39, 39]), 0)  # 2 points of all
    assert report.is_harmful(lesson(before=same, clean=same, after=[39, 38]), 0)  # 3
    assert not report.is_harmful(lesson(before=steady, clean=steady, after=[35, 41, 42, 42]), 0)  # 10 of one
    assert report.is_harmful(lesson(before=steady, clean=steady, after=[34, 42, 42, 42]), 0)  # 12


def test_what_the_clean_lesson_costs_is_no_harm_and_what_it_gains_is_not_owed(report: Any) -> None:
    same = [40, 40]
    assert not report.is_harmful(lesson(before=same, clean=[30, 40], after=[30, 40]), 0)
    assert not report.is_harmful(lesson(before=same, clean=[50, 50], after=same), 0)


def test_what_stays_out_does_no_harm_and_classes_of_few_samples_can_be_left_aside(report: Any) -> None:
    found = lesson(before=[2], clean=[2], after=[1], samples=2)
    assert report.is_harmful(found, 0)
    assert not report.is_harmful(found, None)
    assert not report.is_harmful(found, 0, fewest=10)


def test_wilson_intervals_are_those_of_the_formula(report: Any) -> None:
    for count, of in ((0, 50), (3, 50), (50, 50)):
        for bound in report.wilson(count, of):  # the bounds solve (p - bound)² = z² bound (1 - bound) / n
            assert (count / of - bound) ** 2 == pytest.approx(report.Z**2 * bound * (1 - bound) / of, abs=1e-12)


@pytest.mark.host  # the module that it runs loads exporters
def test_a_decision_is_that_of_learn_and_its_reasons_are_known(report: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, words = tool("measure.gate_rates", monkeypatch), Words(6)
    model = taught(Model(settings()), words.lesson(30, words.labels[:5]))
    first, second = words.labels[:2]
    wrong = as_lesson(model, {first: words.say(second, 8)})
    good = as_lesson(model, words.lesson(8, words.labels[5:]))
    again = as_lesson(model, {"again": words.say(first, 8)})
    kinds = set()
    for one in (good, wrong, again):
        for policy in (Policy(), replace(Policy(), contradiction_share=1.0), replace(Policy(), new_class_floor=1.0)):
            outcome = learn(model, one, objects=MemoryObjects(), policy=policy)
            player = gate.Player(model, one)
            index, tried = player.play(policy).live, player.candidates
            assert (index is None) == (outcome.model is None)
            if index is None:
                kinds |= {report.reason_kind(text) for text in outcome.verdict.reasons}
            else:
                assert outcome.model is not None
                assert outcome.model.head is not None
                np.testing.assert_array_equal(tried[index].candidate.head.weights, outcome.model.head.weights)
    assert {"names that do not fit", "question"} <= kinds
    assert "fault" not in kinds


def test_doubles_and_wrong_samples_count_only_where_they_go_live(monkeypatch: pytest.MonkeyPatch) -> None:
    fair = tool("report.gate_fair", monkeypatch)
    same = {"a": 40, "b": 40}
    one = {
        "kind": fair.DOUBLES[0], "is_good": False, "samples": dict.fromkeys(same, 50), "before": same, "clean": same,
        "after": [{"a": 10, "b": 40}], "merged": [same], "accepted": {fair.SHIPPED: 0}, "doubles": {fair.SHIPPED: True},
    }  # fmt: skip
    asked = {**one, "accepted": {fair.SHIPPED: None}, "doubles": {fair.SHIPPED: False}}
    assert fair.doubles([one, asked], fair.SHIPPED) == [True, False]
    assert fair.doubles([one, asked], fair.ALWAYS) == [True, True]
    assert fair.damage([one], fair.ALWAYS) == []  # both names count as right
    assert fair.damage([{**one, "merged": one["after"]}], fair.SHIPPED) == [True]
    assert fair.damage([{**asked, "merged": one["after"]}], fair.SHIPPED) == [False]
    wrong = {"kind": fair.FEW_WRONG[0], "wrong": 4, "wrong_taught": {fair.SHIPPED: 1}}
    assert fair.wrong([wrong, {**wrong, "kind": "100% of the labels wrong"}], fair.SHIPPED) == (1, 4)
