"""What is measured of strategies on recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.compare.results import GATED, Comparison, Options
from edgecl.compare.run import settings_for
from edgecl.compare.streams import recordings
from edgecl.errors import SettingError
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.learner import Learner
from edgecl.learning.strategies import COMPARED, GENERATED
from edgecl.model.exemplars import row_bytes
from edgecl.model.settings import plan_memory

from ..support.comparing import run, spoken
from ..support.learning import DIMENSION, settings

pytestmark = pytest.mark.native("plays every strategy several times")


@pytest.fixture(scope="module")
def by_class() -> Comparison:
    return run(spoken(), Options(seeds=2, experiences=3, budgets=(0.1,)))[0]


@pytest.fixture(scope="module")
def by_person() -> Comparison:
    return run(spoken(), Options(scenario="domain", seeds=2, budgets=()))[0]


def test_every_strategy_and_the_gate_have_a_row(by_class: Comparison) -> None:
    assert [one.name for one in by_class.strategies] == [*COMPARED, GATED]


def test_generated_replay_is_played_when_it_is_named() -> None:
    found = run(spoken(), Options(seeds=1, experiences=3, budgets=(), strategies=(GENERATED, "naive")))[0]
    assert [one.name for one in found.strategies] == ["naive", GENERATED]
    generated, naive = found.row(GENERATED), found.row("naive")
    assert generated is not None
    assert naive is not None
    assert generated.mean("old") > naive.mean("old")
    assert generated.mean("memory_bytes") > naive.mean("memory_bytes")


def test_naive_steps_forget_and_the_closed_form_does_not(by_class: Comparison) -> None:
    naive, closed = by_class.row("naive"), by_class.row("closed-form")
    assert naive is not None
    assert closed is not None
    assert naive.mean("old") < 0.5 < naive.mean("forgetting")
    assert closed.mean("accuracy") > 0.9
    assert abs(closed.mean("joint_loss")) < 0.05
    assert naive.mean("joint_loss") == pytest.approx(by_class.joint.mean("accuracy") - naive.mean("accuracy"))


def test_accuracy_on_all_is_made_of_old_and_new(by_class: Comparison) -> None:
    for one in (*by_class.strategies, by_class.joint):  # two of six classes came last
        assert one.mean("accuracy") == pytest.approx((4 * one.mean("old") + 2 * one.mean("new")) / 6)


def test_people_who_come_later_make_little_forgotten(by_person: Comparison) -> None:
    naive = by_person.row("naive")
    assert naive is not None
    assert naive.mean("forgetting") < 0.2
    assert by_person.joint.mean("accuracy") > 0.9


def test_no_more_exemplars_are_kept_than_the_budget_says(by_class: Comparison) -> None:
    assert [one.budget for one in by_class.budgets[::2]] == [0, 0.1, 1]
    for one in by_class.budgets:
        assert one.mean("exemplars") <= round((one.budget or 0) * by_class.training)
        assert one.mean("memory_bytes") >= one.mean("exemplars") * row_bytes(DIMENSION)
    nothing, some = by_class.budgets[0], by_class.budgets[2]
    assert nothing.mean("exemplars") == 0 < some.mean("exemplars")
    assert nothing.mean("old") < 0.6 < some.mean("old")


def test_the_weight_of_replay_moves_accuracy_from_new_to_old(by_class: Comparison) -> None:
    weights = [one.replay_weight for one in by_class.weights]
    assert weights == [0.25, 0.5, 0.75, 0.9]
    assert by_class.weights[0].mean("old") <= by_class.weights[-1].mean("old")


def test_the_same_data_gives_the_same_numbers() -> None:
    options = Options(seeds=2, experiences=2, strategies=("ewc-replay", "auto"), budgets=())
    first, second = (run(spoken(), options)[0] for _ in range(2))
    for one, other in zip((*first.strategies, first.joint), (*second.strategies, second.joint), strict=True):
        for measure in set(one.values) - {"ms"}:
            np.testing.assert_array_equal(one.values[measure], other.values[measure])


def test_progress_ends_where_it_said_it_would() -> None:
    _, steps = run(spoken(), Options(seeds=2, experiences=2, strategies=("replay",)))
    assert [one.done for one in steps] == list(range(steps[0].total))


def test_a_refused_lesson_is_counted_with_its_reason(rng: np.random.Generator) -> None:
    data = spoken(people=6)
    assert data.groups is not None
    swapped = np.where(data.labels < 2, 1 - data.labels, data.labels)
    labels = np.where(data.groups == 0, swapped, data.labels)  # one person calls two words by each other's name
    found, _ = run(replace(data, labels=labels), Options(scenario="domain", seeds=3, strategies=("auto",)))
    gated, open_gate = found.row(GATED), found.row("auto")
    assert gated is not None
    assert open_gate is not None
    assert gated.refusals
    assert gated.values["refused"].sum() == len(gated.refusals)
    assert not open_gate.refusals


def test_a_new_class_that_the_gate_would_ask_about_is_taught_as_one_of_its_own() -> None:
    data = spoken()
    near, of = data.labels == 1, data.latents[data.labels == 0].mean(axis=0)
    latents = data.latents.copy()
    latents[near] += 0.8 * (of - latents[near].mean(axis=0))
    options = Options(seeds=2, experiences=3, strategies=("auto",), budgets=())
    found, _ = run(replace(data, latents=latents), options)
    gated, open_gate = found.row(GATED), found.row("auto")
    assert gated is not None
    assert open_gate is not None
    assert not gated.refusals
    np.testing.assert_array_equal(gated.values["accuracy"], open_gate.values["accuracy"])


def test_strategies_that_do_not_fit_the_memory_are_named_and_their_sweep_is_granted_it() -> None:
    latents = np.random.default_rng(0).standard_normal((400, 64)).astype(np.float32)
    wide = recordings(
        latents, [f"word {one % 20}" for one in range(400)], [f"person {one // 40}" for one in range(400)]
    )
    tight = settings(dimension=64, memory_bytes=160_000)
    assert not plan_memory(tight, 20).can_refine
    found, _ = run(wide, Options(seeds=1, budgets=(0.2,), strategies=("replay", "closed-form")), tight)
    assert [one.name for one in found.strategies] == ["closed-form"]
    assert any("not played: replay" in remark for remark in found.remarks)
    assert {one.name for one in found.budgets} == {"replay"}


def test_memory_in_which_nothing_asked_for_can_be_played_is_refused() -> None:
    latents = np.random.default_rng(0).standard_normal((400, 64)).astype(np.float32)
    wide = recordings(
        latents, [f"word {one % 20}" for one in range(400)], [f"person {one // 40}" for one in range(400)]
    )
    with pytest.raises(SettingError, match="nothing is left to play"):
        run(wide, Options(strategies=("naive",)), settings(dimension=64, memory_bytes=160_000))


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(SettingError, match="'magic' is not a strategy"):
        run(spoken(), Options(strategies=("magic",)))


def test_the_comparison_is_plain_json(by_class: Comparison) -> None:
    import json

    told = json.loads(json.dumps(by_class.as_dict(), allow_nan=False))
    assert {one["strategy"] for one in told["strategies"]} == {*COMPARED, GATED}
    assert set(told["strategies"][0]["accuracy"]) == {"mean", "interval", "values"}
    assert set(told["break_even_lesson"]) == {*COMPARED, GATED}


def test_the_memory_is_divided_as_init_does(tmp_path: Path) -> None:
    try:
        file = builtin_extractor("voice")
    except Exception as error:  # a checkout in which it has not been built
        pytest.skip(str(error))
    learner = Learner.create(tmp_path / "store", extractor="voice")
    contract = open_extractor(file).contract
    made = settings_for(contract, classes=10, memory_bytes=None, extractor_bytes=file.stat().st_size)
    assert made == learner.settings
