"""What may be asked of a store from outside: lessons from the inbox, corrections, rollbacks. Same gate, same verdict.

::

    {"command": "learn", "items": ["000012"], "label": "coffee"}    recordings of the inbox become a lesson
    {"command": "wrong", "label": "tea"}                            the last detection was this, or nothing
    {"command": "rollback", "revision": 4}                          without "revision" the one before

A label that is a known class in another spelling needs "label_case": "keep" or "lower" beside it. An "id" of the sender
is sent back. Nothing is forced, nothing is forgotten, no path is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from edgecl.service.lessons import Lessons, options_of

LONGEST_LABEL = 64
MOST_ITEMS = 64
USAGE = (
    'wanted {"command": "learn", "items": ["000012"], "label": "coffee"}, {"command": "wrong", "label": "optional"} '
    'or {"command": "rollback", "revision": 4}'
)


class Commands:
    """Turns commands into runs of the command line."""

    def __init__(self, lessons: Lessons) -> None:
        self._lessons = lessons

    def __call__(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Obey; the answer is what the command printed with --json, with "command", "outcome" and the sender's "id"."""
        answer = self._answered(asked)
        sender = asked.get("id")
        known = {"id": sender} if isinstance(sender, str | int) else {}
        return {**answer, **known, "command": asked.get("command"), "outcome": outcome(answer)}

    def _answered(self, asked: dict[str, Any]) -> dict[str, Any]:
        match {name: value for name, value in asked.items() if name != "id"}:
            case {"command": "learn", "items": [*items], "label": str(label), **rest} if _are_ids(items):
                if is_label(label) and set(rest) <= {"label_case"}:
                    return self._lessons.run(
                        "inbox", *options_of(rest), *map(str, items), "--", label, before=["label"]
                    )
            case {"command": "wrong", **rest} if set(rest) <= {"label", "label_case"}:
                was = rest.get("label")
                if was is None or is_label(was):
                    return self._lessons.run("wrong", *options_of(rest))
            case {"command": "rollback", **rest} if set(rest) <= {"revision"}:
                revision = rest.get("revision")
                if revision is None:
                    return self._lessons.run("rollback")
                if isinstance(revision, int) and not isinstance(revision, bool) and revision >= 0:
                    return self._lessons.run("rollback", str(revision))
        return {"error": USAGE, "exit_code": 2}


def is_label(label: object) -> bool:
    """Test whether something may be handed on as a label: `edgecl learn` says the rest."""
    return isinstance(label, str) and 0 < len(label) <= LONGEST_LABEL and label.isprintable()


def _are_ids(items: Iterable[object]) -> bool:
    items = list(items)
    return 0 < len(items) <= MOST_ITEMS and all(isinstance(one, str) and re.fullmatch(r"\d{1,6}", one) for one in items)


def outcome(answer: dict[str, Any]) -> str:
    """Return one word for what became of a command."""
    if "error" in answer:
        return "error"
    if answer.get("asks"):
        return "asks"
    if answer.get("unchanged"):
        return "nothing new"
    if answer.get("exit_code"):
        return "rejected"
    if "rolled_back_to" in answer or "forgotten" in answer:
        return "done"
    return "accepted" if answer.get("proven") else "unproven"
