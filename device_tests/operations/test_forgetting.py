"""Forgetting: exact, complete, said in a receipt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from edgecl.errors import EdgeclError, SettingError
from edgecl.learning.forgetting import outdated, without_classes
from edgecl.learning.loop import take_in
from edgecl.model.exemplars import DIGEST_BYTES, row_bytes
from edgecl.model.model import MemoryObjects, Model
from edgecl.model.settings import Settings
from edgecl.operations.forgetting import Receipt, forget
from edgecl.operations.open_store import OpenStore
from edgecl.operations.recovery import rollback
from edgecl.store.store import Store

from ..support.commands import clips, edgecl, voice_extractor, write_clips
from ..support.forgetting import LABELS, Latents, heads_are_equal, require_exact, streams, tiers
from ..support.learning import ANYTHING, Words, as_lesson, settings, taught, teach
from ..support.stores import TIME, without_waiting


@pytest.mark.native("tries many lessons")
@examples(max_examples=60, deadline=None)
@given(stream=streams, tier=tiers, seed=st.integers(0, 99))
def test_the_closed_form_is_bit_for_bit_that_of_a_model_which_never_saw_the_class(
    stream: list[dict[str, int]], tier: dict[str, object], seed: int
) -> None:
    require_exact(stream, tier=tier, seed=seed)


def test_a_refined_head_restarts_from_the_closed_form_without_ewc() -> None:
    words = Words(4)
    lessons = [words.lesson(12), words.lesson(8, words.labels[:2])]
    refined = taught(Model(settings()), *lessons, strategy="ewc-replay")
    assert refined.head is not None
    assert refined.head.kind == "refined"
    assert refined.ewc is not None
    left = without_classes(refined, [words.labels[3]], objects=MemoryObjects())
    never_saw = taught(Model(settings()), *[{k: v for k, v in one.items() if k != words.labels[3]} for one in lessons])
    assert left.ewc is None
    assert "ewc" not in left.digests
    assert heads_are_equal(left, never_saw)


def test_forgetting_all_classes_leaves_an_empty_model() -> None:
    words = Words(2)
    left = without_classes(taught(Model(settings()), words.lesson(5)), words.labels, objects=MemoryObjects())
    assert (left.head, left.labels, left.digests) == (None, (), {})


def test_a_class_that_the_model_does_not_know_leaves_it_as_it_is() -> None:
    model = taught(Model(settings()), Words(3).lesson(5))
    assert without_classes(model, ["no such"], objects=MemoryObjects()) is model


# in a store


def make(path: Path, granted: Settings | None = None) -> Store:
    extractor = path.parent / "extractor.onnx"
    extractor.write_bytes(b"a graph")
    made = {"learner": (granted or settings()).as_dict(), "disk_bytes": 1 << 24, "contract": {}}
    return Store.create(path, extractor=extractor, settings=made, revision_body=Model(granted or settings()).body())


def learn(
    store: Store, latents: Latents, *, strategy: str = "closed-form", time: str = TIME, accept: bool = True
) -> None:
    """A lesson as `OpenStore` commits it, or notes it where it is rejected."""
    opened = OpenStore(store)
    with store.writer() as writer:
        live, model = opened.model()
        outcome = teach(model, latents, objects=writer, strategy=strategy, policy=ANYTHING)
        assert outcome.model is not None
        learnt = replace(outcome.model, taught=model.taught, timed=model.timed)
        learnt = learnt.after_lesson(latents, time=time, is_timed=True)
        told = {"lesson": {label: len(rows) for label, rows in latents.items()}, "verdict": outcome.verdict.as_dict()}
        if accept:
            body = {**learnt.body(), **told}
            writer.commit(kind="lesson", objects=learnt.digests, body=body, time=time, parent=live.number)
        else:
            writer.note({"kind": "rejected", "time": time, **told})


def forgets(store: Store, *labels: str, dry_run: bool = False) -> Receipt:
    receipt = forget(OpenStore(store), labels, dry_run=dry_run)
    assert receipt is not None
    return receipt


WORDS = Words(5, seed=3)
SECRET = "geheim"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two lessons without SECRET, one with it, one after it, and one with it that was rejected."""
    words = Words(5, seed=3)
    with without_waiting():
        store = make(tmp_path / "kitchen")
        learn(store, words.lesson(9, LABELS[:2]))
        learn(store, words.lesson(6, LABELS[1:3]))
        learn(store, {SECRET: words.say(LABELS[3], 7)}, strategy="ewc-replay")
        learn(store, words.lesson(5, LABELS[:1]))
        learn(store, {SECRET: words.say(LABELS[3], 4)}, accept=False)
    return store


def everything(store: Store) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(store.path.rglob("*")) if path.is_file())


def test_no_file_holds_the_label_or_a_row_of_it(store: Store) -> None:
    model = OpenStore(store).model()[1]
    rows = [row.tobytes() for row in model.exemplars[SECRET].rows]
    mean = model.statistics[SECRET].mean.tobytes()
    assert all(one in everything(store) for one in (SECRET.encode(), mean, *rows))
    forgets(store, SECRET)
    left = everything(store)
    assert not [one for one in (SECRET.encode(), mean, *rows) if one in left]
    assert store.check() == []


def test_revisions_that_never_saw_the_label_stay_and_the_others_go(store: Store) -> None:
    assert store.revisions() == [1, 2, 3, 4, 5]
    receipt = forgets(store, SECRET)
    assert receipt.removed.revisions == (4, 5)
    assert store.revisions() == [1, 2, 3, 6]
    live = store.current()
    assert (live.kind, live.parent, list(live.body["classes"])) == ("forget", None, LABELS[:3])
    assert store.unused_objects() == set()


def test_the_journal_keeps_what_was_before_and_of_the_rest_only_that_it_was(store: Store) -> None:
    before = store.journal()
    forgets(store, SECRET)
    after = store.journal()
    assert after[:3] == before[:3]
    assert after[3:6] == [
        {"line": 4, "kind": "lesson", "time": TIME, "revision": 4, "forgotten": True},
        {"line": 5, "kind": "lesson", "time": TIME, "revision": 5, "forgotten": True},
        {"line": 6, "kind": "rejected", "time": TIME, "forgotten": True},
    ]
    assert [one["kind"] for one in after[6:]] == ["forget"]


def test_the_receipt_says_what_was_removed_and_the_store_shrinks(store: Store) -> None:
    sha256, held, before = store.digest(5), set(store.unused_objects()), store.bytes_on_disk()
    files = {path.stem for path in (store.path / "objects").iterdir()}
    receipt = forgets(store, SECRET)
    told = receipt.as_dict()
    assert told["forgotten"] == {SECRET: 7}
    assert told["removed"]["exemplars"] == 7
    assert told["removed"]["journal_lines"] == 3
    assert held == set()
    assert set(told["removed"]["objects"]) == files - {path.stem for path in (store.path / "objects").iterdir()}
    assert (told["before"]["revision"], told["before"]["sha256"], told["before"]["disk_bytes"]) == (5, sha256, before)
    assert told["after"]["sha256"] == store.digest(6) != sha256
    assert told["after"]["disk_bytes"] == store.bytes_on_disk() < before
    assert told["not_promised"]


def test_the_receipt_says_when_a_refined_head_restarts(store: Store) -> None:
    learn(store, WORDS.lesson(5, LABELS[:1]), strategy="ewc-replay")
    told = forgets(store, SECRET).as_dict()
    assert told["head_restarted"]
    assert told["removed"]["ewc"]
    assert (told["before"]["head"], told["after"]["head"]) == ("refined", "whitened-cosine")
    assert "ewc" not in store.current().objects


def test_a_forgotten_store_equals_one_that_never_saw_the_label(store: Store, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = make(tmp_path / "b" / "kitchen")
    words = Words(5, seed=3)  # the same samples again
    learn(other, words.lesson(9, LABELS[:2]))
    learn(other, words.lesson(6, LABELS[1:3]))
    words.say(LABELS[3], 7)
    learn(other, words.lesson(5, LABELS[:1]))
    forgets(store, SECRET)
    assert store.current().objects["head"] == other.current().objects["head"]
    statistics = {role for role in other.current().objects if role.startswith("statistics/")}
    assert all(store.current().objects[role] == other.current().objects[role] for role in statistics)


def test_a_label_that_only_older_revisions_or_the_journal_know_is_forgotten_and_the_head_stays(store: Store) -> None:
    rollback(OpenStore(store), 3)
    head = store.current().objects["head"]
    receipt = forgets(store, SECRET)
    assert receipt.classes == {}
    assert receipt.removed.revisions == (4, 5)
    assert store.current().objects["head"] == head
    assert SECRET.encode() not in everything(store)


def test_what_is_not_known_is_refused_and_nothing_changes(store: Store) -> None:
    before = everything(store)
    with pytest.raises(SettingError, match=f"knows nothing of 'nobody': its classes are {SECRET}, {LABELS[0]}"):
        forgets(store, SECRET, "nobody")
    assert everything(store) == before


def test_a_dry_run_says_the_same_and_changes_nothing(store: Store) -> None:
    before = everything(store)
    trial = forgets(store, SECRET, dry_run=True)
    assert everything(store) == before
    done = forgets(store, SECRET)
    assert trial.removed.revisions == done.removed.revisions
    assert trial.removed.journal_lines == done.removed.journal_lines
    assert trial.classes == done.classes


def test_the_inbox_is_emptied_and_links_in_it_are_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept.npz").write_bytes(b"x")
    (store.path / "inbox" / "deep").mkdir(parents=True)
    (store.path / "inbox" / "1.npz").write_bytes(b"x")
    (store.path / "inbox" / "deep" / "2.npz").write_bytes(b"x")
    (store.path / "inbox" / "link").symlink_to(tmp_path / "mine")
    assert forgets(store, SECRET).removed.inbox_files >= 2
    assert list((store.path / "inbox").iterdir()) == []
    assert (tmp_path / "mine" / "kept.npz").exists()


def test_a_revision_that_cannot_be_read_may_have_seen_it_and_goes(store: Store) -> None:
    (store.path / "revisions" / "000002.json").write_bytes(b"damaged")
    assert forgets(store, SECRET).removed.revisions == (2, 4, 5)
    assert store.check() == []


def test_damaged_journal_lines_go_with_what_they_may_hold(store: Store) -> None:
    path = store.path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"kind":"rejected"', b'"kind":"Rejected"'))
    forgets(store, SECRET)
    assert SECRET.encode() not in path.read_bytes()
    assert store.check() == []


def test_after_forgetting_a_rollback_names_what_never_knew_the_label(store: Store) -> None:
    forgets(store, SECRET)
    with pytest.raises(SettingError, match=r"revision 6 forgot for good: name one .* of 1, 2, 3"):
        rollback(OpenStore(store))
    assert rollback(OpenStore(store), 2).body["classes"].keys() == set(LABELS[:2])


def test_lessons_go_on_after_forgetting_and_the_same_label_can_come_back(store: Store) -> None:
    forgets(store, SECRET)
    learn(store, {SECRET: WORDS.say(LABELS[3], 5)})
    assert OpenStore(store).model()[1].statistics[SECRET].count == 5
    assert forgets(store, SECRET, LABELS[0]).removed.revisions == (2, 3, 6, 7)
    assert store.check() == []


def test_a_store_at_its_disk_limit_can_still_forget(store: Store, tmp_path: Path) -> None:
    full = {"disk_bytes": store.bytes_on_disk()}
    store.settings = {**store.settings, **full}
    assert forgets(store, SECRET).after.disk_bytes < full["disk_bytes"]


def test_a_receipt_is_not_given_for_what_is_still_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecl.store.journal._reduced", lambda entry: entry)
    with pytest.raises(EdgeclError, match="still tells what should be gone"):
        forgets(store, SECRET)


def test_any_text_can_be_a_label_and_be_forgotten(tmp_path: Path) -> None:
    odd = ["classes", "kind", "head", "a/b", "日本", "line", "'\"\\"]
    store = make(tmp_path / "kitchen")
    learn(store, {label: WORDS.say(LABELS[0], 3) for label in odd})
    for at, label in enumerate(odd):
        forgets(store, label)
        assert set(store.current().body["classes"]) == set(odd[at + 1 :])
    assert store.check() == []


# by age


def test_outdated_is_what_was_last_taught_before(store: Store) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    learn(store, WORDS.lesson(4, LABELS[1:2]), time="2026-05-30T00:00:00+00:00")
    model = OpenStore(store).model()[1]
    assert outdated(model, older_than=timedelta(days=90), now=now) == [SECRET, LABELS[0], LABELS[2]]
    assert outdated(model, older_than=timedelta(days=200), now=now) == []
    unknown = replace(model, taught={})
    assert outdated(unknown, older_than=timedelta(days=90), now=now) == []


@pytest.fixture
def right_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecl.operations.open_store.is_synchronised", lambda: True)
    monkeypatch.setattr("edgecl.operations.open_store.BUILT", "2020-01-01T00:00:00+00:00")


@pytest.mark.usefixtures("right_clock")
def test_forgetting_the_outdated_keeps_the_rest(store: Store) -> None:
    learn(store, WORDS.lesson(4, LABELS[1:2]), time=datetime.now(UTC).isoformat(timespec="seconds"))
    receipt = forget(OpenStore(store), older_than=timedelta(days=1))
    assert receipt is not None
    assert list(OpenStore(store).model()[1].statistics) == [LABELS[1]]
    assert forget(OpenStore(store), older_than=timedelta(days=1)) is None


@pytest.mark.usefixtures("right_clock")
def test_a_lesson_that_had_nothing_new_keeps_its_class(store: Store) -> None:
    learn(store, WORDS.lesson(4, LABELS[1:2]), time=datetime.now(UTC).isoformat(timespec="seconds"))
    with store.writer() as writer:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        writer.note({"kind": "unchanged", "time": now, "lesson": {LABELS[0]: 5}, "timed": True})
    assert forget(OpenStore(store), older_than=timedelta(days=1)) is not None
    assert list(OpenStore(store).model()[1].statistics) == LABELS[:2]


@pytest.mark.usefixtures("right_clock")
def test_a_wrong_clock_does_not_cost_everything(store: Store) -> None:
    with pytest.raises(SettingError, match="all 4 classes are that old, is the clock right"):
        forget(OpenStore(store), older_than=timedelta(hours=1))


def test_when_memory_runs_short_the_longest_untaught_class_gives_up_exemplars_first() -> None:
    words = Words(3)
    granted = settings(memory_bytes=(29 << 10) + 70, max_classes=4)
    model, objects = Model(granted), MemoryObjects()
    for day, label in ((1, words.labels[1]), (3, words.labels[0]), (2, words.labels[2])):  # the clock was set back
        lesson = as_lesson(model, words.lesson(200, [label]))
        model = take_in(model, replace(lesson, time=f"2026-01-0{day}"), objects=objects)
    remembered = DIGEST_BYTES * sum(one.remembered for one in model.exemplars.values())
    room = (model.plan().exemplars - remembered) // row_bytes(granted.features.row_dimension)
    assert room % 3 == 2
    assert [len(model.exemplars[label]) for label in words.labels] == [room // 3 + 1, room // 3, room // 3 + 1]


# the command


@pytest.mark.native("embeds clips")
def test_the_command_prints_a_receipt_and_the_word_is_gone(tmp_path: Path) -> None:
    voice_extractor()
    clips_folder = write_clips(tmp_path / "clips", clips("teach", ("yes", "no", "left"), most=6))
    store = tmp_path / "kitchen"
    assert edgecl("init", store, "--extractor", "voice").code == 0
    assert edgecl("learn", store, clips_folder).code == 0
    trial = edgecl("forget", store, "left", "--dry-run")
    assert "would forget left (6 samples)" in trial.out
    assert edgecl("status", store, "--json").value["revision"] == 2
    done = edgecl("forget", store, "left", "--json")
    assert done.code == 0
    assert done.value["forgotten"] == {"left": 6}
    assert list(edgecl("status", store, "--json").value["classes"]) == ["no", "yes"]
    again = edgecl("forget", store, "left")
    assert again.code == 2
    assert "knows nothing of 'left'" in again.err
    assert "its details forgotten" in edgecl("history", store).out
    assert "Forgotten: no (6 samples)." in edgecl("forget", store, "no").out


@pytest.mark.parametrize(
    "arguments", [[], ["yes", "--older-than", "90d"], ["--older-than", "0d"], ["--older-than", "x"]]
)
def test_wrong_options_are_usage_errors(tmp_path: Path, arguments: list[str]) -> None:
    assert edgecl("forget", tmp_path, *arguments).code == 2
