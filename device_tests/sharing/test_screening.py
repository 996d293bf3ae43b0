"""Hostile devices: who is left out, and what is left of the answers."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.model.head import factorise, whitened_cosine
from edgecl.model.model import MemoryObjects
from edgecl.model.share import Share
from edgecl.model.shares import MEDIAN, pooled
from edgecl.model.statistics import ClassStatistics, packed_length
from edgecl.sharing.screening import CAP, capped, screened
from edgecl.sharing.sums import Sums

from ..support.learning import DIMENSION, Words
from .test_merging import own_model

DEVICES, WORDS = 10, 8
HONEST = 0.95  # least balanced accuracy of the honest sum


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(WORDS, seed=4)


@pytest.fixture(scope="module")
def honest(words: Words) -> dict[str, Share]:
    objects = MemoryObjects()
    held = {f"{n}": own_model(words.lesson(8), objects).statistics for n in range(DEVICES)}
    return {name: Share(name, name, 1, name, one) for name, one in held.items()}


def turned(share: Share, attack: str) -> Share:
    labels, draw = sorted(share.statistics), np.random.default_rng(int(share.device))
    moved = {label: share.statistics[labels[(at + 1) % len(labels)]] for at, label in enumerate(labels)}
    match attack:
        case "shifted":
            made = moved
        case "shifted and scaled":
            made = {label: claimed(one, 1000) for label, one in moved.items()}
        case "noise":
            rows = {label: draw.standard_normal((9, DIMENSION)).astype(np.float32) * 3 for label in labels}
            made = dict(own_model(rows, MemoryObjects()).statistics)
    return Share(share.device, share.name, 1, "", made)


def claimed(one: ClassStatistics, times: int) -> ClassStatistics:
    return ClassStatistics(one.count * times, one.mean, one.scatter * np.float32(times))


def accuracy(words: Words, statistics: dict[str, ClassStatistics]) -> float:
    head = whitened_cosine(factorise(statistics, np.empty(packed_length(DIMENSION)), shrinkage_floor=0.03))
    asked = {label: words.say(label, 40) for label in words.labels}
    return float(np.mean([np.mean(head.logits(x).argmax(1) == head.labels.index(one)) for one, x in asked.items()]))


def total(shares: dict[str, Share]) -> dict[str, ClassStatistics]:
    sums = Sums()
    for one in shares.values():
        sums.add(one.statistics)
    return sums.statistics()


def test_honest_devices_all_pass(honest: dict[str, Share]) -> None:
    found = screened(honest, {}, floor=0.03)
    assert (set(found.kept), found.left_out) == (set(honest), {})
    assert min(found.right.values()) > 0.8


@pytest.mark.parametrize("attack", ["shifted", "shifted and scaled", "noise"])
@pytest.mark.parametrize("hostile", [1, 2, 3])
def test_hostile_devices_are_left_out_and_named(
    words: Words, honest: dict[str, Share], attack: str, hostile: int
) -> None:
    bad = {name: turned(one, attack) for name, one in list(honest.items())[:hostile]}
    found = screened({**honest, **bad}, {}, floor=0.03)
    assert set(found.left_out) == set(bad)
    assert all("of its classes are what the other devices call so" in one for one in found.left_out.values())
    assert accuracy(words, total(dict(found.kept))) > HONEST


def test_a_pair_of_devices_is_not_screened(honest: dict[str, Share]) -> None:
    pair = {"0": honest["0"], "1": turned(honest["1"], "shifted")}
    assert screened(pair, {}, floor=0.03).left_out == {}
    own = honest["2"].statistics
    assert len(screened({**pair, "3": honest["3"]}, own, floor=0.03).left_out) == 1


def test_a_cap_and_a_median_hold_back_what_claims_much_of_one_word(words: Words, honest: dict[str, Share]) -> None:
    first, second = words.labels[:2]
    statistics = {**honest["0"].statistics, first: claimed(honest["0"].statistics[second], 1000)}
    shares = {**honest, "0": Share("0", "0", 1, "", statistics)}
    assert screened(shares, {}, floor=0.03).left_out == {}  # most of its words are right
    right = total(honest)[first].mean
    held = [one.statistics[first] for one in shares.values()]
    moved = [
        float(np.linalg.norm(one.mean - right))
        for one in (
            total(shares)[first],
            total(capped(shares, {}, times=CAP))[first],
            pooled(held, np.empty(packed_length(DIMENSION)), combine=MEDIAN),
        )
    ]
    assert moved[0] > 2 * moved[1] > 4 * moved[2]


def test_a_cap_leaves_devices_of_like_size_alone(honest: dict[str, Share]) -> None:
    assert capped(honest, {}, times=CAP) == honest
