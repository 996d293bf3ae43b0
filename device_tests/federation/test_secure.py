"""Sums that hide their parts: what is sent, how fine it is, and what comes out."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.errors import DataError, SettingError
from edgecl.federation.app import write_app
from edgecl.federation.dealing import deal_people
from edgecl.federation.secure import Agreement, levels, others_of
from edgecl.federation.simulation import simulate
from edgecl.model.head import HeadState, factorise, whitened_cosine
from edgecl.model.statistics import ClassStatistics, accumulate, packed_length
from edgecl.sharing.checks import is_positive
from edgecl.sharing.sums import Sums

from ..operations.test_sharing import DIMENSION, LABELS, latents
from ..support.commands import voice_extractor
from ..support.stores import without_waiting
from .test_simulation import people

AGREED = Agreement(LABELS, DIMENSION, bound=64)
CLOSE, SAME = 1e-4, 0.995  # of the entries of a plain sum; answers of the head


def part(seed: int, count: int = 12, labels: tuple[str, ...] = LABELS) -> dict[str, ClassStatistics]:
    found = {}
    for label, rows in latents(seed, count, labels).items():
        scatter = np.empty(packed_length(DIMENSION))
        samples, mean = accumulate(None, [rows], scatter)
        found[label] = ClassStatistics(samples, mean, scatter.astype(np.float32))
    return found


def quantised(vector: NDArray[np.float64], draw: np.random.Generator, steps: int) -> NDArray[np.float64]:
    """As SecAgg+ does: from -1 to 1 in so many levels, rounded by chance."""
    scaled = (vector + 1) / 2 * (steps - 1)
    return 2 * np.floor(scaled + draw.random(len(vector))) / (steps - 1) - 1


def head_of(statistics: dict[str, ClassStatistics]) -> HeadState:
    return whitened_cosine(factorise(statistics, np.empty(packed_length(DIMENSION)), shrinkage_floor=0.03))


def test_a_quantised_sum_is_the_plain_sum_and_answers_as_it() -> None:
    draw, sums = np.random.default_rng(0), Sums()
    parts = [part(0), part(1, labels=("go", "no")), part(2, count=1), part(3), part(4, labels=("stop", "yes"))]
    for one in parts:
        sums.add(one)
    exact = np.sum([AGREED.vector(one) for one in parts], axis=0)
    total = np.sum([quantised(AGREED.vector(one), draw, levels(len(parts))) for one in parts], axis=0)
    assert np.abs(total - exact).max() * AGREED.bound <= CLOSE
    found, plain = AGREED.statistics(total), sums.statistics()
    assert {label: one.count for label, one in found.items()} == {label: one.count for label, one in plain.items()}
    rows = draw.standard_normal((4000, DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    one, other = (head_of(each).logits(rows).argmax(axis=1) for each in (found, plain))
    assert np.mean(one == other) >= SAME
    rest = others_of(found, parts[0])
    assert all(is_positive(each) for each in rest.values())
    assert rest["yes"].count == plain["yes"].count - 12


def test_a_class_of_one_device_alone_is_none_of_the_others() -> None:
    parts = [part(0), part(1, labels=("go",)), part(2, labels=("go",))]
    total = AGREED.statistics(np.sum([AGREED.vector(one) for one in parts], axis=0))
    assert set(total) == set(LABELS)
    assert set(others_of(total, parts[0])) == {"go"}


def test_more_samples_than_were_agreed_weigh_as_so_many_and_other_labels_are_not_sent() -> None:
    few = Agreement(("yes",), DIMENSION, bound=5)
    vector = few.vector(part(0))
    assert (len(vector), vector[0]) == (few.length, 1)
    assert few.statistics(vector)["yes"].count == 5


def test_what_is_agreed_is_read_again_and_nonsense_is_refused() -> None:
    assert Agreement.of(AGREED.stated()) == AGREED
    for stated in ("", "{}", '{"labels": 3, "dimension": 1, "bound": 1}'):
        with pytest.raises(DataError):
            Agreement.of(stated)
    with pytest.raises(SettingError):
        Agreement((), DIMENSION, bound=1)
    with pytest.raises(DataError, match="length 1"):
        AGREED.vector({"yes": ClassStatistics(60, 9 * part(0)["yes"].mean, part(0)["yes"].scatter)})


def test_sums_stay_below_the_modulus() -> None:
    for devices in (3, 5, 63, 64, 1000, 100_000):
        assert devices * levels(devices) < 1 << 32
    with pytest.raises(SettingError, match="two"):
        levels(2)


def test_a_secure_sum_of_two_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    dealt = deal_people(people(4), devices=2, rounds=1, seed=0)
    with pytest.raises(SettingError, match="3 or more"):
        simulate(dealt, tmp_path / "fleet", extractor="voice", engine="secure").finish()
    assert not (tmp_path / "fleet").exists()


def test_the_app_states_what_was_agreed(tmp_path: Path) -> None:
    files = write_app(tmp_path / "fleet", nodes=3, secure=["yes", 'say "no"', "yes"], bound=9)
    config = tomllib.loads(files[0].read_text())["tool"]["flwr"]["app"]["config"]
    assert (config["labels"], config["bound"]) == ('["say \\"no\\"", "yes"]', 9)
    assert "secure_client" in (tmp_path / "fleet" / "edgecl_fleet" / "client.py").read_text()
    with pytest.raises(SettingError, match="3 or more"):
        write_app(tmp_path / "two", nodes=2, secure=["yes"])
    assert not (tmp_path / "two").exists()


def test_secure_sums_on_flower_answer_as_the_central_store(tmp_path: Path) -> None:
    pytest.importorskip("flwr")
    voice_extractor()
    dealt = deal_people(people(6), devices=4, rounds=2, seed=0)
    with without_waiting():
        report = simulate(dealt, tmp_path / "fleet", extractor="voice", engine="secure").finish()
    assert report.engine == "secure"
    for one in report.rounds:
        assert (one.replied, one.refused) == (4, {})
        assert one.same_answers >= SAME
