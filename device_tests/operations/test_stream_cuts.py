"""A stream's commit, experts included, hit at each of its writes: the store opens with the old revision or the new."""

from __future__ import annotations

import errno
import json
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import EdgeclError
from edgecl.learner import Learner
from edgecl.sources.samples import Sample

from ..support.stores import Calls, Cut, Disk, counted, failing_at, folder_in_memory, killed_at, without_waiting

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")
pytestmark = pytest.mark.native("follows a stream for each write of a commit; nothing in it depends on the processor")

ROWS = 70
FEW = 3  # every third point; `tools/power_cuts` takes all


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with without_waiting():
        yield


@pytest.fixture(scope="module")
def followed() -> Iterator[Path]:
    """A store whose live revision has experts."""
    from edgecl_export import export_identity

    with folder_in_memory() as folder, without_waiting():
        export_identity(folder / "identity.onnx", ["a", "b", "c"])
        Learner.create(folder / "store", extractor=folder / "identity.onnx", max_classes=4)
        follow(folder / "store", seed=0)
        yield folder / "store"


def follow(path: Path, *, seed: int = 1) -> object:
    rows = np.random.default_rng(seed).normal(size=(ROWS, 3)).astype(np.float32)
    samples = [
        Sample(f"row {at}", "high" if row[0] > 0 else "low", row[None], group=None) for at, row in enumerate(rows)
    ]
    return Learner.open(path).follow(samples)


def fingerprint(path: Path) -> str:
    return json.dumps(dict(sorted(Learner.open(path).store.current().objects.items())))


def outcomes(followed: Path) -> tuple[str, str]:
    """What may be live after a stream that was cut: what was before it, or what it commits at its end."""
    copy = shutil.copytree(followed, followed.with_name("outcomes"), dirs_exist_ok=True)
    before = fingerprint(copy)
    follow(copy)
    after = fingerprint(copy)
    shutil.rmtree(copy)
    assert '"experts"' in before
    assert before != after
    return before, after


def require_sound(path: Path, allowed: tuple[str, str]) -> None:
    learner = Learner.open(path)
    assert learner.store.damage == []
    assert fingerprint(path) in allowed
    assert len(list(learner.predict_proba([np.array([[2.0, 0, 0]], np.float32)]))) == 1
    with learner.store.writer():
        pass
    assert learner.check() == []
    assert not list(path.rglob("*.tmp"))
    shutil.rmtree(path)


def steps(followed: Path) -> list[str]:
    copy = shutil.copytree(followed, followed.with_name("steps"))
    calls = Calls(lambda number, name: None)
    with counted(calls):
        follow(copy)
    shutil.rmtree(copy)
    return calls.names


def test_killed_before_any_write_the_old_or_the_new_experts_are_there(followed: Path) -> None:
    allowed, names = outcomes(followed), steps(followed)
    assert len(names) > 20
    for count in range(1, len(names) + 1):
        copy = shutil.copytree(followed, followed.with_name(f"killed {count}"))
        with suppress(Cut), counted(killed_at(count)):
            follow(copy)
        require_sound(copy, allowed)


def test_a_stream_goes_on_where_one_was_killed(followed: Path) -> None:
    copy = shutil.copytree(followed, followed.with_name("goes on"))
    with pytest.raises(Cut), counted(killed_at(len(steps(followed)) // 2)):
        follow(copy)
    follow(copy, seed=2)
    assert Learner.open(copy).check() == []


@pytest.mark.parametrize("lasting", [False, True])
def test_a_disk_that_is_full_at_any_write_leaves_the_old_or_the_new(followed: Path, lasting: bool) -> None:
    allowed = outcomes(followed)
    for count in range(1, len(steps(followed)) + 1, FEW):
        copy = shutil.copytree(followed, followed.with_name(f"full {count}"))
        with suppress(EdgeclError), counted(failing_at(count, errno.ENOSPC, lasting=lasting)):
            follow(copy)
        require_sound(copy, allowed)


def test_a_power_cut_at_any_write_leaves_the_old_or_the_new(followed: Path) -> None:
    allowed, draw = outcomes(followed), random.Random(0)
    copy = shutil.copytree(followed, followed.with_name("cut"))
    disk = Disk(copy)
    with disk.followed():
        follow(copy)
    shutil.rmtree(copy)
    assert len(disk.cuts) > 20
    for number, leave in [*enumerate(disk.cuts)][::FEW]:
        left = followed.with_name(f"left {number}")
        leave(draw, left)
        with Learner.open(left).store.writer():
            pass
        require_sound(left, allowed)
