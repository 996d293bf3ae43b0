"""Labels: which are allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecl.errors import SettingError
from edgecl.sources.labels import clean_label
from edgecl.sources.reading import read_samples

from ..support.recordings import VOICE, put, tone, wav


def test_label_is_stripped_and_normalised() -> None:
    assert clean_label(" cafe\u0301 ") == "caf\u00e9"


@pytest.mark.parametrize("label", ["Licht aus", "灯を消す", "می‌خواهم", "👩‍🍳", "_silence_", "a/b", "x" * 64])
def test_labels_of_any_script_are_allowed(label: str) -> None:
    assert clean_label(label) == label


@pytest.mark.parametrize("label", ["", "  ", "x" * 65, "a\nb", "a\x00b", ".hidden", "on\u202efdp", "\udc80"])
def test_label_that_can_do_harm_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(SettingError, match="--label"):
        read_samples(put(tmp_path / "clip.wav", wav(tone())), VOICE, label=label)
