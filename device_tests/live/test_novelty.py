"""What of a stream is a surprise, hop by hop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecl.extractors.onnx import OnnxExtractor
from edgecl.extractors.opening import open_extractor
from edgecl.live.events import Event
from edgecl.live.novelty import Heard, Noticer
from edgecl.operations.inbox import Inbox

from ..support.commands import noise, voice_extractor

WINDOW = 18  # hops
LOUD = 7  # of them in the middle


@pytest.fixture(scope="module")
def extractor() -> OnnxExtractor:
    opened = open_extractor(voice_extractor())
    assert isinstance(opened, OnnxExtractor)
    return opened


@pytest.fixture
def inbox(extractor: OnnxExtractor, tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox", extractor.contract)


def heard(number: int, *, power: float, novelty: float = 0.9, like: int = 0) -> Heard:
    """One hop; `like` says what it sounds like."""
    latent = np.zeros((1, 96), np.float32)
    latent[0, like] = 1
    signal = noise(1.4, seed=like).astype(np.float32)[:, None]
    return Heard("yes", 0.6, novelty, 0.08 * number, power, latent, lambda: signal)


def play(noticer: Noticer, *, novelty: float = 0.9, level: float = 100.0, like: int = 0) -> None:
    """Quiet, something of half a second, quiet."""
    powers = [1.0] * WINDOW + [level] * LOUD + [1.0] * 2 * WINDOW
    for number, power in enumerate(powers):
        noticer.hop(heard(number, power=power, novelty=novelty, like=like))


def test_what_stands_out_and_is_novel_is_kept_once_when_it_is_in_the_middle(
    inbox: Inbox, extractor: OnnxExtractor
) -> None:
    play(Noticer(inbox, extractor))
    (item,) = inbox.items()
    assert (item.kind, item.label, item.novelty) == ("surprise", "yes", 0.9)
    assert item.time == pytest.approx(0.08 * (WINDOW + (LOUD + WINDOW) / 2), abs=0.13)


@pytest.mark.parametrize(("novelty", "level"), [(0.3, 100.0), (0.9, 2.0)])
def test_what_is_known_or_does_not_stand_out_is_not_kept(
    inbox: Inbox, extractor: OnnxExtractor, novelty: float, level: float
) -> None:
    play(Noticer(inbox, extractor), novelty=novelty, level=level)
    assert inbox.items() == []


def test_the_same_thing_again_is_counted_and_another_is_kept(inbox: Inbox, extractor: OnnxExtractor) -> None:
    noticer = Noticer(inbox, extractor)
    for like in (0, 1, 0):
        play(noticer, like=like)
    assert [one.count for one in inbox.items()] == [2, 1]
    inbox.remove(inbox.items()[0])  # somebody has named it
    play(noticer, like=0)
    assert [one.count for one in inbox.items()] == [1, 1]


def test_an_event_is_no_surprise_and_is_kept_in_case_it_is_wrong(inbox: Inbox, extractor: OnnxExtractor) -> None:
    noticer = Noticer(inbox, extractor)
    powers = [1.0] * WINDOW + [100.0] * LOUD + [1.0] * WINDOW
    for number, power in enumerate(powers):
        noticer.hop(heard(number, power=power))
        if number == WINDOW + LOUD + 7:
            noticer.event(Event(2.5, "yes", 0.9, 0.6, (1.0, 2.5)), noise(1.5).astype(np.float32)[:, None])
    assert [one.kind for one in inbox.items()] == ["detection"]


def test_what_was_kept_before_a_restart_is_known_after_it(inbox: Inbox, extractor: OnnxExtractor) -> None:
    play(Noticer(inbox, extractor))
    (item,) = inbox.items()
    latent = extractor.latents([inbox.signal(item)])
    noticer, again = Noticer(inbox, extractor), heard(0, power=1)
    for number, power in enumerate([1.0] * WINDOW + [100.0] * LOUD + [1.0] * WINDOW):
        noticer.hop(Heard("yes", 0.6, 0.9, 0.08 * number, power, latent, again.signal))
    assert [one.count for one in inbox.items()] == [2]


def test_an_inbox_that_cannot_be_written_to_is_told_and_no_more(
    extractor: OnnxExtractor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    noticer = Noticer(Inbox(tmp_path / "file" / "inbox", extractor.contract), extractor)
    play(noticer)
    assert "nothing was kept" in caplog.text
    play(noticer, like=1)
    assert caplog.text.count("nothing was kept") == 1
