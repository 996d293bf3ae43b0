"""What a listener suggests, and how it is taught once its user accepts it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgecl import Learner
from edgecl.errors import DataError
from edgecl.live.events import Event
from edgecl.operations.inbox import SUGGESTION, SUGGESTIONS_KEPT
from edgecl.sources.samples import Sample

from ..support.commands import clips, edgecl, voice_extractor

pytestmark = pytest.mark.native("teaches a store for each suggestion")

KNOWN = ("yes", "no", "up")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows three words, from eight clips each."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("suggesting") / "kitchen"
    assert Learner.create(folder, extractor="voice").learn(clips("teach", KNOWN, most=8)).is_accepted
    return folder


@pytest.fixture
def kitchen(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "kitchen")
    return tmp_path / "kitchen"


def detect(learner: Learner, samples: list[Sample], *, per_day: int = 20, label: str = "", hours: float = 0.0) -> None:
    """Hand detections to what `listen` keeps them with, one a minute, answered rightly unless a label is given."""
    noticer = learner.noticer(suggestions_per_day=per_day)
    for number, one in enumerate(samples):
        time = 3600 * hours + 60 * number
        event = Event(time, label or str(one.label), 0.6, 0.2, (time, time + 1), wall="", revision=2, id=f"e{time}")
        noticer.event(event, np.asarray(one.signal, np.float32))


def unheard(word: str, *, count: int = 6) -> list[Sample]:
    """Clips of a word that were not taught."""
    return clips("teach", (word,))[8 : 8 + count]


def test_a_detection_that_is_sure_and_new_in_kind_is_suggested(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    detect(learner, unheard("yes"))
    kept = learner.inbox().items(SUGGESTION)
    assert kept
    assert {one.label for one in kept} == {"yes"}


def test_what_was_taught_already_is_not_suggested(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    detect(learner, clips("teach", ("yes",), most=5))
    assert learner.inbox().items(SUGGESTION) == []


def test_a_detection_that_the_model_does_not_share_is_not_suggested(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    detect(learner, unheard("yes"), label="no")
    assert learner.inbox().items(SUGGESTION) == []


def test_without_suggestions_nothing_but_detections_is_kept(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    noticer = learner.noticer()
    noticer.event(Event(0.0, "yes", 0.99, 0.0, (0.0, 1.0)), np.asarray(unheard("yes")[0].signal, np.float32))
    assert [one.kind for one in learner.inbox().items()] == ["detection"]


def test_at_most_so_many_a_day_are_suggested(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    detect(learner, unheard("yes") + unheard("no"), per_day=2)
    assert len(learner.inbox().items(SUGGESTION)) == 2


def test_the_inbox_keeps_the_latest_hundred(kitchen: Path) -> None:
    inbox = Learner.open(kitchen).inbox()
    for number in range(SUGGESTIONS_KEPT + 3):
        signal = np.full((160, 1), 0.001 * number, np.float32)
        inbox.keep(signal, kind=SUGGESTION, time=float(number), label="yes", confidence=1, novelty=0)
    kept = inbox.items(SUGGESTION)
    assert [kept[0].time, kept[-1].time, len(kept)] == [3.0, SUGGESTIONS_KEPT + 2.0, SUGGESTIONS_KEPT]


def test_accepted_suggestions_weigh_a_quarter_and_become_no_exemplars(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    inbox = learner.inbox()
    for one in unheard("yes", count=6):
        inbox.keep(
            np.asarray(one.signal, np.float32), kind=SUGGESTION, time=0, label="yes", confidence=0.9, novelty=0.1
        )
    before = learner.store.current().body
    report = learner.accept_suggestions()
    after = learner.store.current().body
    assert report.revision == 3
    assert not report.set_aside
    assert after["classes"] == {**before["classes"], "yes": before["classes"]["yes"] + 2}  # round(6 / 4)
    assert after["exemplars"] == before["exemplars"]
    assert learner.inbox().items(SUGGESTION) == []


def test_a_trial_changes_nothing(kitchen: Path) -> None:
    learner = Learner.open(kitchen)
    detect(learner, unheard("yes"))
    waiting = learner.inbox().items(SUGGESTION)
    done = edgecl("inbox", kitchen, "accept-suggestions", "--dry-run")
    assert done.code == 0
    assert "DRY RUN" in done.out
    assert learner.inbox().items(SUGGESTION) == waiting
    assert Learner.open(kitchen).revision == 2


def test_suggestions_of_a_class_that_is_gone_are_dropped(kitchen: Path) -> None:
    inbox = Learner.open(kitchen).inbox()
    inbox.keep(np.ones((160, 1), np.float32), kind=SUGGESTION, time=0, label="left", confidence=1, novelty=0)
    with pytest.raises(DataError, match="no suggestions wait"):
        Learner.open(kitchen).accept_suggestions()
    assert inbox.items() == []


def test_where_nothing_waits_the_command_says_how_suggestions_are_made(kitchen: Path) -> None:
    done = edgecl("inbox", kitchen, "accept-suggestions")
    assert done.code == 4
    assert "edgecl listen STORE --suggest" in done.err
