"""`edgecl doctor`: whether this machine has what is needed, and a store is intact."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import click

import edgecl
from edgecl.cli import probe
from edgecl.cli.options import example, json_option
from edgecl.cli.text import milliseconds, other_student_text, pairs, print_json, printable, wrapped
from edgecl.errors import ModelError, StoreMissingError
from edgecl.units import format_bytes

# distribution -> (module, extra that installs it; "" where edgecl itself does)
PACKAGES = {
    "numpy": ("numpy", ""),
    "onnxruntime": ("onnxruntime", ""),
    "click": ("click", ""),
    "numba": ("numba", "jit"),
    "soundfile": ("soundfile", "audio"),
    "soxr": ("soxr", "audio"),
    "sounddevice": ("sounddevice", "mic"),
    "tokenizers": ("tokenizers", "text"),
    "pillow": ("PIL.Image", "image"),
    "paho-mqtt": ("paho.mqtt.client", "mqtt"),
    "wyoming": ("wyoming.event", "wyoming"),
    "onnx": ("onnx", "export"),
    "livekit-wakeword": ("livekit.wakeword", "export"),
    "ai-edge-litert": ("ai_edge_litert.interpreter", "tflite"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite"),
}
FAULT, DAMAGED = 1, 5


@click.command(epilog=example("edgecl doctor", "edgecl doctor kitchen --json"))
@click.argument("store", metavar="[STORE]", required=False, type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Repair STORE from its intact files; damaged ones are removed.")
@json_option
@click.pass_context
def command(ctx: click.Context, store: Path | None, repair: bool, as_json: bool) -> None:
    """Check this machine and a store; repair a damaged store.

    Imports every runtime in a process of its own, runs a kernel and an extractor. With STORE also reads every
    byte of every kept revision, and writes a block. Exit code 1: something that edgecl needs does not work here, such
    as writing to the store; 5: the store is damaged. With --repair the newest intact revision becomes the live one and
    damaged files are removed: copy the folder first if you want to examine it.
    """
    if repair and store is None:
        raise click.UsageError("--repair wants a STORE")
    found = _machine()
    if store is not None and "fault" not in found["packages"]["numpy"]:
        found["store"] = _store(store, repair=repair)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found.get("store", {}).get("damage"):
        ctx.exit(DAMAGED)
    if _faults(found):
        ctx.exit(FAULT)


def _machine() -> dict[str, Any]:
    return {
        "edgecl": edgecl.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        **_memory(),
        "packages": {name: _package(name, module) for name, (module, _) in PACKAGES.items()},
        "kernels": probe.run("kernels"),
        "extractor": probe.run("extractor", "voice"),
        "student": probe.run("student"),
        "second_stage": probe.run("verifier"),
    }


def _processor() -> str:
    """The name that Linux has for the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    match = re.search(r"^(?:model name|Model|Hardware)\s*: (.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _memory() -> dict[str, int | None]:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        text = ""
    sizes = {name: int(size) * 1024 for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    return {"memory_bytes": sizes.get("MemTotal"), "memory_free_bytes": sizes.get("MemAvailable")}


def _package(name: str, module: str) -> dict[str, Any]:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return {"version": None}
    return {"version": version, **probe.run("package", module)}


def _store(path: Path, *, repair: bool) -> dict[str, Any]:
    """Every byte of a store, the model of every kept revision, and its extractor at work."""
    from edgecl.learner import Learner

    try:
        learner = Learner.open(path)
        damage = learner.check()
        repaired: dict[str, Any] = {}
        if repair:
            repaired = {"found": damage, "repaired": learner.repair() if damage else []}
            damage = learner.check()
    except StoreMissingError:
        raise
    except ModelError as error:
        return {"path": str(path), "damage": [str(error)]}
    return {
        "path": str(path),
        **repaired,
        "revision": learner.revision,
        "revisions": learner.store.revisions(),
        "damage": damage,
        "disk_bytes": learner.store.bytes_on_disk(),
        "disk_budget_bytes": learner.settings.disk_bytes,
        "disk_free_bytes": shutil.disk_usage(path).free,
        **dict(zip(("reserve_bytes", "reserve_wanted_bytes"), learner.store.reserve(), strict=True)),
        "write_fault": learner.store.write_fault(),
        "extractor": probe.run("extractor", str(learner.store.extractor_path)),
        "other_student_words": [] if damage else _other_student_words(path),
    }


def _other_student_words(path: Path) -> list[str]:
    from edgecl.operations.open_store import OpenStore
    from edgecl.operations.status import other_student_words

    opened = OpenStore.open(path)
    return other_student_words(opened, opened.model()[1])


def _faults(found: Mapping[str, Any]) -> list[str]:
    """What edgecl needs and does not get; an optional package only where it is there and broken."""
    faults = [
        f"{name}: {one.get('fault', 'missing')}"
        for name, one in found["packages"].items()
        if "fault" in one or (one["version"] is None and not PACKAGES[name][1])
    ]
    faults += [
        f"{name.replace('_', ' ')}: {found[name]['fault']}"
        for name in ("kernels", "extractor", "student", "second_stage")
        if "fault" in found[name]
    ]
    if "fault" in found.get("store", {}).get("extractor", {}):
        faults.append(f"the store's extractor: {found['store']['extractor']['fault']}")
    if found.get("store", {}).get("write_fault"):
        faults.append(found["store"]["write_fault"])
    return faults


def _print(found: Mapping[str, Any]) -> None:
    rows = {
        "edgecl": f"{found['edgecl']} on Python {found['python']}, {found['platform']}",
        "processor": f"{found['processor']}, {found['cores']} cores",
        "memory": _memory_text(found),
        **{name: _package_text(name, one) for name, one in found["packages"].items()},
        "kernels": _kernels_text(found["kernels"]),
        "extractor": _extractor_text(found["extractor"]),
        "student": _student_text(found["student"]),
        "second stage": _second_stage_text(found["second_stage"]),
    }
    click.echo(pairs(rows))
    if "store" in found:
        _print_store(found["store"])
    faults = _faults(found)
    for fault in faults:
        click.secho(f"FAULT: {printable(fault)}", fg="red")
    if not faults:
        click.secho("This machine has what edgecl needs.", fg="green")


def _memory_text(found: Mapping[str, Any]) -> str:
    if found["memory_bytes"] is None:
        return "unknown"
    return f"{format_bytes(found['memory_bytes'])}, {format_bytes(found['memory_free_bytes'] or 0)} free"


def _package_text(name: str, one: Mapping[str, Any]) -> str:
    extra = PACKAGES[name][1]
    if one["version"] is None:
        return (
            f"not installed (optional: pip install 'edgecl[{extra}]')" if extra else "not installed: reinstall edgecl"
        )
    return f"{one['version']}, {one.get('fault', 'works')}"


def _kernels_text(kernels: Mapping[str, Any]) -> str:
    if "fault" in kernels:
        return str(kernels["fault"])
    reasons = "".join(f"; no {name}: {reason}" for name, reason in kernels["passed_over"].items())
    return f"{kernels['implementation']}, first call {milliseconds(kernels['first_call_ms'])}{reasons}"


def _extractor_text(extractor: Mapping[str, Any]) -> str:
    if "fault" in extractor:
        return str(extractor["fault"])
    return f"{extractor['modality']}, {milliseconds(extractor['clip_ms'])} a clip"


def _student_text(student: Mapping[str, Any]) -> str:
    if "fault" in student:
        return str(student["fault"])
    if not student["decides"]:
        return f"{printable(student['note'])}: the first stage of listening decides alone"
    return f"{student['hop_us']:.0f} µs a hop that is near a word, has a part in the score of words"


def _second_stage_text(second: Mapping[str, Any]) -> str:
    if "fault" in second:
        return str(second["fault"])
    if not second["installed"]:
        return "not installed: decides on no word (optional: pip install 'edgecl[verify]')"
    window = f"{milliseconds(second['window_ms'])} a window"
    return f"{window}, decides on words" if second["decides"] else f"{window}, too slow: decides on no word"


def _print_store(store: Mapping[str, Any]) -> None:
    path = printable(store["path"])
    for title in ("found", "repaired"):
        if store.get(title):
            click.secho(f"{title}:", bold=True)
            click.echo("\n".join(wrapped(one) for one in store[title]))
    if store["damage"]:
        still = " still" if "repaired" in store else ""
        click.secho(f"{path} is{still} DAMAGED:", fg="red", bold=True)
        for one in store["damage"]:
            click.echo(f"  - {printable(one)}")
    else:
        click.secho(f"{path} is intact: every byte of revisions {_span(store['revisions'])} was read.", fg="green")
    if "revision" in store:
        click.echo(
            f"  revision {store['revision']} is live; disk {format_bytes(store['disk_bytes'])} of "
            f"{format_bytes(store['disk_budget_bytes'])}, {format_bytes(store['disk_free_bytes'])} free; "
            f"extractor {_extractor_text(store['extractor'])}"
        )
        click.echo(f"  {_reserve_text(store)}")
        if store["other_student_words"]:
            click.echo(wrapped(f"student: {other_student_text(store['other_student_words'])}", first="  "))


def _reserve_text(store: Mapping[str, Any]) -> str:
    held, wanted = store["reserve_bytes"], store["reserve_wanted_bytes"]
    if held >= wanted:
        return f"{format_bytes(held)} are reserved, so that `forget` works on a full disk"
    return (
        f"{format_bytes(held)} of {format_bytes(wanted)} are reserved: `forget` may fail on a full disk; the next "
        "lesson reserves them where the disk and --disk have the room"
    )


def _span(revisions: list[int]) -> str:
    return f"{revisions[0]} to {revisions[-1]}" if len(revisions) > 1 else str(revisions[0])
