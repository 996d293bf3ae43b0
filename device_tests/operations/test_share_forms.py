"""Forms of a share between stores: condensed, whole, halved, and one matrix for all classes in two rounds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.learner import Learner
from edgecl.learning.priorities import WHILE_USED, giving_way

from ..support.commands import edgecl, voice_extractor
from ..support.stores import without_waiting
from .test_sharing import LABELS, head_of, latents

pytestmark = pytest.mark.native("teaches many stores; the arithmetic is that of the tests of plans and condensed forms")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores a to d, each taught other samples."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("forms")
    with without_waiting():
        for seed, name in enumerate("abcd"):
            Learner.create(folder / name, extractor="voice").learn(latents(seed), latents=True)
    return folder


@pytest.fixture
def fleet(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "fleet"))


def irreversible_files(fleet: Path, names: str = "bc") -> list[Path]:
    """Play the two rounds: the files that store a is to merge."""
    counts = [fleet / f"{name}.counts" for name in names]
    for name, path in zip(names, counts, strict=True):
        assert edgecl("share", fleet / name, "--irreversible", "-o", path).code == 0
    assert edgecl("merge", fleet / "a", "--irreversible", *counts, "--plan", fleet / "fleet.plan").code == 0
    files = [fleet / f"{name}.one" for name in names]
    for name, path in zip(names, files, strict=True):
        done = edgecl("share", fleet / name, "--irreversible", "--plan", fleet / "fleet.plan", "-o", path)
        assert (done.code, "irreversible" in done.out) == (0, True)
    return files


def test_an_irreversible_sum_answers_as_a_store_that_was_taught_everything(fleet: Path) -> None:
    files = irreversible_files(fleet)
    done = edgecl("merge", fleet / "a", "--irreversible", *files)
    assert (done.code, "no class of b, c can be forgotten alone" in done.out) == (0, True)
    central = Learner.create(fleet / "central", extractor="voice")
    every = [latents(seed) for seed in range(3)]
    central.learn({label: np.concatenate([one[label] for one in every]) for label in LABELS}, latents=True, force=True)
    one, other = (store.opened.head().head for store in (Learner.open(fleet / "a"), central))
    assert np.abs(one.weights - other.weights).max() <= 1e-5 * np.abs(other.weights).max()
    assert edgecl("merge", fleet / "a", "--irreversible", *files, "--json").value["unchanged"]
    assert "irreversible" in edgecl("status", fleet / "a").out
    assert Learner.open(fleet / "a").check() == []


def test_an_irreversible_sum_gives_a_device_back_and_no_class(fleet: Path) -> None:
    files = irreversible_files(fleet)
    head = head_of(fleet / "a")
    assert edgecl("merge", fleet / "a", "--irreversible", *files).code == 0
    done = edgecl("forget", fleet / "a", "yes")
    assert (done.code, "one matrix of all its classes" in done.err) == (2, True)
    assert "--without DEVICE" in done.err
    assert edgecl("merge", fleet / "a", "--without", "b", "--without", "c").code == 0
    assert head_of(fleet / "a") == head
    assert edgecl("forget", fleet / "a", "yes").code == 0


def test_an_irreversible_sum_has_to_be_asked_for_and_needs_its_plan(fleet: Path) -> None:
    files = irreversible_files(fleet)
    done = edgecl("merge", fleet / "a", *files)
    assert (done.code, "'b', 'c' share all classes" in done.err, "--irreversible" in done.err) == (2, True, True)
    assert "'c' too" in edgecl("merge", fleet / "a", "--irreversible", files[0]).err
    assert "is not in the plan" in edgecl("merge", fleet / "d", "--irreversible", *files).err
    assert (
        "is not in the plan"
        in edgecl("share", fleet / "d", "--irreversible", "--plan", fleet / "fleet.plan", "-o", fleet / "d.one").err
    )
    assert "counts alone" in edgecl("merge", fleet / "a", "--irreversible", fleet / "b.counts").err
    assert edgecl("share", fleet / "b", "--plan", fleet / "fleet.plan", "-o", fleet / "b.one").code == 2
    Learner.open(fleet / "b").learn(latents(30), latents=True, force=True)
    second = ("share", fleet / "b", "--irreversible", "--plan", fleet / "fleet.plan", "-o", fleet / "b.one")
    assert "was taught, or forgot, since" in edgecl(*second).err
    late = edgecl(*second, "--only", "go")
    assert (late.code, "left out of the counts too" in late.err) == (2, True)


def test_a_later_plan_takes_the_place_of_an_earlier_one(fleet: Path) -> None:
    assert edgecl("merge", fleet / "a", "--irreversible", *irreversible_files(fleet)).code == 0
    Learner.open(fleet / "b").learn(latents(30), latents=True, force=True)
    files = irreversible_files(fleet)
    mixed = edgecl("merge", fleet / "a", "--irreversible", files[0])
    assert "different plans" in mixed.err
    assert edgecl("merge", fleet / "a", "--irreversible", *files).code == 0
    assert Learner.open(fleet / "a").opened.model()[1].statistics["yes"].count == 48


def movement(seed: int, *, count: int = 12) -> dict[str, np.ndarray]:
    """Latents of the shipped movement extractor's width."""
    draw, means = np.random.default_rng(seed), np.random.default_rng(6).standard_normal((3, 936))
    rows = {f"class {n}": mean + draw.standard_normal((count, 936)) for n, mean in enumerate(means)}
    return {label: (one / np.linalg.norm(one, axis=1, keepdims=True)).astype(np.float32) for label, one in rows.items()}


def test_a_movement_store_of_the_default_budgets_merges_devices(tmp_path: Path) -> None:
    voice_extractor()  # without the shipped extractors: skipped
    stores = {name: Learner.create(tmp_path / name, extractor="imu") for name in "abc"}
    for seed, (name, store) in enumerate(stores.items()):
        store.learn(movement(seed), latents=True, force=True, strategy="closed-form")
        assert store.share(tmp_path / f"{name}.share").bytes < 160e3  # 5.3 MB as whole triangles
    for name in "bc":
        report = stores["a"].merge([tmp_path / f"{name}.share"])
        assert (report.is_accepted, report.unchanged) == (True, False)
    status = stores["a"].status()
    assert status["bytes"]["total"] <= status["budget_bytes"]
    assert status["features"]["dimension"] == 936
    central = Learner.create(tmp_path / "central", extractor="imu")
    every = [movement(seed) for seed in range(3)]
    lesson = {label: np.concatenate([one[label] for one in every]) for label in every[0]}
    central.learn(lesson, latents=True, force=True, strategy="closed-form")
    one, other = (store.opened.head().head for store in (stores["a"], central))
    assert np.abs(one.weights - other.weights).max() <= 1e-4 * np.abs(other.weights).max()


def test_a_device_is_kept_as_its_file_has_it(fleet: Path) -> None:
    sizes = {}
    for how in ({"compact": False}, {}, {"half": True}):
        learner = Learner.open(fleet / "a")
        Learner.open(fleet / "b").share(fleet / "b.share", **how)
        learner.merge([fleet / "b.share"])
        (role,) = [one for one in learner.store.current().objects if one.startswith("others/")]
        path = fleet / "a" / "objects" / f"{learner.store.current().objects[role]}.npz"
        sizes[str(how)] = path.stat().st_size
        assert Learner.open(fleet / "a").opened.model()[1].others  # is read again
        learner.rollback()
    plain, compact, both = sizes.values()
    assert both < 0.6 * compact < 0.2 * plain


def test_an_irreversible_sum_is_exact_or_refused(fleet: Path) -> None:
    files = irreversible_files(fleet)
    for words in (("--cap", 1), ("--combine", "median")):
        done = edgecl("merge", fleet / "a", "--irreversible", *files, *words)
        assert (done.code, "exact only as it is" in done.err) == (2, True)
    assert edgecl("merge", fleet / "a", "--irreversible", *files).code == 0
    assert edgecl("merge", fleet / "a", "--combine", "median").code == 2


def test_a_class_of_an_irreversible_sum_gives_way_to_no_other_and_grows_not_too_old(fleet: Path) -> None:
    files = irreversible_files(fleet)
    assert edgecl("merge", fleet / "a", "--irreversible", *files).code == 0
    model = Learner.open(fleet / "a").opened.model()[1]
    asked = replace(model, priorities=dict.fromkeys(LABELS, WHILE_USED))
    assert giving_way(asked, 1, today="") == []
    assert giving_way(replace(asked, others={}), 1, today="") != []
    assert edgecl("forget", fleet / "a", "--older-than", "0d").code != 1


def test_counts_take_no_option_that_would_have_no_effect(fleet: Path) -> None:
    for words in (("--noise", 1), ("--float16",), ("--whole",)):
        done = edgecl("share", fleet / "b", "--irreversible", *words, "-o", fleet / "b.counts")
        assert (done.code, "has no effect on counts" in done.err) == (2, True)
    done = edgecl("merge", fleet / "a", "--irreversible", "--cap", 2, "--plan", fleet / "fleet.plan")
    assert (done.code, "merges nothing" in done.err) == (2, True)


def test_a_device_that_has_learnt_nothing_takes_an_irreversible_sum_and_may_write_its_plan(fleet: Path) -> None:
    Learner.create(fleet / "new", extractor="voice")
    counts = [fleet / f"{name}.counts" for name in "bc"]
    for name, path in zip("bc", counts, strict=True):
        assert edgecl("share", fleet / name, "--irreversible", "-o", path).code == 0
    assert edgecl("merge", fleet / "new", "--irreversible", "--plan", fleet / "fleet.plan").code == 2
    planned = edgecl("merge", fleet / "new", "--irreversible", *counts, "--plan", fleet / "fleet.plan", "--json").value
    assert sorted(planned["devices"].values()) == ["b", "c"]
    files = [fleet / f"{name}.one" for name in "bc"]
    for name, path in zip("bc", files, strict=True):
        Learner.open(fleet / name).share(path, plan=fleet / "fleet.plan")
    assert "the plan has 'c' too" in edgecl("merge", fleet / "new", "--irreversible", files[0]).err
    assert edgecl("merge", fleet / "new", "--irreversible", *files).code == 0
    central = Learner.create(fleet / "central", extractor="voice")
    every = {label: np.concatenate([latents(seed)[label] for seed in (1, 2)]) for label in LABELS}
    central.learn(every, latents=True, force=True)
    one, other = (store.opened.head().head for store in (Learner.open(fleet / "new"), central))
    assert np.abs(one.weights - other.weights).max() <= 1e-5 * np.abs(other.weights).max()


def test_a_plan_leaves_out_the_small_classes_of_the_store_that_writes_it(fleet: Path) -> None:
    few = latents(40, 2, ("yes",))["yes"]
    Learner.open(fleet / "a").learn({"maybe": few}, latents=True, force=True, distinct=True)
    assert edgecl("share", fleet / "b", "--irreversible", "-o", fleet / "b.counts").code == 0
    words = ("--irreversible", fleet / "b.counts", "--plan", fleet / "fleet.plan")
    assert "maybe" in edgecl("merge", fleet / "a", *words, "--json").value["classes"]
    done = edgecl("merge", fleet / "a", *words, "--at-least", 5)
    assert (done.code, "left out, with fewer samples than --at-least: maybe" in done.out) == (0, True)
    planned = edgecl("merge", fleet / "a", *words, "--at-least", 5, "--json").value
    assert (sorted(planned["classes"]), planned["withheld"]) == (sorted(LABELS), {"maybe": 2})
    assert edgecl("merge", fleet / "a", fleet / "b.counts", "--at-least", 5).code == 2
    Learner.open(fleet / "b").share(fleet / "b.one", plan=fleet / "fleet.plan")
    assert edgecl("merge", fleet / "a", "--irreversible", fleet / "b.one").code == 0


def test_classes_that_a_plan_lacks_are_named_by_who_shares_and_by_who_merges(fleet: Path) -> None:
    words = {"maybe": latents(40, 6, ("yes",))["yes"]}
    files = irreversible_files(fleet)
    for name in "ab":
        Learner.open(fleet / name).learn(words, latents=True, force=True, distinct=True)
    again = ("share", fleet / "b", "--irreversible", "--plan", fleet / "fleet.plan", "-o", files[0])
    done = edgecl(*again)
    assert (done.code, "not in the plan, and so not in the file: maybe" in done.out) == (0, True)
    assert "make a new plan" in done.out
    assert edgecl(*again, "--json").value["unplanned"] == {"maybe": 6}
    merged = edgecl("merge", fleet / "a", "--irreversible", *files, "--json").value
    assert merged["unplanned"] == {}  # no other device has it, so the sum is exact


def test_own_samples_of_a_class_that_was_kept_out_of_the_plan_are_said_to_make_the_sum_inexact(fleet: Path) -> None:
    few = Learner.create(fleet / "few", extractor="voice")
    few.learn({**latents(50, 9, LABELS[:2]), **latents(51, 3, LABELS[2:])}, latents=True, force=True)
    counts = [fleet / "b.counts", fleet / "few.counts"]
    assert edgecl("share", fleet / "b", "--irreversible", "-o", counts[0]).code == 0
    assert edgecl("share", fleet / "few", "--irreversible", "--at-least", 5, "-o", counts[1]).code == 0
    assert edgecl("merge", fleet / "a", "--irreversible", *counts, "--plan", fleet / "fleet.plan").code == 0
    files = [fleet / "a.one", fleet / "b.one"]
    for name, path in zip("ab", files, strict=True):
        Learner.open(fleet / name).share(path, plan=fleet / "fleet.plan")
    done = edgecl("merge", fleet / "few", "--irreversible", *files)
    assert (done.code, "samples that the plan lacks: stop (3), yes (3)" in done.out) == (0, True)
    assert Learner.open(fleet / "few").opened.model()[1].statistics["yes"].count == 27


@pytest.mark.parametrize("folder", ["k\u202e\udcff", "k\nitchen", "x" * 200])
def test_a_share_of_a_store_in_any_folder_can_be_merged(fleet: Path, tmp_path: Path, folder: str) -> None:
    (fleet / "b").rename(tmp_path / folder)
    assert edgecl("share", tmp_path / folder, "-o", tmp_path / "b.share").code == 0
    done = edgecl("merge", fleet / "a", tmp_path / "b.share", "--json")
    assert done.code == 0
    assert all(name.isprintable() for name in done.value["devices"].values())


@pytest.mark.parametrize("name", ["\udcff", "a\nb", "\u202e"])
def test_a_name_that_no_share_can_have_is_refused(fleet: Path, tmp_path: Path, name: str) -> None:
    for words in ((), ("--irreversible",)):
        done = edgecl("share", fleet / "b", "-o", tmp_path / "b.share", "--name", name, *words)
        assert (done.code, "cannot be the name of a device" in done.err) == (2, True)
    assert not (tmp_path / "b.share").exists()
