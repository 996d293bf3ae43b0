"""What Home Assistant is told by MQTT: one document for the device, its entities and its triggers.

The format is that of https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. A component that is
gone stays in the document as its platform alone, which is how Home Assistant is asked to remove it. Keys hold a digest
of a label, not its name: what was forgotten must not go on standing there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecl.service.labels import digest

DISCOVERY = "homeassistant"
STATUS_TOPIC = f"{DISCOVERY}/status"
GONE_KEPT = 64
"""Components that are remembered as removed."""


@dataclass(frozen=True)
class Topics:
    """The MQTT topics of one store."""

    node: str
    """Identifies the device in Home Assistant."""
    base: str

    @property
    def config(self) -> str:
        """The device's document, retained."""
        return f"{DISCOVERY}/device/{self.node}/config"

    @property
    def availability(self) -> str:
        """The words online or offline, retained."""
        return f"{self.base}/availability"

    @property
    def event(self) -> str:
        """One JSON object per event."""
        return f"{self.base}/event"

    @property
    def command(self) -> str:
        """Commands, where they are allowed."""
        return f"{self.base}/command"

    @property
    def verdict(self) -> str:
        """The answers to commands."""
        return f"{self.base}/verdict"


def device_document(
    topics: Topics,
    labels: Sequence[str],
    *,
    name: str,
    model: str,
    version: str,
    takes_commands: bool = False,
    gone: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the document of a device.

    Parameters
    ----------
    labels
        That can be events.
    name, model, version
        Of the store, its kind ("voice"), and edgecl's.
    takes_commands
        Adds buttons that undo the last lesson and report the last detection as wrong.
    gone
        Key to platform of components that Home Assistant removes.
    """
    components: dict[str, Any] = {"event": _event(topics, labels), "last": _last(topics)}
    components |= {f"word_{digest(label)}": _trigger(topics, label) for label in labels}
    if takes_commands:
        components |= {
            "verdict": _verdict(topics),
            "undo": _button(topics, "undo", "Undo the last lesson", '{"command": "rollback"}'),
            "wrong": _button(topics, "wrong", "The last detection was wrong", '{"command": "wrong"}'),
        }
    removed = {key: {"p": platform} for key, platform in (gone or {}).items() if key not in components}
    return {
        "dev": {
            "ids": [topics.node],
            "name": name,
            "mf": "edgecl",
            "mdl": model,
            "sw": version,
        },
        "o": {"name": "edgecl", "sw": version},
        "cmps": {**components, **removed},
        "availability_topic": topics.availability,
        "qos": 1,
    }


def removed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """Return the components of an earlier document that a newer one lacks, key to platform; the latest are kept."""
    found = {}
    for key, component in before.items():
        if key not in now and isinstance(component, Mapping) and isinstance(component.get("p"), str):
            found[str(key)] = component["p"]
    return dict(list(found.items())[-GONE_KEPT:])


def _event(topics: Topics, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "p": "event",
        "unique_id": f"{topics.node}_event",
        "name": "Detected",
        "icon": "mdi:ear-hearing",
        "event_types": list(labels),
        "state_topic": topics.event,
    }


def _last(topics: Topics) -> dict[str, Any]:
    return {
        "p": "sensor",
        "unique_id": f"{topics.node}_last",
        "name": "Last detected",
        "state_topic": topics.event,
        "value_template": "{{ value_json.label }}",
        "json_attributes_topic": topics.event,
    }


def _trigger(topics: Topics, label: str) -> dict[str, Any]:
    return {
        "p": "device_automation",
        "automation_type": "trigger",
        "type": "detected",
        "subtype": label,
        "topic": topics.event,
        "payload": label,
        "value_template": "{{ value_json.label }}",
        "qos": 1,
    }


def _verdict(topics: Topics) -> dict[str, Any]:
    return {
        "p": "sensor",
        "unique_id": f"{topics.node}_verdict",
        "name": "Last verdict",
        "entity_category": "diagnostic",
        "state_topic": topics.verdict,
        "value_template": "{{ value_json.outcome }}",
    }


def _button(topics: Topics, key: str, name: str, payload: str) -> dict[str, Any]:
    return {
        "p": "button",
        "unique_id": f"{topics.node}_{key}",
        "name": name,
        "entity_category": "config",
        "command_topic": topics.command,
        "payload_press": payload,
        "qos": 1,
    }
