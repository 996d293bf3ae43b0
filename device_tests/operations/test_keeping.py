"""Keep: which classes give way first, by what is said of them and how much they are used."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import SettingError
from edgecl.learner import Learner
from edgecl.live.use import counted
from edgecl.store import use_counts
from edgecl.store.use_counts import add_counts, counts_file, read_counts

from ..support.commands import edgecl, voice_extractor

WORDS = ("ask", "bed", "cat", "dog")


def latents(label: str, count: int = 12) -> np.ndarray:
    """Draw latents of one word, far from those of every other."""
    mean = np.random.default_rng(sum(map(ord, label))).normal(size=96) * 2
    return (mean + np.random.default_rng(1).normal(size=(count, 96))).astype(np.float32)


def teach(learner: Learner, label: str):
    return learner.learn(latents(label), [label] * 12, latents=True)


@pytest.fixture(scope="module")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    path = tmp_path_factory.mktemp("keep") / "store"
    learner = Learner.create(path, extractor="voice", max_classes=len(WORDS))
    for word in WORDS:
        teach(learner, word)
    return path


@pytest.fixture
def learner(full_store: Path, tmp_path: Path):
    yield Learner.open(shutil.copytree(full_store, tmp_path / "store"))
    counts_file(tmp_path / "store").unlink(missing_ok=True)


def test_a_full_store_rejects_a_class_until_something_may_give_way(learner):
    assert not teach(learner, "eel").is_accepted
    learner.keep(["ask", "bed"], "while-used")
    add_counts(learner.opened.store.path, {"ask": 5})
    report = teach(learner, "eel")
    assert (report.gave_way, learner.classes) == (("bed",), ("ask", "cat", "dog", "eel"))
    learner.rollback()
    assert learner.classes == WORDS


def test_status_shows_what_is_kept_and_how_much_it_is_used(learner):
    store = learner.opened.store.path
    assert "  kept " not in edgecl("status", store).out
    learner.keep("ask", "always")
    learner.keep("bed", date(2027, 1, 31))
    add_counts(store, {"cat": 5})
    learner.keep("cat", "while-used")
    [line] = [one for one in edgecl("status", store).out.splitlines() if one.startswith("  kept ")]
    assert line.endswith("  ask always, bed until 2027-01-31, cat while used (5 events)")
    classes = edgecl("status", store, "--json").value["classes"]
    assert [(one["kept"], one["use"]) for one in classes.values()] == [
        ("always", 0), ("2027-01-31", 0), ("while-used", 5), (None, 0)
    ]  # fmt: skip


def keep_past(learner: Learner, monkeypatch: pytest.MonkeyPatch, label: str) -> None:
    """Keep a class until a day that is over when the next lesson is taught."""
    with monkeypatch.context() as earlier:
        earlier.setattr("edgecl.learning.priorities.is_past", lambda said, today: False)
        learner.keep(label, date(2001, 1, 1))


def test_what_is_past_its_date_goes_before_what_is_not_used(learner, monkeypatch):
    monkeypatch.setattr("edgecl.operations.open_store.is_synchronised", lambda: True)
    learner.keep("ask", "while-used")
    keep_past(learner, monkeypatch, "cat")
    assert teach(learner, "eel").gave_way == ("cat",)


def test_a_date_does_not_count_where_the_clock_cannot_be_trusted(learner, monkeypatch):
    monkeypatch.setattr("edgecl.operations.open_store.is_synchronised", lambda: False)
    learner.keep("ask", "while-used")
    learner.keep("cat", date(2001, 1, 1))
    assert teach(learner, "eel").gave_way == ("ask",)


def test_a_day_that_is_over_is_refused_where_the_clock_can_be_trusted(learner, monkeypatch):
    monkeypatch.setattr("edgecl.operations.open_store.is_synchronised", lambda: True)
    today, revision = datetime.now(UTC).date(), learner.revision
    with pytest.raises(SettingError, match=rf"^2001-01-01 is over: wanted {today} or a later day$"):
        learner.keep("cat", date(2001, 1, 1))
    done = edgecl("keep", learner.path, "cat", "--until", "2001-01-01")
    assert (done.code, "2001-01-01 is over" in done.err) == (2, True)
    assert learner.revision == revision
    learner.keep("cat", today)


def test_what_is_kept_always_never_goes(learner):
    learner.keep(WORDS, "always")
    assert not teach(learner, "eel").is_accepted
    assert learner.classes == WORDS


def test_use_waits_in_memory_and_is_written_with_the_next_commit(learner):
    path = learner.opened.store.path
    revision, before = learner.revision, {file.name for file in path.rglob("*")}

    class Event:
        label = "dog"

    with counted(path) as use:
        assert [one.label for one in use.of([Event(), Event()])] == ["dog", "dog"]
    assert read_counts(path) == {"dog": 2}
    assert (learner.revision, {file.name for file in path.rglob("*")}) == (revision, before)
    report = learner.keep("dog", "while-used")
    assert report.use == {"dog": 2.0}
    assert read_counts(path) == {}
    assert Learner.open(path).opened.model()[1].use == {"dog": 2.0}


def test_a_rejected_lesson_writes_no_use(learner):
    add_counts(learner.opened.store.path, {"dog": 2})
    assert not teach(learner, "eel").is_accepted
    assert read_counts(learner.opened.store.path) == {"dog": 2}


def test_nothing_of_a_forgotten_class_stays_in_the_counts(learner):
    add_counts(learner.opened.store.path, {"dog": 2, "cat": 1})
    learner.keep("dog", "while-used")
    add_counts(learner.opened.store.path, {"dog": 2, "cat": 1})
    learner.forget("dog")
    assert read_counts(learner.opened.store.path) == {"cat": 1}
    model = learner.opened.model()[1]
    assert (dict(model.priorities), dict(model.use)) == ({}, {"cat": 1.0})


def test_counts_of_something_else_are_no_counts(learner):
    counts_file(learner.opened.store.path).write_text('{"dog": "many", "cat": -1}')
    assert read_counts(learner.opened.store.path) == {}
    counts_file(learner.opened.store.path).write_text("no json")
    assert read_counts(learner.opened.store.path) == {}


def test_a_class_or_priority_that_is_unknown_is_refused(learner):
    with pytest.raises(SettingError, match="does not know 'fox'"):
        learner.keep(["ask", "fox"], "always")
    with pytest.raises(SettingError, match="'sometimes': wanted always"):
        learner.keep("ask", "sometimes")


def test_the_command_says_what_it_did_and_history_shows_it(learner):
    store = learner.opened.store.path
    assert edgecl("keep", store, "ask", "--while-used").out.strip().endswith("ask kept while-used.")
    assert "ask kept while-used" in edgecl("history", store).out
    assert edgecl("keep", store, "ask").code == 2
    assert edgecl("keep", store, "ask", "--always", "--while-used").code == 2


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _of_another_user(path: Path) -> None:
    path.write_text('{"dog": 9}')
    os.chown(path, 65534, 65534)
    path.chmod(0o666)


def _nested(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("made", [_pipe, _of_another_user, _nested])
def test_what_somebody_else_puts_in_the_place_of_the_counts_is_left_alone(tmp_path: Path, made):
    path = counts_file(tmp_path / "store")
    made(path)
    before = path.lstat()
    started = time.monotonic()
    try:
        assert read_counts(tmp_path / "store") == {}
        if made is not _nested:
            assert not add_counts(tmp_path / "store", {"dog": 1})
            assert path.lstat() == before
    finally:
        path.unlink()
    assert time.monotonic() - started < 1


def test_counts_that_stay_locked_are_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(use_counts, "PATIENCE_S", 0.05)
    assert add_counts(tmp_path / "store", {"dog": 1})
    path = counts_file(tmp_path / "store")
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert read_counts(tmp_path / "store") == {}
        assert not add_counts(tmp_path / "store", {"dog": 1})
    assert read_counts(tmp_path / "store") == {"dog": 1}
    path.unlink()
