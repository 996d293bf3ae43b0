"""Folders: labels and groups by name, and what is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.sources.choices import Choices
from edgecl.sources.folders import require_labels_first
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Skip

from ..support.recordings import RATE, VOICE, WRIST, csv_of, movement, put, samples_of, skips_of, tone, wav


def test_labels_and_speakers_come_from_folders_and_names(tmp_path: Path) -> None:
    put(tmp_path / "go" / "anna_1.wav", wav(tone(hertz=300)))
    put(tmp_path / "go" / "ben" / "take.wav", wav(tone(hertz=310)))
    put(tmp_path / "stop" / "plain.WAV", wav(tone(hertz=320)))
    found = [(sample.label, sample.group) for sample in samples_of(tmp_path)]
    assert found == [("go", "anna"), ("go", "ben"), ("stop", None)]


def test_order_is_that_of_the_names(tmp_path: Path) -> None:
    for i, name in enumerate(["b/2.wav", "a/z.wav", "b/10.wav", "a/b.wav"]):
        put(tmp_path / name, wav(tone(hertz=300 + i)))
    names = [Path(sample.source).relative_to(tmp_path).as_posix() for sample in samples_of(tmp_path)]
    assert names == ["a/b.wav", "a/z.wav", "b/10.wav", "b/2.wav"]


def test_flat_folder_takes_its_label_from_the_option(tmp_path: Path) -> None:
    put(tmp_path / "1.wav", wav(tone()))
    assert [sample.label for sample in samples_of(tmp_path, label="go")] == ["go"]


def test_flat_folder_without_a_label_is_refused_with_the_option_to_use(tmp_path: Path) -> None:
    put(tmp_path / "1.wav", wav(tone()))
    with pytest.raises(DataError, match=r"give (the|their) label"):
        read_samples(tmp_path, VOICE)


def test_bare_file_without_a_label_is_refused_unless_none_is_needed(tmp_path: Path) -> None:
    path = put(tmp_path / "1.wav", wav(tone()))
    with pytest.raises(DataError, match=r"give (the|their) label"):
        read_samples(path, VOICE)
    assert [sample.label for sample in samples_of(path, labelled=False)] == [None]


def test_label_for_a_folder_of_labels_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    with pytest.raises(DataError, match=r"\(go\).*give no label"):
        read_samples(tmp_path, VOICE, label="stop")


def test_file_beside_the_label_folders_is_skipped(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / "2.wav", wav(tone(hertz=300)))
    assert [skip.reason.partition(":")[0] for skip in skips_of(tmp_path)] == ["no label"]


def test_other_files_are_skipped_and_hidden_ones_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / "go" / "notes.txt", "hello")
    put(tmp_path / "go" / ".DS_Store", "x")
    put(tmp_path / ".git" / "1.wav", wav(tone()))
    (skip,) = skips_of(tmp_path)
    assert skip == Skip(
        str(tmp_path / "go" / "notes.txt"), "other file: not a .wav, .flac, .ogg, .opus, .mp3, .aiff or .aif file"
    )


@pytest.mark.parametrize(
    "folder",
    ["$RECYCLE.BIN/S-1-5", "__MACOSX/go", "#recycle/go", "@eaDir/go", "lost+found", "System Volume Information"],
)
def test_deleted_clips_and_folders_of_the_system_are_no_labels(tmp_path: Path, folder: str) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / "go" / "Thumbs.db", "x")
    put(tmp_path / "desktop.ini", "x")
    put(tmp_path / folder / "$RC1.wav", wav(tone(hertz=300)))
    assert [sample.label for sample in samples_of(tmp_path)] == ["go"]
    assert skips_of(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 32044\n",
            "not audio: a pointer of Git LFS",
        ),
        (b"<!DOCTYPE html><html>404 Not Found</html>", "not audio: a web page"),
        (b"\n<html>\n<body>", "not audio: a web page"),
        (b"PK\x03\x04" + bytes(40), "not audio: an archive"),
        (b"hello, this is no sound", "not audio: begins with 'hell'"),
    ],
)
def test_what_is_called_sound_and_is_something_else_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / "go" / "2.wav", content)
    (skip,) = skips_of(tmp_path)
    assert skip.reason.startswith(named)


def test_same_bytes_twice_are_a_duplicate_of_the_first(tmp_path: Path) -> None:
    first = put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / "go" / "2.wav", wav(tone()))
    (skip,) = skips_of(tmp_path)
    assert skip.reason == f"duplicate: the same as {first}"


def test_symlinks_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    (tmp_path / "go" / "up").symlink_to(tmp_path)
    (tmp_path / "go" / "self").symlink_to(tmp_path / "go" / "self")
    (tmp_path / "go" / "gone.wav").symlink_to(tmp_path / "nowhere")
    reasons = {skip.reason.partition(":")[0] for skip in skips_of(tmp_path)}
    assert len(samples_of(tmp_path)) == 1
    assert reasons == {"symlink loop", "unreadable"}


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    os.mkfifo(tmp_path / "go" / "2.wav")
    assert [skip.reason.partition(":")[0] for skip in skips_of(tmp_path)] == ["not a regular file"]


def test_unreadable_file_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert [skip.reason for skip in skips_of(tmp_path)] == ["unreadable: Permission denied"]


def test_bad_folder_name_is_skipped_file_by_file(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    put(tmp_path / ("x" * 65) / "1.wav", wav(tone(hertz=300)))
    assert [skip.reason.partition(":")[0] for skip in skips_of(tmp_path)] == ["bad label"]


def test_long_background_recording_is_cut_into_clips(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 40 * RATE)
    put(tmp_path / "_background_noise_" / "kitchen.wav", wav(noise))
    put(tmp_path / "go" / "kitchen.wav", wav(noise[::-1]))
    samples = samples_of(tmp_path)
    assert len(samples) == 40 * RATE // VOICE.clip_samples
    assert {sample.label for sample in samples} == {"_background_noise_"}
    assert {len(sample.signal) for sample in samples} == {VOICE.clip_samples}
    assert [skip.reason for skip in skips_of(tmp_path)] == ["too long: 40.0 s, a clip has at most 30 s: cut it"]


def test_reading_is_lazy(tmp_path: Path) -> None:
    put(tmp_path / "go" / "1.wav", wav(tone()))
    second = put(tmp_path / "go" / "2.wav", wav(tone(hertz=300)))
    items = read_samples(tmp_path, VOICE)
    next(items)
    second.unlink()
    assert isinstance(next(items), Skip)


def test_recordings_in_label_folders_are_read_for_movement(tmp_path: Path) -> None:
    put(tmp_path / "curl" / "anna_1.csv", csv_of(np.arange(50) / 50, movement(50)))
    put(tmp_path / "curl" / "2.csv", "nonsense")
    samples = samples_of(tmp_path, WRIST)
    assert {(sample.label, sample.group) for sample in samples} == {("curl", "anna")}
    assert skips_of(tmp_path, WRIST)[0].source.endswith("2.csv")


@pytest.mark.parametrize(
    "parts", [("train", "test", "validation"), ("fold1", "fold2"), ("positive", "negative"), ("1", "2", "3")]
)
def test_parts_of_a_set_above_the_labels_are_refused_until_the_depth_is_given(
    tmp_path: Path, parts: tuple[str, ...]
) -> None:
    for index, part in enumerate(parts):
        for other, name in enumerate(("yes", "no")):
            put(tmp_path / part / name / "1.wav", wav(tone(hertz=300 + 100 * index + 30 * other)))
    with pytest.raises(
        DataError, match=rf"which folders are the labels\?.*{parts[0]}.*those below \(no, yes\)"
    ) as raised:
        samples_of(tmp_path)
    assert raised.value.parameter == "label_folder"
    assert {one.label for one in samples_of(tmp_path, how=Choices(label_folder=2))} == {"yes", "no"}
    assert {one.label for one in samples_of(tmp_path, how=Choices(label_folder=1))} == set(parts)


def test_digits_with_a_folder_for_each_speaker_are_labels(tmp_path: Path) -> None:
    for digit in ("0", "1", "2"):
        for number, speaker in enumerate(("ann", "ben")):
            put(tmp_path / digit / speaker / "1.wav", wav(tone(hertz=300 + 100 * int(digit) + 30 * number)))
    assert {(one.label, one.group) for one in samples_of(tmp_path)} == {
        (digit, speaker) for digit in ("0", "1", "2") for speaker in ("ann", "ben")
    }


@pytest.mark.parametrize(
    "parts",
    [
        ("train_clips", "test_clips"),
        ("train-clean-100", "dev-clean"),
        ("train", "extra"),
        ("my_train", "my_test"),
        ("subject_1", "subject_2"),
        ("S01", "S02"),
        ("session1", "session2"),
    ],
)
def test_parts_people_and_sessions_above_the_labels_are_refused(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for index, part in enumerate(parts):
        for other, name in enumerate(("yes", "no")):
            put(tmp_path / part / name / "1.wav", wav(tone(hertz=300 + 100 * index + 30 * other)))
    with pytest.raises(DataError, match="which folders are the labels") as raised:
        samples_of(tmp_path)
    assert raised.value.parameter == "label_folder"
    settled = samples_of(tmp_path, how=Choices(label_folder=2))
    assert {one.label for one in settled} == {"yes", "no"}
    people = parts[0][0] in "sS"
    assert {one.group for one in settled} == (set(parts) if people else {None})


def test_people_above_folders_that_are_called_like_known_classes_are_refused(tmp_path: Path) -> None:
    for index, person in enumerate(("alice", "bob")):
        for other, name in enumerate(("Yes", "later")):
            put(tmp_path / person / name / "1.wav", wav(tone(hertz=300 + 100 * index + 30 * other)))
    assert {one.label for one in samples_of(tmp_path)} == {"alice", "bob"}
    assert {one.label for one in samples_of(tmp_path, known=("no", "alice"))} == {"alice", "bob"}
    with pytest.raises(DataError, match="holds folders with known classes below them, alice, bob: which") as raised:
        samples_of(tmp_path, known=("no", "yes"))
    assert raised.value.parameter == "label_folder"
    settled = samples_of(tmp_path, known=("no", "yes"), how=Choices(label_folder=2))
    assert {(one.label, one.group) for one in settled} == {
        (name, person) for name in ("Yes", "later") for person in ("alice", "bob")
    }


def test_stores_are_no_data(tmp_path: Path) -> None:
    put(tmp_path / "yes" / "1.wav", wav(tone()))
    for store in (tmp_path / "kitchen", tmp_path / "fleet" / "hall"):
        put(store / "store.json", b"{}")
        (store / "objects").mkdir()
        put(store / "inbox" / "000001.wav", wav(tone(hertz=400)))
    assert {one.label for one in samples_of(tmp_path)} == {"yes"}
    assert {one.reason for one in skips_of(tmp_path)} == {"a store of edgecl: it holds no samples to read"}
    for known in ((), ("inbox",)):
        with pytest.raises(DataError, match=r"kitchen is a store of edgecl and holds no samples to read: give the"):
            samples_of(tmp_path / "kitchen", known=known)


def test_a_label_that_is_called_like_a_part_beside_labels_of_the_same_speakers_says_how_to_keep_it(
    tmp_path: Path,
) -> None:
    for index, name in enumerate(("train", "bus")):
        for other, speaker in enumerate(("ann", "ben")):
            put(tmp_path / name / speaker / "1.wav", wav(tone(hertz=300 + 100 * index + 30 * other)))
    with pytest.raises(
        DataError, match=r"depth 1 for the first ones \(bus, train\), or 2 for those below \(ann, ben\)"
    ):
        samples_of(tmp_path)
    assert {one.label for one in samples_of(tmp_path, how=Choices(label_folder=1))} == {"bus", "train"}


@pytest.mark.parametrize("names", [("train", "bus"), ("on test", "off"), ("p1", "p2"), ("good", "bad")])
def test_labels_with_folders_of_different_speakers_pass(tmp_path: Path, names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        for speaker in (f"ann{index}", f"ben{index}"):
            put(tmp_path / name / speaker / "1.wav", wav(tone(hertz=300 + 100 * index + len(speaker))))
    assert {one.label for one in samples_of(tmp_path)} == set(names)


@pytest.mark.parametrize("names", [("train", "bus"), ("positive", "negative"), ("0", "1")])
def test_labels_that_are_called_like_parts_pass(tmp_path: Path, names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        put(tmp_path / name / "1.wav", wav(tone(hertz=300 + 100 * index)))
    assert {one.label for one in samples_of(tmp_path)} == set(names)


def test_labels_that_differ_in_case_alone_are_refused_until_it_is_settled(tmp_path: Path) -> None:
    for index, name in enumerate(("Go", "go")):
        put(tmp_path / name / "1.wav", wav(tone(hertz=300 + 100 * index)))
    with pytest.raises(DataError, match="the label 'go', and others have 'Go', which differ only in case") as raised:
        samples_of(tmp_path)
    assert raised.value.parameter == "label_case"
    assert {one.label for one in samples_of(tmp_path, how=Choices(label_case="keep"))} == {"Go", "go"}
    assert {one.label for one in samples_of(tmp_path, how=Choices(label_case="lower"))} == {"go"}


def test_a_flat_folder_of_another_codec_names_the_line_that_converts_it(tmp_path: Path) -> None:
    put(tmp_path / "clip.m4a", "x")
    with pytest.raises(DataError, match="convert them: ffmpeg -i FILE"):
        samples_of(tmp_path, label="go")


def test_sessions_of_several_people_above_the_labels_are_of_those_people(tmp_path: Path) -> None:
    for person in (1, 2):
        put(tmp_path / f"subject_{person}" / "session_1" / "go" / "1.wav", wav(tone(hertz=300 + 50 * person)))
    found = samples_of(tmp_path, how=Choices(label_folder=3))
    assert [one.group for one in found] == ["subject_1", "subject_2"]


@pytest.mark.parametrize(("people", "is_named"), [(("no", "stop"), True), (("speaker1", "speaker2"), False)])
def test_folders_that_hold_the_same_folders_are_named_unless_these_are_called_like_people(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, people: tuple[str, str], is_named: bool
) -> None:
    for part in ("entrenamiento", "prueba"):
        for name in people:
            put(tmp_path / part / name / "a.wav", "")
    require_labels_first(tmp_path)
    assert ("hold the same folders (no, stop)" in caplog.text) == is_named
    caplog.clear()
    require_labels_first(tmp_path, known=["prueba"])
    assert not caplog.text


def test_known_classes_are_found_three_folders_down(tmp_path: Path) -> None:
    for index, (year, person) in enumerate((("2024", "alice"), ("2025", "bob"))):
        for other, name in enumerate(("hello", "stop")):
            put(tmp_path / year / person / name / "1.wav", wav(tone(hertz=300 + 100 * index + 30 * other)))
    wanted = (
        r"holds folders with known classes below them, 2024, 2025: which folders are the labels\? Give the depth 1 for "
        r"the first ones \(2024, 2025\), or 2 for those below \(alice, bob\), or 3 \(hello, stop\), or give the path"
    )
    with pytest.raises(DataError, match=wanted) as raised:
        samples_of(tmp_path, known=("hello",))
    assert raised.value.parameter == "label_folder"
    settled = samples_of(tmp_path, known=("hello",), how=Choices(label_folder=3))
    assert {(one.label, one.group) for one in settled} == {
        (name, person) for name in ("hello", "stop") for person in ("alice", "bob")
    }


def test_folders_below_each_other_say_which_are_taken_as_labels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for year, person in (("2024", "alice"), ("2025", "bob")):
        for name in ("hello", "stop"):
            put(tmp_path / year / person / name / "1.wav", "")
    require_labels_first(tmp_path)
    assert (
        "the first (2024, 2025) are taken as the labels, the next (alice, bob) as people: if those at depth 3 (hello, "
        "stop) are the labels, say so (--label-folder 3)"
    ) in caplog.text
    caplog.clear()
    require_labels_first(tmp_path, known=["2024"])
    assert not caplog.text


@pytest.mark.parametrize("session", ["session_1", "raw", "2024-05-01", "20240501_1030", "2024-05-01T10-30"])
def test_people_and_one_folder_of_each_below_labels_are_not_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, session: str
) -> None:
    for name in ("hello", "stop"):
        for person in ("subject_1", "subject_2"):
            put(tmp_path / name / person / session / "1.wav", "")
    require_labels_first(tmp_path)
    assert not caplog.text


def test_dates_below_people_with_names_are_not_taken_for_labels(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, person in (("hello", "anna"), ("hello", "ben"), ("stop", "anna"), ("stop", "cora")):
        for date in ("2024-05-01", "2024-05-02"):
            put(tmp_path / name / person / date / "1.wav", "")
    require_labels_first(tmp_path)
    assert not caplog.text


def test_one_folder_around_all_labels_is_named_in_a_first_lesson(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("hello", "stop"):
        put(tmp_path / "recordings" / name / "1.wav", "")
    require_labels_first(tmp_path)
    assert (
        "the folder recordings holds folders (hello, stop), which are taken as people: if they are the labels, say so "
        "(--label-folder 2)"
    ) in caplog.text
    caplog.clear()
    require_labels_first(tmp_path, known=["coffee"])
    assert not caplog.text


@pytest.mark.parametrize(
    ("inner", "is_named"),
    [
        ((("no", "on", "stop"), ("no", "on")), True),
        ((("no", "on", "stop"), ("no", "on", "go")), True),
        ((("ann", "ben", "cid", "dan"), ("ann", "eve", "fay", "ben")), False),
    ],
)
def test_folders_that_hold_mostly_the_same_folders_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, inner: tuple[tuple[str, ...], ...], is_named: bool
) -> None:
    for part, names in zip(("clean", "noisy"), inner, strict=True):
        for name in names:
            put(tmp_path / part / name / "a.wav", "")
    require_labels_first(tmp_path)
    assert ("the folders clean, noisy hold the same folders (no, on)" in caplog.text) == is_named
