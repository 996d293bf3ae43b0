"""Dataclasses without generated code mean what those of the standard library mean."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest

from edgecl.values import dataclass, field, fields, replace


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 2
    seen: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Named(Point):
    name: str


@dataclass(frozen=True)
class Checked:
    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("negative")


@dataclass
class Open:
    x: int


@dataclass(frozen=True, eq=False)
class Itself:
    x: int


def test_values_are_given_by_place_by_name_and_by_default() -> None:
    assert (Point(1).x, Point(1).y, Point(1).seen) == (1, 2, {})
    assert Point(1, y=5) == Point(1, 5)
    assert Point(1).seen is not Point(1).seen
    assert Named(x=1, name="a").y == 2


@pytest.mark.parametrize(
    ("given", "named", "message"),
    [((), {}, "missing.*'x'"), ((1, 2, {}, 4), {}, "takes 3"), ((1,), {"x": 2}, "multiple"), ((1,), {"z": 2}, "'z'")],
)
def test_wrong_values_are_refused_as_type_errors(given: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Point(*given, **named)


def test_a_frozen_instance_cannot_be_changed_and_an_open_one_can() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del Point(1).x  # type: ignore[misc]
    one = Open(1)
    one.x = 3
    assert one == Open(3)


def test_equality_hash_and_text_are_by_value() -> None:
    assert Point(1) != Named(x=1, name="a")
    assert hash(Checked(1)) == hash(Checked(1))
    assert Itself(1) != Itself(1)
    assert {Itself(1): 2}
    with pytest.raises(TypeError, match="unhashable"):
        hash(Open(1))
    assert repr(Point(1)) == "Point(x=1, y=2, seen={})"


def test_a_check_after_the_fields_runs_also_in_replace() -> None:
    assert replace(Checked(1), size=2) == Checked(2)
    with pytest.raises(ValueError, match="negative"):
        replace(Checked(1), size=-1)


def test_the_standard_library_sees_a_dataclass() -> None:
    assert dataclasses.is_dataclass(Point)
    assert dataclasses.replace(Point(1), y=7) == Point(1, 7)
    assert dataclasses.asdict(Named(x=1, name="a")) == {"x": 1, "y": 2, "seen": {}, "name": "a"}
    assert [one.name for one in fields(Named)] == [one.name for one in dataclasses.fields(Named)]
    assert list(inspect.signature(Point).parameters) == ["x", "y", "seen"]


def test_a_dataclass_of_the_standard_library_may_inherit() -> None:
    @dataclasses.dataclass(frozen=True)
    class Far(Checked):
        z: int = 3

    assert (Far(1).size, replace(Far(1), z=4).z) == (1, 4)
    with pytest.raises(ValueError, match="negative"):
        Far(-1)


def test_instances_are_matched_copied_and_pickled() -> None:
    match Point(1, 5):
        case Point(x, y):
            assert (x, y) == (1, 5)
    assert copy.copy(Point(1)) == copy.deepcopy(Point(1)) == pickle.loads(pickle.dumps(Point(1))) == Point(1)
