"""Irreversible sums: one matrix for all classes is all that the closed form needs."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from edgecl.errors import DataError, SettingError
from edgecl.model.head import factorise, whitened_cosine
from edgecl.model.share import Share
from edgecl.model.shares import pooled
from edgecl.model.statistics import ClassStatistics, packed_length
from edgecl.sharing.checks import require_fits, require_one_plan
from edgecl.sharing.plans import Plan, Planned, joined
from edgecl.sharing.share_file import Shape, decode, encode, encode_plan, read_plan
from edgecl.store.records import DIGEST

from .test_share_file import resealed

D = 12
LABELS = ("go", "no", "stop", "yes")
SHAPE = Shape("a" * 64, D, D, 0, 0, 0)


def statistics_of(rows: np.ndarray) -> ClassStatistics:
    mean = rows.mean(axis=0, dtype=np.float64)
    scatter = (rows - mean).T @ (rows - mean)
    return ClassStatistics(len(rows), mean, scatter[np.tril_indices(D)].astype(np.float32))


def taught(devices: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Samples by device and label: of length 1; a device may lack a class."""
    draw = np.random.default_rng(seed)
    means, found = draw.standard_normal((len(LABELS), D)), []
    for _ in range(devices):
        own = {}
        for label, mean in zip(LABELS, means, strict=True):
            if label == LABELS[0] or draw.random() < 0.7:
                rows = mean + 0.5 * draw.standard_normal((draw.integers(1, 9), D))
                own[label] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        found.append(own)
    return found


def plan_of(parts: list[dict[str, ClassStatistics]]) -> Plan:
    counts = [{label: one.count for label, one in part.items()} for part in parts]
    return joined([Plan({f"d{n}": Planned(f"d{n}", one)}) for n, one in enumerate(counts)])


def sent(part: dict[str, ClassStatistics], plan: Plan, device: int, **how: bool) -> bytes:
    return encode(Share(f"d{device}", f"d{device}", 1, "", part), SHAPE, plan=plan, **how)


def head_of(statistics: dict[str, ClassStatistics]) -> np.ndarray:
    head = whitened_cosine(factorise(statistics, np.empty(packed_length(D)), shrinkage_floor=0.03))
    return np.column_stack([head.weights, head.bias, head.typical])


@limits(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(0, 1000))
def test_the_head_is_that_of_a_store_that_was_taught_everything(devices: int, seed: int) -> None:
    samples = taught(devices + 1, seed)
    parts = [{label: statistics_of(rows) for label, rows in one.items()} for one in samples]
    plan = plan_of(parts)
    others = [decode(sent(part, plan, n), source="x").share.statistics for n, part in enumerate(parts) if n]
    merged, central = {}, {}
    for label in plan.counts:
        held = [one[label] for one in (parts[0], *others) if label in one]
        merged[label] = pooled(held, np.empty(packed_length(D)))
        central[label] = statistics_of(np.concatenate([one[label] for one in samples if label in one]))
    one, other = head_of(merged), head_of(central)
    assert np.abs(one - other).max() <= 2e-5 * np.abs(other).max()


def test_25_words_take_28_kb_and_a_plan_of_20_devices() -> None:
    draw, dimension = np.random.default_rng(0), 96
    held = {}
    for n in range(25):
        scatter = np.eye(dimension)[np.tril_indices(dimension)].astype(np.float32)  # of full rank
        held[f"word {n:02d}"] = ClassStatistics(9, draw.standard_normal(dimension), scatter)
    plan = Plan({f"d{n}": Planned(f"d{n}", dict.fromkeys(held, 9)) for n in range(20)})
    shape, share = Shape("a" * 64, dimension, dimension, 0, 0, 0), Share("d0", "d0", 1, "", held)
    assert len(encode(share, shape, plan=plan)) < 33e3 < 450e3 < len(encode(share, shape))


@pytest.mark.parametrize("half", [False, True])
def test_a_device_sends_nothing_of_a_single_class_but_count_and_mean(half: bool) -> None:
    parts = [{label: statistics_of(rows) for label, rows in one.items()} for one in taught(2, 3)]
    found = decode(sent(parts[1], plan_of(parts), 1, half=half), source="x")
    require_fits(found, SHAPE, own="d0", is_unit=True)
    shapes = [one.scatter / one.trace for one in found.share.statistics.values()]
    for one in shapes:
        np.testing.assert_allclose(one, shapes[0], atol=1e-5)
    assert {label: one.count for label, one in found.share.statistics.items()} == {
        label: one.count for label, one in parts[1].items()
    }


def parts_and_plan() -> tuple[list[dict[str, ClassStatistics]], Plan]:
    parts = [{label: statistics_of(rows) for label, rows in one.items()} for one in taught(3, 1)]
    return parts, plan_of(parts)


def test_a_plan_is_read_as_it_was_written_and_nothing_else_is(tmp_path) -> None:
    _, plan = parts_and_plan()
    path = tmp_path / "fleet.plan"
    path.write_bytes(encode_plan(plan, SHAPE))
    assert read_plan(path) == (plan, SHAPE)
    line = path.read_bytes()
    for wrong in (line[:-1], line.replace(b"go", b"ga"), b"", sent(parts_and_plan()[0][0], plan, 0)):
        path.write_bytes(wrong)
        with pytest.raises(DataError):
            read_plan(path)
    with pytest.raises(DataError, match="counts alone"):
        decode(line, source="x")
    draw = random.Random(0)
    for _ in range(300):
        changed = bytearray(line)
        changed[draw.randrange(len(line))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(DataError):
            read_plan(path)


@pytest.mark.parametrize(
    ("labels", "devices"),
    [
        (["go"], {}),
        (["go"], []),
        ([], {"d0": {"name": "a", "counts": []}}),
        ("go", {"d0": {"name": "a", "counts": [1, 1]}}),
        (["go"], {"d0": 1}),
        (["go"], {"d0": {"name": "a", "counts": [0]}}),
        (["go"], {"d0": {"name": "a", "counts": [-1]}}),
        (["go"], {"d0": {"name": "a", "counts": [1.5]}}),
        (["go"], {"d0": {"name": "a", "counts": [True]}}),
        (["go"], {"d0": {"name": "a", "counts": [1, 1]}}),
        (["go", "go"], {"d0": {"name": "a", "counts": [1, 1]}}),
        ([".go"], {"d0": {"name": "a", "counts": [1]}}),
        ([1], {"d0": {"name": "a", "counts": [1]}}),
        (["go"], {"d0": {"name": "a\nb", "counts": [1]}}),
        (["go"], {"": {"name": "a", "counts": [1]}}),
    ],
)
def test_a_sealed_file_that_is_no_plan_is_refused(tmp_path: Path, labels: object, devices: object) -> None:
    path = tmp_path / "fleet.plan"
    path.write_bytes(DIGEST.close({"counts_of": 1, **vars(SHAPE), "labels": labels, "devices": devices}))
    with pytest.raises(DataError, match=r"not an intact plan"):
        read_plan(path)


def test_a_device_is_in_a_plan_once() -> None:
    one, other = (Plan({"d0": Planned("kitchen", {"yes": n})}) for n in (3, 4))
    assert joined([one, one]) == one
    with pytest.raises(SettingError, match="twice, with other counts"):
        joined([one, other])


def test_shares_of_another_plan_or_of_a_part_of_one_are_refused() -> None:
    parts, plan = parts_and_plan()
    counts = {label: one.count for label, one in parts[0].items()}
    shares = {f"d{n}": decode(sent(parts[n], plan, n), source="x").share for n in (1, 2)}
    require_one_plan(shares, {"d1": plan, "d2": plan}, own="d0", counts=counts)
    smaller = joined([Plan({f"d{n}": plan.devices[f"d{n}"]}) for n in (0, 1)])
    other = decode(sent(parts[1], smaller, 1), source="x").share
    with pytest.raises(SettingError, match="different plans"):
        require_one_plan({**shares, "d1": other}, {"d1": smaller}, own="d0", counts=counts)
    with pytest.raises(SettingError, match="the plan has 'd2' too"):
        require_one_plan({"d1": shares["d1"]}, {"d1": plan}, own="d0", counts=counts)
    with pytest.raises(SettingError, match="was taught, or forgot, since"):
        require_one_plan(shares, {"d1": plan}, own="d0", counts={**counts, "go": 99})
    with pytest.raises(SettingError, match="is not in the plan"):
        require_one_plan(shares, {"d1": plan}, own="d9", counts=counts)


def test_numbers_that_do_not_fit_the_plan_are_refused() -> None:
    parts, plan = parts_and_plan()
    data = sent(parts[1], plan, 1)
    for stated in ({"share": 1}, {"plan": []}, {"plan": {}}, {"plan": {**plan.stated(), "devices": {}}}):
        with pytest.raises(DataError):
            decode(resealed(data, **stated), source="x")
    own = plan.devices["d1"].counts
    other = Plan({**plan.devices, "d1": Planned("d1", {**own, "go": 90})})
    with pytest.raises(SettingError, match="the plan says 90"):
        require_fits(decode(resealed(data, plan=other.stated()), source="x"), SHAPE, own="d0", is_unit=True)
    fewer = Plan({**plan.devices, "d1": Planned("d1", {"go": own["go"]})})
    with pytest.raises(SettingError, match="other classes"):
        require_fits(decode(resealed(data, plan=fewer.stated()), source="x"), SHAPE, own="d0", is_unit=True)
    plain = encode(Share("d1", "d1", 1, "", parts[1]), SHAPE)
    with pytest.raises(DataError):
        decode(resealed(plain, share=2, plan=plan.stated()), source="x")
    long = {label: ClassStatistics(one.count, one.mean, 9 * one.scatter) for label, one in parts[1].items()}
    with pytest.raises(DataError, match="mean squared length"):
        require_fits(decode(sent(long, plan, 1), source="x"), SHAPE, own="d0", is_unit=True)


def test_values_that_no_sum_could_hold_are_refused_file_by_file() -> None:
    rows = np.full((3, D), 1e17) * np.array([[1.0], [-1.0], [0.5]])
    share = Share("d1", "d1", 1, "", {"go": statistics_of(rows.astype(np.float32))})
    with pytest.raises(DataError, match="values that no sum could hold"):
        require_fits(decode(encode(share, SHAPE), source="x"), SHAPE, own="d0", is_unit=False)
