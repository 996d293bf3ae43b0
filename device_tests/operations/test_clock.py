"""The clock: when it can be trusted, and what is decided by it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgecl.learner import Learner
from edgecl.operations import forgetting
from edgecl.operations import open_store as clock

from ..support.commands import clips, edgecl, voice_extractor, write_clips

pytestmark = pytest.mark.native("teaches a store for each clock")

LATER = datetime.fromisoformat(clock.BUILT) + timedelta(days=30)


@pytest.mark.parametrize(
    ("read", "known", "synchronised", "doubt"),
    [
        (LATER, (), True, ""),
        (LATER, (), False, "not synchronised"),
        (LATER, (), None, ""),
        (datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC), (), True, "before the date of this edgecl"),
        (LATER, ((LATER + timedelta(hours=1)).isoformat(),), True, "when the store was taught"),
        (LATER, ("", "no time"), True, ""),
        (datetime(2038, 1, 19, tzinfo=UTC), (), None, "has jumped forward"),
        (datetime(2038, 1, 19, tzinfo=UTC), (), False, "not synchronised"),
    ],
)
def test_what_speaks_against_a_clock(
    read: datetime, known: tuple[str, ...], synchronised: bool | None, doubt: str
) -> None:
    moment = clock.judged(read, known, synchronised=synchronised)
    assert moment.time == read.isoformat(timespec="seconds")
    assert moment.is_trusted == (not doubt)
    assert doubt in moment.doubt


def test_the_kernel_is_asked_without_privilege() -> None:
    assert clock.is_synchronised() in (True, False, None)


def test_the_date_of_this_version_is_not_before_its_release() -> None:
    changes = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    assert all(clock.BUILT[:10] >= date for date in re.findall(r"^## .*(\d{4}-\d\d-\d\d)", changes, re.MULTILINE))


# forgetting by age


class Clock:
    """A clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read, self.is_synchronised = LATER, True
        now = lambda known=(): clock.judged(self.read, known, synchronised=self.is_synchronised)  # noqa: E731
        monkeypatch.setattr("edgecl.operations.teaching.now", now)
        monkeypatch.setattr(forgetting, "now", now)
        monkeypatch.setattr(forgetting, "datetime", self)

    def now(self, _zone: object) -> datetime:
        return self.read


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    voice_extractor()
    assert edgecl("init", tmp_path / "kitchen", "--extractor", "voice").code == 0
    return tmp_path / "kitchen"


def teach(store: Path, word: str) -> None:
    folder = store.parent / word
    if not folder.exists():
        write_clips(folder, clips("teach", [word], most=6))
    assert edgecl("learn", store, folder, "--force").code == 0


def outdated(store: Path, **age: float) -> list[str]:
    receipt = Learner.open(store).forget(older_than=timedelta(**age), dry_run=True)
    return sorted(receipt.classes) if receipt else []


def test_a_lesson_before_the_clock_was_set_is_not_old(store: Path, hands: Clock) -> None:
    hands.read = datetime(1970, 1, 1, 0, 3, tzinfo=UTC)
    teach(store, "yes")
    assert edgecl("status", store, "--json").value["classes"]["yes"]["taught"] == "1970-01-01T00:03:00+00:00"
    hands.read = LATER
    teach(store, "no")
    done = edgecl("forget", store, "--older-than", "90d", "--dry-run")
    assert done.code == 0
    assert "No class is known to be that old" in done.out
    assert "left alone: yes: the clock could not be trusted when it was last taught" in done.out
    assert "1970-01-01 00:03:00 ?" in edgecl("status", store).out
    assert edgecl("forget", store, "--older-than", "90d", "--json").value["left_alone"].keys() == {"yes"}


def test_the_clock_of_the_last_shutdown_dates_nothing(store: Path, hands: Clock) -> None:
    teach(store, "no")
    hands.read, hands.is_synchronised = LATER - timedelta(days=20), False
    teach(store, "yes")
    hands.read, hands.is_synchronised = LATER + timedelta(days=1), True
    assert outdated(store, days=15) == []
    hands.read = LATER + timedelta(days=20)
    assert outdated(store, days=15) == ["no"]


def test_one_night_in_2038_costs_nothing(store: Path, hands: Clock) -> None:
    teach(store, "no")
    hands.read, hands.is_synchronised = datetime(2038, 1, 19, tzinfo=UTC), False
    teach(store, "yes")
    assert outdated(store, days=90) == []
    hands.read, hands.is_synchronised = LATER + timedelta(hours=2), True
    assert outdated(store, hours=1) == ["no"]  # it was taught two hours ago, and the clock was right
    assert outdated(store, days=1) == []


def test_order_is_that_of_the_lessons(store: Path, hands: Clock) -> None:
    teach(store, "yes")
    hands.read = LATER - timedelta(days=10)
    teach(store, "no")
    with_times = Learner.open(store).opened.model()[1]
    assert list(with_times.taught) == ["yes", "no"]
    assert with_times.timed == {"yes"}


def test_a_store_that_states_no_trust_is_left_alone(store: Path, hands: Clock) -> None:
    hands.is_synchronised = False
    teach(store, "yes")
    hands.read, hands.is_synchronised = LATER + timedelta(days=400), True
    assert outdated(store, days=90) == []
