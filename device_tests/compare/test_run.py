"""Streams from recordings, what is measured on them, and what the numbers are said to mean."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.compare.advice import choose, recommend
from edgecl.compare.results import GATED, Comparison, Estimate, Options, Result, break_even
from edgecl.compare.run import Progress, compare, settings_for
from edgecl.compare.streams import HELD_OUT, Recordings, embed, make_streams, prepare, recordings
from edgecl.errors import DataError, SettingError
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.learning.strategies import COMPARED
from edgecl.model.exemplars import row_bytes
from edgecl.model.settings import Settings, plan_memory
from edgecl.operations.open_store import Device
from edgecl.sources.samples import Sample, Skip

from ..support.learning import DIMENSION, Words, settings

pytestmark = pytest.mark.native("plays every strategy several times")


def spoken(classes: int = 6, *, people: int = 6, each: int = 6, seed: int = 0) -> Recordings:
    """Words by people who each shift all of theirs a little."""
    words = Words(classes, seed=seed)
    shift = np.random.default_rng(seed).standard_normal((people, DIMENSION)) * 0.1
    rows, labels, groups = [], [], []
    for label in words.labels:
        for person in range(people):
            rows.append(words.say(label, each) + shift[person].astype(np.float32))
            labels += [label] * each
            groups += [f"person {person}"] * each
    return recordings(np.concatenate(rows), labels, groups)


def run(data: Recordings, options: Options, given: Settings | None = None) -> tuple[Comparison, list[Progress]]:
    steps = []
    playing: Generator[Progress, None, Comparison] = compare(data, given or settings(), options)
    while True:
        try:
            steps.append(next(playing))
        except StopIteration as end:
            return end.value, steps


@pytest.fixture(scope="module")
def by_class() -> Comparison:
    return run(spoken(), Options(seeds=2, experiences=3, budgets=(0.1,)))[0]


@pytest.fixture(scope="module")
def by_person() -> Comparison:
    return run(spoken(), Options(scenario="domain", seeds=2, budgets=()))[0]


def row(name: str, accuracy: Sequence[float], *, memory: int = 0, ms: Sequence[float] = (1.0,)) -> Result:
    values = dict.fromkeys(
        ("old", "new", "forgetting", "bwt", "joint_loss", "disk_bytes", "ms", "exemplars", "refused"),
        np.zeros(len(accuracy)),
    )
    given = {"accuracy": np.array(accuracy), "memory_bytes": np.full(len(accuracy), float(memory))}
    return Result(name, {**values, **given}, np.tile(np.array(ms), (len(accuracy), 1)))


# recordings


class Doubling:
    """An extractor whose latent is twice the signal's first sample."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def latents(self, signals: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        self.asked.append(len(signals))
        return np.stack([2 * signal[0] for signal in signals])


def sample(value: float, label: str = "go", group: str | None = "ann") -> Sample:
    return Sample("file", label, np.full((4, 3), value, np.float32), group)


def test_samples_are_embedded_once_in_order_and_skips_are_kept() -> None:
    extractor, skip = Doubling(), Skip("bad.wav", "too short: 0.1 s")
    items = [skip, *(sample(value, "ab"[value % 2]) for value in range(20))]
    data = embed(items, extractor)  # type: ignore[arg-type]
    assert sum(extractor.asked) == 20
    np.testing.assert_array_equal(data.latents[:, 0], 2 * np.arange(20))
    assert [data.names[index] for index in data.labels[:3]] == ["a", "b", "a"]
    assert data.skipped == (skip,)


def test_a_latent_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        embed([sample(np.nan)], Doubling())  # type: ignore[arg-type]


def test_groups_are_known_only_if_every_sample_has_one() -> None:
    latents = np.zeros((3, 2), np.float32)
    assert recordings(latents, ["a", "a", "b"], ["x", "y", "x"]).group_names == ("x", "y")
    assert recordings(latents, ["a", "a", "b"], ["x", None, "x"]).groups is None


def test_rare_classes_and_those_of_one_person_are_left_out_and_named() -> None:
    data = spoken(4, people=4, each=4)
    rare = np.flatnonzero(data.labels == 1)[7:]
    alone = np.flatnonzero((data.labels == 2) & (data.groups != 0))
    kept, remarks = prepare(
        data.take(np.setdiff1d(np.arange(len(data.labels)), [*rare, *alone])), by="speaker", scenario="class"
    )
    assert kept.names == ("word 00", "word 03")
    assert "word 01, word 02" in remarks[0]


@pytest.mark.parametrize(
    ("data", "by", "scenario", "message"),
    [
        (spoken(1), None, "class", "one class"),
        (spoken(3, people=1, each=20), None, "class", "'person 0'.*none to split at random"),
        (spoken(3, people=2, each=2), None, "class", "fewer than two classes have 8 samples"),
        (replace(spoken(3), groups=None, group_names=()), "speaker", "class", "a split by speaker needs"),
        (replace(spoken(3), groups=None, group_names=()), None, "domain", "one after another"),
        (spoken(3), "none", "domain", "one after another"),
    ],
)
def test_data_that_cannot_be_compared_is_refused(data: Recordings, by: str | None, scenario: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(data, by=by, scenario=scenario)


def test_without_groups_it_splits_at_random_and_says_so() -> None:
    data, remarks = prepare(replace(spoken(3), groups=None, group_names=()), by=None, scenario="class")
    assert "at random" in remarks[0]
    (stream,) = make_streams(data, scenario="class", experiences=3, seeds=1)
    assert np.bincount(data.labels[stream.unseen]).tolist() == [11, 11, 11]  # three in ten of 36


# streams


@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_who_is_tested_on_taught_nothing(scenario: str) -> None:
    data = spoken()
    assert data.groups is not None
    for stream in make_streams(data, scenario=scenario, experiences=3, seeds=4):
        assert not set(data.groups[stream.training]) & set(data.groups[stream.unseen])


def test_seeds_test_on_other_people() -> None:
    data = spoken()
    assert data.groups is not None
    tested = [set(data.groups[one.unseen]) for one in make_streams(data, scenario="class", experiences=3, seeds=3)]
    assert set.union(*tested) == set(range(6))
    assert all(len(one) == 2 for one in tested)


def test_every_class_arrives_once() -> None:
    data = spoken()
    for stream in make_streams(data, scenario="class", experiences=4, seeds=3):
        arrived = [set(data.labels[rows]) for rows in stream.lessons]
        assert sum(map(len, arrived)) == len(set.union(*arrived)) == 6
        assert [set(data.labels[rows]) for rows in stream.parts] == arrived


def test_people_arrive_one_after_another_and_keep_a_quarter_back() -> None:
    data = spoken(each=8)
    assert data.groups is not None
    (stream,) = make_streams(data, scenario="domain", experiences=None, seeds=1)
    assert len(stream.lessons) == 4
    for learnt, tested in zip(stream.lessons, stream.parts, strict=True):
        assert set(data.groups[learnt]) == set(data.groups[tested])
        assert len(set(data.groups[learnt])) == 1
        assert not set(learnt) & set(tested)
        assert len(tested) * HELD_OUT == len(learnt) + len(tested)
        assert max(learnt[data.labels[learnt] == 0]) < min(tested[data.labels[tested] == 0])  # the end of the session


def test_a_class_on_one_side_of_a_split_is_not_played_and_named() -> None:
    data = spoken(4, people=3)
    assert data.groups is not None
    data = data.take(np.flatnonzero((data.labels != 3) | (data.groups < 2)))
    found, _ = run(data, Options(seeds=3, experiences=2, strategies=("closed-form",)))
    assert any("plays without word 03" in remark for remark in found.remarks)


@pytest.mark.parametrize(("scenario", "wanted"), [("class", "6 classes"), ("domain", "4 speakers")])
def test_more_experiences_than_there_can_be_are_refused(scenario: str, wanted: str) -> None:
    with pytest.raises(SettingError, match=f"7 experiences are too many.*{wanted}"):
        make_streams(spoken(), scenario=scenario, experiences=7, seeds=2)


def test_a_lesson_that_leaves_nothing_to_test_it_on_is_refused() -> None:
    with pytest.raises(SettingError, match="choose fewer"):
        make_streams(spoken(each=HELD_OUT - 1), scenario="domain", experiences=4, seeds=1)


def test_two_people_are_too_few_to_arrive_one_after_another() -> None:
    with pytest.raises(DataError, match="two or more lessons"):
        make_streams(spoken(people=2), scenario="domain", experiences=None, seeds=1)


# what is measured


def test_every_strategy_and_the_gate_have_a_row(by_class: Comparison) -> None:
    assert [one.name for one in by_class.strategies] == [*COMPARED, GATED]


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
    device = Device.create(tmp_path / "store", extractor="voice")
    contract = open_extractor(file).contract
    made = settings_for(contract, classes=10, memory_bytes=None, extractor_bytes=file.stat().st_size)
    assert made == device.settings


# what the numbers are said to mean


def test_the_interval_is_students() -> None:
    one = Estimate.of(np.array([1.0, 2.0, 3.0]))
    assert one.mean == 2
    assert one.interval == pytest.approx(4.303 / np.sqrt(3))
    assert Estimate.of(np.array([1.0])).interval is None


def test_the_interval_of_many_seeds_comes_near_that_of_a_normal_one() -> None:
    values = np.tile([0.0, 1.0], 50)
    assert Estimate.of(values).interval == pytest.approx(1.9842 * values.std(ddof=1) / 10, rel=1e-3)


@pytest.mark.parametrize(
    ("lessons", "retrained", "since"),
    [
        ((1, 1, 1), (2, 3, 4), 1),
        ((3, 3, 3), (1, 3, 9), 3),
        ((3, 3, 3), (4, 1, 9), 3),  # cheaper at first, then not, then for good
        ((3, 3, 3), (1, 1, 1), None),
    ],
)
def test_the_break_even_is_where_the_sum_stays_below(
    lessons: Sequence[float], retrained: Sequence[float], since: int | None
) -> None:
    assert break_even(row("auto", [0.9, 0.9], ms=lessons), row("joint", [0.9, 0.9], ms=retrained)) == since


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
    assert recommend(found)[0].startswith("On your data: closed-form. 93.0%")


def test_a_better_strategy_is_recommended_whatever_it_takes() -> None:
    small, large = row("closed-form", [0.90, 0.90], memory=10), row("replay", [0.93, 0.93], memory=99)
    assert choose(comparison([small, large], joint=row("joint", [0.95, 0.95]))) is large


def test_an_amount_of_old_data_may_be_recommended() -> None:
    whole, some = row("replay", [0.93, 0.93], memory=99), row("replay", [0.929, 0.929], memory=20)
    some = replace(some, budget=0.1, values={**some.values, "exemplars": np.full(2, 7.0)})
    found = comparison([whole], joint=row("joint", [0.95, 0.95]), budgets=[some])
    assert choose(found) is some
    assert recommend(found)[0].startswith("On your data: replay, keeping 10% of what it has learnt from. 92.9%")


def test_the_smallest_budget_that_does_as_well_is_named() -> None:
    amounts = [(0.0, 0.3, 0), (0.05, 0.8, 4), (0.1, 0.9, 7), (1.0, 0.902, 70)]
    budgets = []
    for budget, accuracy, exemplars in amounts:
        one = row("replay", [accuracy, accuracy])
        kept = {**one.values, "exemplars": np.full(2, float(exemplars))}
        budgets.append(replace(one, values=kept, budget=budget))
    found = comparison([row("replay", [0.9, 0.9])], joint=row("joint", [0.95, 0.95]), budgets=budgets)
    (said,) = [one for one in recommend(found) if one.startswith("Old data")]
    assert "nothing beyond 10% of it (7 exemplars)" in said
    assert "with none it is 30.0%" in said


def test_what_chance_could_have_made_is_said_to_be_chance() -> None:
    joint = row("joint", [0.95, 0.95, 0.95])
    replay, both = row("replay", [0.8, 0.9, 0.85]), row("ewc-replay", [0.9, 0.8, 0.86])
    assert any("within chance" in one for one in recommend(comparison([replay, both], joint=joint)))
    surely = row("ewc-replay", [0.9, 1.0, 0.951])
    assert any("it pays" in one for one in recommend(comparison([replay, surely], joint=joint)))
