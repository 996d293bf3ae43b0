"""Share and merge: files between stores, through the gate."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError, SettingError
from edgecl.learner import Learner

from ..support.commands import edgecl, tree, voice_extractor
from ..support.stores import without_waiting

DIMENSION = 96
LABELS = ("go", "no", "stop", "yes")
MEANS = np.random.default_rng(5).standard_normal((len(LABELS), DIMENSION))


def latents(seed: int, count: int = 12, labels: tuple[str, ...] = LABELS) -> dict[str, np.ndarray]:
    draw, found = np.random.default_rng(seed), {}
    for label in labels:
        rows = MEANS[LABELS.index(label)] + 0.9 * draw.standard_normal((count, DIMENSION))
        found[label] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores a to e, each taught other samples, and their shares."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("fleet")
    with without_waiting():
        for seed, name in enumerate("abcde"):
            learner = Learner.create(folder / name, extractor="voice")
            assert learner.learn(latents(seed), latents=True).revision == 2
            learner.share(folder / f"{name}.share")
    return folder


@pytest.fixture
def fleet(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "fleet"))


def head_of(store: Path) -> str:
    return Learner.open(store).store.current().objects["head"]


def test_merged_answers_as_a_store_that_was_taught_everything(fleet: Path) -> None:
    learner = Learner.open(fleet / "a")
    report = learner.merge([fleet / f"{name}.share" for name in "bcde"])
    assert (report.revision, sorted(report.devices.values())) == (3, list("bcde"))
    central = Learner.create(fleet / "central", extractor="voice")
    every = [latents(seed) for seed in range(5)]
    central.learn({label: np.concatenate([one[label] for one in every]) for label in LABELS}, latents=True, force=True)
    one, other = (store.opened.head().head for store in (learner, central))
    assert np.abs(one.weights - other.weights).max() <= 1e-5 * np.abs(other.weights).max()
    asked = np.concatenate(list(latents(99).values()))
    assert [a.label for a in learner.predict(asked, latents=True)] == [
        a.label for a in central.predict(asked, latents=True)
    ]
    assert learner.check() == []


def test_twice_is_once_and_writes_nothing(fleet: Path) -> None:
    assert edgecl("merge", fleet / "a", fleet / "b.share", fleet / "b.share").code == 0
    before = tree(fleet / "a")
    done = edgecl("merge", fleet / "a", fleet / "b.share", "--json").value
    assert (done["unchanged"], done["revision"]) == (True, None)
    assert tree(fleet / "a") == before


def test_a_device_that_is_taken_out_leaves_the_head_that_never_had_it(fleet: Path) -> None:
    head = head_of(fleet / "a")
    assert edgecl("merge", fleet / "a", fleet / "b.share", fleet / "c.share").code == 0
    assert head_of(fleet / "a") != head
    done = edgecl("merge", fleet / "a", "--without", "c", "--without", "b")
    assert (done.code, head_of(fleet / "a")) == (0, head)
    assert "taken out" in done.out
    assert edgecl("merge", fleet / "a", "--without", "b").code == 2


def test_what_was_merged_is_not_shared_on(fleet: Path) -> None:
    learner = Learner.open(fleet / "a")
    learner.merge([fleet / "b.share"])
    report = learner.share(fleet / "again.share")
    assert dict(report.classes) == dict.fromkeys(LABELS, 12)
    assert Learner.open(fleet / "b").merge([fleet / "again.share"]).revision == 3


def test_a_class_of_another_device_is_known_and_forgotten(fleet: Path) -> None:
    bath = Learner.create(fleet / "bath", extractor="voice")
    bath.learn(latents(7, labels=("go", "no")), latents=True)
    bath.merge([fleet / "b.share"])
    assert bath.classes == LABELS
    assert {a.label for a in bath.predict(latents(8, 6)["yes"], latents=True)} == {"yes"}
    assert edgecl("status", fleet / "bath").code == 0
    bath.learn(latents(9, labels=("yes",)), latents=True)
    assert dict(bath.share(fleet / "bath.share").classes) == {"go": 12, "no": 12, "yes": 12}
    bath.forget("yes")
    never = Learner.create(fleet / "never", extractor="voice")
    never.learn(latents(7, labels=("go", "no")), latents=True)
    Learner.open(fleet / "b").share(fleet / "part.share", only=("go", "no", "stop"))
    never.merge([fleet / "part.share"])
    assert bath.store.current().objects["head"] == never.store.current().objects["head"]
    assert bath.check() == []


def test_an_older_share_changes_nothing_and_a_newer_one_replaces(fleet: Path) -> None:
    learner, bath = Learner.open(fleet / "a"), Learner.open(fleet / "b")
    bath.learn(latents(11), latents=True, force=True)
    bath.share(fleet / "newer.share")
    learner.merge([fleet / "b.share"])
    newer = learner.merge([fleet / "newer.share", fleet / "b.share"])
    assert (newer.revision, list(newer.devices.values())) == (4, ["b"])
    assert learner.opened.model()[1].statistics["yes"].count == 36
    assert [one["became"] for one in learner.merge([fleet / "b.share"]).shares.values()] == ["older"]


def test_a_device_with_shifted_labels_is_left_out_and_named(fleet: Path) -> None:
    bad = Learner.create(fleet / "bad", extractor="voice")
    wrong = latents(20)
    bad.learn({label: wrong[other] for label, other in zip(LABELS, LABELS[1:] + LABELS[:1], strict=True)}, latents=True)
    bad.share(fleet / "bad.share")
    files = [fleet / f"{name}.share" for name in ("b", "bad", "c")]
    done = edgecl("merge", fleet / "a", *files, "--json").value
    assert sorted(done["devices"].values()) == ["b", "c"]
    (left,) = [one for one in done["shares"].values() if one["became"] == "left out"]
    assert left["name"] == "bad"
    assert "0% of its classes" in left["reason"]
    kept = edgecl("merge", fleet / "a", *files, "--no-screen", "--json")
    assert "bad" in kept.value["devices"].values()


def test_the_gate_rejects_what_harms_and_the_old_head_goes_on(fleet: Path) -> None:
    bad = Learner.create(fleet / "bad", extractor="voice")
    wrong = latents(20, 200)
    bad.learn({label: wrong[other] for label, other in zip(LABELS, LABELS[1:] + LABELS[:1], strict=True)}, latents=True)
    bad.share(fleet / "bad.share")
    head = head_of(fleet / "a")
    done = edgecl("merge", fleet / "a", fleet / "bad.share")
    assert (done.code, head_of(fleet / "a")) == (3, head)
    assert "REJECTED" in done.out
    assert "devices    bad, once merged" in done.out
    assert "merged other devices" in edgecl("history", fleet / "a").out
    assert edgecl("merge", fleet / "a", fleet / "bad.share", "--force").code == 0
    assert edgecl("rollback", fleet / "a").code == 0
    assert head_of(fleet / "a") == head


def test_what_cannot_be_merged_is_refused_with_the_reason(fleet: Path) -> None:
    learner = Learner.open(fleet / "a")
    with pytest.raises(SettingError, match="own share"):
        learner.merge([fleet / "a.share"])
    with pytest.raises(DataError, match="is not a share"):
        learner.merge([fleet / "a" / "store.json"])
    small = Learner.create(fleet / "small", extractor="voice", memory_bytes=16 << 10, max_classes=16)
    small.learn(latents(3), latents=True, force=True)
    small.share(fleet / "small.share")
    with pytest.raises(SettingError, match="'small' has"):
        learner.merge([fleet / "small.share"])
    few = Learner.create(fleet / "few", extractor="voice", max_classes=3)
    few.learn(latents(4, labels=("go", "no")), latents=True)
    report = few.merge([fleet / "b.share"])
    assert (report.revision, report.is_accepted) == (None, False)
    assert "made for 3" in report.verdict.reasons[0]
    with pytest.raises(SettingError, match="20 samples"):
        learner.share(fleet / "none.share", at_least=20)
    assert learner.revision == 2


def test_a_share_says_which_classes_are_single_samples(fleet: Path) -> None:
    learner = Learner.create(fleet / "new", extractor="voice")
    both = {**latents(1, 9, ("go", "no")), **latents(2, 2, ("yes",))}
    learner.learn(both, latents=True, force=True)
    report = learner.share(fleet / "new.share")
    assert (dict(report.revealing), report.spanned) == ({"yes": 2}, 3)
    assert dict(learner.share(fleet / "new.share", at_least=5).withheld) == {"yes": 2}
    assert (fleet / "new.share").stat().st_mode & 0o777 == 0o600
    assert learner.share(fleet / "noisy.share", epsilon=16, seed=1).noise == {"epsilon": 16, "delta": 1e-5}


@pytest.mark.native("embeds many clips")
def test_a_damaged_share_costs_the_shares_and_nothing_of_ones_own(fleet: Path) -> None:
    learner = Learner.open(fleet / "a")
    head = head_of(fleet / "a")
    learner.merge([fleet / "b.share"])
    (fleet / "a" / "revisions" / "000002.json").unlink()  # which would be as good as what is left of the newest
    (role,) = [one for one in learner.store.current().objects if one.startswith("others/")]
    path = fleet / "a" / "objects" / f"{learner.store.current().objects[role]}.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = edgecl("doctor", fleet / "a", "--repair")
    assert "merge it again" in done.out
    assert head_of(fleet / "a") == head
    assert Learner.open(fleet / "a").merge([fleet / "b.share"]).is_accepted
