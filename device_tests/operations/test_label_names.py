"""Labels that are probably not what their user means."""

from __future__ import annotations

import pytest

from edgecl.operations.label_names import warn_of_labels

from ..support.recordings import VOICE, contract_of


@pytest.mark.parametrize("label", ["noise", "Background Noise", "_Background_Noise_", "silence", "BACKGROUND"])
def test_words_that_are_called_like_background_are_named(caplog: pytest.LogCaptureFixture, label: str) -> None:
    warn_of_labels(["yes", label], 40, VOICE)
    assert f"{label!r}: taught like any other class; if it is background, call it _background_noise_" in caplog.text


@pytest.mark.parametrize(
    "label", ["_background_noise_", "_silence_", "_unknown_", "_noise_", "noisy", "backgrounds", "silence please"]
)
def test_background_and_words_are_left_alone(caplog: pytest.LogCaptureFixture, label: str) -> None:
    warn_of_labels(["yes", label], 40, VOICE)
    assert caplog.text == ""


def test_intents_and_exercises_may_be_called_so(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_labels(["unknown", "noise"], 40, contract_of("text", 0.0, ("utf-8",), 1, 1))
    assert caplog.text == ""


def test_many_labels_of_one_sample_each_are_ids(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_labels([f"{number}" for number in range(7)], 7, VOICE)
    warn_of_labels([f"{number}" for number in range(20)], 25, VOICE)
    assert caplog.text == ""
    warn_of_labels([f"{number}" for number in range(20)], 24, VOICE)
    assert "24 samples have 20 labels, such as '0', '1', '10': are these ids or texts?" in caplog.text
