"""Budgets: what a memory buys, what is refused, and what is named in its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecl.errors import SettingError
from edgecl.model.settings import (
    Settings,
    choose_tier,
    has_room_for_steps,
    plan_memory,
    smallest_choice,
    smallest_memory,
)
from edgecl.units import parse_bytes

VOICE = Settings(memory_bytes=1 << 20, disk_bytes=64 << 20, max_classes=64, latent_dimension=96, shrinkage_floor=0.03)
IMU = Settings(memory_bytes=4 << 20, disk_bytes=64 << 20, max_classes=24, latent_dimension=936, shrinkage_floor=0.1)


def test_the_default_voice_budget_needs_no_projection() -> None:
    tier = choose_tier(VOICE, overhead_disk_bytes=3 << 20)
    assert (tier.projection, tier.precision) == (0, "float64")


def test_the_default_imu_budget_needs_no_projection() -> None:
    tier = choose_tier(IMU, overhead_disk_bytes=1 << 20)
    assert (tier.projection, tier.precision) == (0, "float32")


def test_a_small_budget_buys_pages() -> None:
    tier = choose_tier(replace(IMU, memory_bytes=128 << 10), overhead_disk_bytes=1 << 20)
    assert (tier.projection, tier.precision, tier.paged) == (0, "float32", True)
    assert smallest_memory(tier) <= 128 << 10


def test_a_smaller_one_buys_a_projection() -> None:
    tier = choose_tier(replace(IMU, memory_bytes=64 << 10), overhead_disk_bytes=1 << 20)
    assert 0 < tier.projection < 936
    assert smallest_memory(tier) <= 64 << 10


@pytest.mark.parametrize(("classes", "memory_bytes"), [(150, 128 << 10), (64, 64 << 10)])
def test_texts_of_many_intents_need_no_projection_in_little_memory(classes: int, memory_bytes: int) -> None:
    texts = replace(VOICE, memory_bytes=memory_bytes, disk_bytes=1 << 30, max_classes=classes, latent_dimension=384)
    tier = choose_tier(texts, overhead_disk_bytes=1 << 20)
    assert (tier.projection, tier.paged) == (0, True)
    assert choose_tier(replace(texts, memory_bytes=8 << 20), overhead_disk_bytes=1 << 20).paged is False


@pytest.mark.parametrize(("classes", "memory_bytes"), [(64, 2560 << 10), (150, 6 << 20), (300, 6 << 20)])
def test_more_memory_is_not_taken_for_a_kind_of_features_that_leaves_gradient_steps_no_room(
    classes: int, memory_bytes: int
) -> None:
    texts = replace(VOICE, disk_bytes=1 << 30, max_classes=classes, latent_dimension=384, shrinkage_floor=0.03)
    less, more = (
        choose_tier(replace(texts, memory_bytes=size), overhead_disk_bytes=1 << 20)
        for size in (memory_bytes * 2 // 3, memory_bytes)
    )
    assert less.paged
    assert has_room_for_steps(less)
    assert more.paged
    assert has_room_for_steps(more)
    assert not has_room_for_steps(replace(more, paged=False))


def test_a_resident_store_that_gets_more_memory_is_not_rounded_to_float32() -> None:
    texts = replace(VOICE, disk_bytes=1 << 30, max_classes=64, latent_dimension=384, shrinkage_floor=0.03)
    for memory_bytes in range(2 << 20, 5 << 20, 1 << 18):
        tier = choose_tier(replace(texts, memory_bytes=memory_bytes), overhead_disk_bytes=1 << 20, may_page=False)
        assert (tier.precision, tier.paged) == ("float64", False), memory_bytes


def test_where_gradient_steps_cannot_pay_features_lie_in_memory_as_soon_as_they_fit() -> None:
    texts = replace(VOICE, memory_bytes=3 << 20, disk_bytes=1 << 30, max_classes=150, latent_dimension=384)
    shifted = choose_tier(replace(texts, shrinkage_floor=0.1), overhead_disk_bytes=1 << 20)
    assert not shifted.paged
    assert not has_room_for_steps(shifted)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_smallest_memory_that_is_named_for_a_kind_of_features_gives_that_kind(precision: str) -> None:
    texts = replace(VOICE, disk_bytes=1 << 30, max_classes=150, latent_dimension=384, shrinkage_floor=0.03)
    tier = replace(texts, precision=precision)
    least = smallest_choice(tier)
    assert choose_tier(replace(tier, memory_bytes=least), overhead_disk_bytes=1 << 20).precision == precision
    assert not choose_tier(replace(tier, memory_bytes=least), overhead_disk_bytes=1 << 20).paged
    below = choose_tier(replace(tier, memory_bytes=least - 16), overhead_disk_bytes=1 << 20)
    assert (below.precision, below.paged) != (precision, False)


def test_a_budget_that_cannot_work_is_refused_with_the_smallest_that_can() -> None:
    with pytest.raises(SettingError, match="smallest that can hold them are") as refusal:
        choose_tier(replace(VOICE, memory_bytes=4096), overhead_disk_bytes=1 << 20)
    assert refusal.value.parameter == "memory_bytes"
    named = parse_bytes(str(refusal.value).split("that can hold them are ")[1].split(" of memory")[0])
    rounded_up = int(named * 1.05)
    assert choose_tier(replace(VOICE, memory_bytes=rounded_up), overhead_disk_bytes=1 << 20).projection


@pytest.mark.parametrize("classes", [8, 64, 100, 200])
@pytest.mark.parametrize("columns", [8, 32, 128])
def test_what_fits_a_memory_fits_any_larger_one(columns: int, classes: int) -> None:
    rows = replace(VOICE, disk_bytes=1 << 40, max_classes=classes, latent_dimension=columns)
    for may_page in (False, True):
        fits = []
        for kib in range(16, 2048, 16):
            try:
                choose_tier(replace(rows, memory_bytes=kib << 10), overhead_disk_bytes=0, may_page=may_page)
                fits.append(True)
            except SettingError:
                fits.append(False)
        assert fits == sorted(fits)


def test_the_smallest_memory_is_exactly_enough() -> None:
    tier = replace(VOICE, precision="float32", projection=32, paged=True)
    enough = smallest_memory(tier)
    assert choose_tier(replace(tier, memory_bytes=enough, projection=0), overhead_disk_bytes=0)
    with pytest.raises(SettingError):
        choose_tier(replace(tier, memory_bytes=enough - 16, projection=0), overhead_disk_bytes=0)


@pytest.mark.parametrize(
    "tier",
    [
        VOICE,
        IMU,
        replace(IMU, precision="float32"),
        replace(IMU, projection=256),
        replace(IMU, precision="float32", paged=True),
    ],
)
def test_with_the_smallest_memory_every_class_has_its_exemplars(tier: Settings) -> None:
    least = replace(tier, memory_bytes=smallest_memory(tier))
    plan = plan_memory(least, tier.max_classes)
    assert plan.exemplars >= tier.max_classes * 4 * (tier.features.row_dimension + 4)
    assert smallest_memory(replace(tier, memory_bytes=1)) == least.memory_bytes


def test_a_thousand_classes_need_no_projection_in_16_mib() -> None:
    many = replace(VOICE, memory_bytes=16 << 20, disk_bytes=1 << 30, max_classes=1000, latent_dimension=384)
    tier = choose_tier(many, overhead_disk_bytes=1 << 20)
    assert tier.projection == 0


def test_memory_grows_with_classes_and_not_with_their_square() -> None:
    few, many, more = (smallest_memory(replace(VOICE, max_classes=one)) for one in (1000, 2000, 4000))
    assert (more - many) == pytest.approx(2 * (many - few), rel=0.01)


def test_a_disk_that_is_too_small_buys_a_projection_or_is_refused() -> None:
    assert choose_tier(replace(IMU, disk_bytes=20 << 20), overhead_disk_bytes=1 << 20).projection
    with pytest.raises(SettingError, match="of disk"):
        choose_tier(replace(IMU, disk_bytes=1 << 20), overhead_disk_bytes=1 << 20)


def test_the_parts_of_a_plan_add_up_to_the_memory() -> None:
    plan = plan_memory(VOICE, 29)
    parts = plan.statistics + plan.head + plan.ewc + plan.workspace + plan.lesson + plan.exemplars
    assert 0 <= VOICE.memory_bytes - parts <= 4096
    assert plan.total == VOICE.memory_bytes


def test_more_classes_leave_less_for_exemplars() -> None:
    assert plan_memory(VOICE, 60).exemplars < plan_memory(VOICE, 10).exemplars


def test_settings_survive_a_round_trip_and_ignore_what_a_newer_version_adds() -> None:
    assert Settings.from_dict({**IMU.as_dict(), "from the future": 1}) == IMU


TEXT = Settings(memory_bytes=4 << 20, disk_bytes=256 << 20, max_classes=150, latent_dimension=384, shrinkage_floor=0.01)


def test_exemplars_come_before_room_for_an_ewc_state() -> None:
    plan = plan_memory(TEXT, 150)
    assert plan.can_refine
    assert not plan.can_consolidate
    assert plan.exemplars > 150 * 12 * 388
    assert plan_memory(VOICE, VOICE.max_classes).can_consolidate
