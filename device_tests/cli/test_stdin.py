"""`-` in place of a path."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from edgecl.learner import Learner

from ..support.commands import clips, command_line, edgecl, write_clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stdin")
    write_clips(made / "words", clips("teach", ("yes", "no"), most=5))
    assert edgecl("init", made / "kitchen", "--extractor", "voice").code == 0
    assert edgecl("learn", made / "kitchen", made / "words").code == 0
    return made


def piped(content: bytes, *arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(command_line(*arguments), input=content, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_clip_on_stdin_is_predicted(folder: Path) -> None:
    clip = next((folder / "words" / "yes").glob("*.wav"))
    code, out, _ = piped(clip.read_bytes(), "predict", folder / "kitchen", "-", "--json")
    answer = json.loads(out)
    assert (code, answer["label"], answer["source"]) == (0, "yes", "stdin.wav")


def test_an_empty_stdin_is_refused(folder: Path) -> None:
    code, _, err = piped(b"", "predict", folder / "kitchen", "-")
    assert (code, "stdin is empty" in err) == (4, True)


def test_a_text_is_refused_by_a_store_of_sound(folder: Path) -> None:
    done = edgecl("predict", folder / "kitchen", "--text", "yes")
    assert done.code == 2
    assert "--text is for a store of text" in done.err


def test_a_text_in_place_of_a_path_is_told_where_it_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = edgecl("predict", folder / "kitchen", "where is my card")
    assert (said.code, "--text" in said.err) == (4, False)
    texts = replace(Learner.open(folder / "kitchen").contract, modality="text")
    monkeypatch.setattr(Learner, "contract", texts)
    said = edgecl("predict", folder / "kitchen", "where is my card")
    assert said.code == 4
    assert "where is my card does not exist: a text itself goes after --text" in said.err
    said = edgecl("predict", folder / "kitchen", "where is my card " * 20)  # longer than a name may be
    assert said.code == 4
    assert "a text itself goes after --text" in said.err


def test_an_error_names_stdin_and_not_where_it_was_copied_to(folder: Path) -> None:
    code, _, err = piped(b"hello", "predict", folder / "kitchen", "-")
    assert (code, err.startswith("Error: stdin.csv is a .csv file")) == (4, True), err
