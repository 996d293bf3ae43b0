"""What the numbers are said to mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edgecl.compare.advice import choose, recommend
from edgecl.compare.results import Comparison, Options, Result

from ..support.comparing import row
from ..support.learning import settings

pytestmark = pytest.mark.native("plays every strategy several times")


def comparison(rows: Sequence[Result], *, joint: Result, budgets: Sequence[Result] = ()) -> Comparison:
    return Comparison(
        options=Options(seeds=len(joint.values["accuracy"])),
        settings=settings(),
        classes=4,
        groups=4,
        samples=100,
        training=70.0,
        experiences=1,
        held_out=1,
        strategies=tuple(rows),
        joint=joint,
        penalties=(),
        budgets=tuple(budgets),
        weights=(),
        remarks=(),
    )


def test_of_strategies_as_good_the_smallest_is_recommended() -> None:
    joint = row("joint", [0.95, 0.95])
    small, large = row("closed-form", [0.93, 0.93], memory=10), row("auto", [0.931, 0.933], memory=99)
    found = comparison([row("naive", [0.2, 0.2]), large, small], joint=joint)
    assert choose(found) is small
    assert recommend(found)[0].startswith(
        "On your data: closed-form, because of all within 0.5 points of the best it remembers the least (the best, "
    )


def test_a_better_strategy_is_recommended_whatever_it_takes() -> None:
    small, large = row("closed-form", [0.90, 0.90], memory=10), row("replay", [0.93, 0.93], memory=99)
    assert choose(comparison([small, large], joint=row("joint", [0.95, 0.95]))) is large


def test_an_amount_of_old_data_may_be_recommended() -> None:
    whole, some = row("replay", [0.93, 0.93], memory=99), row("replay", [0.929, 0.929], memory=20)
    some = replace(some, budget=0.1, values={**some.values, "exemplars": np.full(2, 7.0)})
    found = comparison([whole], joint=row("joint", [0.95, 0.95]), budgets=[some])
    assert choose(found) is some
    assert recommend(found)[0].startswith("On your data: replay, keeping 10% of what it has learnt from, because ")


@pytest.mark.parametrize(
    ("most", "gain"),
    [(0.902, "gains nothing beyond 10% of it (7 exemplars)"), (0.95, "needs all of it (70 exemplars)")],
)
def test_the_smallest_budget_that_does_as_well_is_named(most: float, gain: str) -> None:
    amounts = [(0.0, 0.3, 0), (0.05, 0.8, 4), (0.1, 0.9, 7), (1.0, most, 70)]
    budgets = []
    for budget, accuracy, exemplars in amounts:
        one = row("replay", [accuracy, accuracy])
        kept = {**one.values, "exemplars": np.full(2, float(exemplars))}
        budgets.append(replace(one, values=kept, budget=budget))
    found = comparison([row("replay", [0.9, 0.9])], joint=row("joint", [0.95, 0.95]), budgets=budgets)
    (said,) = [one for one in recommend(found) if one.startswith("Old data")]
    assert f"replay {gain}: " in said
    assert "with none it is 30.0%" in said


def test_what_chance_could_have_made_is_said_to_be_chance() -> None:
    joint = row("joint", [0.95] * 4)
    replay, both = row("replay", [0.8, 0.9, 0.85, 0.85]), row("ewc-replay", [0.9, 0.8, 0.86, 0.84])
    assert any("within chance" in one for one in recommend(comparison([replay, both], joint=joint)))
    surely = row("ewc-replay", [0.9, 1.0, 0.951, 0.95])
    assert any("it pays" in one for one in recommend(comparison([replay, surely], joint=joint)))


def test_two_streams_give_no_interval_and_say_why() -> None:
    rows = [row("closed-form", [0.9, 0.5]), row("replay", [0.4, 0.8])]
    said = " ".join(recommend(comparison(rows, joint=row("joint", [0.95, 0.95]))))
    assert "±" not in said
    assert "2 streams are no evidence on chance" in said


def test_what_is_best_is_recommended_because_of_that() -> None:
    rows = [row("closed-form", [0.9, 0.9]), row("naive", [0.2, 0.2])]
    assert "no other is right more often" in recommend(comparison(rows, joint=row("joint", [0.95, 0.95])))[0]
