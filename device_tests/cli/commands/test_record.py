"""`edgecl record`: takes from a pipe, judged and written."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ...support.commands import RATE, Result, clips, command_line, edgecl, noise, voice_extractor

pytestmark = pytest.mark.native("starts a command for each take")

TAKE = 2 * RATE


def recorded(folder: Path, *takes: np.ndarray, count: int, label: str = "lights off") -> Result:
    """`edgecl record` of takes of two seconds each."""
    whole = [take if len(take) == TAKE else np.pad(take, (TAKE // 4, TAKE))[:TAKE] for take in takes]
    content = (np.clip(np.concatenate(whole), -1, 1) * 32767).astype("<i2").tobytes()
    command = command_line("record", voice_extractor(), "-o", folder, "--label", label, "--count", count, "--json")
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def words(count: int) -> list[np.ndarray]:
    return [one.signal[:, 0] for one in clips("new", ["lights off"])[:count]]


def test_takes_become_a_folder_that_learn_takes(tmp_path: Path) -> None:
    done = recorded(tmp_path / "clips", *words(3), count=3)
    assert done.code == 0
    assert [Path(one["file"]).name for one in done.lines] == ["001.wav", "002.wav", "003.wav"]
    assert edgecl("init", tmp_path / "kitchen", "--extractor", "voice").code == 0
    report = edgecl("learn", tmp_path / "kitchen", tmp_path / "clips", "--json").value
    assert (report["new_classes"], report["samples"], report["skipped"]) == (["lights off"], 3, [])


def test_a_take_that_cannot_be_used_is_asked_for_again_and_says_why(tmp_path: Path) -> None:
    good = words(2)
    done = recorded(tmp_path, good[0], np.zeros(TAKE), np.clip(30 * good[0], -1, 1), noise(2), good[1], count=2)
    assert done.code == 0
    reasons = [(one["unusable"] or "").partition(":")[0] for one in done.lines]
    assert reasons == ["", "silent", "clipped", "nothing said", ""]
    assert done.err.count("2 of 2") == 4


def test_more_takes_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    recorded(tmp_path, *words(1), count=1)
    (tmp_path / "lights off" / "\u00b2.wav").write_text("no take of ours")
    assert Path(recorded(tmp_path, *words(1), count=1).lines[0]["file"]).name == "002.wav"


def test_an_input_that_ends_early_is_told(tmp_path: Path) -> None:
    done = recorded(tmp_path, *words(1), count=5)
    assert done.code == 4
    assert "1 usable take of 5" in done.lines[-1]["error"]


@pytest.mark.parametrize("label", ["", "../up", "a/b"])
def test_a_label_that_is_no_name_of_a_folder_is_refused(tmp_path: Path, label: str) -> None:
    done = recorded(tmp_path / "clips", *words(1), count=1, label=label)
    assert done.code == 2
    assert json.loads(done.out)["exit_code"] == 2
    assert not (tmp_path / "clips").exists()
