"""The body of a revision: what it states about its model, and about the lesson that made it.

`body_kinds` has the other kinds and the reader. They are apart because a lesson needs only these: a dataclass costs
half a millisecond when it is defined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from edgecl.errors import StoreDamagedError

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class ModelBody:
    """What every body states about its model, next to the objects."""

    classes: Mapping[str, int]
    """Label to number of samples."""
    exemplars: Mapping[str, int]
    """Label to number of exemplars."""
    taught: Mapping[str, str] | None = None
    """Label to the time of its last lesson (UTC, ISO 8601; empty: unknown); None in stores of early versions."""
    head: str | None
    """Kind of the head; None before the first lesson."""
    ewc_classes: Sequence[str]
    """Labels of the EWC state; empty without one."""
    alike: Mapping[str, Any] | None = None
    """Label to the class that it is like, and the odds that the two are one; None where there is none."""
    distinct: Sequence[Sequence[str]] | None = None
    """Pairs of labels that their user has said are not the same; None where there is none."""

    @staticmethod
    def members_of(body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members of a model from any body.

        Raises
        ------
        StoreDamagedError
            When they are not those of a model: an intact text may come from other software.
        """
        match body:
            case {"classes": dict(), "exemplars": dict(), "head": str() | None, "ewc_classes": list()}:
                if _is_consistent(body):
                    return {name: body[name] for name in MODEL_MEMBERS if name in body}
        raise StoreDamagedError("the body of the revision is not that of a model")

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written; those that are not known are left out."""
        members = {name: getattr(self, name) for name in MODEL_MEMBERS}
        return {name: value for name, value in members.items() if name not in OPTIONAL or value is not None}


MODEL_MEMBERS = ("classes", "exemplars", "taught", "head", "ewc_classes", "alike", "distinct")
OPTIONAL = ("taught", "alike", "distinct")


def _is_consistent(body: Mapping[str, Any]) -> bool:
    """Test whether the members of a model have the right types and fit each other."""
    taught = body.get("taught", {})
    return (
        all(isinstance(one, int) and one >= 0 for one in (*body["classes"].values(), *body["exemplars"].values()))
        and set(body["exemplars"]) <= set(body["classes"])
        and all(isinstance(one, str) for one in body["ewc_classes"])
        and isinstance(taught, dict)
        and all(isinstance(one, str) for one in taught.values())
        and isinstance(body.get("alike", {}), dict)
        and isinstance(body.get("distinct", []), list)
    )


class InitBody(ModelBody):
    """The body of the first revision: a model without classes."""


class RepairBody(ModelBody):
    """The body of the model that was left of a damaged revision."""


@dataclass(frozen=True, kw_only=True)
class LessonBody(ModelBody):
    """The body of a lesson that was accepted, or forced."""

    lesson: Mapping[str, int]
    """Label to number of samples in the lesson."""
    strategy: str
    """Name of the strategy that made the head."""
    verdict: Mapping[str, Any]
    """As `Verdict.as_dict` returned it."""
    forced: bool
    """Whether it was committed in spite of its verdict."""
    bytes: Mapping[str, int]
    """Resident learner state by part."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return {
            **super().as_dict(),
            "lesson": self.lesson,
            "strategy": self.strategy,
            "verdict": self.verdict,
            "forced": self.forced,
            "bytes": self.bytes,
        }


@dataclass(frozen=True, kw_only=True)
class LessonNote:
    """The journal's note of a lesson that was rejected, or had nothing new."""

    kind: str
    """"rejected" or "unchanged"."""
    time: str
    """UTC, ISO 8601."""
    lesson: Mapping[str, int]
    """Label to number of samples in the lesson."""
    strategy: str
    """Name of the strategy that was tried last, or "unchanged"."""
    verdict: Mapping[str, Any]
    """As `Verdict.as_dict` returned it."""
    forced: bool
    """Whether it was to be committed in spite of its verdict."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members in the order in which they are written."""
        return dict(vars(self))


def member(members: Mapping[str, Any], name: str, kind: type[Value]) -> Value:
    """Return one member of a body; StoreDamagedError where it is missing or of another type."""
    value = members.get(name)
    if not isinstance(value, kind):
        raise StoreDamagedError(f"the body of the revision has no {name!r} of type {kind.__name__}")
    return value
