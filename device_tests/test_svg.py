"""SVG by hand: valid XML, escaped text, colours and styles that stand alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from edgecl.svg import HEIGHT, STYLE, WIDTH, Svg, line_chart

NAMESPACE = "{http://www.w3.org/2000/svg}"
POINTS = [(0.0, 0.5), (5.0, 1.0), (10.0, 0.0)]


def chart(**changed: object) -> ET.Element:
    given = {"title": "right", "x_label": "rows", "y_label": "share", **changed}
    return ET.fromstring(line_chart({"a < b": POINTS}, **given).standalone())  # type: ignore[arg-type]


def test_a_file_of_its_own_has_its_namespace_and_style_and_a_part_of_a_page_has_not() -> None:
    picture = Svg(10, 10, "a & b")
    assert ET.fromstring(str(picture)).tag == "svg"
    root = ET.fromstring(picture.standalone())
    assert root.tag == f"{NAMESPACE}svg"
    assert root.get("aria-label") == "a & b"
    assert root.findtext(f"{NAMESPACE}style") == STYLE


def test_every_class_that_is_drawn_has_a_style() -> None:
    drawn = {name for one in chart(marks={"m": [5.0]}).iter() for name in (one.get("class") or "").split()}
    assert drawn == {"rule", "line", "dashed"}
    assert all(f".{name}{{" in STYLE for name in drawn)


@pytest.mark.parametrize("marks", [None, {"drift": [20.0, -4.0]}])
def test_everything_lies_in_the_picture_and_marks_widen_the_axis(marks: dict[str, list[float]] | None) -> None:
    for one in chart(marks=marks).iter(f"{NAMESPACE}polyline"):
        for pair in (one.get("points") or "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_higher_values_are_drawn_higher() -> None:
    line = next(one for one in chart().iter(f"{NAMESPACE}polyline") if one.find(f"{NAMESPACE}title") is not None)
    assert line.findtext(f"{NAMESPACE}title") == "a < b"
    heights = [float(pair.split(",")[1]) for pair in (line.get("points") or "").split()]
    assert heights[1] < heights[0] < heights[2]


def test_a_line_of_equal_values_and_one_without_points_are_drawn() -> None:
    flat = line_chart({"flat": [(1.0, 1.0), (1.0, 1.0)], "none": []}, title="t", x_label="x", y_label="y")
    assert ET.fromstring(flat.standalone()).tag == f"{NAMESPACE}svg"
