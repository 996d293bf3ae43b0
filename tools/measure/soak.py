"""Soak a store, run by `tools/soak` where edgecl is installed: it is taught by a process that is killed, and checked.

python measure/soak.py --json FILE --folder FOLDER --samples N --lessons N --classes N --kills N --seed N

The parent knows what was taught and orders the next step (soak_orders.py); the child (soak_writer.py), started again
after each kill, carries it out through `Learner`. What is checked is in soak_checks.py.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np

from edgecl.learner import Learner
from edgecl.operations.open_store import OpenStore
from edgecl.store.store import Store
from measure import soak_writer
from measure.soak_checks import Figures, SoakError, compared, flatness, is_object, named, require_clean, tree_bytes
from measure.soak_orders import LABELS_AT_ONCE, Orders
from measure.soak_writer import DIMENSION, Latents, Order, Portion, Size, add_size, size_from

MEMORY_BYTES = 2 << 20
DISK_BYTES = 4 << 20
KILLED_SHARE = 0.6  # of the lessons; the others are one process's, whose memory is watched
PEAK_BYTES = 90_000_000  # of the process, interpreter and ONNX Runtime included
LOOK_EVERY = 50  # steps: the whole store, also without a kill
TOLD_EVERY_S = 5.0

Truth = Mapping[str, tuple[Portion, ...]]  # label to what it was taught from


class Child:
    """The process that writes."""

    def __init__(self, path: Path, size: Size, spool: Path) -> None:
        words = [sys.executable, soak_writer.__file__, str(path)]
        words += [word for name, value in asdict(size).items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(spool)}
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._text = b""

    def order(self, order: Order) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        self._process.stdin.flush()

    def told(self, until: float) -> dict[str, Any] | None:
        """The next line; None where none came until that time."""
        assert self._process.stdout is not None
        while b"\n" not in self._text:
            if not self._selector.select(max(until - time.monotonic(), 0)):
                return None
            more = self._process.stdout.read()
            if more == b"":
                raise SoakError(f"the writer ended by itself, with exit code {self._process.wait()}")
            self._text += more or b""
        line, _, self._text = self._text.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told

    def memory(self) -> tuple[int, int, int]:
        """Resident and peak bytes, and open descriptors."""
        folder = Path("/proc", str(self._process.pid))
        lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        resident, peak = (1024 * int(lines[name].split()[0]) for name in ("VmRSS", "VmHWM"))
        return resident, peak, len(list((folder / "fd").iterdir()))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # an order that it did not read
                pipe.close()


class Soak:
    """Orders, kills and looks; raises `SoakError` at the first thing that is wrong."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.size, self.latents, self.figures = size, Latents(size), Figures()
        self.path, self._spool = folder / "store", folder / "spool"
        self._spool.mkdir()
        self._extractor = folder / "identity.onnx"
        export(self._extractor)
        self._create(self.path)
        self._beside = set(folder.iterdir())
        self._draw = np.random.default_rng([size.seed, 1])
        self._number = 1  # of the live revision
        self._truths: dict[int, Truth] = {1: {}}
        self._digest = Store.open(self.path).digest(1)  # of the live revision
        self._objects: dict[int, set[str]] = {1: set()}  # what each kept revision is made of
        self._child: Child | None = None
        self._kill_at: float | None = None
        self._seconds: dict[str, float] = {}  # that a step of a kind took last
        self._doing = ""
        self._started = self._told_at = time.monotonic()

    def _create(self, path: Path) -> Learner:
        return Learner.create(
            path,
            extractor=self._extractor,
            memory_bytes=MEMORY_BYTES,
            disk_bytes=DISK_BYTES,
            max_classes=self.size.classes,
            seed=self.size.seed,
        )

    def run(self) -> dict[str, Any]:
        """All steps, then the comparison; returns what was found."""
        last = int(KILLED_SHARE * self.size.lessons)
        kills = Counter(self._draw.integers(0, last, self.size.kills).tolist())
        try:
            for order, lesson in Orders(self.path, self.size, draw=self._draw, known=self._known):
                if lesson == last and order.kind == "teach":
                    self._restart()
                self._carry_out(order, kills=kills.pop(lesson, 0))
                if order.number % LOOK_EVERY == 0:
                    self._look()
                self._progress(lesson)
        finally:
            self._stop()
        self._look()
        return {**flatness(self.figures), **self._compared()}

    def _known(self) -> tuple[int, list[str]]:
        """Return the live revision and its labels in order."""
        return self._number, sorted(self._truths[self._number])

    # a step, and its kills

    def _carry_out(self, order: Order, *, kills: int) -> None:
        """One step, begun again after each kill until it is done or was committed by the one that was killed."""
        for _ in range(kills):
            seconds = self._seconds.get(order.kind, 0.3) + (0 if self._child else self._seconds.get("open", 0.5))
            self._kill_at = time.monotonic() + float(self._draw.uniform(0, 1.1 * seconds))
            if self._tried(order):
                return
        while not self._tried(order):
            pass

    def _tried(self, order: Order) -> bool:
        """Test whether the step is done, by this process or by one that was killed just after its commit."""
        told = self._ended(order)
        if told is None:
            return self._after_kill(order)
        if told["accepted"]:
            kept = set().union(*self._objects.values()) if order.kind != "forget" else set()
            self._committed(order)
            self._require_swept(kept)
        else:
            self.figures.rejected[order.kind] += 1
        self.figures.done[order.kind] += 1
        self._measure(told["bytes"])
        return True

    def _ended(self, order: Order) -> dict[str, Any] | None:
        """Return what the child reports at the end of a step, or None if it was killed."""
        if self._child is None:
            self._doing, began = "opening the store", time.monotonic()
            self._child = Child(self.path, self.size, self._spool)
            if self._answer("ready") is None:
                return None
            self._seconds["open"] = time.monotonic() - began
        self._doing = "reading samples" if order.portions else order.kind
        began = time.monotonic()
        self._child.order(order)
        told = self._answer("done")
        self._seconds[order.kind] = time.monotonic() - began
        return told

    def _answer(self, key: str) -> dict[str, Any] | None:
        assert self._child is not None
        while True:
            told = self._child.told(until=self._kill_at or time.monotonic() + 600)
            if told is None and self._kill_at is None:
                raise SoakError("the writer has said nothing for ten minutes")
            if told is None:
                self._child.kill()
                self._child, self._kill_at = None, None
                self.figures.killed_at[self._doing] += 1
                return None
            if key in told:
                return told
            self._doing = told["stage"]

    def _after_kill(self, order: Order) -> bool:
        """Test whether the killed process had committed; raises if the store is neither the old nor the new one."""
        self._require_within("disk after a kill", tree_bytes(self.path), DISK_BYTES)
        self.figures.most_disk_bytes_killed = max(self.figures.most_disk_bytes_killed, tree_bytes(self.path))
        is_new = Store.open(self.path).current().number != self._number
        if is_new:
            self._committed(order)
            self.figures.done[order.kind] += 1
            if order.kind == "forget":
                self._require_swept(set())
        self._look()
        self.figures.left["new" if is_new else "old"] += 1
        self.figures.survived += 1
        return is_new

    def _committed(self, order: Order) -> None:
        """The next revision is live, and the truth is what the order made of it."""
        before = self._truths[self._number]
        self._number += 1
        self._truths[self._number] = self._after(order, before)
        self.figures.samples += sum(one.count for one in order.portions)
        classes = len(self._truths[self._number])
        self.figures.most_classes = max(self.figures.most_classes, classes)
        if order.number > self.size.classes // LABELS_AT_ONCE:  # once all could have come
            self.figures.fewest_classes = min(self.figures.fewest_classes, classes)
        store = Store.open(self.path)
        self._require_truth(store)
        self._digest = store.digest(self._number)
        self._objects[self._number] = set(store.current().objects.values())
        kept = store.revisions()
        self._truths = {number: self._truths[number] for number in kept}
        self._objects = {number: self._objects[number] for number in kept}

    def _after(self, order: Order, before: Truth) -> Truth:
        if order.kind == "rollback":
            return self._truths[order.target]
        if order.kind == "forget":
            return {label: portions for label, portions in before.items() if label not in order.labels}
        after = dict(before)
        for portion in order.portions:
            after[portion.label] = (*after.get(portion.label, ()), portion)
        return after

    # what is looked at

    def _require_truth(self, store: Store) -> None:
        live = store.current()
        if live.number != self._number:
            raise SoakError(f"revision {live.number} is live, {self._number} should be")
        counts = {label: sum(one.count for one in portions) for label, portions in self._truths[live.number].items()}
        if live.body["classes"] != counts:
            raise SoakError(
                f"revision {live.number} does not know what was taught: {live.body['classes']}, not {counts}"
            )

    def _require_swept(self, kept: set[str]) -> None:
        """After a commit no object is left but of kept revisions, and of those that this commit let go."""
        there = {path.stem for path in (self.path / "objects").iterdir()}
        if left := there - kept.union(*self._objects.values()):
            raise SoakError(f"{len(left)} objects of no revision outlived a commit: {', '.join(sorted(left)[:5])}")

    def _measure(self, nbytes: int) -> None:
        """Budgets and descriptors, after a step."""
        assert self._child is not None
        figures, disk = self.figures, tree_bytes(self.path)
        resident, peak, descriptors = self._child.memory()
        figures.resident.append(resident)
        figures.descriptors.append(descriptors)
        figures.most_bytes = max(figures.most_bytes, nbytes)
        figures.most_disk_bytes = max(figures.most_disk_bytes, disk)
        figures.most_descriptors = max(figures.most_descriptors, descriptors)
        figures.peak_bytes = max(figures.peak_bytes, peak)
        self._require_within("memory by the learner's own account", nbytes, MEMORY_BYTES)
        self._require_within("disk", disk, DISK_BYTES)
        self._require_within("peak resident memory", peak, PEAK_BYTES)

    def _require_within(self, what: str, used: int, limit: int) -> None:
        if used > limit:
            raise SoakError(f"{what}: {used:,} bytes, {limit:,} are allowed")

    def _look(self) -> None:
        """Check every byte of the store, before and after a writer has opened it."""
        store = Store.open(self.path)
        self._require_truth(store)
        if store.digest(self._number) != self._digest:
            raise SoakError(f"revision {self._number} is not the one that was committed")
        require_clean(store)
        with store.writer():
            pass
        require_clean(store)
        strangers = {path for path in self.path.rglob("*") if path.is_file() and not is_object(path)} - named(store)
        beside = set(self.path.parent.iterdir()) - self._beside
        if left := [*strangers, *self._spool.iterdir(), *beside]:
            raise SoakError(f"{len(left)} files are left behind: {', '.join(map(str, left[:5]))}")
        OpenStore(store).model()
        self.figures.looked += 1

    def _compared(self) -> dict[str, Any]:
        """Compare the soaked store with a fresh one that is taught in one go what is left."""
        truth = self._truths[self._number]
        portions = tuple(portion for label in sorted(truth) for portion in truth[label])
        fresh = self._create(self.path.with_name("fresh"))
        return compared(Learner.open(self.path), fresh, portions, self.latents)

    # processes and progress

    def _restart(self) -> None:
        """A process that lives to the end, so that its memory is that of many lessons."""
        self._stop()
        self.figures.resident.clear()
        self.figures.descriptors.clear()

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
        self._child, self._kill_at = None, None

    def _progress(self, lesson: int) -> None:
        if time.monotonic() - self._told_at < TOLD_EVERY_S:
            return
        self._told_at = time.monotonic()
        print(
            f"lesson {lesson + 1:,} of {self.size.lessons:,}, {self.figures.survived} kills, revision {self._number}, "
            f"{len(self._truths[self._number])} classes, {self._told_at - self._started:.0f} s",
            file=sys.stderr,
            flush=True,
        )


def export(path: Path) -> None:
    from edgecl_export.identity import export_identity  # the child has no need of it

    export_identity(path, [f"column {index}" for index in range(DIMENSION)])


def soaked(folder: Path, size: Size) -> dict[str, Any]:
    """Run it all; what was seen, and the fault where there is one."""
    started = time.monotonic()
    soak = Soak(folder, size)
    fault, found = None, {}
    try:
        found = soak.run()
    except SoakError as error:
        fault = str(error)
    figures = dict(vars(soak.figures))
    resident = figures.pop("resident")
    figures.pop("descriptors")
    return {
        "size": asdict(size),
        "fault": fault,
        **figures,
        "kills": sum(soak.figures.killed_at.values()),
        "first_resident_bytes": resident[0] if resident else None,
        "last_resident_bytes": resident[-1] if resident else None,
        **found,
        "memory_budget_bytes": MEMORY_BYTES,
        "disk_budget_bytes": DISK_BYTES,
        "seconds": time.monotonic() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    add_size(parser)
    arguments = parser.parse_args()
    arguments.json.write_text(json.dumps(soaked(arguments.folder, size_from(arguments)), indent=1))


if __name__ == "__main__":
    main()
