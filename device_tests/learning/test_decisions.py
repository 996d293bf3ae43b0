"""Priors, costs and budgets of alerts."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learning.alerts import Alerts, Watch
from edgecl.learning.decisions import AlertBudget, Costs, Prior
from edgecl.metrics import average_precision

GIVEN = np.array([[0.9, 0.1], [0.99, 0.01], [0.0, 0.0]])
SEEN = {"fair": 95, "fraud": 5}


def test_the_prior_of_the_stream_changes_nothing() -> None:
    assert Prior.parse("stream").adjusted(GIVEN, ["fair", "fraud"], SEEN) is GIVEN


def test_a_stated_prior_weighs_what_the_stream_has() -> None:
    adjusted = Prior.parse("fraud=0.5,fair=0.5").adjusted(GIVEN, ["fair", "fraud"], SEEN)
    np.testing.assert_allclose(adjusted, Prior.parse("balanced").adjusted(GIVEN, ["fair", "fraud"], SEEN))
    assert adjusted[0, 1] == pytest.approx(0.1 / 0.05 / (0.1 / 0.05 + 0.9 / 0.95))
    assert not adjusted[2].any()  # nothing was known


@pytest.mark.parametrize("text", ["even", "a=b", "a=", "=1", "a=0", "a=-1", "a=nan", "a=1,,b=2"])
def test_a_prior_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(SettingError) as error:
        Prior.parse(text)
    assert error.value.parameter == "prior"


def test_the_threshold_is_where_both_errors_cost_the_same() -> None:
    costs = Costs.parse("missed=49,false=1")
    assert costs.threshold * costs.missed == pytest.approx((1 - costs.threshold) * costs.false)


@pytest.mark.parametrize("text", ["missed=1", "missed=1,false=0", "missed=1,false=1,other=1", "50"])
def test_costs_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(SettingError):
        Costs.parse(text)


@pytest.mark.native("follows thousands of rows")
def test_a_budget_is_kept_at_every_row_and_spent_on_the_likeliest() -> None:
    generator = np.random.default_rng(0)
    scores, budget = generator.random(20_000), AlertBudget(20)
    alerts = np.array([budget.alert(score) for score in scores])
    assert (alerts.cumsum() <= 20 * np.arange(1, 20_001) / 1000).all()
    assert alerts.sum() > 300
    assert scores[alerts][50:].min() > 0.9


@pytest.mark.parametrize("wanted", [0, 1000, -1])
def test_a_budget_out_of_range_is_refused(wanted: float) -> None:
    with pytest.raises(SettingError):
        AlertBudget(wanted)


def test_figures_of_alerts_are_those_of_the_scores() -> None:
    generator = np.random.default_rng(1)
    is_class = generator.random(5000) < 0.02
    scores = np.clip(generator.normal(0.2 + 0.3 * is_class, 0.1), 1e-4, 1 - 1e-4)
    alerts = Alerts(Watch("fraud", Costs(50, 1)))
    for score, own in zip(scores, is_class, strict=True):
        alerts.learn(score, is_alert=alerts.raised(score, is_answer=False), is_class=bool(own))
    told = alerts.as_dict()
    assert told["average_precision"] == pytest.approx(average_precision(is_class, scores), abs=0.01)
    raised = scores >= 1 / 51
    assert told["alerts"] == raised.sum()
    assert told["cost"] == 50 * (is_class & ~raised).sum() + (raised & ~is_class).sum()
