"""Drawn pictures: the same again, and different where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.demo.pictures import NEW_SIGNS, SIGNS, SIZE, WEATHER, picture, samples, scene
from edgecl.errors import DataError
from edgecl.sources.pictures import check_content


def test_the_same_arguments_draw_the_same_picture_and_others_another() -> None:
    first = picture("stop", 3, weather="rain")
    assert (first.shape, first.dtype) == ((SIZE, SIZE, 3), np.uint8)
    assert np.array_equal(first, picture("stop", 3, weather="rain"))
    others = [picture("stop", 4, weather="rain"), picture("parking", 3, weather="rain"), picture("stop", 3)]
    assert all(np.abs(first.astype(int) - one).mean() > 3 for one in others)


@pytest.mark.parametrize("weather", WEATHER)
def test_every_weather_leaves_something_to_see(weather: str) -> None:
    for name in (*SIGNS, *NEW_SIGNS):
        check_content(picture(name, 0, weather=weather))


def test_signals_are_those_of_the_extractor() -> None:
    drawn = samples(["stop", "parking"], range(2))
    assert [(one.label, one.group) for one in drawn] == [
        ("stop", "0"), ("stop", "1"), ("parking", "0"), ("parking", "1"),
    ]  # fmt: skip
    assert drawn[0].signal.shape == (SIZE * SIZE, 3)


def test_names_that_are_not_there_are_refused() -> None:
    with pytest.raises(DataError, match="no 'tree' in the demo"):
        scene("tree", 0)
    with pytest.raises(DataError, match="no weather 'hail'"):
        picture("stop", 0, weather="hail")
