"""Events to a real broker: its absence, our death, Home Assistant's start, forgotten labels, commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgecl.errors import SettingError
from edgecl.live.events import Event
from edgecl.live.fanout import Fanout
from edgecl.service.commands import Commands
from edgecl.service.home_assistant import device_document
from edgecl.service.lessons import Lessons
from edgecl.service.mqtt import Broker, Publisher

from ..support.broker import SECRET, USER, Ear, Mosquitto, ear, free_port, wait_until

pytest.importorskip("paho.mqtt.client", reason="needs the extra [mqtt]")
pytestmark = pytest.mark.native("talks to a broker in real time")
BASE = "edgecl/kitchen"
CONFIG = "homeassistant/device/edgecl_kitchen/config"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as one:
        yield one


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Ear]:
    with ear(broker.port) as one:
        yield one


def publisher(port: int, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Publisher:
    monkeypatch.setenv("EDGECL_MQTT_PASSWORD", SECRET)
    found = Broker.from_url(f"mqtt://{USER}@127.0.0.1:{port}")
    topics = found.topics(Path("kitchen"))

    def describe(labels: tuple[str, ...], gone: Any) -> dict[str, Any]:
        return device_document(
            topics, labels, name="kitchen", model="voice", version="1", gone=gone, takes_commands="obey" in more
        )

    return Publisher(found, topics, describe, **more)


def event(label: str, time_s: float = 1.0) -> Event:
    return Event(time_s, label, 0.9, 0.1, (time_s - 1, time_s))


def test_an_event_reaches_home_assistant_with_its_type_and_is_not_retained(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publisher(broker.port, monkeypatch) as out:
        out.set_labels(("yes",), 1)
        out.take(event("yes"))
        wait_until(lambda: listener.on(f"{BASE}/event") and listener.on(CONFIG))
    (told,) = listener.on(f"{BASE}/event")
    assert (told["label"], told["event_type"], told["confidence"]) == ("yes", "yes", 0.9)
    with ear(broker.port) as late:
        wait_until(lambda: late.on(CONFIG))
        assert late.on(f"{BASE}/availability") == ["offline"]
        assert late.on(f"{BASE}/event") == []


def test_an_input_that_ends_at_once_leaves_its_document_all_the_same(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publisher(broker.port, monkeypatch) as out:
        out.set_labels(("yes",), 1)
    wait_until(lambda: listener.on(f"{BASE}/availability") == ["online", "offline"])
    (document,) = listener.on(CONFIG)
    assert "yes" in str(document)


def test_the_document_has_what_home_assistant_requires(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publisher(broker.port, monkeypatch, obey=lambda _: {}) as out:
        out.set_labels(("lights on", "开灯"), 1)
        wait_until(
            lambda: listener.on(CONFIG) and "lights on" in listener.on(CONFIG)[-1]["cmps"]["event"]["event_types"]
        )
    document = listener.on(CONFIG)[-1]
    required = {
        "event": {"event_types", "state_topic", "unique_id"},
        "sensor": {"state_topic", "unique_id"},
        "button": {"command_topic", "unique_id"},
        "device_automation": {"automation_type", "topic", "type", "subtype"},
    }
    assert document["dev"]["ids"] == ["edgecl_kitchen"]
    assert document["o"]["name"] == "edgecl"
    for key, component in document["cmps"].items():
        assert required[component["p"]] <= set(component)
        assert key.isascii()
    subtypes = [one["subtype"] for one in document["cmps"].values() if one["p"] == "device_automation"]
    assert subtypes == ["lights on", "开灯"]
    assert document["availability_topic"] == f"{BASE}/availability"


def test_home_assistant_that_starts_later_is_told_again(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publisher(broker.port, monkeypatch) as out:
        out.set_labels(("yes",), 1)
        wait_until(lambda: listener.on(CONFIG))
        before = len(listener.on(CONFIG))
        listener.say("homeassistant/status", "online")
        wait_until(lambda: len(listener.on(CONFIG)) > before)


def test_a_label_that_was_forgotten_is_removed_also_when_nobody_ran_meanwhile(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parts() -> dict[str, Any]:
        return dict(listener.on(CONFIG)[-1]["cmps"]) if listener.on(CONFIG) else {}

    def triggers() -> int:
        return sum(one.get("subtype") is not None for one in parts().values())

    with publisher(broker.port, monkeypatch) as out:
        out.set_labels(("no", "secret", "yes"), 1)
        wait_until(lambda: triggers() == 3)
        out.set_labels(("no", "yes"), 2)
        wait_until(lambda: {"p": "device_automation"} in parts().values())
    with publisher(broker.port, monkeypatch) as out:
        out.set_labels(("no",), 3)
        wait_until(lambda: list(parts().values()).count({"p": "device_automation"}) == 2)
        assert triggers() == 1
        assert "secret" not in str(parts())
        out.set_labels(("no", "yes"), 4)
        wait_until(lambda: triggers() == 2)
        wait_until(lambda: list(parts().values()).count({"p": "device_automation"}) == 1)


def test_a_broker_that_is_killed_and_comes_back_gets_what_fits_the_queue(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Fanout[Event]() as fanout, publisher(broker.port, monkeypatch) as out:
        mailbox = fanout.attach("mqtt", out.take)
        fanout.publish(event("yes", 1.0))
        wait_until(lambda: listener.on(f"{BASE}/event"))
        broker.kill()
        started = time.monotonic()
        for number in range(2, 80):
            fanout.publish(event("yes", float(number)))
        assert time.monotonic() - started < 5
        broker.start()
        wait_until(lambda: mailbox.counts.delivered >= 79, within_s=30)
        wait_until(lambda: 79.0 in [one["time"] for one in listener.on(f"{BASE}/event")], within_s=30)
    assert (mailbox.counts.delivered, mailbox.counts.dropped, mailbox.counts.failed) == (79, 0, 0)
    heard = [one["time"] for one in listener.on(f"{BASE}/event")]  # the ear itself had to come back
    assert set(heard) >= {float(number) for number in range(round(max(heard[1], 2)), 80)}


def test_a_broker_that_is_not_there_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    fanout: Fanout[Event] = Fanout()
    with publisher(free_port(), monkeypatch) as out:
        mailbox = fanout.attach("mqtt", out.take)
        for number in range(500):
            fanout.publish(event("yes", float(number)))
        fanout.close(within_s=0.2)
    assert time.monotonic() - started < 10
    assert mailbox.counts.delivered == 0
    assert mailbox.counts.dropped >= 498


def test_a_wrong_password_is_said_once(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgecl.service.mqtt.PASSWORD", "SOMETHING_ELSE")
    with publisher(broker.port, monkeypatch):
        wait_until(lambda: caplog.records)
        time.sleep(1.5)
    assert sum("refuses" in one.message for one in caplog.records) == 1


def test_a_broker_whose_password_is_changed_is_said_to_refuse_and_is_found_again(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def said(what: str) -> int:
        return sum(what in one for one in caplog.messages)

    with publisher(broker.port, monkeypatch) as out:
        out.take(event("yes"))
        broker.change_password("another")
        wait_until(lambda: said("refuses"), within_s=30)
        broker.change_password(SECRET)
        out.take(event("yes"))
        assert (said("is gone"), said("refuses")) == (1, 1)


KILLED = """
import sys, time
from pathlib import Path
from edgecl.service.mqtt import Broker, Publisher
from edgecl.service.commands import Commands
from edgecl.service.home_assistant import device_document
from edgecl.service.lessons import Lessons
broker = Broker.from_url(sys.argv[1]); topics = broker.topics(Path("kitchen"))
out = Publisher(broker, topics, lambda labels, gone: device_document(topics, labels, name="k", model="v", version="1"))
with out:
    out.set_labels(("yes",), 1)
    print("ready", flush=True); time.sleep(60)
"""


def test_the_broker_says_that_a_killed_listener_is_offline(broker: Mosquitto, listener: Ear) -> None:
    environment = {**os.environ, "EDGECL_MQTT_PASSWORD": SECRET}
    command = [sys.executable, "-c", KILLED, f"mqtt://{USER}@127.0.0.1:{broker.port}"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as one:
        wait_until(lambda: listener.on(f"{BASE}/availability") == ["online"], within_s=30)
        one.send_signal(signal.SIGKILL)
        wait_until(lambda: listener.on(f"{BASE}/availability") == ["online", "offline"])


def test_a_listener_that_is_there_is_online_whatever_the_broker_says_of_an_earlier_one(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that lost its power is back before the broker finds that its old connection is dead."""
    with publisher(broker.port, monkeypatch):
        wait_until(lambda: listener.on(f"{BASE}/availability") == ["online"])
        listener.say(f"{BASE}/availability", "offline", retain=True)
        wait_until(lambda: listener.on(f"{BASE}/availability") == ["online", "offline", "online"])
        with ear(broker.port) as late:
            wait_until(lambda: late.on(f"{BASE}/availability") == ["online"])
    wait_until(lambda: listener.on(f"{BASE}/availability")[-1] == "offline")


def test_a_second_listener_of_one_name_is_named_and_labels_that_change_are_not(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> int:
        return sum("another listener is 'edgecl_kitchen'" in one for one in caplog.messages)

    with publisher(broker.port, monkeypatch) as out:
        for labels in (("yes",), ("no", "yes"), ("yes",)):
            out.set_labels(labels, 1)
            before = len(listener.on(CONFIG))
            wait_until(lambda before=before: len(listener.on(CONFIG)) > before)
        out.take(event("yes"))
        assert said() == 0
        with publisher(broker.port, monkeypatch) as other:
            other.set_labels(("maybe",), 1)
            wait_until(said)
    assert any("another prefix" in one for one in caplog.messages)


@pytest.mark.parametrize(("one", "other"), [("厨房", "客厅"), ("küche", "köche")])
def test_stores_whose_names_are_not_ascii_are_devices_of_their_own(one: str, other: str) -> None:
    found = Broker.from_url("mqtt://host")
    assert found.topics(Path(one)).node != found.topics(Path(other)).node
    assert found.topics(Path(one)).node.isascii()
    assert found.topics(Path("kitchen")).node == "edgecl_kitchen"


def test_a_refusal_says_who_asked_and_with_what(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with publisher(broker.port, monkeypatch) as out:
        out.take(event("yes"))
    found = Broker.from_url(f"mqtt://127.0.0.1:{broker.port}")
    with Publisher(found, found.topics(Path("kitchen")), lambda *_: {"cmps": {}}):
        wait_until(lambda: any("no user was given" in one for one in caplog.messages))
    monkeypatch.delenv("EDGECL_MQTT_PASSWORD")
    found = Broker.from_url(f"mqtt://{USER}@127.0.0.1:{broker.port}")
    with Publisher(found, found.topics(Path("kitchen")), lambda *_: {"cmps": {}}):
        wait_until(lambda: any(f"user '{USER}' without a password" in one for one in caplog.messages))


def test_a_password_where_its_file_is_wanted_is_refused_as_a_setting(tmp_path: Path) -> None:
    for wrong in (tmp_path / "secret", tmp_path):
        with pytest.raises(SettingError, match="whose first line is the password") as told:
            Broker.from_url("mqtt://edge@host", password_file=wrong)
        assert wrong.name not in str(told.value)  # it may be the password itself


def test_commands_are_obeyed_in_order_and_only_where_they_are_allowed(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def obey(one: dict[str, Any]) -> dict[str, Any]:
        asked.append(one)
        return {"outcome": "done", **one}

    listener.say(f"{BASE}/command", '{"command": "old"}', retain=True)
    with publisher(broker.port, monkeypatch, obey=obey):
        wait_until(lambda: listener.on(CONFIG))
        for line in ('{"command": "rollback"}', "nonsense", "[1]", '{"command": "wrong"}'):
            listener.say(f"{BASE}/command", line)
        wait_until(lambda: len(listener.on(f"{BASE}/verdict")) == 4)
    assert asked == [{"command": "rollback"}, {}, {}, {"command": "wrong"}]  # what was retained is old
    count = len(asked)
    with publisher(broker.port, monkeypatch):
        wait_until(lambda: len(listener.on(f"{BASE}/availability")) >= 3)
        listener.say(f"{BASE}/command", '{"command": "rollback"}')
        time.sleep(0.5)
    assert len(asked) == count


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://host", "not the address"),
        ("mqtt://", "not the address"),
        ("mqtt://host:99999", "not the address"),
        ("mqtt://a..b", "not the address"),
        ("mqtt://user:secret@host", "can be read by every user"),
        ("mqtt://host/a/#", "cannot begin a topic"),
    ],
)
def test_an_address_that_cannot_work_is_refused(url: str, reason: str) -> None:
    with pytest.raises(SettingError, match=reason):
        Broker.from_url(url)


def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECL_MQTT_PASSWORD", "from the environment")
    (tmp_path / "secret").write_text("from a file\n")
    assert Broker.from_url("mqtts://me@host").password == "from the environment"
    found = Broker.from_url("mqtts://me@host/house/kitchen", password_file=tmp_path / "secret")
    assert (found.password, found.port, found.prefix, found.is_readable) == (
        "from a file",
        8883,
        "house/kitchen",
        False,
    )
    assert Broker.from_url("mqtt://me@host").is_readable
    assert not Broker.from_url("mqtt://me@localhost").is_readable


def test_no_thread_is_left(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    for _ in range(3):
        with publisher(broker.port, monkeypatch) as out:
            out.take(event("yes"))
    wait_until(lambda: threading.active_count() == before)


@pytest.mark.parametrize(
    "poison", ["{}", "[1]", "1", '"x"', '{"cmps": [1]}', '{"cmps": 5}', '{"cmps": {"k": 1}}', "\0"]
)
def test_a_retained_document_of_another_kind_is_replaced_and_ends_no_connection(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, poison: str
) -> None:
    listener.say(CONFIG, poison, retain=True)
    with publisher(broker.port, monkeypatch) as out:
        out.set_labels(("yes",), 1)
        wait_until(lambda: "event_types" in str(listener.on(CONFIG)[-1]))
        out.take(event("yes"))
    wait_until(lambda: listener.on(f"{BASE}/event"))  # the broker has it, and may not have passed it on yet
    assert len(listener.on(f"{BASE}/event")) == 1
    assert listener.on(f"{BASE}/availability").count("online") == 1  # it connected once
    assert caplog.messages == []


def test_a_command_that_cannot_be_run_is_answered_and_ends_no_thread(
    broker: Mosquitto, listener: Ear, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def obey(asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("command") == "break":
            raise MemoryError
        return Commands(Lessons(["true"], tmp_path))(asked)

    lines = (r'{"command": "wrong", "label_case": "\u0000"}', r'{"command": "wrong", "label_case": "\ud800"}')
    with publisher(broker.port, monkeypatch, obey=obey):
        wait_until(lambda: listener.on(f"{BASE}/availability") == ["online"])
        for line in (*lines, '{"command": "break"}', '{"command": "rollback"}'):
            listener.say(f"{BASE}/command", line)
        wait_until(lambda: len(listener.on(f"{BASE}/verdict")) == 4)
    *broken, last = listener.on(f"{BASE}/verdict")
    assert [one["outcome"] for one in broken] == ["error"] * 3
    assert last["exit_code"] == 0
