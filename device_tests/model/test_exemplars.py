"""Exemplars: int8 rows, herding order, quotas within a byte budget."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.model.exemplars import (
    HERDING_CANDIDATES,
    Exemplars,
    dequantise,
    herd,
    is_evidence,
    quantise,
    quotas,
    row_bytes,
)
from edgecl.values import replace


def test_quantised_rows_are_within_half_a_step(rng: np.random.Generator) -> None:
    latents = rng.standard_normal((20, 33)).astype(np.float32)
    held = quantise(latents)
    step = np.abs(latents).max(axis=1) / 127
    assert (np.abs(dequantise(held.rows, held.scales) - latents) <= 0.5001 * step[:, None]).all()


def test_a_row_of_zeros_stays_zero() -> None:
    held = quantise(np.zeros((2, 5), np.float32))
    assert not dequantise(held.rows, held.scales).any()


def test_blocks_cover_every_row_once(rng: np.random.Generator) -> None:
    held = quantise(rng.standard_normal((50, 4)).astype(np.float32))
    blocks = list(held.blocks(16))
    assert [len(one) for one in blocks] == [16, 16, 16, 2]
    assert np.array_equal(np.concatenate(blocks), dequantise(held.rows, held.scales))


def test_herding_follows_the_mean_at_every_length(rng: np.random.Generator) -> None:
    latents = rng.standard_normal((60, 8)).astype(np.float32)
    held = quantise(latents)
    mean = latents.mean(axis=0, dtype=np.float64)
    ordered = herd(held, mean, keep=60)
    chosen = dequantise(ordered.rows, ordered.scales)
    random_error = np.linalg.norm(latents[:10].mean(axis=0) - mean)
    assert np.linalg.norm(chosen[:10].mean(axis=0) - mean) < 0.5 * random_error


def test_herding_keeps_every_row_once(rng: np.random.Generator) -> None:
    held = quantise(rng.standard_normal((30, 8)).astype(np.float32))
    ordered = herd(held, np.zeros(8), keep=30)
    assert sorted(map(bytes, ordered.rows)) == sorted(map(bytes, held.rows))


def test_herding_looks_at_a_bounded_number_of_rows(rng: np.random.Generator) -> None:
    held = quantise(rng.standard_normal((HERDING_CANDIDATES + 100, 3)).astype(np.float32))
    assert len(herd(held, np.zeros(3), keep=10_000)) == HERDING_CANDIDATES


def test_quotas_are_equal_shares_and_nothing_is_left_unused() -> None:
    shares = quotas({"a": 3, "b": 100, "c": 100}, capacity_bytes=23 * row_bytes(10), row_dimension=10)
    assert shares == {"a": 3, "b": 10, "c": 10}


def test_quotas_never_exceed_the_capacity(rng: np.random.Generator) -> None:
    for _ in range(50):
        held = {str(index): int(count) for index, count in enumerate(rng.integers(0, 40, 7))}
        capacity = int(rng.integers(0, 3000))
        shares = quotas(held, capacity_bytes=capacity, row_dimension=20)
        assert sum(shares.values()) * row_bytes(20) <= capacity
        assert all(shares[label] <= held[label] for label in held)


def test_quotas_of_no_class_are_none() -> None:
    assert quotas({}, capacity_bytes=100, row_dimension=5) == {}


def test_a_quarter_of_the_order_is_evidence_and_never_the_first() -> None:
    chosen = is_evidence(12)
    assert chosen.sum() == 3
    assert not chosen[0]


def test_a_shorter_quota_is_a_prefix(rng: np.random.Generator) -> None:
    held = quantise(rng.standard_normal((9, 4)).astype(np.float32))
    assert np.array_equal(held.first(4).rows, held.rows[:4])


def test_stored_arrays_that_do_not_fit_are_damage() -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        Exemplars.from_arrays({"rows": np.zeros((3, 4), np.int8), "scales": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match="scales"):
        Exemplars.from_arrays({"rows": np.zeros((3, 4), np.int8)})


def test_kept_rows_state_their_recording_and_rows_of_an_earlier_version_do_not() -> None:
    rows = quantise(np.eye(4, dtype=np.float32))
    numbered = replace(rows, recordings=np.array([3, 3, 0, 9], np.uint8))
    again = Exemplars.from_arrays(numbered.arrays())
    assert again.takes().tolist() == [3, 3, 0, 9]
    assert Exemplars.joined([again.take(np.array([3, 1])), rows.first(1)]).takes().tolist() == [9, 3, 0]
    assert Exemplars.from_arrays(rows.arrays()).recordings is None
    assert numbered.nbytes == rows.nbytes + 4
    with pytest.raises(ValueError, match="recordings"):
        Exemplars.from_arrays({**rows.arrays(), "recordings": np.zeros(3, np.uint8)})
