"""The gate as a function of evidence: what it lets in, what it refuses, and what it says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.gate.judge import judge
from edgecl.gate.verdict import Contradiction, Evidence, Foreign, Policy, posterior_above

POLICY = Policy()


def right(count: int, of: int) -> NDArray[np.bool_]:
    return np.arange(of) < count


def evidence(**more: object) -> Evidence:
    plain: dict[str, object] = {"before": {}, "after": {}, "among_old": {}, "taught": {}, "new_labels": frozenset()}
    return Evidence(**{**plain, **more})  # type: ignore[arg-type]


def known(before: int, after: int, of: int = 48, classes: int = 10) -> dict[str, object]:
    labels = [f"class {index}" for index in range(classes)]
    return {
        "before": {label: right(before, of) for label in labels},
        "after": {label: right(after, of) for label in labels},
        "among_old": {label: right(after, of) for label in labels},
    }


def test_nothing_lost_on_ample_evidence_is_accepted_and_proven() -> None:
    verdict = judge(evidence(**known(46, 46)), POLICY)
    assert verdict.accepted
    assert verdict.proven
    assert verdict.reasons == ()


def test_a_gain_is_accepted() -> None:
    verdict = judge(evidence(**known(40, 46)), POLICY)
    assert verdict.proven
    assert verdict.pooled_change == pytest.approx(6 / 48)


def test_a_small_loss_everywhere_beyond_the_allowed_is_refused() -> None:
    verdict = judge(evidence(**known(47, 45, of=48, classes=40)), POLICY)
    assert not verdict.accepted
    assert "-4.2 points" in verdict.reasons[0]


def test_one_class_that_falls_is_refused_and_named() -> None:
    parts = known(47, 47)
    after = dict(parts["after"])  # type: ignore[call-overload]
    after["class 3"] = right(30, 48)
    verdict = judge(evidence(before=parts["before"], after=after, among_old=after), POLICY)
    assert not verdict.accepted
    assert "'class 3'" in verdict.reasons[0]
    assert verdict.classes["class 3"].loss_probability > 0.99


def test_one_lost_sample_of_few_is_no_reason_to_refuse() -> None:
    assert judge(evidence(**known(5, 4, of=5, classes=1)), POLICY).accepted


def test_little_evidence_is_accepted_as_unproven_and_says_what_would_settle_it() -> None:
    verdict = judge(evidence(**known(4, 4, of=4, classes=2)), POLICY)
    assert verdict.accepted
    assert not verdict.proven
    assert "kept samples of each old class" in verdict.reasons[0]


def test_no_evidence_at_all_is_accepted() -> None:
    assert judge(evidence(), POLICY).accepted


def test_a_new_class_that_is_never_answered_right_is_refused() -> None:
    verdict = judge(evidence(taught={"new": right(0, 6)}, new_labels=frozenset({"new"})), POLICY)
    assert not verdict.accepted
    assert "0 of its own 6" in verdict.reasons[0]


def test_five_good_samples_of_a_new_class_are_proven() -> None:
    verdict = judge(evidence(**known(48, 48), taught={"new": right(5, 5)}, new_labels=frozenset({"new"})), POLICY)
    assert verdict.proven
    assert verdict.classes["new"].is_new


def test_a_new_class_of_one_sample_is_unproven() -> None:
    verdict = judge(evidence(taught={"new": right(0, 0)}, new_labels=frozenset({"new"})), POLICY)
    assert verdict.accepted
    assert not verdict.proven
    assert "would settle it" in verdict.reasons[-1]


def test_a_contradiction_is_final_and_names_both() -> None:
    verdict = judge(evidence(contradictions=[Contradiction("no", "yes", 4, 5)]), POLICY)
    assert not verdict.accepted
    assert verdict.is_final
    assert "'no'" in verdict.reasons[0]
    assert "'yes'" in verdict.reasons[0]


def test_a_few_strange_samples_are_no_contradiction() -> None:
    assert judge(evidence(contradictions=[Contradiction("no", "yes", 2, 5)]), POLICY).accepted
    assert judge(evidence(contradictions=[Contradiction("no", "yes", 2, 2)]), POLICY).accepted


def test_a_label_whose_samples_are_known_as_several_others_is_a_contradiction() -> None:
    found = [Contradiction("no", "yes", 2, 6), Contradiction("no", "go", 3, 6)]
    verdict = judge(evidence(contradictions=found), POLICY)
    assert "5 of 6 samples called 'no' are what the model knows as 'go' or 'yes'" in verdict.reasons[0]


def test_a_few_contradictions_of_each_label_are_too_many_together() -> None:
    found = [Contradiction(label, "yes", 2, 5) for label in ("no", "go", "up", "down")]
    known = [Foreign(one.label, 1.0, 0.6, one.of) for one in found]
    assert judge(evidence(contradictions=found[:1], foreign=known), POLICY).accepted
    verdict = judge(evidence(contradictions=found, foreign=known), POLICY)
    assert verdict.is_final
    assert verdict.reasons[0].startswith(
        "8 of 20 samples are what the model knows as something else, 'no' as 'yes' and 'go'"
    )


def test_samples_far_from_their_class_are_refused() -> None:
    verdict = judge(evidence(foreign=[Foreign("no", 8.0, 0.0, 5)]), POLICY)
    assert not verdict.accepted
    assert "8.0 times" in verdict.reasons[0]


def test_a_fault_is_refused_as_it_stands() -> None:
    verdict = judge(evidence(faults=["the candidate is not finite"]), POLICY)
    assert not verdict.accepted
    assert verdict.reasons == ("the candidate is not finite",)


def test_the_verdict_is_plain_json() -> None:
    plain = judge(evidence(**known(46, 46)), POLICY).as_dict()
    assert plain["accepted"] is True
    assert isinstance(plain["classes"], dict)


def test_the_posterior_is_that_of_a_beta_distribution() -> None:
    assert posterior_above(3, 3, 0.5) == pytest.approx(0.5, abs=0.01)
    assert posterior_above(5, 0, 0.5) == pytest.approx(0.9931, abs=0.001)
    assert posterior_above(3, 2, 0.3) == pytest.approx(0.9228, abs=0.001)
    assert posterior_above(0, 5, 0.5) < 0.01


def drawn_away(count: int, of: int = 48) -> dict[str, object]:
    """One of ten old classes loses `count` samples to the new one; among the old ones nothing changes."""
    parts = known(of, of, of=of)
    after = dict(parts["after"])  # type: ignore[call-overload]
    after["class 3"] = right(of - count, of)
    return {**parts, "after": after}


def test_a_word_that_sounds_like_an_old_one_may_draw_some_of_it_away() -> None:
    verdict = judge(evidence(**drawn_away(10)), POLICY)
    assert verdict.accepted
    assert verdict.classes["class 3"].after == pytest.approx(38 / 48)


def test_a_word_that_draws_most_of_an_old_one_away_is_refused() -> None:
    verdict = judge(evidence(**drawn_away(30)), POLICY)
    assert not verdict.accepted
    assert "'class 3'" in verdict.reasons[0]


def test_another_speaker_is_far_but_understood_and_let_in() -> None:
    assert judge(evidence(foreign=[Foreign("no", 6.0, 0.8, 5)]), POLICY).accepted


def test_what_is_farther_than_any_speaker_is_refused_however_it_is_answered() -> None:
    assert not judge(evidence(foreign=[Foreign("no", 15.0, 1.0, 5)]), POLICY).accepted


def test_a_class_that_stands_alone_is_unproven_however_it_is_answered() -> None:
    verdict = judge(evidence(taught={"new": right(9, 9)}, new_labels=frozenset({"new"})), POLICY)
    assert verdict.accepted
    assert not verdict.proven


def test_one_weak_class_of_ten_is_told_and_no_reason_to_refuse_the_others() -> None:
    labels = [f"new {index}" for index in range(10)]
    sound = {label: right(45, 48) for label in labels}
    verdict = judge(evidence(taught={**sound, "new 3": right(10, 48)}, new_labels=frozenset(labels)), POLICY)
    assert verdict.accepted
    assert not verdict.proven
    assert any("'new 3' would be answered right in only 10" in one for one in verdict.reasons)
    two = {**sound, "new 3": right(10, 48), "new 4": right(10, 48)}
    assert not judge(evidence(taught=two, new_labels=frozenset(labels)), POLICY).accepted


def test_a_second_person_is_far_from_a_class_that_few_samples_taught() -> None:
    assert not judge(evidence(foreign=[Foreign("no", 3.0, 0.0, 5)]), POLICY).accepted
    assert not judge(evidence(foreign=[Foreign("no", 3.0, 0.0, 5, odds=-6.0)]), POLICY).accepted
    assert judge(evidence(foreign=[Foreign("no", 3.0, 0.0, 5, odds=-3.0)]), POLICY).accepted
