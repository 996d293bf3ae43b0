"""Priorities: the order in which classes give way, and their shares of the exemplars."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecl.learning.priorities import MOST_USE, giving_way, make_way, used, weights
from edgecl.model.exemplars import quotas
from edgecl.model.model import Model

from ..support.learning import Words, settings, taught


@pytest.fixture
def model() -> Model:
    words = Words(4)
    return taught(Model(settings(max_classes=4)), words.lesson(10))


def test_past_dates_go_first_then_the_least_used(model):
    a, b, c, d = model.labels
    said = {a: "while-used", b: "2026-05-01", c: "2026-04-01", d: "while-used"}
    model = replace(model, priorities=said, use={a: 3.0, d: 9.0})
    assert giving_way(model, 9, today="2026-06-01T00:00:00+00:00") == [c, b, a, d]
    assert giving_way(model, 9, today="") == [a, d]
    assert make_way(model, ["new"], today="") == [a]
    assert make_way(model, ["new", a], today="") == [d]
    assert make_way(model, ["one", "two", "three"], today="") == []


def test_use_of_long_ago_fades_as_new_use_comes(model):
    a, b, *_ = model.labels
    model = used(model, {a: 5000})
    for _ in range(8):
        model = used(model, {b: 1000})
    assert model.use[a] < model.use[b] / 10
    assert sum(model.use.values()) <= 2 * MOST_USE + 1


def test_a_class_of_little_use_has_a_smaller_share_and_others_what_they_had(model):
    a, b, c, d = model.labels
    model = replace(model, priorities={a: "while-used", b: "always"}, use={b: 10.0})
    held, said = dict.fromkeys(model.labels, 100), weights(model)
    shares = quotas(held, capacity_bytes=130_000, row_dimension=96, weights=said)
    assert shares[b] == shares[c] == shares[d] == 100
    tight = quotas(held, capacity_bytes=13_000, row_dimension=96, weights=said)
    assert tight[a] == pytest.approx(tight[b] / 4, abs=1)
    assert sum(tight.values()) <= 130
