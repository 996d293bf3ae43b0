"""Merge: what people give it by mistake, and what it then says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError, SettingError
from edgecl.learner import Learner

from ..support.commands import edgecl, voice_extractor
from ..support.stores import without_waiting

DIMENSION = 96
LABELS = ("go", "no", "stop", "yes")
MEANS = np.random.default_rng(5).standard_normal((len(LABELS), DIMENSION))


def latents(seed: int, *labels: str, count: int = 12) -> dict[str, np.ndarray]:
    """Draw samples of words; one in capitals sounds as the same in small letters."""
    draw, found = np.random.default_rng(seed), {}
    for label in labels or LABELS:
        rows = MEANS[LABELS.index(label.lower())] + 0.9 * draw.standard_normal((count, DIMENSION))
        found[label] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def shared(store: Path, seed: int, *labels: str) -> Path:
    """Make a store that is taught, and return its share."""
    learner = Learner.create(store, extractor="voice")
    learner.learn(latents(seed, *labels), latents=True, force=True)
    learner.share(store.with_suffix(".share"))
    return store.with_suffix(".share")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores a and b, of the same words, and c, which writes two of them in capitals; their shares."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("fleet")
    with without_waiting():
        shared(folder / "a", 0)
        shared(folder / "b", 1)
        shared(folder / "c", 2, "No", "YES")
    return folder


@pytest.fixture
def fleet(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "fleet"))


def became(report: dict[str, object]) -> dict[str, str]:
    shares = report["shares"]
    assert isinstance(shares, dict)
    return {one["name"]: one["became"] for one in shares.values()}


def test_several_names_in_another_spelling_are_settled_at_once(fleet: Path) -> None:
    asked = edgecl("merge", fleet / "a", fleet / "c.share", "--json")
    assert (asked.code, sorted(one["label"] for one in asked.value["asks"])) == (3, ["No", "YES"])
    done = edgecl("merge", fleet / "a", fleet / "c.share", "--same-as", "no", "--same-as", "yes")
    assert done.code == 0, done.out
    learner = Learner.open(fleet / "a")
    assert learner.classes == LABELS
    assert learner.opened.model()[1].statistics["yes"].count == 24
    wrong = edgecl("merge", fleet / "b", fleet / "c.share", "--same-as", "no", "--same-as", "YES")
    assert (wrong.code, "'YES' is not known: there are go, no, stop, yes" in wrong.err) == (2, True)


def test_names_that_are_not_the_same_class_are_distinct_beside_those_that_are(fleet: Path) -> None:
    report = Learner.open(fleet / "a").merge([fleet / "c.share"], same_as="no", distinct=True)
    assert report.is_accepted
    assert report.classes == ("YES", *LABELS)


def test_a_spelling_is_asked_about_where_no_samples_could_tell(fleet: Path) -> None:
    """A store that has learnt nothing would take `No` of one device and `no` of another for two classes."""
    Learner.create(fleet / "new", extractor="voice")
    files = (fleet / "b.share", fleet / "c.share")
    asked = edgecl("merge", fleet / "new", *files, "--json")
    assert (asked.code, [(one["label"], one["like"]) for one in asked.value["asks"]]) == (
        3,
        [("No", "no"), ("YES", "yes")],
    )
    done = edgecl("merge", fleet / "new", *files, "--same-as", "no", "--same-as", "yes", "--json")
    assert (done.code, done.value["classes"]) == (0, list(LABELS))
    Learner.create(fleet / "other", extractor="voice")
    apart = edgecl("merge", fleet / "other", *files, "--distinct", "--json")
    assert (apart.code, apart.value["classes"]) == (0, ["No", "YES", *LABELS])
    assert edgecl("merge", fleet / "other", *files).code == 0


def test_a_device_that_tells_two_spellings_apart_is_not_asked_about_them(fleet: Path) -> None:
    both = {**latents(5, "go", "no"), "No": latents(6, "yes")["yes"]}
    learner = Learner.create(fleet / "d", extractor="voice")
    learner.learn(both, latents=True, force=True, label_case="keep")
    learner.share(fleet / "d.share")
    Learner.create(fleet / "new", extractor="voice")
    assert edgecl("merge", fleet / "new", fleet / "d.share", "--json").value["classes"] == ["No", "go", "no"]


def test_a_device_is_screened_by_names_that_are_settled(fleet: Path) -> None:
    files = (fleet / "b.share", fleet / "c.share")
    asked = edgecl("merge", fleet / "a", *files, "--json")
    assert (asked.code, became(asked.value)) == (3, {"b": "new", "c": "new"})
    done = edgecl("merge", fleet / "a", *files, "--same-as", "no", "--same-as", "yes", "--json")
    assert (done.code, became(done.value)) == (0, {"b": "new", "c": "new"})


def test_an_older_share_is_named_with_what_the_store_keeps_and_how_it_is_taken(fleet: Path) -> None:
    restored = shutil.copytree(fleet / "b", fleet / "restored" / "b")
    Learner.open(fleet / "b").learn(latents(7), latents=True, force=True)
    Learner.open(fleet / "b").share(fleet / "newer.share")
    Learner.open(fleet / "a").merge([fleet / "newer.share"])
    Learner.open(restored).share(fleet / "older.share")
    done = edgecl("merge", fleet / "a", fleet / "older.share")
    assert done.code == 0
    said = " ".join(done.out.split())
    assert "b: older, 48 samples: it is of revision 2, what the device shared at revision 3 stays" in said
    assert "restored from a backup" in said
    assert "the store has these shares already" not in said
    taken = edgecl("merge", fleet / "a", fleet / "older.share", "--without", "b", "--json")
    assert (taken.code, became(taken.value)) == (0, {"b": "new"})


def test_a_copy_of_a_store_is_named_where_it_takes_the_place_of_the_first(fleet: Path) -> None:
    shutil.copytree(fleet / "b", fleet / "copy")
    Learner.open(fleet / "copy").forget("go")
    Learner.open(fleet / "copy").share(fleet / "copy.share")
    Learner.open(fleet / "a").merge([fleet / "b.share"])
    said = " ".join(edgecl("merge", fleet / "a", fleet / "copy.share").out.split())
    assert "copy: new, 36 samples: it replaces what 'b' had shared" in said
    assert "a copy of a store counts as the same device" in said
    assert "go" in said.split("without its class")[1]


def test_two_files_of_one_device_do_not_add_up_and_that_is_said(fleet: Path) -> None:
    bath = Learner.open(fleet / "b")
    bath.share(fleet / "b1.share", only=["go", "no"])
    bath.share(fleet / "b2.share", only=["stop", "yes"])
    said = " ".join(edgecl("merge", fleet / "a", fleet / "b1.share", fleet / "b2.share").out.split())
    assert "it replaces what 'b' had shared, without its classes go, no" in said


def test_an_older_file_after_the_newer_one_of_a_device_leaves_that_and_its_screen(fleet: Path) -> None:
    bath = Learner.open(fleet / "b")
    bath.learn(latents(7), latents=True, force=True)
    bath.share(fleet / "newer.share")
    shared(fleet / "d", 3)
    files = [fleet / f"{name}.share" for name in ("d", "newer", "b")]
    done = edgecl("merge", fleet / "a", *files, "--json").value
    assert became(done) == {"b": "new", "d": "new"}
    assert sorted(one["samples"] for one in done["shares"].values()) == [48, 96]


def test_ones_own_share_and_that_of_a_copy_say_what_to_do(fleet: Path) -> None:
    shutil.copytree(fleet / "a", fleet / "copy")
    Learner.open(fleet / "copy").share(fleet / "copy.share")
    with pytest.raises(SettingError, match=r"own share.*a copy of it counts as the same device: make that one anew"):
        Learner.open(fleet / "a").merge([fleet / "copy.share"])


def test_what_is_no_share_is_refused_with_what_it_is(fleet: Path) -> None:
    learner = Learner.open(fleet / "a")
    with pytest.raises(DataError, match=r"b is a store, not the file of a share.*share"):
        learner.merge([fleet / "b"])
    with pytest.raises(DataError, match="is a folder, not the file of a share"):
        learner.merge([fleet])
    (fleet / "empty.share").touch()
    with pytest.raises(DataError, match=r"is empty.*copy it again"):
        learner.merge([fleet / "empty.share"])
    (fleet / "half.share").write_bytes((fleet / "b.share").read_bytes()[:9000])
    with pytest.raises(DataError, match=r"half.share .*cut short.*copy it again"):
        learner.merge([fleet / "half.share"])
    (fleet / "x.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"x.wav is not a share"):
        learner.merge([fleet / "x.wav"])


def test_a_single_path_or_label_is_one_and_not_its_letters(fleet: Path) -> None:
    learner = Learner.open(fleet / "a")
    assert dict(learner.share(fleet / "part.share", only="yes").classes) == {"yes": 12}
    assert learner.merge(fleet / "b.share").revision == 3
    assert learner.merge(str(fleet / "b.share")).unchanged
    assert learner.merge(without="b").removed == ("b",)
    learner.plan(fleet / "counts", only="yes")
    assert dict(learner.plan(fleet / "both", str(fleet / "counts"), only="yes").classes) == {"yes": 12}


def test_status_and_history_name_the_devices_that_are_merged(fleet: Path) -> None:
    assert edgecl("status", fleet / "a", "--json").value["devices"] == {}
    assert "devices" not in edgecl("status", fleet / "a").out
    (device,) = edgecl("merge", fleet / "a", fleet / "b.share", "--json").value["devices"]
    stated = {"name": "b", "revision": 2, "samples": 48, "classes": list(LABELS)}
    assert edgecl("status", fleet / "a", "--json").value["devices"] == {device: stated}
    assert "b (48 samples of 4 classes)" in edgecl("status", fleet / "a").out
    assert edgecl("merge", fleet / "a", "--without", "b").code == 0
    rows = edgecl("history", fleet / "a").out.splitlines()
    assert any("merged b " in row for row in rows)
    assert any("no other device" in row for row in rows)


def test_a_store_that_has_learnt_nothing_itself_says_so_where_it_is_to_share(fleet: Path) -> None:
    new = Learner.create(fleet / "new", extractor="voice")
    new.merge(fleet / "b.share")
    done = edgecl("share", fleet / "new", "-o", fleet / "new.share")
    assert done.code == 2
    assert "has learnt nothing itself, and what others shared is not passed on: teach it first" in done.err
    assert "--at-least" not in done.err
