"""Events to an MQTT broker, with what Home Assistant needs to find them; extra [mqtt].

The broker may be away at any time: paho reconnects with growing pauses, one event is under way at a time, and the
others wait in the consumer's bounded queue. A will says that the device is offline when the process dies.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edgecl.errors import EdgeclError, ModelError, SettingError
from edgecl.live.fanout import Mailbox
from edgecl.notes import Logger
from edgecl.service import home_assistant
from edgecl.service.home_assistant import STATUS_TOPIC, Topics
from edgecl.service.labels import digest
from edgecl.store.files import read_file

if TYPE_CHECKING:
    import paho.mqtt.client as paho

    from edgecl.live.events import Event
    from edgecl.service.mqtt_client import BoundedClient

logger = Logger(__name__)

PASSWORD = "EDGECL_MQTT_PASSWORD"  # noqa: S105 (the name of a variable)
KEEPALIVE_S = 30
CONNECT_S = 5.0
LONGEST_PAUSE_S = 60
SETTLE_S = 0.3
"""After a connection, for the retained document of an earlier run to arrive."""
FAREWELL_S = 0.5
FIRST_DOCUMENT_S = 0.6
"""For the first document to be out, where the input has ended before it; not where the broker cannot be reached."""
MOST_WARNINGS = 4
COMMANDS_WAITING = 8
LONGEST_COMMAND = 1 << 14
LONGEST_DOCUMENT = 1 << 20
LONGEST_PREFIX = 1 << 12  # bytes, which leaves room for what follows it in a topic
DOCUMENTS_KEPT = 16
LONGEST_TEXT = (1 << 16) - 1  # bytes of a text in MQTT
_POLL_S = 0.2


@dataclass(frozen=True)
class Broker:
    """Where a broker is, and who we are to it."""

    host: str
    port: int
    prefix: str
    """Of all topics."""
    user: str | None = None
    password: str | None = None
    has_tls: bool = False
    ca_file: Path | None = None

    @classmethod
    def from_url(cls, url: str, *, password_file: Path | None = None, ca_file: Path | None = None) -> Broker:
        """Read `mqtt[s]://[user@]host[:port][/prefix]`.

        The password is the first line of `password_file`, else $EDGECL_MQTT_PASSWORD.

        Raises
        ------
        SettingError
            When the URL is another kind, has a password in it, or names no host.
        """
        example = "wanted mqtt://user@host:1883/edgecl, or mqtts:// for TLS"
        try:
            parts = urlsplit(url)
            port = parts.port
            (parts.hostname or "").encode("idna")
        except (ValueError, UnicodeError) as error:
            raise SettingError(f"{url!a} is not the address of a broker ({error}): {example}") from error
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise SettingError(f"{url!a} is not the address of a broker: {example}")
        if parts.password is not None:
            raise SettingError(f"a password in an address can be read by every user: give it in ${PASSWORD} or a file")
        prefix = unquote(parts.path).strip("/") or "edgecl"
        if re.search(r"[+#$\x00-\x1f]", prefix) or "#" in url or parts.query:
            raise SettingError(f"{prefix!a} cannot begin a topic: leave out +, # and $")
        has_tls = parts.scheme == "mqtts"
        if ca_file is not None and not has_tls:
            raise SettingError("a file of certificates goes with mqtts://")
        user = unquote(parts.username) if parts.username else None
        password = _password(password_file)
        _require_sendable("the prefix", prefix, longest=LONGEST_PREFIX)
        _require_sendable("the user", user)
        _require_sendable("the password", password)
        return cls(parts.hostname, port or (8883 if has_tls else 1883), prefix, user, password, has_tls, ca_file)

    @property
    def is_readable(self) -> bool:
        """Test whether a password crosses a network in the clear."""
        return self.password is not None and not self.has_tls and self.host not in ("localhost", "127.0.0.1", "::1")

    def topics(self, store: Path) -> Topics:
        """Return the topics of a store."""
        name = re.sub(r"[^\w.-]+", "_", store.absolute().name) or "store"
        node = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{self.prefix}_{name}")
        if not f"{self.prefix}{name}".isascii():  # of which nothing is left that tells two stores apart
            node = f"{node.strip('_')}_{digest(f'{self.prefix}/{name}')}"
        return Topics(node, f"{self.prefix}/{name}")


def _password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD)
    try:
        lines = bytes(read_file(file, limit=1 << 12)).decode("utf-8", "replace").splitlines()
    except ModelError as error:
        why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else "it is no regular file up to 4 KiB"
        text = (
            f"the file of the broker's password cannot be read ({why}): wanted a file whose first line is the password"
        )
        raise SettingError(text) from None  # without what was given, which may be the password itself
    if not lines:
        raise SettingError(f"{file} is empty: its first line is the password")
    return lines[0]


def _require_sendable(what: str, text: str | None, *, longest: int = LONGEST_TEXT) -> None:
    """Raise SettingError for a text that no broker can be sent, without the text: it may be a password."""
    try:
        length = len((text or "").encode())
    except UnicodeEncodeError as error:
        raise SettingError(f"{what} of a broker has bytes that are no UTF-8: MQTT takes text alone") from error
    if length > longest or "\0" in (text or ""):
        raise SettingError(f"{what} of a broker has NUL or {length:,} bytes: wanted text of at most {longest:,} bytes")


class Publisher:
    """A connection that is kept while it is entered; `take` is a consumer of events.

    Parameters
    ----------
    describe
        Makes the device's document of the labels, and of the components that are gone.
    obey
        Answers a command, such as {"command": "rollback"}; without it no command is listened to.
    """

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        describe: Callable[[tuple[str, ...], Mapping[str, str]], dict[str, Any]],
        *,
        obey: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self._broker, self._topics, self._describe, self._obey = broker, topics, describe, obey
        self._labels: tuple[str, ...] = ()
        self._gone: dict[str, str] = {}
        self._described: deque[str] = deque(maxlen=DOCUMENTS_KEPT)
        """Digests of the documents that were published, which come back."""
        self._is_over, self._is_stale, self._is_connected = threading.Event(), threading.Event(), threading.Event()
        self._is_described = threading.Event()
        self._acknowledged = threading.Condition()
        self._done: set[int] = set()
        self._unawaited: set[int] = set()
        self._warned, self._pause_s, self._has_refused = set[str](), 1.0, False
        self._commands: Mailbox[bytes] = Mailbox("commands", COMMANDS_WAITING)
        self._client = self._made()
        self._threads = [
            threading.Thread(target=run, name=f"edgecl mqtt {name}", daemon=True)
            for name, run in (("network", self._network), ("document", self._keep_document), ("commands", self._work))
            if name != "commands" or obey
        ]

    def __enter__(self) -> Publisher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._client.failure:
            self._is_described.wait(FIRST_DOCUMENT_S)
        self._is_over.set()
        self._is_stale.set()
        self._commands.abandon()
        if self._is_connected.is_set():
            with suppress(EdgeclError, ValueError):
                self._publish(self._topics.availability, "offline", retain=True, wait_s=FAREWELL_S)
        self._client.disconnect()
        for thread in self._threads:
            thread.join(0.1)  # one that waits for the network ends with the process

    def take(self, event: Event) -> None:
        """Publish an event; returns when the broker has it.

        Raises
        ------
        EdgeclError
            When it could not be delivered until the end.
        """
        body = json.dumps({**event.as_dict(), "event_type": event.label})
        if not self._publish(self._topics.event, body):
            raise EdgeclError("an event had not reached the broker when the listener ended")

    def set_labels(self, labels: tuple[str, ...], _revision: int) -> None:
        """Describe the device anew where the labels are others."""
        if labels != self._labels:
            before = self._describe(self._labels, {})["cmps"]
            self._labels = labels
            self._note_gone(before)
            self._is_stale.set()

    def _note_gone(self, before: Mapping[str, Any]) -> None:
        now = self._describe(self._labels, {})["cmps"]
        self._gone = home_assistant.removed({**{k: {"p": p} for k, p in self._gone.items()}, **before}, now)

    def _made(self) -> BoundedClient:
        from paho.mqtt.enums import CallbackAPIVersion

        from edgecl.service.mqtt_client import BoundedClient

        client = BoundedClient(CallbackAPIVersion.VERSION2, client_id=f"{self._topics.node}_{secrets.token_hex(3)}")
        client.connect_timeout = CONNECT_S
        client.reconnect_delay_set(1, LONGEST_PAUSE_S)
        client.will_set(self._topics.availability, "offline", qos=1, retain=True)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.has_tls:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=self._broker.ca_file))
            except (OSError, ssl.SSLError) as error:
                raise SettingError(f"{self._broker.ca_file} holds no certificates that can be used: {error}") from error
        client.on_connect, client.on_connect_fail = self._connected, self._failed
        client.on_disconnect, client.on_message = self._disconnected, self._message
        client.on_publish = self._published
        client.connect_async(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
        return client

    def _network(self) -> None:
        while not self._is_over.is_set():
            try:
                self._client.loop_forever(retry_first_connection=True)
            except Exception as error:
                # paho keeps the packet that it fails on, and fails on it again until it is connected again
                self._is_connected.clear()
                self._warn(f"{self._address} sends what cannot be read ({error!r}); it is tried again, events wait")
                if not self._is_over.wait(self._pause_s):
                    self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
                    with suppress(Exception):  # what is wrong here is warned of in the next round
                        self._client.reconnect()

    @property
    def _address(self) -> str:
        return f"the broker at {self._broker.host}:{self._broker.port}"

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._has_refused = bool(reason.is_failure)
        if self._has_refused:
            self._warn(f"{self._address} refuses: {reason} ({self._asking}); it is asked again")
            return
        topics = [
            STATUS_TOPIC,
            self._topics.config,
            self._topics.availability,
            *([self._topics.command] if self._obey else []),
        ]
        client.subscribe([(topic, 1) for topic in topics])
        self._say_online()
        self._is_connected.set()
        self._is_stale.set()

    def _say_online(self) -> None:
        self._unawaited.add(self._client.publish(self._topics.availability, "online", qos=1, retain=True).mid)

    @property
    def _asking(self) -> str:
        """Who asks to be connected, for where that is refused."""
        if self._broker.user is None:
            return "no user was given: mqtt://USER@host"
        return f"user {self._broker.user!r} {'with a' if self._broker.password else 'without a'} password"

    def _failed(self, _client: paho.Client, _data: Any) -> None:
        self._warn(f"{self._address} cannot be reached ({self._client.failure}); it is tried again, events wait")

    def _disconnected(self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._is_connected.clear()
        if not self._has_refused and not self._is_over.is_set():  # a refusal is logged
            self._warn(f"{self._address} is gone ({reason}); it is tried again, events wait")
        self._has_refused = False

    def _warn(self, text: str) -> None:
        """Log what is wrong with the broker: each thing once until it is there again, and a few things at most."""
        if text not in self._warned and len(self._warned) < MOST_WARNINGS:
            logger.warning("%s", text)
            self._warned.add(text)

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.topic == STATUS_TOPIC and message.payload == b"online":
            self._is_stale.set()
        elif message.topic == self._topics.availability and message.payload == b"offline":
            if not message.retain and self._is_connected.is_set() and not self._is_over.is_set():
                self._say_online()  # it is of an earlier connection that the broker has given up
        elif message.topic == self._topics.config and len(message.payload) <= LONGEST_DOCUMENT:
            self._take_document(bytes(message.payload), is_retained=bool(message.retain))
        elif message.topic == self._topics.command and not message.retain and len(message.payload) <= LONGEST_COMMAND:
            self._commands.put(bytes(message.payload))

    def _take_document(self, payload: bytes, *, is_retained: bool) -> None:
        """Take up a document of this device: of an earlier run, our own that comes back, or another listener's."""
        if is_retained:
            self._learn_of_earlier(payload)
        elif digest(payload.decode("utf-8", "replace")) not in self._described and payload:
            self._warn(
                f"another listener is {self._topics.node!r} at {self._address} too: each replaces what the other says "
                "of its labels; give one of them another prefix, as mqtt://host/bath"
            )

    def _learn_of_earlier(self, payload: bytes) -> None:
        """Remember what an earlier run had described, so that it can be removed; another's document is replaced."""
        components = _decoded(payload).get("cmps")
        self._note_gone(components if isinstance(components, dict) else {})
        self._is_stale.set()

    def _keep_document(self) -> None:
        """Publish the document whenever it may be another, or Home Assistant has started."""
        while not self._is_over.is_set():
            self._is_stale.wait()
            self._is_over.wait(SETTLE_S)
            self._is_stale.clear()
            if self._is_connected.is_set() and not self._is_over.is_set():
                document = json.dumps(self._describe(self._labels, self._gone))
                self._described.append(digest(document))
                if self._publish(self._topics.config, document, retain=True):
                    self._is_described.set()

    def _work(self) -> None:
        """Obey commands, one after another."""
        while not self._is_over.is_set():
            payload = self._commands.get(_POLL_S)
            if payload is not None and self._obey is not None:
                self._publish(self._topics.verdict, self._obeyed(self._obey, payload))

    def _obeyed(self, obey: Callable[[dict[str, Any]], dict[str, Any]], payload: bytes) -> str:
        try:
            return json.dumps(obey(_decoded(payload)))
        except Exception as error:  # nothing that is sent may end the thread
            logger.warning("a command could not be obeyed: %r", error)
            return json.dumps({"error": "this command could not be obeyed", "exit_code": 1, "outcome": "error"})

    def _publish(self, topic: str, payload: str, *, retain: bool = False, wait_s: float | None = None) -> bool:
        """Send with QoS 1, and wait until the broker has it; False where the end comes before."""
        # not under the lock: paho holds one of its own both here and where it calls `_published`
        message = self._client.publish(topic, payload, qos=1, retain=retain).mid
        until = None if wait_s is None else time.monotonic() + wait_s
        with self._acknowledged:
            while message not in self._done:
                if time.monotonic() >= until if until else self._is_over.is_set():
                    return False
                self._acknowledged.wait(_POLL_S)
            self._done.discard(message)
        return True

    def _published(self, _client: paho.Client, _data: Any, message: int, _reason: Any, _properties: Any) -> None:
        self._pause_s = 1.0
        self._warned.clear()
        if message in self._unawaited:
            self._unawaited.discard(message)
            return
        with self._acknowledged:
            self._done.add(message)
            self._acknowledged.notify_all()


def _decoded(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
