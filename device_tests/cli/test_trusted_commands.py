"""Commands that a person can trust: what they take, what they say, and what they leave alone."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecl.cli import warn
from edgecl.cli.app import main
from edgecl.errors import EdgeclError
from edgecl.learner import Learner

from ..support.commands import clips, edgecl, tree, voice_extractor, write_clips, write_wav
from ..support.listening import said
from ..support.recordings import put, wav

pytestmark = pytest.mark.native("embeds clips")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    voice_extractor()
    folder = tmp_path_factory.mktemp("trusted")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice", "--max-classes", 3).code == 0
    lesson = write_clips(folder / "clips", clips("teach", ["yes", "no", "left"]))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    evening = write_wav(folder / "evening.wav", said("yes", "left"))
    assert edgecl("listen", folder / "kitchen", evening, "--inbox").code == 0
    return folder


@pytest.fixture
def kitchen(taught: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(taught / "kitchen", tmp_path / "kitchen"))


def test_a_class_that_is_known_is_neither_taught_nor_evaluated_in_another_spelling(
    kitchen: Path, tmp_path: Path
) -> None:
    lesson = write_clips(tmp_path / "more", [replace(one, label="Yes") for one in clips("test", ["yes"])])
    for command in ("learn", "eval"):
        done = edgecl(command, kitchen, lesson)
        assert done.code == 4
        assert "the label 'Yes', and the class 'yes' is known" in done.err
        assert "--label-case keep|lower" in done.err
    shown = edgecl("eval", kitchen, lesson, "--label-case", "lower", "--json").value
    assert set(shown["per_class"]) == {"yes"}


def test_a_skipped_file_of_cancelling_channels_names_the_option(kitchen: Path, tmp_path: Path) -> None:
    loud = clips("test", ["yes"], most=1)[0].signal
    both = put(tmp_path / "both.wav", wav(np.concatenate([loud, -loud], axis=1)))
    good = write_wav(tmp_path / "good.wav", clips("test", ["no"], most=1)[0].signal)
    done = edgecl("predict", kitchen, both, good)
    assert "(--channel left)" in done.err
    put(tmp_path / "all" / "good.wav", good.read_bytes())
    put(tmp_path / "all" / "both.wav", both.read_bytes())
    done = edgecl("predict", kitchen, tmp_path / "all")
    assert done.code == 0
    assert "(--channel left)" in done.err


def test_one_bad_file_does_not_stop_predict(kitchen: Path, tmp_path: Path) -> None:
    good = sorted(write_clips(tmp_path / "good", clips("test", ["yes", "no"], most=1)).rglob("*.wav"))
    (tmp_path / "bad.wav").write_bytes(b"RIFF, but no sound")
    done = edgecl("predict", kitchen, good[0], tmp_path / "bad.wav", tmp_path / "missing.wav", good[1])
    assert done.code == 4
    assert len(done.out.splitlines()) == 1 + 2
    assert "bad.wav" in done.err
    assert "missing.wav" in done.err


def test_wrong_says_which_detection_it_takes(kitchen: Path) -> None:
    (first, last) = edgecl("inbox", kitchen, "--json").value["items"]
    assert (first["label"], last["label"]) == ("yes", "left")
    done = edgecl("wrong", kitchen, "--label", "no")
    assert f"detection {last['id'].lstrip('0')}: left ({last['confidence']:.0%}), " in done.err
    assert last["kept"][:10] in done.err


@pytest.mark.parametrize("by", ["id", "event"])
def test_wrong_takes_an_id(kitchen: Path, by: str) -> None:
    first = edgecl("inbox", kitchen, "--json").value["items"][0]
    assert "detection 1: yes" in edgecl("wrong", kitchen, first[by]).err
    assert edgecl("wrong", kitchen, "77").code == 2
    assert edgecl("wrong", kitchen, "1", "--last", 2).code == 2


def test_wrong_asks_on_a_terminal(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    before = tree(kitchen)
    monkeypatch.setattr("edgecl.cli.commands._prompt.is_possible", lambda: True)
    done = CliRunner().invoke(main, ["wrong", str(kitchen), "--label", "no"], input="n\n")
    assert done.exit_code == 1
    assert 'Teach 1 detection as "no"?' in done.stderr
    assert tree(kitchen) == before
    assert CliRunner().invoke(main, ["wrong", str(kitchen), "--yes"]).exit_code in (0, 3)


def test_force_cannot_make_room_for_more_classes(kitchen: Path, tmp_path: Path) -> None:
    lesson = write_clips(tmp_path / "more", clips("teach", ["up"], most=5))
    done = edgecl("learn", kitchen, lesson, "--force")
    assert done.code == 3
    assert done.out.startswith("REJECTED, and --force cannot help, revision 2 stays live")
    told = edgecl("learn", kitchen, lesson, "--force", "--json").value
    assert (told["accepted"], told["forced"], told["revision"]) == (False, False, None)
    assert "up +5" in edgecl("history", kitchen).out
    assert "REJECTED" in edgecl("history", kitchen).out


def test_one_word_for_one_verdict(kitchen: Path, tmp_path: Path) -> None:
    swapped = [replace(one, label="yes" if one.label == "no" else "no") for one in clips("teach", ["yes", "no"])]
    lessons = {
        "": write_clips(tmp_path / "again", clips("test", ["left"], most=6)),
        "--force": write_clips(tmp_path / "wrong", swapped),
    }
    for option, lesson in lessons.items():
        headline = edgecl("learn", kitchen, lesson, *([option] if option else [])).out.splitlines()[0]
        row = next(one for one in reversed(edgecl("history", kitchen).out.splitlines()) if " 20" in one)
        told = edgecl("status", kitchen, "--json").value
        word = next(one for one in ("FORCED", "NOTHING NEW", "ACCEPTED", "UNPROVEN", "REJECTED", "ASKS") if one in row)
        assert headline.startswith(word)
        if word not in ("NOTHING NEW", "REJECTED", "ASKS"):
            assert told["verdict"] == word.lower()
            assert word in edgecl("status", kitchen).out


def test_a_trial_needs_no_lock(kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise EdgeclError("the store is read-only")

    monkeypatch.setattr("edgecl.store.store.Store.writer", refuse)
    before = tree(kitchen)
    lesson = write_clips(tmp_path / "again", clips("test", ["left"], most=6))
    done = edgecl("learn", kitchen, lesson, "--dry-run")
    assert done.code == 0, done.err
    assert "DRY RUN" in done.out
    assert edgecl("learn", kitchen, lesson).code == 1
    trial = edgecl("forget", kitchen, "left", "--dry-run")
    assert trial.code == 0, trial.err
    assert "would forget left" in trial.out
    assert tree(kitchen) == before


def test_inbox_export_writes_what_the_name_says(kitchen: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    refused = edgecl("inbox", kitchen, "export", 1, "-o", out)
    assert refused.code == 2
    assert "cannot be written as .csv: use .wav" in refused.err
    assert not out.exists()
    out = tmp_path / "o.wav"
    assert edgecl("inbox", kitchen, "export", 1, "-o", out).code == 0
    out.write_bytes(b"mine")
    assert edgecl("inbox", kitchen, "export", 1, "-o", out).code == 2
    assert out.read_bytes() == b"mine"
    assert edgecl("inbox", kitchen, "export", 1, "-o", out, "--overwrite").code == 0
    assert out.read_bytes().startswith(b"RIFF")


def test_movement_of_the_inbox_is_exported_as_csv_that_is_read_again(tmp_path: Path) -> None:
    from edgecl.sources.reading import read_samples

    assert edgecl("init", tmp_path / "wrist", "--extractor", "imu").code == 0
    learner = Learner.open(tmp_path / "wrist")
    contract, inbox = learner.contract, learner.inbox()
    moved = np.random.default_rng(0).standard_normal((contract.clip_samples, len(contract.channels))).astype(np.float32)
    moved[:, 2] += 9.81
    inbox.keep(moved, kind="surprise", time=0, label="row", confidence=0.5, novelty=0.6)
    out = tmp_path / "o.csv"
    assert edgecl("inbox", tmp_path / "wrist", "export", 1, "-o", out).code == 0
    (sample,) = read_samples(out, contract, label="row")
    np.testing.assert_allclose(sample.signal, moved, atol=1e-3)  # type: ignore[union-attr]


def test_an_interrupt_says_what_was_done_and_what_was_not(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgecl.cli.commands.status._print", fall)
    done = edgecl("status", kitchen)
    assert done.code == 130
    assert f"nothing was committed to {kitchen}, revision 2 is live" in done.err
    monkeypatch.setattr(warn, "BEGUN", {kitchen: 1})
    from edgecl.cli.app import _what_was_done

    assert f"revision 2 of {kitchen} is committed and live" in _what_was_done()


def test_json_is_a_flag_everywhere() -> None:
    assert edgecl("bench", "--json", "--compare", "a", "b").value["exit_code"] == 4
    assert edgecl("bench", "--help").out.count("--out FILE") == 1


@pytest.mark.parametrize("extractor", ["voice", "imu"])
@pytest.mark.parametrize("given", [("10KiB", "64MiB"), ("1KiB", "1KiB"), ("1MiB", "1MiB")])
def test_the_budgets_that_init_names_work_and_agree(tmp_path: Path, extractor: str, given: tuple[str, str]) -> None:
    made = ("init", tmp_path / "k", "--extractor", extractor, "--max-classes", 24)
    done = edgecl(*made, "--memory", given[0], "--disk", given[1])
    assert done.code == 2
    found = re.search(r"smallest that can hold them are ([\d.]+) (\w+) of memory and ([\d.]+) (\w+) of disk", done.err)
    assert found is not None
    memory, disk = found[1] + found[2], found[3] + found[4]
    table = edgecl(*made, "--memory", memory, "--disk", disk)
    assert table.code == 0, table.err
    smallest = table.out.splitlines()[-4]
    assert f"{found[1]} {found[2]}" in smallest
    assert f"{found[3]} {found[4]}" in smallest
