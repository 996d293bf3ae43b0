"""What can be done at the page: each verb is a call here. Lessons run in processes of their own, one after another."""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError, EdgeclError, SettingError
from edgecl.live.fanout import Mailbox
from edgecl.live.takes import peak_db, why_unusable
from edgecl.notes import Logger
from edgecl.operations.inbox import Inbox, Item
from edgecl.service.commands import outcome
from edgecl.service.lessons import Lessons, options_of
from edgecl.service.page.notices import SIGNAL, Notices
from edgecl.service.page.questions import questions
from edgecl.sources.labels import clean_label
from edgecl.sources.samples import UnusableError
from edgecl.sources.sound import clip, decode

if TYPE_CHECKING:
    from edgecl.learner import Learner

logger = Logger(__name__)

TAKE = "take"
JOBS_WAITING = 8
TAKE_S = 2.0
LONGEST_MOVEMENT_S = 120.0
LONGEST_TEXT = 2000
JOURNAL_SHOWN = 50
SHOWN_EVERY_S = 0.1
_POLL_S = 0.2

Record = Callable[[float], NDArray[np.float32]]


class Desk:
    """The verbs of the page.

    Parameters
    ----------
    record
        Takes so many seconds from the device's own input; None where it has none.
    """

    def __init__(self, learner: Learner, lessons: Lessons, notices: Notices, *, record: Record | None = None) -> None:
        self._learner, self._lessons, self._notices, self._record = learner, lessons, notices, record
        self._contract = learner.contract
        self._jobs: Mailbox[tuple[str, Callable[[], dict[str, Any]]]] = Mailbox("lessons", JOBS_WAITING)
        self._count = 0
        self._shown_next = 0.0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="edgecl page lessons", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End what runs; a lesson is committed whole or not at all."""
        self._jobs.abandon()
        self._lessons.stop()
        self._thread.join(1)

    def state(self) -> dict[str, Any]:
        """Return what the store knows, how full it is, and what can be recorded here."""
        status = self._learner.status()
        return {
            "store": self._learner.path.absolute().name,
            "modality": self._contract.modality,
            "can_record": self._record is not None,
            "take_s": TAKE_S,
            "revision": status["revision"],
            "revisions": status["revisions"],
            "classes": status["classes"],
            "bytes": status["bytes"]["total"],
            "budget_bytes": status["budget_bytes"],
            "disk_bytes": status["disk_bytes"],
            "disk_budget_bytes": status["disk_budget_bytes"],
            "max_classes": status["max_classes"],
            "spotting": status["spotting"],
            "questions": status["waiting"]["questions"],
        }

    def history(self) -> list[dict[str, Any]]:
        """Return the latest decisions, newest first."""
        return [_told(entry) for entry in reversed(self._learner.history()["journal"][-JOURNAL_SHOWN:])]

    def inbox(self) -> list[dict[str, Any]]:
        """Return what is kept, newest first; of a text what it says."""
        inbox = self._inbox()
        return [{**asdict(one), **_said(inbox, one)} for one in reversed(inbox.items())]

    def recording(self, name: str) -> tuple[bytes, str]:
        """Return the file of an item, and its name."""
        inbox = self._inbox()
        item = inbox.item(name)
        return inbox.recording(item), item.file

    def discard(self, name: str) -> dict[str, Any]:
        """Take an item out of the inbox."""
        inbox = self._inbox()
        inbox.remove(inbox.item(name))
        return {"removed": name}

    def take_sound(self, label: str, content: bytes) -> dict[str, Any]:
        """Keep a WAV file that a browser recorded."""
        if not self._contract.is_sound:
            raise DataError(f"the store takes {self._contract.modality}, not sound")
        try:
            signal = clip(decode(content), rate_hz=self._contract.sample_rate_hz)
        except UnusableError as error:
            raise DataError(str(error)) from error
        return self._keep(label, signal)

    def take_here(self, label: str, seconds: float) -> dict[str, Any]:
        """Record on the device itself, and keep it: a word, or windows of a movement."""
        if self._record is None:
            raise DataError("the device has nothing to record with")
        name = self._spelt(label)
        if self._contract.is_sound:
            return self._keep(name, self._record(min(seconds, 30.0)))
        signal = self._record(min(seconds, LONGEST_MOVEMENT_S))
        length = self._contract.clip_samples
        windows = [signal[at : at + length] for at in range(0, len(signal) - length + 1, length)]
        if not windows:
            raise DataError(f"that is shorter than one window of {length / self._contract.sample_rate_hz:.1f} s")
        kept = [self._kept(name, one) for one in windows]
        return {"items": [one.id for one in kept], "label": name, "seconds": round(sum(one.seconds for one in kept), 2)}

    def teach(self, items: Sequence[str], label: str, *, answer: str = "") -> dict[str, Any]:
        """Begin a lesson of items of the inbox; its verdict comes as a notice.

        Parameters
        ----------
        answer
            To what the gate asked about `label`: "same:LABEL" or "distinct"; what waits in the inbox for it is taught,
            and items need not be named.
        """
        names = [one for one in items if re.fullmatch(r"\d{1,6}", one)]
        if len(names) != len(items) or not (names or answer):
            raise SettingError("a lesson needs takes")
        name, run = _label(label), self._lessons.run
        if answer:
            options = _answer(answer)
            return self._begin("learn", lambda: run("inbox", *options, "--", name, before=["answer"]), label=name)
        name = self._spelt(label)
        return self._begin("learn", lambda: run("inbox", "--", *names, name, before=["label"]), label=name)

    def teach_text(self, text: str, label: str) -> dict[str, Any]:
        """Begin a lesson of one text."""
        named = options_of({"label": self._spelt(label)})  # not in the file, where "Nan" would be a missing one
        written = _text_file(text)

        def lesson() -> dict[str, Any]:
            with written as file:
                return self._lessons.run("learn", *named, file.name)

        return self._begin("learn", lesson, label=label)

    def try_text(self, text: str) -> dict[str, Any]:
        """Return the answer to a text."""
        if self._contract.modality != "text":
            raise DataError(f"the store takes {self._contract.modality}, not texts")
        with _text_file(text) as file:
            return self._lessons.run("predict", file.name)

    def wrong(self, label: str | None) -> dict[str, Any]:
        """Begin the lesson that the last detection was wrong."""
        options = options_of({"label": None if label is None else self._spelt(label)})
        return self._begin("wrong", lambda: self._lessons.run("wrong", *options), label=label)

    def roll_back(self, revision: int | None) -> dict[str, Any]:
        """Begin to go back to a revision."""
        options = [] if revision is None else [str(revision)]
        return self._begin("rollback", lambda: self._lessons.run("rollback", *options))

    def forget(self, label: str, *, dry_run: bool) -> dict[str, Any]:
        """Begin to forget a class; the receipt comes as a notice."""
        options = ["--dry-run"] if dry_run else []
        return self._begin("forget", lambda: self._lessons.run("forget", *options, "--", label), label=label)

    def look(self, signal: NDArray[np.float32]) -> None:
        """Show pages that are open a movement's signal, or the level of a sound."""
        now = time.monotonic()
        if self._notices.followers and len(signal) and now >= self._shown_next:
            self._shown_next = now + SHOWN_EVERY_S
            body = {"level": round(peak_db(signal), 1)} if self._contract.is_sound else {"row": signal[-1].tolist()}
            self._notices.tell(SIGNAL, body)

    def _inbox(self) -> Inbox:
        return self._learner.inbox()

    def _spelt(self, label: str) -> str:
        """Return a label that is to be taught; one that is a known class in another spelling is refused at once."""
        return self._learner.opened.spellings().settled(_label(label), "this lesson")

    def _keep(self, label: str, signal: NDArray[np.float32]) -> dict[str, Any]:
        name = self._spelt(label)
        if reason := why_unusable(signal, self._contract):
            raise DataError(reason)
        item = self._kept(name, signal)
        return {"items": [item.id], "label": name, "seconds": item.seconds, "peak_dbfs": round(peak_db(signal), 1)}

    def _kept(self, label: str, signal: NDArray[np.float32]) -> Item:
        return self._inbox().keep(signal, kind=TAKE, time=0.0, label=label, confidence=1.0, novelty=0.0)

    def _begin(self, verb: str, run: Callable[[], dict[str, Any]], *, label: str | None = None) -> dict[str, Any]:
        with self._lock:
            self._count += 1
            job = f"{self._count}"

        def finished() -> dict[str, Any]:
            answer = run()
            return {
                **answer,
                "job": job,
                "verb": verb,
                "label": label,
                "outcome": outcome(answer),
                "questions": questions(answer),
            }

        if not self._jobs.wait_for_room(0):
            raise EdgeclError("too much is waiting: try again later")
        self._jobs.put((job, finished))
        return {"job": job}

    def _work(self) -> None:
        while not self._jobs.is_closed:
            found = self._jobs.get(_POLL_S)
            if found is None:
                continue
            job, run = found
            try:
                self._notices.tell("verdict", run())
            except Exception as error:
                logger.exception("a lesson failed")
                self._notices.tell("verdict", {"job": job, "outcome": "error", "error": str(error)})


def _label(text: str) -> str:
    try:
        return clean_label(text)
    except UnusableError as error:
        raise SettingError(str(error)) from error


def _said(inbox: Inbox, item: Item) -> dict[str, str]:
    """Return the text of a recording that is one, and that is intact."""
    if not item.file.endswith(".jsonl"):
        return {}
    with suppress(EdgeclError, ValueError, KeyError, TypeError):
        return {"text": str(json.loads(inbox.recording(item))["text"])[:LONGEST_TEXT]}
    return {}


def _answer(answer: str) -> list[str]:
    """Return the options of an answer to what the gate asked."""
    if answer.startswith("same:"):
        return options_of({"same_as": _label(answer.removeprefix("same:"))})
    if answer == "distinct":
        return options_of({"distinct": True})
    raise SettingError("an answer is same:LABEL or distinct")


def _text_file(text: str) -> Any:
    """A file of one line, as `edgecl learn` takes it; it is gone once it is closed."""
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise SettingError(f"a text has 1 to {LONGEST_TEXT} characters")
    file = tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8")  # noqa: SIM115 (the caller closes it)
    file.write(json.dumps({"text": text}) + "\n")
    file.flush()
    return file


def _told(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a line of the journal that the page shows."""
    told = entry.get("body", entry)
    verdict = told.get("verdict") or {}
    return {
        "kind": entry.get("kind"),
        "time": entry.get("time"),
        "revision": entry.get("revision"),
        "lesson": told.get("lesson") or {},
        "accepted": verdict.get("accepted"),
        "proven": verdict.get("proven"),
        "forced": told.get("forced", False),
        "reasons": list(verdict.get("reasons") or [])[:4],
        "rolled_back_to": told.get("rolled_back_to"),
    }
