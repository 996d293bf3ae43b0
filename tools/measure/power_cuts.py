"""Attack a store for `tools/power_cuts`, in an environment that has edgecl and the helpers of the suite.

python measure/power_cuts.py --json FILE [--only PART...] [--every N]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: edgecl is the one that is installed

import numpy as np

from device_tests.support.commands import clips, command_line, write_clips
from device_tests.support.stores import Disk, is_whole, make_store, without_waiting
from device_tests.support.stores import teach as mark
from edgecl.errors import EdgeclError, ModelError, StoreMissingError
from edgecl.learner import Learner
from edgecl.operations.open_store import OpenStore
from edgecl.store.store import Store

FORGOTTEN = "left"
# what changes files; of opens only those that may make a file
CALLS = ("openat", "write", "ftruncate", "fsync", "rename", "unlink", "unlinkat", "mkdir", "rmdir", "fallocate")
ERRORS = ("ENOSPC", "EROFS", "EIO")
PAGED_MEMORY = "40KiB"  # less than all columns take in memory
DRAWS = 10  # ways in which each cut may leave what was not flushed


@dataclass(frozen=True)
class Action:
    """A command that writes, with what it starts from and what the live model may be after it."""

    name: str
    arguments: tuple[str, ...]
    base: Path | None  # the store before; None for init
    allowed: tuple[str, ...]  # fingerprints: the old one, the new one


@dataclass
class Count:
    tried: int = 0
    survived: int = 0

    def add(self, fault: str, where: str) -> None:
        self.tried += 1
        self.survived += not fault
        if fault:
            print(f"FAULT {where}: {fault}", flush=True)


def fingerprint(store: Store) -> str:
    """Return the objects of the live model as text."""
    return json.dumps(dict(sorted(store.current().objects.items())))


def prepared(folder: Path, *, only: str = "") -> list[Action]:
    """Init, and the commands that write or one of them, on stores of spoken words, a paged one, and one of rows."""
    lessons = [("yes", "no", FORGOTTEN), ("stop",)]
    for number, words in enumerate(lessons):
        write_clips(folder / f"lesson {number}", clips("teach", words, most=5))
    learning = ("learn", "{store}", str(folder / "lesson 1"))
    forgetting = ("forget", "{store}", FORGOTTEN)
    commands = {"learn": learning, "rollback": ("rollback", "{store}"), "forget": forgetting}
    growing = ("resize", "{store}", "--memory", "1MiB")
    paged = {"learn paged": learning, "resize paged": growing, "forget paged": forgetting}
    actions = [Action("init", ("init", "{store}", "--extractor", "voice"), None, ("", "{}"))]
    actions += written(folder / "base", folder / "lesson 0", commands, only=only)
    actions += written(folder / "paged", folder / "lesson 0", paged, only=only, options=("--memory", PAGED_MEMORY))
    if only in ("", "follow"):
        actions.append(following(folder))
    return actions


def written(
    base: Path, first: Path, commands: Mapping[str, tuple[str, ...]], *, only: str, options: tuple[str, ...] = ()
) -> Iterator[Action]:
    """Commands on a store that has learnt one lesson, with what each leaves of a copy."""
    if only and only not in commands:
        return
    require(edgecl("init", base, "--extractor", "voice", *options))
    require(edgecl("learn", base, first))
    assert OpenStore.open(base).settings.paged == bool(options)
    for name, arguments in commands.items():
        if only not in ("", name):
            continue
        copy = base.with_name("expected")
        shutil.copytree(base, copy)
        require(edgecl(*(one.format(store=copy) for one in arguments)))
        yield Action(name, arguments, base, (fingerprint(Store.open(base)), fingerprint(Store.open(copy))))
        shutil.rmtree(copy)


def following(folder: Path) -> Action:
    """A stream of rows on a store that has followed one, so that its revision has experts."""
    from edgecl_export import export_identity

    export_identity(folder / "identity.onnx", ["a", "b", "c"])
    for number in range(2):
        draw = np.random.default_rng(number)
        cells = draw.normal(size=(80, 3)).tolist()
        rows = [",".join([*(f"{cell:.4f}" for cell in row), "ab"[row[0] > 0]]) for row in cells]
        (folder / f"rows {number}.csv").write_text("\n".join(["a,b,c,label", *rows, ""]))
    base, copy = folder / "rows", folder / "expected rows"
    require(edgecl("init", base, "--extractor", folder / "identity.onnx", "--max-classes", "4"))
    require(edgecl("follow", base, folder / "rows 0.csv", "--label-column", "label"))
    arguments = ("follow", "{store}", str(folder / "rows 1.csv"), "--label-column", "label")
    shutil.copytree(base, copy)
    require(edgecl(*(one.format(store=copy) for one in arguments)))
    allowed = (fingerprint(Store.open(base)), fingerprint(Store.open(copy)))
    shutil.rmtree(copy)
    return Action("follow", arguments, base, allowed)


def edgecl(*arguments: object, strace: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*strace, *command_line(*arguments)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)


def require(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr}")


def points(action: Action, folder: Path) -> list[tuple[str, int]]:
    """The calls of an action that change files: name, and the how manieth of that name it is in the main thread."""
    log = folder / "strace.log"
    with fresh(action, folder) as store:
        given = [one.format(store=store) for one in action.arguments]
        require(edgecl(*given, strace=("strace", "-qq", "-o", str(log), "-e", f"trace={','.join(CALLS)}")))
    seen: Counter[str] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"(\w+)\((.*)", line)
        if match is None:
            continue
        seen[match[1]] += 1
        if match[1] == "openat" and "O_CREAT" not in match[2]:
            continue
        if match[1] == "write" and match[2].startswith(("1,", "2,")):
            continue
        found.append((match[1], seen[match[1]]))
    return found


class fresh:  # noqa: N801
    """A copy of the store that an action starts from, removed at the end."""

    def __init__(self, action: Action, folder: Path) -> None:
        self._action, self._folder = action, folder / "work"

    def __enter__(self) -> Path:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        if self._action.base is not None:
            shutil.copytree(self._action.base, self._folder / "kitchen")
        return self._folder / "kitchen"

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def injected(
    action: Action, folder: Path, fault: str, *, every: int, lasting: bool = False
) -> Iterator[tuple[str, str]]:
    """Run an action once for each point, with a fault there: what went wrong afterwards, and where.

    Parameters
    ----------
    lasting
        Let every later call of that name fail as well.
    """
    for name, count in points(action, folder)[::every]:
        with fresh(action, folder) as store:
            given = [one.format(store=store) for one in action.arguments]
            rule = f"inject={name}:{fault}:when={count}{'+' if lasting else ''}"
            strace = ("strace", "-qq", "-o", os.devnull, "-e", f"trace={name}", "-e", rule)
            done = edgecl(*given, strace=strace)
            # where no write works there is no message either
            is_mute = fault.startswith("signal") or (lasting and name == "write")
            yield judged(action, store, None if is_mute else done), f"{action.name}, {fault} at {name} {count}"


def judged(action: Action, path: Path, failed: subprocess.CompletedProcess[str] | None) -> str:
    """Return what is wrong with a store after a fault; "" if the old or the new model is whole and work goes on."""
    if failed is not None and ("Traceback" in failed.stderr or (failed.returncode and "Error:" not in failed.stderr)):
        return f"no clear message: {failed.stderr[-300:]}"
    try:
        device = Learner.open(path)
    except StoreMissingError:
        again = edgecl("init", path, "--extractor", "voice") if action.base is None else None
        if again is None or again.returncode:
            return "no store, and none can be made" if again else "the store is missing"
        device = Learner.open(path)
    except ModelError as error:
        return str(error)
    if device.store.damage:
        return "; ".join(device.store.damage)
    live = fingerprint(device.store)
    if live not in action.allowed:
        return "the live model is neither the old nor the new one"
    is_told = failed is None or not failed.returncode or "is live" in failed.stderr or action.base is None
    if failed is not None and not is_told and live == action.allowed[1]:
        return f"it failed and the new model is live: {failed.stderr[-300:]}"
    if failed is not None and not failed.returncode and live != action.allowed[1]:
        return "it said to be done and was not"
    return _faults_left(device, action)


def _faults_left(device: Learner, action: Action) -> str:
    """Return what is wrong after the next writer."""
    OpenStore(device.store).model()
    try:
        with device.store.writer():
            pass
    except EdgeclError as error:
        return f"the next writer fails: {error}"
    if action.name.startswith("forget") and device.store.current().kind == "forget":
        for file in device.store.path.rglob("*"):
            if file.is_file() and f'"{FORGOTTEN}"'.encode() in file.read_bytes():
                return f"{file} still holds what was forgotten"
    rest = [str(one) for one in device.store.path.rglob("*.tmp")]
    return "; ".join([*device.store.check(), *rest])


def lost(action: Action, folder: Path, draw: random.Random) -> Iterator[tuple[str, str]]:
    """Follow an action in this process; at each of its calls cut the power, with what was not flushed lost or torn."""
    if action.base is None:
        return
    with fresh(action, folder) as store, tempfile.TemporaryDirectory(dir=memory()) as target:
        disk = Disk(store)
        with disk.followed():
            run_here(action, store)
        for number, leave in enumerate(disk.cuts):
            for again in range(DRAWS):
                left = Path(target, f"{number} {again}")
                leave(draw, left)
                with without_waiting():
                    fault = judged_after_cut(action, left)
                yield fault, f"{action.name}, power cut {number}, draw {again}"
                shutil.rmtree(left)


def judged_after_cut(action: Action, path: Path) -> str:
    """As `judged`; the line that was being added to the journal may be torn until the next writer comes."""
    try:
        with Store.open(path).writer():
            pass
    except EdgeclError as error:
        return str(error)
    return judged(action, path, None)


def run_here(action: Action, store: Path) -> None:
    from edgecl.sources.reading import read_samples

    device = Learner.open(store)
    match action.arguments[0]:
        case "learn":
            device.learn(read_samples(Path(action.arguments[2]), device.contract))
        case "rollback":
            device.rollback()
        case "forget":
            device.forget([FORGOTTEN])
        case "resize":
            device.resize(memory_bytes=1 << 20)
        case "follow":
            device.follow(read_samples(Path(action.arguments[2]), device.contract, label_column="label"))


def memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def damaged(folder: Path) -> Iterator[tuple[str, str]]:
    """Flip a bit of every byte, and cut at every length, of every file of a small store: each must be noticed."""
    folder.mkdir()
    with without_waiting():
        store = make_store(folder / "kitchen")
        mark(store, {"head": 1, "statistics/yes": 5})
        mark(store, {"head": 2})
    draw = np.random.default_rng(0)
    for path in sorted(one for one in store.path.rglob("*") if one.is_file() and one.name not in ("lock", "reserve")):
        data = path.read_bytes()
        for at in range(len(data)):
            flipped = bytearray(data)
            flipped[at] ^= 1 << int(draw.integers(8))
            for content, what in ((bytes(flipped), "flipped"), (data[:at], "cut")):
                path.write_bytes(content)
                yield ("" if _is_noticed(store.path) else "not noticed"), f"{what}: {path.name} at {at}"
        path.write_bytes(data)


def _is_noticed(path: Path) -> bool:
    try:
        store = Store.open(path)
        assert is_whole(store)
    except ModelError:
        return True
    return bool(store.check())


def forgotten(runs: int) -> Iterator[tuple[str, str]]:
    """Random streams of lessons: a model that forgets a class against one that never saw it."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from device_tests.support.forgetting import require_exact, streams, tiers

    results: list[tuple[str, str]] = []

    @settings(max_examples=runs, deadline=None, database=None)
    @given(stream=streams, tier=tiers, seed=st.integers(0, 1 << 30))
    def run(stream: list[dict[str, int]], tier: dict[str, object], seed: int) -> None:
        try:
            require_exact(stream, tier=tier, seed=seed)
            results.append(("", ""))
        except AssertionError as error:
            results.append((f"not exact: {error}", f"{stream}, {tier}, {seed}"))

    run()
    yield from results


PARTS = ("killed", "failed", "lasting", "lost", "damaged", "forgotten")
FORGETTING_RUNS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--every", type=int, default=1, help="take every N-th point")
    parser.add_argument("--command", default="", help="only one of the commands, and init")
    arguments = parser.parse_args()
    logging.getLogger("edgecl").setLevel(logging.ERROR)  # that a forgetting was ended is what is wanted here
    counts: dict[str, Count] = {}

    def count(name: str, results: Iterator[tuple[str, str]]) -> None:
        started = time.monotonic()
        for fault, where in results:
            counts.setdefault(name, Count()).add(fault, where)
        if name in counts:
            one = counts[name]
            print(f"{name:24} {one.survived:8,} of {one.tried:8,}   {time.monotonic() - started:6.1f} s", flush=True)

    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        actions = prepared(folder, only=arguments.command) if {*arguments.only} - {"damaged", "forgotten"} else []
        actions = [one for one in actions if arguments.command in ("", one.name)]
        for action in actions:
            if "killed" in arguments.only:
                count(f"killed in {action.name}", injected(action, folder, "signal=KILL", every=arguments.every))
            for code in ERRORS if "failed" in arguments.only else ():
                count(f"{code} in {action.name}", injected(action, folder, f"error={code}", every=arguments.every))
            for code in ERRORS if "lasting" in arguments.only else ():
                fails = injected(action, folder, f"error={code}", every=arguments.every, lasting=True)
                count(f"lasting {code} in {action.name}", fails)
            if "lost" in arguments.only:
                count(f"unflushed lost in {action.name}", lost(action, folder, random.Random(0)))  # noqa: S311
        if "damaged" in arguments.only:
            count("flipped bytes and cuts", damaged(folder / "damage"))
        if "forgotten" in arguments.only:
            count("exact forgetting", forgotten(FORGETTING_RUNS // arguments.every))
    arguments.json.write_text(json.dumps({name: vars(one) for name, one in counts.items()}, indent=1))
    sys.exit(any(one.survived < one.tried for one in counts.values()))


if __name__ == "__main__":
    main()
