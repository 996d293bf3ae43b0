"""Samples of a lesson that are one recording, picture or text, whatever their labels and files say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.demo.clips import voice_clips
from edgecl.errors import DataError
from edgecl.extractors.contract import Contract
from edgecl.model.model import Lesson, Model
from edgecl.operations.kept_signals import KeptSignals
from edgecl.operations.twins import by_recording, new_of
from edgecl.sources.samples import Sample, Skip
from edgecl.sources.signals import as_signal
from edgecl.values import replace

from ..support.learning import as_lesson, settings
from ..support.pictures import picture_contract, scene
from ..support.recordings import VOICE, contract_of

TEXT = contract_of("text", 0.0, ("utf-8",), 1, 1)
Signal = NDArray[np.float32]


def left_of(signals: Mapping[str, Sequence[Signal]], contract: Contract) -> tuple[Lesson, list[Skip], KeptSignals]:
    """What is taught of signals by label, what is skipped, and the signals of what is taught.

    Their latents differ a little each, as those of copies do.
    """
    draw, model, skipped = np.random.default_rng(0), Model(settings()), list[Skip]()
    near = draw.normal(size=24)
    rows = {label: (near + 0.1 * draw.normal(size=(len(own), 24))).astype(np.float32) for label, own in signals.items()}
    with closing(KeptSignals(None)) as kept:
        for label, own in signals.items():
            for index, signal in enumerate(own):
                kept.add(label, Sample(f"{label}/{index}", label, signal, None))
        sources = {label: [f"{label}/{index}" for index in range(len(own))] for label, own in signals.items()}
        given = replace(as_lesson(model, rows), sources=sources)
        lesson, _ = new_of(model, given, kept, skipped, contract, again=False)
    return lesson, skipped, kept


def picture(seed: int, *, brighter: float = 0.0) -> Signal:
    """A picture (pixels, 3) with the noise of a sensor, whatever its seed; one of its corners may be brighter."""
    values = scene(3).astype(np.float32)[:32, :32]
    values[:4, -4:] += brighter
    return (values + np.random.default_rng(seed).normal(size=values.shape)).reshape(-1, 3).astype(np.float32)


def test_a_copy_of_a_clip_at_another_level_under_another_label_is_taught_as_neither() -> None:
    clips = [one.signal for one in voice_clips("teach") if one.label == "yes"][:4]
    lesson, skipped, kept = left_of({"yes": clips[:3], "no": [0.4 * clips[0][400:], clips[3]]}, VOICE)
    assert {label: len(rows) for label, rows in lesson.rows.items()} == {"yes": 2, "no": 1}
    assert [one.reason for one in skipped] == [
        "contradiction: a copy of yes/0: called 'no' and 'yes' in this lesson, so it is taught as neither",
        "contradiction: a copy of no/0: called 'no' and 'yes' in this lesson, so it is taught as neither",
    ]
    assert kept.get("no", 0) is clips[3]  # the signals go on with the rows that are left


def test_takes_of_one_word_under_two_labels_are_no_copies() -> None:
    clips = [one.signal for one in voice_clips("teach") if one.label == "yes"][:8]
    assert left_of({"yes": clips[:4], "no": clips[4:]}, VOICE)[1] == []


def test_a_picture_that_was_saved_again_is_a_copy_and_one_with_a_small_change_is_not() -> None:
    contract = picture_contract()
    lesson, skipped, _ = left_of(
        {"shut": [picture(0), picture(1, brighter=40)], "open": [picture(2), picture(3, brighter=-40)]}, contract
    )
    assert sorted(one.source for one in skipped) == ["open/0", "shut/0"]
    assert lesson.count == 2


@pytest.mark.parametrize("copy", ["Where is my card?", "WHERE IS  my card", "where is my card!!", "Where is my card"])
def test_a_text_that_differs_in_case_and_punctuation_alone_is_taught_as_neither(copy: str) -> None:
    lesson, skipped, _ = left_of(
        {"find": [as_signal("where is my card"), as_signal("find it")], "lost": [as_signal(copy), as_signal("?")]}, TEXT
    )
    assert sorted(one.source for one in skipped) == ["find/0", "lost/0"]
    assert lesson.count == 2


@pytest.mark.parametrize("other", ["where is my car", "where is my card now", "!"])
def test_texts_with_other_words_are_other_texts(other: str) -> None:
    taught = {"find": [as_signal("where is my card"), as_signal("?")], "lost": [as_signal(other)]}
    assert left_of(taught, TEXT)[1] == []


def test_a_lesson_of_copies_alone_is_refused_with_the_first() -> None:
    with pytest.raises(DataError, match="nothing to learn: a/0: contradiction: a copy of b/0"):
        left_of({"a": [as_signal("refund me")], "b": [as_signal("Refund me.")]}, TEXT)


def test_pictures_in_which_nothing_changes_count_as_one(caplog: pytest.LogCaptureFixture) -> None:
    lesson, _, kept = left_of({"shut": [picture(0), picture(1), picture(2, brighter=40)]}, picture_contract())
    one, same, changed = by_recording(lesson, kept, picture_contract(), whole=lesson).recordings["shut"]
    assert one == same != changed
    assert "1 samples are the same picture as another, such as shut/1 and shut/0: they count as one" in caplog.text


def test_texts_of_the_same_words_count_as_one(caplog: pytest.LogCaptureFixture) -> None:
    taught = {"lost": [as_signal(one) for one in ("where is it", "Where is it?", "it is lost", "where is it!")]}
    lesson, _, kept = left_of(taught, TEXT)
    first, same, other, again = by_recording(lesson, kept, TEXT, whole=lesson).recordings["lost"]
    assert first == same == again != other
    assert "2 samples are the same text as another, such as lost/1 and lost/0: they count as one" in caplog.text
