"""JSON of every command: what edgecl/docs/json.md says of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.cli.app import COMMANDS
from edgecl.learner import Learner

from ..support.commands import edgecl, process, voice_extractor
from ..support.documents import DEMO_DATA, PAGES, blocks, commands_below, options_of, schemas, write_inputs
from ..support.extractors import narrow_extractor
from ..support.page import served

jsonschema = pytest.importorskip("jsonschema")
pytestmark = pytest.mark.host
# what writes no JSON of its own form -> whose section has it, "" where there is none
ELSEWHERE = {
    "inbox label": "learn",
    "inbox answer": "learn",
    "inbox accept-suggestions": "learn",
    "follow": "learn --prequential",
    "inbox export": "",
    "wrong": "learn",
    "export wrap": "export",
} | {f"export {name}": "export" for name in ("identity", "image", "imu", "text", "voice")}


def check(name: str, value: Any) -> None:
    schema = schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings, one of them broken."""
    made = tmp_path_factory.mktemp("json")
    subprocess.run([sys.executable, DEMO_DATA, made], check=True, capture_output=True)
    (made / "clips" / "yes" / "broken.wav").write_bytes(b"RIFF")
    write_inputs(made)
    return made


def say(schema: str, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
    """Run a command, check every line that it prints, and return them."""
    done = edgecl(*arguments, "--json")
    assert done.code == code, done.err
    assert done.lines
    for line in done.lines:
        check(schema, line)
    return done.lines


@pytest.mark.native("embeds many clips")
def test_words(folder):
    kitchen = folder / "kitchen"
    say("init", "init", kitchen, "--extractor", "voice")
    assert say("learn", "learn", kitchen, folder / "clips")[0]["skipped"]
    say("learn", "learn", kitchen, folder / "new")
    say("learn", "learn", kitchen, folder / "clips" / "yes", "--label", "no", code=3)
    assert any(
        "skipped" in one for one in say("predict", "predict", kitchen, folder / "heard", folder / "clips" / "yes")
    )
    say("predict", "predict", kitchen, folder / "heard", "--top", 2)
    say("eval", "eval", kitchen, folder / "heard", "--unknown", folder / "new")
    say("eval --stream", "eval", kitchen, "--stream", folder / "evening.wav", "--words", folder / "evening.csv")
    room = ("--stream", folder / "room.wav", "--level", 10)
    say("eval --stream", "eval", kitchen, *room, "--words", folder / "heard" / "yes", "--label", "yes")
    say("set", "set", kitchen, "--unknown-above", 0.9)
    say("set", "set", kitchen, "--unknown-above", "auto")
    say("keep", "keep", kitchen, "yes", "--until", "2027-01-06")
    other = narrow_extractor(voice_extractor(), folder / "other.onnx", list(range(48)))
    say("upgrade", "upgrade", kitchen, "--extractor", other, "--from", folder / "clips", "--drop-missing", "--force")
    say("rollback", "rollback", kitchen)
    say("resize", "resize", kitchen, "--max-classes", 40, "--dry-run")
    say("share", "share", kitchen, "-o", folder / "kitchen.share")
    say("share --irreversible", "share", kitchen, "--irreversible", "-o", folder / "kitchen.counts")
    say("init", "init", folder / "bath", "--extractor", "voice")
    say("merge", "merge", folder / "bath", folder / "kitchen.share")
    say("backup", "backup", kitchen, "-o", kitchen.parent / "kitchen.backup")
    say("restore", "restore", kitchen.parent / "kitchen.backup", kitchen.parent / "restored")
    assert len(say("listen", "listen", kitchen, folder / "evening.wav", "--inbox")) == 3
    looks = edgecl("listen", kitchen, folder / "evening.wav", "--scores", "--json").lines
    for one in looks:
        if "reason" in one:
            check("listen --scores", one)
    assert say("inbox", "inbox", kitchen)[0]["items"]
    say("learn", "inbox", kitchen, "label", "2", "left")
    say("learn", "wrong", kitchen)
    say("learn --background", "learn", kitchen, folder / "room.wav", "--background")
    assert say("status", "status", kitchen)[0]["spotting"]
    say("rollback", "rollback", kitchen)
    say("forget", "forget", kitchen, "lights off", "--dry-run")
    say("forget", "forget", kitchen, "lights off")
    say("forget", "forget", kitchen, "--older-than", "90d")
    assert any("forgotten" in one for one in say("history", "history", kitchen)[0]["journal"])
    say("doctor", "doctor", kitchen, "--repair")
    say("error", "learn", kitchen, folder / "nothing", code=4)


@pytest.mark.native("embeds many windows")
def test_movement(folder):
    wrist = folder / "wrist"
    say("init", "init", wrist, "--extractor", "imu")
    say("learn", "learn", wrist, folder / "workout.csv")
    say("centre", "centre", wrist, folder / "monday.csv")
    say("centre", "centre", wrist, "--off")
    say("status", "status", wrist)
    say("history", "history", wrist)
    say("listen", "listen", wrist, folder / "tuesday.csv")


def test_a_table_with_a_drift(folder):
    table, extractor = folder / "table", folder / "table.onnx"
    like = ("--like", folder / "stream.csv", "--label-column", "y")
    say("export", "export", "identity", *like, "-o", extractor)
    say("init", "init", table, "--extractor", extractor, "--max-classes", 4)
    stream = ("learn", table, folder / "stream.csv", "--prequential", "--label-column", "y")
    assert say("learn --prequential", *stream)[0]["drifts"]
    header, *rows = (folder / "stream.csv").read_text().splitlines()
    numbered = [f"{at},{row}" for at, row in enumerate(rows[:50])]
    by_id, labels = folder / "by_id.csv", folder / "labels.csv"
    by_id.write_text("\n".join([f"id,{header}", *numbered]) + "\n")
    labels.write_text("id,label\n" + "".join(f"{row.partition(',')[0]},a\n" for row in numbered))
    *lines, report = edgecl("follow", table, by_id, "--id-column", "id", "--labels", labels, "--json").lines
    check("learn --prequential", report)
    assert report["late"]
    for line in lines:
        check("follow --labels", line)
    say("history", "history", table)


@pytest.mark.native("serves a process in real time")
def test_what_leaves_a_store(folder):
    store = folder / "plugged"
    say("init", "init", store, "--extractor", "voice")
    say("learn", "learn", store, folder / "new")
    (label,) = Learner.open(store).classes
    say("export wakeword", "export", "wakeword", store, label, "-o", folder / "word.onnx")
    say("export model", "export", "model", store, "-o", folder / "store.onnx")
    say("report", "report", store, "-o", folder / "report.html")
    with served(store, state=folder / "state") as page:
        check("serve", {"url": page.url, "code": page.code})


@pytest.mark.native("plays streams")
def test_compare(folder):
    data = ("compare", folder / "heard", "--extractor", "voice")
    say("compare", *data, "--seeds", 2, "--experiences", 2, "--strategies", "auto")
    say("compare", *data, "--seeds", 1, "--strategies", "replay", "--budgets", "20%")


@pytest.mark.native("embeds many clips")
def test_a_federation_that_is_played(folder):
    say("federate run", "federate", "run", folder / "clips", "--extractor", "voice", "--devices", 2)


@pytest.mark.native("runs the demo")
def test_commands_without_a_store(tmp_path):
    say("demo", "demo", "voice")
    say("doctor", "doctor")
    say("service install", "service", "install", "/var/lib/edgecl/kitchen", "--print")
    say("service install", "service", "install", "/var/lib/edgecl/kitchen", "--folder", tmp_path, "--no-start")
    say("help", "help")
    say("help", "help", "store")
    say("error", "status", tmp_path / "nowhere", code=5)


@pytest.mark.native("measures")
def test_bench(tmp_path):
    run, changes = tmp_path / "run.json", tmp_path / "changes.json"
    assert edgecl("bench", "--rounds", 3, "--out", run).code == 0
    assert edgecl("bench", "--compare", run, run, "--force", "--out", changes).code == 0
    check("bench", json.loads(run.read_text()))
    check("bench --compare", json.loads(changes.read_text()))


def test_takes(tmp_path):
    draw = np.random.default_rng(0)
    take = np.concatenate([draw.normal(0, 30, 16_000), draw.normal(0, 3000, 16_000)])
    source = tmp_path / "takes.raw"
    source.write_bytes(np.concatenate([np.zeros(32_000), take]).astype("<i2").tobytes())
    with source.open("rb") as stdin:
        done = process("record", "voice", "-o", tmp_path, "--label", "coffee", "--count", 1, "--json", stdin=stdin)
    assert done.code == 0
    assert [line["file"] is None for line in done.lines] == [True, False]
    for line in done.lines:
        check("record", line)


def test_a_schema_refuses_what_no_command_prints():
    answer = {"source": "a.wav", "label": "yes", "confidence": 0.9, "novelty": 0.1, "known": True}
    check("predict", answer)
    check("listen --control", {"learn": "/clips", "label": "coffee"})
    for wrong in ({**answer, "confidence": 1.1}, {**answer, "more": 1}, {"source": "a.wav"}):
        with pytest.raises(jsonschema.ValidationError):
            check("predict", wrong)


def test_every_command_with_json_has_a_schema_and_each_schema_is_checked_here():
    paths = [" ".join(path) for name in COMMANDS for path in commands_below(name) if "--json" in options_of(path)]
    assert {ELSEWHERE.get(path, path) for path in paths} - {""} <= set(schemas())
    source = Path(__file__).read_text()
    assert [name for name in schemas() if f'say("{name}"' not in source and f'check("{name}"' not in source] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "json.md"], ids=lambda page: page.name)
def test_json_in_a_page_matches_its_schema(page):
    for block in blocks(page, "json"):
        name = re.fullmatch(r"event=(.+)", block.info)
        assert name, "a block of JSON names its section of json.md: ```json event=listen"
        for line in block.text.splitlines():
            check(name[1], json.loads(line))
