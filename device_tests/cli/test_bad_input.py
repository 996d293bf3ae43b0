"""Bad input on every command: a message that says what to do, the right exit code, the store unharmed."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from edgecl.store.store import Store

from ..support.commands import (
    RATE,
    clips,
    command_line,
    edgecl,
    noise,
    process,
    tree,
    voice_extractor,
    write_clips,
    write_wav,
)
from ..support.stores import small_disk

pytestmark = pytest.mark.native("refusals are the same everywhere, and each starts a command")

WORDS = ("yes", "no")
DATA, MODEL, USAGE, ERROR = 4, 5, 2, 1


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A taught store, and one bad thing of each kind beside it."""
    folder = tmp_path_factory.mktemp("shelf")
    assert edgecl("init", folder / "kitchen", "--extractor", voice_extractor()).code == 0
    lesson = write_clips(folder / "good", clips("teach", WORDS, most=4))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    good = next((lesson / "yes").iterdir())
    put_files(folder, good)
    put_windows(folder)
    put_stores(folder)
    return folder


def put_files(folder: Path, good: Path) -> None:
    content = good.read_bytes()
    for name, wrong in {
        "empty.wav": b"",
        "truncated.wav": content[:30],
        "half.wav": content[: len(content) // 2],
        "text.wav": b"this is no sound",
        "notes.txt": b"this is no sound",
        "random.onnx": b"this is no graph",
        "broken.csv": b"time,x\n1,2\n",
    }.items():
        (folder / name).write_bytes(wrong)
    write_wav(folder / "silent.wav", 0 * noise())
    write_wav(folder / "short.wav", noise(0.02))
    write_wav(folder / "loud.wav", 100 * noise())
    write_wav(folder / "slow.wav", noise(), rate=100)
    with write_wav(folder / "huge.wav", noise()).open("r+b") as file:
        file.truncate(1 << 26)  # sparse
    (folder / "no files").mkdir()
    (folder / "no sound" / "yes").mkdir(parents=True)
    (folder / "no sound" / "yes" / "notes.txt").write_text("this is no sound")
    for number in range(3):
        (folder / "copies" / "yes").mkdir(parents=True, exist_ok=True)
        shutil.copy(good, folder / "copies" / "yes" / f"{number}.wav")
    shutil.copytree(folder / "copies", folder / "Küche – 台所" / "copies")


def put_windows(folder: Path) -> None:
    sound = np.stack([noise(seed=seed) for seed in range(4)])[:, :, None].astype(np.float32)
    labels = np.array(["yes", "no", "yes", "no"])
    np.savez(folder / "nan.npz", X=sound * np.nan, y=labels, rate_hz=RATE)
    np.savez(folder / "six channels.npz", X=np.repeat(sound, 6, axis=2), y=labels, rate_hz=RATE)
    np.savez(folder / "too few labels.npz", X=sound, y=labels[:2], rate_hz=RATE)
    np.savez(folder / "no X.npz", windows=sound)
    np.savez(folder / "objects.npz", X=np.array([{"a": 1}], dtype=object), y=labels[:1])
    np.savez(folder / "slow.npz", X=sound, y=labels, rate_hz=1)
    (folder / "lines.jsonl").write_text('{"signal": [[NaN]], "label": "yes"}\nno json\n')
    (folder / "truncated.npz").write_bytes((folder / "nan.npz").read_bytes()[:200])


def put_stores(folder: Path) -> None:
    for name in ("damaged head", "damaged header", "no revision", "other extractor"):
        shutil.copytree(folder / "kitchen", folder / name)
    for part in (folder / "damaged head" / "objects").iterdir():
        flip(part)
    flip(folder / "damaged header" / "store.json")
    for part in (folder / "no revision" / "revisions").iterdir():
        part.unlink()
    flip(folder / "other extractor" / "extractor.onnx")
    (folder / "no store").mkdir()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# data, and what the message about it says
USELESS = {
    "missing.wav": "does not exist",
    "notes.txt": "no known kind, wanted a folder or a .wav",
    "no files": "empty folder, wanted <label>/<file>.wav",
    "no sound": "nothing in",
    "broken.csv": "the extractor takes sound",
    "nan.npz": "not finite",
    "six channels.npz": "wrong channel count: 6, the extractor takes 1",
    "too few labels.npz": "y",
    "no X.npz": "X",
    "objects.npz": "object",
    "slow.npz": "rate",
    "lines.jsonl": "not JSON",
    "truncated.npz": "truncated.npz",
}
USELESS_CLIPS = {
    "empty.wav": "empty file",
    "truncated.wav": "truncated",
    "half.wav": "truncated",
    "text.wav": "wanted a WAV, FLAC, Ogg, MP3 or AIFF file",
    "silent.wav": "silent",
    "short.wav": "too short",
    "loud.wav": "clipped",
    "slow.wav": "100 Hz",
    "huge.wav": "too long",
}
NO_STORES = {
    "missing": "edgecl init",
    "good/yes": "no store",
    "no store": "no store",
    "notes.txt": "is a file",
    "damaged header": "store.json",
    "no revision": "no revision",
}


def check_refused(done: Any, code: int, said: str) -> None:
    assert done.code == code, (done.out, done.err)
    assert said in done.err
    assert done.err.count("Error:") == 1
    assert "ACCEPTED" not in done.out


@pytest.fixture
def unharmed(shelf: Path) -> Iterator[Path]:
    """The shelf; after the test it must be as it was."""
    before = tree(shelf)
    yield shelf
    assert tree(shelf) == before


@pytest.mark.parametrize("name", USELESS)
@pytest.mark.parametrize("command", ["learn", "eval", "predict"])
def test_useless_data_is_refused(unharmed: Path, command: str, name: str) -> None:
    check_refused(edgecl(command, unharmed / "kitchen", unharmed / name), DATA, USELESS[name])


@pytest.mark.parametrize("name", USELESS_CLIPS)
@pytest.mark.parametrize("command", ["learn", "eval", "predict"])
def test_a_useless_clip_is_refused(unharmed: Path, command: str, name: str) -> None:
    label = () if command == "predict" else ("--label", "yes")
    check_refused(edgecl(command, unharmed / "kitchen", unharmed / name, *label), DATA, USELESS_CLIPS[name])


@pytest.mark.parametrize("command", ["learn", "eval"])
def test_a_clip_without_a_label_is_refused_with_the_option_to_use(unharmed: Path, command: str) -> None:
    done = edgecl(command, unharmed / "kitchen", unharmed / "copies" / "yes" / "0.wav")
    check_refused(done, DATA, "--label")


@pytest.mark.parametrize("command", ["learn", "eval"])
def test_a_label_for_labelled_folders_is_refused(unharmed: Path, command: str) -> None:
    done = edgecl(command, unharmed / "kitchen", unharmed / "good", "--label", "yes")
    check_refused(done, DATA, "(--label)")


@pytest.mark.parametrize(
    "arguments",
    [("compare", "copies/yes", "--extractor", "voice"), ("export", "wakeword", "kitchen", "nope", "-o", "x.onnx")],
)
def test_no_option_is_advised_that_the_command_lacks(
    unharmed: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(unharmed)
    done = edgecl(*arguments)
    assert done.code in (2, 4)
    assert "(--label)" not in done.err


def test_one_bad_path_among_good_ones_ends_predict_after_the_good_answers(unharmed: Path) -> None:
    paths = (unharmed / "good" / "yes", unharmed / "missing.wav")
    done = edgecl("predict", unharmed / "kitchen", *paths, "--json")
    assert done.code == DATA
    assert len(done.lines) == 5
    assert done.lines[-1].keys() == {"error", "exit_code"}


@pytest.mark.parametrize("name", NO_STORES)
@pytest.mark.parametrize(
    "arguments",
    [("learn", "good"), ("predict", "good"), ("eval", "good"), ("status",), ("history",), ("rollback",)],
    ids=lambda arguments: arguments[0],
)
def test_what_is_no_sound_store_is_refused(unharmed: Path, arguments: tuple[str, ...], name: str) -> None:
    command, *data = arguments
    check_refused(edgecl(command, unharmed / name, *(unharmed / one for one in data)), MODEL, NO_STORES[name])


@pytest.mark.parametrize(("command", "code"), [("learn", 0), ("predict", MODEL), ("eval", MODEL), ("status", 0)])
def test_where_the_live_model_is_damaged_the_newest_intact_one_is_used_and_said(
    shelf: Path, tmp_path: Path, command: str, code: int
) -> None:
    store = shutil.copytree(shelf / "damaged head", tmp_path / "damaged")  # sound is revision 1, which knows nothing
    data = () if command == "status" else (shelf / "good",)
    done = edgecl(command, store, *data)
    assert done.code == code
    assert "Warning" in done.err
    assert ".npz does not match its digest" in done.err


@pytest.mark.parametrize("command", ["learn", "predict", "eval"])
def test_a_changed_extractor_is_refused(unharmed: Path, command: str) -> None:
    check_refused(edgecl(command, unharmed / "other extractor", unharmed / "good"), MODEL, "extractor.onnx")


@pytest.mark.native("starts many processes")
@pytest.mark.parametrize("name", ["damaged head", "damaged header", "no revision", "other extractor"])
def test_doctor_reports_damage(unharmed: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecl.cli.commands.doctor.PACKAGES", {"numpy": ("numpy", "")})
    done = edgecl("doctor", unharmed / name, "--json")
    assert done.code == MODEL
    assert done.value["store"]["damage"]


@pytest.mark.native("starts many processes")
def test_doctor_refuses_what_is_no_store(unharmed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecl.cli.commands.doctor.PACKAGES", {"numpy": ("numpy", "")})
    check_refused(edgecl("doctor", unharmed / "no store"), MODEL, "no store")


# option, value, what the message says
WRONG_OPTIONS = [
    ("--strategy", "magic", "'ewc-replay'"),
    ("--replay-weight", "2", "0<=x<=1"),
    ("--replay-weight", "nan", "finite"),
    ("--ewc-strength", "-1", "x>=0"),
    ("--ewc-strength", "inf", "finite"),
    ("--ewc-strength", "nan", "finite"),
    ("--seed", "-1", "x>=0"),
    ("--label", "", "empty"),
    ("--label", "a\nb", "control"),
    ("--label", "x" * 65, "64"),
    ("--channel", "9" * 5000, "neither left nor right"),  # Python reads no number of more than 4,300 digits
    ("--colour", "red", "No such option"),
]


@pytest.mark.parametrize(("option", "value", "said"), WRONG_OPTIONS)
def test_an_option_that_cannot_work_is_refused(unharmed: Path, option: str, value: str, said: str) -> None:
    done = edgecl("learn", unharmed / "kitchen", unharmed / "copies" / "yes", option, value)
    check_refused(done, USAGE, said)


def test_options_that_contradict_each_other_are_refused(unharmed: Path) -> None:
    learn = ("learn", unharmed / "kitchen", unharmed / "good")
    check_refused(edgecl(*learn, "--force", "--require-proof"), USAGE, "choose one")
    done = edgecl(*learn, "--strategy", "closed-form", "--ewc-strength", 2)
    check_refused(done, USAGE, "no gradient steps")


@pytest.mark.parametrize(("revision", "said"), [("99", "choose one of 1, 2"), ("one", "integer"), ("0", "1, 2")])
def test_a_revision_that_is_not_there_is_refused(unharmed: Path, revision: str, said: str) -> None:
    check_refused(edgecl("rollback", unharmed / "kitchen", revision), USAGE, said)


def test_the_first_revision_has_none_before_it(tmp_path: Path) -> None:
    edgecl("init", tmp_path / "new", "--extractor", voice_extractor())
    check_refused(edgecl("rollback", tmp_path / "new"), USAGE, "nothing to roll back to")


# what is given to init, beside the store, and what the message says
WRONG_BUDGETS = [
    (("--memory", "10KiB"), "the smallest that can"),
    (("--disk", "100KiB"), "--disk"),
    (("--memory", "lots"), "write it as 300000, 512KiB or 1MiB"),
    (("--memory", "0"), "size"),
    (("--memory", "nan"), "size"),
    (("--max-classes", "1"), "x>=2"),
    (("--max-classes", "1000000"), "has room for 10,485"),
    (("--lift", "1000000"), "the smallest that can"),
]


@pytest.mark.parametrize(
    ("budget", "said"), WRONG_BUDGETS, ids=lambda one: "=".join(one) if isinstance(one, tuple) else ""
)
def test_a_budget_that_cannot_work_is_refused(
    unharmed: Path, tmp_path: Path, budget: tuple[str, ...], said: str
) -> None:
    check_refused(edgecl("init", tmp_path / "new", "--extractor", voice_extractor(), *budget), USAGE, said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("kitchen", "is a store already"),
        ("good", "is not empty"),
        ("notes.txt", "is a file"),
        ("missing/kitchen", "make it first"),
    ],
)
def test_a_path_that_is_taken_or_cannot_be_made_is_refused(unharmed: Path, store: str, said: str) -> None:
    check_refused(edgecl("init", unharmed / store, "--extractor", voice_extractor()), USAGE, said)


@pytest.mark.parametrize(
    ("extractor", "code", "said"),
    [
        ("missing.onnx", USAGE, "neither voice nor imu, nor a file: `edgecl export` makes others"),
        ("random.onnx", MODEL, "not an ONNX file"),
        ("good", MODEL, "good"),
    ],
)
def test_what_is_no_extractor_is_refused(unharmed: Path, tmp_path: Path, extractor: str, code: int, said: str) -> None:
    check_refused(edgecl("init", tmp_path / "new", "--extractor", unharmed / extractor), code, said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("asked", "command"), [("table", "identity --like stream.csv"), ("Text", "text")])
def test_an_extractor_that_does_not_ship_is_answered_with_the_command_that_makes_it(
    tmp_path: Path, asked: str, command: str
) -> None:
    refused = edgecl("init", tmp_path / "new", "--extractor", asked)
    check_refused(refused, USAGE, f"neither voice nor imu, nor a file: `edgecl export {command}")


def test_movement_with_fewer_sensors_is_answered_with_the_command_that_makes_an_extractor(tmp_path: Path) -> None:
    assert edgecl("init", tmp_path / "wrist", "--extractor", "imu").code == 0
    rows = [f"{i / 50},{i % 7},{i % 5},9" for i in range(200)]
    (tmp_path / "phone.csv").write_text("\n".join(["time,x,y,z", *rows]))
    refused = edgecl("learn", tmp_path / "wrist", tmp_path / "phone.csv", "--label", "walk")
    check_refused(refused, DATA, "an extractor for such data: `edgecl export imu --like FILE -o OUT`")
    assert "--columns" not in refused.err


@pytest.mark.parametrize(("name", "command"), [("table", "identity"), ("pictures", "image")])
def test_an_extractor_is_exported_by_the_name_of_what_it_takes(name: str, command: str) -> None:
    asked, ours = (edgecl("export", one, "--help").out for one in (name, command))
    assert asked.replace(f"Usage: edgecl export {name}", f"Usage: edgecl export {command}") == ours


def test_windows_shorter_than_the_extractors_are_answered_with_the_command_that_makes_one(tmp_path: Path) -> None:
    assert edgecl("init", tmp_path / "wrist", "--extractor", "imu").code == 0
    signals = np.random.default_rng(0).normal(size=(8, 50, 6)).astype(np.float32)
    np.savez(tmp_path / "windows.npz", X=signals, y=np.arange(8) % 2, label_names=["a", "b"], rate_hz=50)
    refused = edgecl("learn", tmp_path / "wrist", tmp_path / "windows.npz")
    check_refused(refused, DATA, "an extractor for such data: `edgecl export imu --like FILE -o OUT`")
    rows = [f"{i / 50},{i % 7},{i % 5},9,1,1,1" for i in range(60)]  # a recording has to be longer
    (tmp_path / "short.csv").write_text("\n".join(["time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z", *rows]))
    assert "export imu" not in edgecl("learn", tmp_path / "wrist", tmp_path / "short.csv", "--label", "walk").err


def test_predict_says_a_warning_about_a_file_of_movement_once(tmp_path: Path) -> None:
    assert edgecl("init", tmp_path / "wrist", "--extractor", "imu").code == 0
    noise = np.random.default_rng(0).normal(size=(400, 6)) + np.array([0, 0, 9.8, 0, 0, 0])
    rows = [",".join(f"{value:.3f}" for value in (i / 50, *row)) for i, row in enumerate(noise)]
    (tmp_path / "rows.csv").write_text("\n".join(["time,a,b,c,d,e,f", *rows]))
    assert edgecl("learn", tmp_path / "wrist", tmp_path / "rows.csv", "--label", "walk", "--force").code == 0
    assert edgecl("predict", tmp_path / "wrist", tmp_path / "rows.csv").err.count("are taken as") == 1


def test_a_page_whose_stream_cannot_be_followed_shows_no_address(tmp_path: Path) -> None:
    export = pytest.importorskip("edgecl_export")
    (tmp_path / "like.csv").write_text("a,b,label\n" + "".join(f"{at},{at % 7},x\n" for at in range(40)))
    export.export_table(tmp_path / "table.onnx", tmp_path / "like.csv")
    for name, source, why in (("table", "-", "the store takes table"), ("imu", "nowhere.csv", "or a file")):
        extractor = tmp_path / "table.onnx" if name == "table" else name
        assert edgecl("init", tmp_path / name, "--extractor", extractor).code == 0
        done = edgecl("serve", tmp_path / name, "--port", 0, "--listen", source)
        check_refused(done, USAGE, why)
        assert done.out == ""


def test_a_stream_in_a_store_of_movement_names_the_store_that_it_wants(tmp_path: Path) -> None:
    assert edgecl("init", tmp_path / "wrist", "--extractor", "imu").code == 0
    rows = [f"{i / 50},{i % 7},{i % 5},9,1,1,1,walk" for i in range(200)]
    (tmp_path / "rows.csv").write_text("\n".join(["time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,label", *rows]))
    refused = edgecl("follow", tmp_path / "wrist", tmp_path / "rows.csv")
    check_refused(refused, USAGE, "takes imu; a stream is usually rows of a table (`edgecl export identity")


@pytest.mark.parametrize("arguments", [(), ("lern",), ("learn",), ("learn", "kitchen"), ("--colour",)])
def test_a_command_line_that_is_not_whole_is_answered_with_usage(arguments: tuple[str, ...]) -> None:
    done = edgecl(*arguments)
    assert done.code == USAGE
    assert "Usage: edgecl" in done.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status", "missing"), MODEL),
        (("learn", "kitchen", "missing"), DATA),
        (("rollback", "kitchen", "99"), USAGE),
        (("learn", "kitchen"), USAGE),
    ],
)
def test_with_json_an_error_is_an_object_on_stdout(unharmed: Path, arguments: tuple[str, ...], code: int) -> None:
    command, *names = arguments
    paths = [name if name.isdigit() else unharmed / name for name in names]
    done = edgecl(command, *paths, "--json")
    assert done.code == code
    assert done.value["exit_code"] == code
    assert done.value["error"] in done.err


# Data that is poor but not bad


def test_copies_of_one_clip_count_once(shelf: Path, tmp_path: Path) -> None:
    store = shutil.copytree(shelf / "kitchen", tmp_path / "kitchen")
    told = edgecl("learn", store, shelf / "copies", "--again", "--dry-run", "--json").value
    assert told["samples"] == 1
    assert [one["reason"].partition(":")[0] for one in told["skipped"]] == 2 * ["duplicate"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_first_lesson_of_one_class_is_taken(tmp_path: Path, count: int) -> None:
    edgecl("init", tmp_path / "new", "--extractor", voice_extractor())
    lesson = write_clips(tmp_path / "lesson", clips("teach", ("yes",), most=count))
    assert edgecl("learn", tmp_path / "new", lesson).code == 0
    answers = edgecl("predict", tmp_path / "new", lesson, "--json").lines
    assert {one["label"] for one in answers} == {"yes"}


def test_names_of_any_script_work_everywhere(tmp_path: Path) -> None:
    store, lesson = tmp_path / "Küche 台所", tmp_path / "leçon №1"
    edgecl("init", store, "--extractor", voice_extractor())
    (write_clips(lesson, clips("teach", WORDS, most=3)) / "yes").rename(lesson / "はい")
    assert edgecl("learn", store, lesson).code == 0
    assert "はい" in edgecl("status", store).out
    assert "はい" in edgecl("predict", store, lesson / "はい").out
    assert "はい" in edgecl("eval", store, lesson, "--json").value["per_class"]


def test_more_classes_than_the_store_was_made_for_are_rejected(tmp_path: Path) -> None:
    edgecl("init", tmp_path / "new", "--extractor", voice_extractor(), "--max-classes", 2)
    lesson = write_clips(tmp_path / "lesson", clips("teach", ("yes", "no", "up"), most=2))
    done = edgecl("learn", tmp_path / "new", lesson)
    assert done.code == 3
    assert "make a store for 3 classes or more" in done.out


# Machines in trouble


@contextmanager
def failing(code: int) -> Iterator[None]:
    """Whatever would write fails with this error."""
    real = os.open

    def refuse(path: Any, flags: int, *others: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(code, os.strerror(code), str(path))
        return real(path, flags, *others, **more)

    def refuse_folder(path: Any, *others: Any, **more: Any) -> None:
        raise OSError(code, os.strerror(code), str(path))

    with mock.patch("os.open", refuse), mock.patch("os.mkdir", refuse_folder):
        yield


@pytest.mark.parametrize(("code", "said"), [(errno.EROFS, "Read-only"), (errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("command", ["init", "learn", "rollback"])
def test_a_disk_that_takes_nothing_is_a_message(
    shelf: Path, tmp_path: Path, command: str, code: int, said: str
) -> None:
    store = shutil.copytree(shelf / "kitchen", tmp_path / "kitchen")
    before = tree(tmp_path)
    arguments: dict[str, tuple[object, ...]] = {
        "init": (tmp_path / "new", "--extractor", voice_extractor()),
        "learn": (store, shelf / "good"),
        "rollback": (store,),
    }
    with failing(code):
        check_refused(edgecl(command, *arguments[command]), ERROR, said)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["predict", "eval", "status", "history"])
def test_a_read_only_store_can_be_read(shelf: Path, command: str) -> None:
    data = (shelf / "good",) if command in ("predict", "eval") else ()
    with failing(errno.EROFS):
        assert edgecl(command, shelf / "kitchen", *data).code == 0


@pytest.mark.native("starts many processes")
def test_a_store_that_another_process_writes_to_is_left_alone(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shutil.copytree(shelf / "kitchen", tmp_path / "kitchen")
    patient = Store.writer
    monkeypatch.setattr(Store, "writer", lambda self: patient(self, timeout_s=0.05))
    with patient(Store.open(store)):
        check_refused(edgecl("learn", store, shelf / "good"), ERROR, "another process")


@pytest.mark.host
def test_a_disk_that_fills_up_while_learning_leaves_the_old_model(shelf: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "3m") as disk:
        store = shutil.copytree(shelf / "kitchen", disk / "kitchen")
        filler = disk / "filler"
        free = shutil.disk_usage(disk).free
        filler.write_bytes(bytes(max(free - 30_000, 0)))
        before = tree(store)
        done = process("learn", store, shelf / "good", "--again", "--json")
        assert done.code == ERROR
        assert "No space left" in done.value["error"]
        assert tree(store) == before
        filler.unlink()
        assert process("learn", store, shelf / "good", "--again", "--json").code == 0


@pytest.mark.native("calls a function between fork and exec, where QEMU hangs")
def test_a_limit_on_file_size_leaves_the_old_model(shelf: Path, tmp_path: Path) -> None:
    store = shutil.copytree(shelf / "kitchen", tmp_path / "kitchen")
    before = tree(store)

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": tempfile.gettempdir()}
    done = subprocess.run(
        command_line("learn", store, shelf / "good", "--again", "--json"),
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env=environ,
        check=False,
    )
    assert done.returncode == ERROR
    assert "File too large" in json.loads(done.stdout)["error"]
    assert tree(store) == before
