"""Messages go through `logging`, which the first one loads."""

from __future__ import annotations

import logging

import pytest

from edgecl import notes


def test_a_message_is_logged_under_its_name_from_its_caller(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="edgecl.some"):
        notes.Logger("edgecl.some").warning("%s is %d", "one", 1)
        notes.Logger("edgecl.some").debug("seen", exc_info=False)
    assert [(one.name, one.levelname, one.getMessage()) for one in caplog.records] == [
        ("edgecl.some", "WARNING", "one is 1"),
        ("edgecl.some", "DEBUG", "seen"),
    ]
    assert caplog.records[0].filename == "test_notes.py"


def test_what_is_to_be_done_before_the_first_message_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(notes, "AT_FIRST", [lambda: done.append(1)])
    notes.Logger("edgecl.some").info("a")
    notes.Logger("edgecl.some").info("b")
    assert done == [1]
