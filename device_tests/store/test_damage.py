"""The store when its files are not what they were: noticed, named, the newest sound revision used."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import ModelError, SettingError, StoreDamagedError, StoreMissingError
from edgecl.model.loading import load_model
from edgecl.store import journal as journal_file
from edgecl.store.records import DIGEST, sha256
from edgecl.store.store import Store

from ..support.learning import settings as learner_settings
from ..support.stores import TIME, commit, is_whole, make_store, teach


@pytest.fixture(autouse=True)
def _no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "_RETRIES_S", ())


@pytest.fixture
def store(folder: Path) -> Store:
    """Revisions 1 to 3; an object that both lessons use and two that one uses."""
    store = make_store(folder / "kitchen")
    teach(store, {"head": 1, "statistics/yes": 5})
    teach(store, {"head": 2})
    return store


def files(store: Store) -> list[Path]:
    return sorted(path for path in store.path.rglob("*") if path.is_file() and path.name not in ("lock", "reserve"))


def notices(path: Path) -> bool:
    """Whether damage is noticed, by an error or by `check`; what can be loaded is whole all the same."""
    try:
        store = Store.open(path)
    except ModelError:
        return True
    try:
        assert is_whole(store)
    except StoreDamagedError:
        return True
    return bool(store.check())


def sampled(length: int, *, every: int) -> list[int]:
    """All of a short file; of a longer one some, and all near both ends. test_npz and test_journal take all."""
    return [at for at in range(length) if at < 40 or at >= length - 40 or at % every == 0]


@pytest.mark.native("tries thousands of bytes")
def test_every_flipped_byte_is_noticed_and_what_is_loaded_is_whole(store: Store) -> None:
    draw = np.random.default_rng(0)
    for path in files(store):
        data = bytearray(path.read_bytes())
        for position in sampled(len(data), every=4):
            flip = 1 << int(draw.integers(8))
            data[position] ^= flip
            path.write_bytes(data)
            assert notices(store.path), f"{path.name}, byte {position}"
            data[position] ^= flip
        path.write_bytes(data)
    assert not notices(store.path)


@pytest.mark.native("tries thousands of lengths")
def test_every_shorter_length_is_noticed_and_what_is_loaded_is_whole(store: Store) -> None:
    for path in files(store):
        data = path.read_bytes()
        for length in sampled(len(data), every=8):
            path.write_bytes(data[:length])
            assert notices(store.path), f"{path.name}, {length} bytes"
        path.write_bytes(data)
    assert not notices(store.path)


def test_every_missing_file_is_noticed_but_an_old_revision(store: Store) -> None:
    old = {store.path / "revisions" / f"{number:06d}.json" for number in (1, 2)}
    for path in sorted({*files(store)} - old):
        data = path.read_bytes()
        path.unlink()
        assert notices(store.path), path.name
        path.write_bytes(data)
    assert not notices(store.path)


def test_files_of_another_store_are_noticed(store: Store, folder: Path) -> None:
    other = make_store(folder / "other")
    teach(other, {"head": 1, "statistics/yes": 5})
    teach(other, {"head": 7})
    for path in files(store):
        foreign = other.path / path.relative_to(store.path)
        if foreign.exists() and foreign.read_bytes() != path.read_bytes():
            data = path.read_bytes()
            shutil.copy(foreign, path)
            assert notices(store.path), path.name
            path.write_bytes(data)


def test_one_object_in_the_place_of_another_is_noticed(store: Store) -> None:
    first, second = sorted((store.path / "objects").iterdir())[:2]
    shutil.copy(first, second)
    assert f"{second} does not match its digest" in store.check()


def test_one_revision_in_the_place_of_another_is_noticed(store: Store) -> None:
    folder = store.path / "revisions"
    shutil.copy(folder / "000002.json", folder / "000003.json")
    opened = Store.open(store.path)
    assert opened.current().number == 2
    assert "000003.json" in opened.damage[0]


def test_a_stranger_in_the_folder_is_named(store: Store) -> None:
    for name in ("notes.txt", "objects/core", "revisions/7.json"):
        (store.path / name).write_text("")
        assert store.check() == [f"{store.path / name} does not belong to a store"]
        (store.path / name).unlink()


@pytest.mark.parametrize("text", [b"", b"3", b"999 " + b"0" * 64 + b"\n", b"\xff" * 70, b"x" * 100_000])
def test_a_damaged_pointer_leads_to_the_newest_intact_revision(store: Store, text: bytes) -> None:
    (store.path / "current").write_bytes(text)
    opened = Store.open(store.path)
    assert opened.current().number == 3
    assert len(opened.damage) == 1
    assert is_whole(opened)


def test_a_damaged_revision_leads_to_the_one_before(store: Store) -> None:
    (store.path / "revisions" / "000003.json").write_text("{}")
    opened = Store.open(store.path)
    assert opened.current().number == 2
    assert opened.revisions() == [1, 2, 3]
    assert "000003.json" in opened.damage[0]
    with pytest.raises(StoreDamagedError, match=r"000003\.json is damaged"):
        opened.revision(3)


def test_a_damaged_object_leads_to_the_revision_before(store: Store) -> None:
    path = store.path / "objects" / f"{store.current().objects['head']}.npz"
    path.write_bytes(path.read_bytes()[:-1])
    opened = Store.open(store.path)
    revision, objects = opened.load("head")
    assert revision.number == 2
    assert objects["head"]["filled"][0] == 1
    assert opened.damage == [f"{path} does not match its digest"]


def test_a_lesson_on_top_of_the_newest_intact_revision_heals_the_store(store: Store) -> None:
    (store.path / "revisions" / "000003.json").write_text("{}")
    opened = Store.open(store.path)
    revision = teach(opened, {"head": 9})
    assert (revision.number, revision.parent) == (4, 2)
    assert Store.open(store.path).current() == revision
    assert Store.open(store.path).damage == []


def test_a_lesson_may_start_before_a_revision_with_a_damaged_object(store: Store) -> None:
    live = store.current()
    (store.path / "objects" / f"{live.objects['head']}.npz").write_bytes(b"")
    opened = Store.open(store.path)
    sound, _ = opened.load("head")
    with opened.writer() as writer:
        objects = {**sound.objects, "head": writer.put({"filled": np.float32([9])})}
        body = {"marks": {**sound.body["marks"], "head": 9}}
        revision = writer.commit(kind="lesson", objects=objects, body=body, time=TIME, parent=sound.number)
    assert (revision.number, revision.parent) == (4, 2)
    assert is_whole(Store.open(store.path))


def test_putting_the_same_arrays_heals_a_damaged_object(store: Store) -> None:
    digest = store.current().objects["head"]
    (store.path / "objects" / f"{digest}.npz").write_bytes(b"damaged")
    with store.writer() as writer:
        commit(writer, store.current(), {"head": 2})
    assert store.current().objects["head"] == digest
    assert store.check() == []


def test_rollback_to_a_damaged_revision_is_refused(store: Store) -> None:
    (store.path / "objects" / f"{store.revision(2).objects['head']}.npz").write_bytes(b"")
    with store.writer() as writer, pytest.raises(StoreDamagedError, match="does not match its digest"):
        writer.rollback(2, time=TIME)
    assert store.current().number == 3


def test_a_store_without_any_sound_revision_says_what_is_wrong(store: Store) -> None:
    for path in (store.path / "revisions").iterdir():
        path.write_text("{}")
    with pytest.raises(StoreDamagedError, match=r"no intact revision left: .*000003\.json"):
        Store.open(store.path)


def test_a_store_without_store_json_is_damaged_and_not_missing(store: Store) -> None:
    (store.path / "store.json").unlink()
    with pytest.raises(StoreDamagedError, match=r"store\.json is missing"):
        Store.open(store.path)
    shutil.rmtree(store.path / "objects")
    shutil.rmtree(store.path / "revisions")
    (store.path / "current").unlink()
    with pytest.raises(StoreMissingError):
        Store.open(store.path)


def test_damage_of_the_journal_is_named_and_the_rest_is_read(store: Store) -> None:
    path = store.path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"revision":2', b'"revision":9'))
    assert [entry["revision"] for entry in store.journal()] == [1, 3]
    assert store.damage == [f"{path} line 2 is damaged"]
    teach(store, {"head": 4})
    assert sorted(entry["revision"] for entry in store.journal()) == [1, 2, 3, 4]


# repair


def mended(path: Path) -> list[str]:
    """What repair says it did; afterwards the store is sound, and goes on."""
    store = Store.open(path)
    done = store.repair(require_usable=store.revision, time=TIME)
    assert Store.open(path).check() == []
    assert is_whole(Store.open(path))
    teach(Store.open(path), {"next": 1})
    assert Store.open(path).check() == []
    return done


def test_repair_of_any_flip_or_cut_leaves_a_sound_store_and_says_what_it_did(store: Store, folder: Path) -> None:
    draw = np.random.default_rng(1)
    own = {"store.json", "extractor.onnx"}  # these have no second copy in the store
    for number, path in enumerate(one for one in files(store) if one.name not in own for _ in range(8)):
        copy = folder / f"copy {number}"
        shutil.copytree(store.path, copy)
        target = copy / path.relative_to(store.path)
        data = bytearray(target.read_bytes())
        at = int(draw.integers(len(data)))
        if number % 2:
            data[at] ^= 1 << int(draw.integers(8))
            target.write_bytes(data)
        else:
            target.write_bytes(data[:at])
        done = mended(copy)
        is_torn_end = path.name == "journal.jsonl" and not done  # the next writer had dropped it already
        assert done or is_torn_end, target
        shutil.rmtree(copy)


def test_repair_says_which_revision_is_live_and_which_were_removed(store: Store) -> None:
    (store.path / "revisions" / "000003.json").write_bytes(b"damaged")
    done = mended(store.path)
    assert done[0] == "revision 4 is live: the model of revision 2, the newest intact one"
    assert done[1].startswith("removed revision 3: ")
    assert "000003.json is damaged" in done[1]
    assert len(done) == 2


def test_repair_of_current_alone_keeps_the_newest_revision(store: Store) -> None:
    (store.path / "current").write_bytes(b"3 nothing")
    done = Store.open(store.path).repair(require_usable=store.revision, time=TIME)
    assert done == [f"wrote {store.path / 'current'} again: revision 3 is live"]
    assert Store.open(store.path).current().number == 3


def test_repair_drops_damaged_journal_lines_and_says_so(store: Store) -> None:
    path = store.path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"kind":"init"', b'"kind":"tini"'))
    assert mended(store.path) == [f"repaired {path}: {path} line 1 is damaged"]


def test_repair_of_a_sound_store_does_nothing(store: Store) -> None:
    before = {path: path.read_bytes() for path in files(store)}
    assert store.repair(require_usable=store.revision, time=TIME) == []
    assert {path: path.read_bytes() for path in files(store)} == before


def test_repair_without_a_sound_revision_changes_nothing(store: Store) -> None:
    opened = Store.open(store.path)
    with pytest.raises(StoreDamagedError, match="no intact revision left: restore it"):
        opened.repair(require_usable=lambda number: opened.read("0" * 64), time=TIME)
    assert store.check() == []


def test_repair_leaves_strangers_and_removes_folders_in_the_place_of_revisions(store: Store) -> None:
    (store.path / "notes.txt").write_text("mine")
    path = store.path / "revisions" / "000002.json"
    path.unlink()
    path.mkdir()
    store.repair(require_usable=store.revision, time=TIME)
    assert store.check() == [f"{store.path / 'notes.txt'} does not belong to a store"]


def test_the_extractor_is_restored_only_from_the_same_file(store: Store, folder: Path) -> None:
    store.extractor_path.write_bytes(b"damaged")
    (folder / "other.onnx").write_bytes(b"another")
    with pytest.raises(SettingError, match="is not the extractor"):
        store.restore_extractor(folder / "other.onnx")
    store.restore_extractor(folder / "extractor.onnx")
    assert store.check() == []


# hostile files: digests are right, contents are not


def resealed(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    fields = DIGEST.open(path.read_bytes())
    change(fields)
    path.write_bytes(DIGEST.close(fields))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"number": "3"}, id="number as text"),
        pytest.param({"number": 4}, id="another number"),
        pytest.param({"kind": "virus"}, id="unknown kind"),
        pytest.param({"objects": []}, id="objects as a list"),
        pytest.param({"objects": {"head": 7}}, id="digest as a number"),
        pytest.param({"body": None}, id="no body"),
        pytest.param({"parent": 2.5}, id="broken parent"),
        pytest.param({"more": 1}, id="one member too many"),
    ],
)
def test_revisions_of_the_wrong_shape_are_refused(store: Store, change: dict[str, object]) -> None:
    path = store.path / "revisions" / "000003.json"
    resealed(path, lambda fields: fields.update(change))
    (store.path / "current").unlink()
    opened = Store.open(store.path)
    assert opened.current().number == 2
    assert "000003.json" in " ".join(opened.damage)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": None},
        {"classes": {"a": "1"}},
        {"exemplars": {"a": -1}},
        {"exemplars": {"nobody": 1}},
        {"head": 7},
        {"ewc_classes": [7]},
        {"taught": {"a": 5}},
    ],
)
def test_a_body_that_is_no_models_is_refused(change: dict[str, object]) -> None:
    body = {"classes": {"a": 1}, "exemplars": {}, "head": None, "ewc_classes": [], **change}
    granted = learner_settings()
    with pytest.raises(StoreDamagedError, match="body of the revision is not that of a model"):
        load_model(granted, {}, body, {})


def test_objects_outside_the_folder_are_refused(store: Store) -> None:
    path = store.path / "revisions" / "000003.json"
    resealed(path, lambda fields: fields.update(objects={"head": "../../../etc/passwd"}))
    (store.path / "current").unlink()
    assert Store.open(store.path).current().number == 2


@pytest.mark.parametrize(
    "change",
    [
        {"extractor": {"file": "../../evil.onnx", "sha256": "0" * 64, "bytes": 7}},
        {"extractor": None},
        {"settings": []},
        {"name": 5},
    ],
)
def test_a_store_json_of_the_wrong_shape_is_refused(store: Store, change: dict[str, object]) -> None:
    resealed(store.path / "store.json", lambda fields: fields.update(change))
    with pytest.raises(StoreDamagedError, match=r"store\.json is damaged: its members"):
        Store.open(store.path)


@pytest.mark.parametrize("text", [b"[" * 200_000, b"{" * 50, b"\xff\xfe", b"null", b'{"format":null}', b"1" * 9999])
def test_json_that_is_none_of_ours_is_refused(store: Store, text: bytes) -> None:
    (store.path / "store.json").write_bytes(text)
    with pytest.raises(StoreDamagedError):
        Store.open(store.path)
    sealed = text + f',"sha256":"{sha256(text)}"}}\n'.encode()
    (store.path / "store.json").write_bytes(sealed)
    with pytest.raises(StoreDamagedError):
        Store.open(store.path)


def test_files_that_are_far_too_long_are_not_read(store: Store) -> None:
    for name in ("store.json", "current", "revisions/000003.json", "journal.jsonl"):
        os.truncate(store.path / name, 1 << 40)  # sparse
    with pytest.raises(StoreDamagedError, match="bytes, at most"):
        Store.open(store.path)


def test_an_object_that_is_far_too_long_is_not_read(store: Store) -> None:
    path = store.path / "objects" / f"{store.current().objects['head']}.npz"
    os.truncate(path, 1 << 40)
    with pytest.raises(StoreDamagedError, match="bytes, at most"):
        store.read(path.stem)


def test_links_pipes_and_folders_in_the_place_of_files_are_refused(store: Store, folder: Path) -> None:
    path = store.path / "objects" / f"{store.current().objects['head']}.npz"
    good = folder / "good.npz"
    path.rename(good)
    for make in (lambda: path.symlink_to(good), lambda: os.mkfifo(path), path.mkdir):
        make()
        with pytest.raises(StoreDamagedError, match=r"symbolic link|not a regular file"):
            store.read(path.stem)
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_folder_that_is_a_link_is_refused(store: Store, folder: Path) -> None:
    (store.path / "objects").rename(folder / "elsewhere")
    (store.path / "objects").symlink_to(folder / "elsewhere")
    with pytest.raises(StoreDamagedError, match="objects is a symbolic link"):
        Store.open(store.path)


def test_a_journal_end_with_absurd_numbers_takes_no_memory(store: Store) -> None:
    path = store.path / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    name = DIGEST.open((store.path / "store.json").read_bytes())["name"]
    text = b'{"end":true,"first":1,"last":999999999999'
    crc = zlib.crc32(text, zlib.crc32(name.encode()))
    path.write_bytes(b"".join(lines[:-1]) + text + f',"crc":"{crc:08x}"}}\n'.encode())
    assert len(store.journal()) == 3
    assert "1 to 999999999999" in store.damage[0]
