"""The model that is listened with: taken up when it changes, kept where the new one is damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from edgecl.errors import EdgeclError
from edgecl.live.scorer import LiveScorer
from edgecl.operations.open_store import OpenStore
from edgecl.spotting.wake import WakeScorer

from ..support.commands import RATE, clips, edgecl, process, write_clips, write_wav
from ..support.listening import listening, pcm, said


@pytest.mark.native("waits for a process in real time")
def test_what_another_process_teaches_is_heard_without_a_restart_and_without_losing_a_hop(
    kitchen: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    lesson = write_clips(tmp_path / "lesson", clips("new", ["coffee"]))
    mine = clips("new-test", ["coffee"])[0].signal[:, 0]
    sound = np.concatenate([said("yes"), mine, said("stop")])
    control = tmp_path / "control"
    with listening(store, "--threshold", 0.3, "--control", control) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pcm(sound))
        child.stdin.flush()
        before = [json.loads(child.stdout.readline())["label"]]
        assert control.is_socket()
        assert process("learn", store, lesson).code == 0
        child.stdin.write(pcm(sound))
        child.stdin.flush()
        out, err = child.communicate(timeout=20)
        assert child.returncode == 0
    heard = before + [json.loads(line)["label"] for line in out.decode().splitlines()]
    assert "coffee" not in heard[: heard.index("stop")]
    assert heard[heard.index("stop") :][:4] == ["stop", "yes", "coffee", "stop"]
    assert f"heard {2 * len(sound) / RATE:.1f} s" in err.decode()
    assert "revision 2, 3" in err.decode()


def test_a_damaged_revision_does_not_end_the_listening(
    kitchen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    live = LiveScorer(OpenStore.open(store))
    assert live.refresh()
    assert not live.refresh()
    scorer, revision = live.scorer, live.revision
    edgecl("rollback", store)
    for path in (store / "revisions").iterdir():
        path.write_bytes(b"")
    assert not live.refresh()
    assert (live.scorer, live.revision) == (scorer, revision)
    assert f"revision {revision} is listened with" in caplog.text


def test_a_store_that_is_damaged_to_begin_with_is_refused(kitchen: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    sound = write_wav(tmp_path / "heard.wav", said("yes"))
    for path in (store / "objects").iterdir():
        path.write_bytes(b"")
    assert "revision 1" in edgecl("listen", store, sound).err  # which knew nothing, and is sound
    for path in (store / "revisions").iterdir():
        path.write_bytes(b"")
    assert edgecl("listen", store, sound).code == 5


def test_a_revision_that_cannot_be_read_once_is_taken_up_at_the_next_hop(kitchen: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    opened = OpenStore.open(store)
    live = LiveScorer(opened)
    assert live.refresh()
    edgecl("forget", store, "yes")
    with mock.patch.object(opened, "live_head", side_effect=EdgeclError("Too many open files")):
        assert not live.refresh()
    assert live.refresh()
    assert live.revision == opened.store.current().number


def test_a_revision_that_is_unreadable_for_a_while_is_tried_ever_more_seldom(kitchen: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    opened = OpenStore.open(store)
    live = LiveScorer(opened)
    assert live.refresh()
    edgecl("rollback", store)
    with mock.patch.object(opened, "live_head", side_effect=EdgeclError("Input/output error")) as tries:
        for _ in range(100):
            assert not live.refresh()
    assert 5 <= tries.call_count <= 8
    assert any(live.refresh() for _ in range(300))


def test_a_revision_in_whose_place_an_older_one_is_read_is_tried_again(kitchen: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    live = LiveScorer(OpenStore.open(store))
    assert live.refresh()
    edgecl("rollback", store)
    new = max((store / "revisions").iterdir())
    content = new.read_bytes()
    new.write_bytes(b"")
    assert not live.refresh()
    new.write_bytes(content)
    assert live.refresh()


@pytest.mark.native("teaches a store for itself")
def test_a_word_that_is_unknown_by_the_threshold_of_the_store_is_no_event(kitchen: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    file = write_wav(tmp_path / "said.wav", np.concatenate([said("yes"), said("stop")]))
    heard = edgecl("listen", store, file, "--json").lines
    assert [one["label"] for one in heard] == ["yes", "stop"]
    assert edgecl("set", store, "--unknown-above", 0).code == 0  # everything is unknown
    assert edgecl("listen", store, file, "--json").out == ""
    looks = edgecl("listen", store, file, "--scores", "change", "--json")
    assert "unknown: like nothing that was taught" in looks.out + looks.err


@pytest.mark.native("teaches a store for itself")
def test_what_is_unknown_does_not_count_after_a_wake_word(kitchen: Path) -> None:
    opened = OpenStore.open(kitchen)
    extractor = opened.extractor
    taught, untaught = (
        extractor.latents([one.signal for one in found])
        for found in (clips("test", ["stop", "left"]), clips("new-test", ["coffee"]))
    )
    live = LiveScorer(opened, wake="yes")
    assert live.refresh()
    scorer = live.scorer
    assert isinstance(scorer, WakeScorer)
    scorer.be(is_awake=True)
    known, other = scorer(taught), scorer(untaught)
    counts = [(one.scores >= scorer.thresholds).any(axis=1) for one in (known, other)]
    assert counts[0].mean() > 0.8
    assert other.unknown is not None
    assert other.unknown.mean() > 0.5
    assert not counts[1][other.unknown].any()
