"""What `tools/soak` runs where edgecl is installed: a store is taught by a process that is killed, and is looked at.

python soaking.py --json FILE --folder FOLDER --samples N --lessons N --classes N --kills N --seed N

The parent knows what was taught and orders the next step; the child, started anew after each kill, carries it out
through `Learner`. Latents are drawn from a seed, class by class, and go through an extractor that hands them on.
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
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from edgecl.learner import Learner
from edgecl.learning.loop import Stage
from edgecl.operations.open_store import OpenStore
from edgecl.operations.teaching import Report
from edgecl.sources.samples import Sample
from edgecl.store.store import Store

DIMENSION = 32
APART = 6.0  # length of a class's mean, in standard deviations of its samples
MEMORY_BYTES = 2 << 20
DISK_BYTES = 4 << 20
LABELS_AT_ONCE = 5  # that a lesson teaches
FORGET_EVERY = 7  # lessons; up to FORGOTTEN_AT_ONCE classes
FORGOTTEN_AT_ONCE = 16
SWAP_EVERY = 20  # lessons; then one of SWAPPED samples under the name of another class, which the gate should refuse
SWAPPED = 20
ROLL_BACK_EVERY = 25  # lessons
KILLED_SHARE = 0.6  # of the lessons; the others are one process's, whose memory is watched
SETTLED_SHARE = 0.25  # of the steps of that process, after which its memory must be flat
FEWEST_STEPS = 50  # that say whether it is: over the first few the allocator's pools fill
FLAT_BYTES = 1 << 20  # what resident memory may grow by over them, along a straight line
PEAK_BYTES = 90_000_000  # of the process, interpreter and ONNX Runtime included
LOOK_EVERY = 50  # steps: the whole store, also without a kill
HEAD_DIFFERENCE = 1e-5  # of its largest weight
TEST_SAMPLES = 20  # of each class
TOLD_EVERY_S = 5.0


class SoakError(Exception):
    """Something that a store must not do."""


@dataclass(frozen=True)
class Size:
    """How much is done."""

    samples: int
    lessons: int
    classes: int
    kills: int
    seed: int


@dataclass(frozen=True)
class Portion:
    """Samples of one class in one lesson, said to be of `label`."""

    label: str
    source: int  # the class that they are drawn from
    count: int
    draw: int  # the step in which they were drawn


@dataclass(frozen=True)
class Order:
    """One step: "teach", "swap" (labels that are wrong), "forget" or "rollback"."""

    number: int
    kind: str
    portions: tuple[Portion, ...] = ()
    labels: tuple[str, ...] = ()
    target: int = 0  # the revision to go back to


Truth = Mapping[str, tuple[Portion, ...]]  # label to what it was taught from


def label_of(index: int) -> str:
    return f"class {index:03d}"


class Latents:
    """Classes with a mean of their own on a sphere and one spherical scatter."""

    def __init__(self, size: Size) -> None:
        self._seed = size.seed
        means = np.random.default_rng(size.seed).standard_normal((size.classes, DIMENSION))
        self._means = APART * means / np.linalg.norm(means, axis=1, keepdims=True)

    def rows(self, portion: Portion) -> NDArray[np.float32]:
        """The latents of a portion, (count, D): the same whenever they are asked for."""
        generator = np.random.default_rng([self._seed, portion.draw, portion.source])
        noise = generator.standard_normal((portion.count, DIMENSION))
        rows: NDArray[np.float32] = (self._means[portion.source] + noise).astype(np.float32)
        return rows

    def samples(self, portions: tuple[Portion, ...]) -> Iterator[Sample]:
        for portion in portions:
            for row in self.rows(portion):
                yield Sample(f"step {portion.draw}", portion.label, row[None], None)


# --- the child ---


def serve(path: Path, size: Size) -> None:
    """Carry out orders, a line each, and tell of each stage and of each end."""
    device, latents = Learner.open(path), Latents(size)
    say(ready=True)
    for line in sys.stdin:
        order = order_from(json.loads(line))
        say(**carried_out(device, order, latents))


def carried_out(device: Learner, order: Order, latents: Latents) -> dict[str, Any]:
    if order.kind == "forget":
        device.forget(order.labels)
    elif order.kind == "rollback":
        device.rollback(order.target)
    else:
        report = taught(device, order, latents)
        return {"done": order.number, "accepted": report.is_accepted, "bytes": report.bytes["total"]}
    return {"done": order.number, "accepted": True, "bytes": device.status()["bytes"]["total"]}


def taught(device: Learner, order: Order, latents: Latents) -> Report:
    run = device.run.learn(latents.samples(order.portions))
    for event in run:
        if isinstance(event, Stage):
            say(stage=event.name)
    return run.report


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def order_from(values: dict[str, Any]) -> Order:
    portions = tuple(Portion(**one) for one in values["portions"])
    return Order(values["number"], values["kind"], portions, tuple(values["labels"]), values["target"])


# --- the parent ---


@dataclass
class Figures:
    """What was seen."""

    done: Counter[str] = field(default_factory=Counter)  # steps by kind
    rejected: Counter[str] = field(default_factory=Counter)
    samples: int = 0  # that were taken in, those forgotten or rolled back since included
    killed_at: Counter[str] = field(default_factory=Counter)  # what was being done
    left: Counter[str] = field(default_factory=Counter)  # "old" or "new" model
    survived: int = 0  # kills
    most_classes: int = 0
    fewest_classes: int = 1 << 30
    most_bytes: int = 0
    most_disk_bytes: int = 0
    most_disk_bytes_killed: int = 0  # before the next writer has cleared up
    most_descriptors: int = 0
    peak_bytes: int = 0
    resident: list[int] = field(default_factory=list)  # of the last process, after each step
    descriptors: list[int] = field(default_factory=list)
    looked: int = 0  # at every byte of the store


class Child:
    """The process that writes."""

    def __init__(self, path: Path, size: Size, spool: Path) -> None:
        words = [sys.executable, __file__, "--child", str(path)]
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
            for order, lesson in self._orders():
                if lesson == last and order.kind == "teach":
                    self._restart()
                self._carry_out(order, kills=kills.pop(lesson, 0))
                if order.number % LOOK_EVERY == 0:
                    self._look()
                self._progress(lesson)
        finally:
            self._stop()
        self._look()
        return {**self._flatness(), **self._compared()}

    def _orders(self) -> Iterator[tuple[Order, int]]:
        """Every step, drawn when the one before is done, and the lesson that it belongs to."""
        number, spread = 0, divmod(self.size.samples, self.size.lessons)
        for lesson in range(self.size.lessons):
            count = spread[0] + (lesson < spread[1])
            kinds = {"teach": 1, "swap": SWAP_EVERY, "rollback": ROLL_BACK_EVERY, "forget": FORGET_EVERY}
            for kind in [kind for kind, every in kinds.items() if lesson % every == every - 1]:
                number += 1
                order = self._order(number, kind, count)
                if order is not None:
                    yield order, lesson

    def _order(self, number: int, kind: str, count: int) -> Order | None:
        """One step; None where what is known does not allow it."""
        known = sorted(self._truths[self._number])
        if kind == "teach":
            return Order(number, kind, self._portions(number, count))
        if len(known) < LABELS_AT_ONCE:
            return None
        if kind == "swap":
            source, label = self._draw.choice(len(known), 2, replace=False)
            index = int(known[source].removeprefix("class "))
            return Order(number, kind, (Portion(known[label], index, SWAPPED, number),))
        if kind == "rollback":
            kept = [one for one in Store.open(self.path).revisions() if one != self._number]
            return Order(number, kind, target=int(self._draw.choice(kept))) if kept else None
        most = min(FORGOTTEN_AT_ONCE, len(known) // 4)
        chosen = self._draw.choice(known, self._draw.integers(1, most + 1), replace=False)
        return Order(number, kind, labels=tuple(map(str, chosen)))

    def _portions(self, number: int, count: int) -> tuple[Portion, ...]:
        labels = min(LABELS_AT_ONCE, count, self.size.classes)
        chosen = self._draw.choice(self.size.classes, labels, replace=False).tolist()
        shares = [count // labels + (place < count % labels) for place in range(labels)]
        return tuple(Portion(label_of(one), one, share, number) for one, share in zip(chosen, shares, strict=True))

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
        """Whether the step is done, by this process or by one that was killed just after its commit."""
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
        """What the child says at the end of a step; None where it has been killed."""
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
        """Whether the killed process had committed; raises where the store is neither the old nor the new one."""
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
        """Every byte of the store, as it is found and after a writer has been at it; nobody else may write."""
        store = Store.open(self.path)
        self._require_truth(store)
        if store.digest(self._number) != self._digest:
            raise SoakError(f"revision {self._number} is not the one that was committed")
        self._require_clean(store)
        with store.writer():
            pass
        self._require_clean(store)
        strangers = {path for path in self.path.rglob("*") if path.is_file() and not is_object(path)} - named(store)
        beside = set(self.path.parent.iterdir()) - self._beside
        if left := [*strangers, *self._spool.iterdir(), *beside]:
            raise SoakError(f"{len(left)} files are left behind: {', '.join(map(str, left[:5]))}")
        OpenStore(store).model()
        self.figures.looked += 1

    def _require_clean(self, store: Store) -> None:
        if found := [*store.damage, *store.check()]:
            raise SoakError(f"{len(found)} faults in the store: {'; '.join(found[:5])}")

    def _flatness(self) -> dict[str, Any]:
        """How resident memory and descriptors of the last process went, once it had settled."""
        settled = int(SETTLED_SHARE * len(self.figures.resident))
        resident = np.array(self.figures.resident[settled:], np.float64)
        slope = float(np.polyfit(np.arange(len(resident)), resident, 1)[0]) if len(resident) > 1 else 0.0
        growth = slope * len(resident)
        if len(resident) >= FEWEST_STEPS and growth > FLAT_BYTES:
            raise SoakError(
                f"resident memory grows by {slope:,.0f} bytes a step, {growth:,.0f} over {len(resident)} steps"
            )
        descriptors = self.figures.descriptors
        if max(descriptors) > min(descriptors):
            raise SoakError(f"the writer's open descriptors went from {min(descriptors)} to {max(descriptors)}")
        return {"settled_steps": len(resident), "growth_bytes": growth, "growth_bytes_per_step": slope}

    def _compared(self) -> dict[str, Any]:
        """The soaked head beside that of a fresh store that is taught in one go what is left."""
        soaked = Learner.open(self.path)
        truth = self._truths[self._number]
        portions = tuple(portion for label in sorted(truth) for portion in truth[label])
        print(f"teaching a fresh store {sum(one.count for one in portions):,} samples", file=sys.stderr, flush=True)
        fresh = self._create(self.path.with_name("fresh"))
        report = fresh.learn(self.latents.samples(portions))
        if not report.is_accepted:
            raise SoakError(f"a fresh store refuses what was taught: {'; '.join(report.outcome.verdict.reasons)}")
        ours, theirs = (OpenStore(one.store).head() for one in (soaked, fresh))
        assert ours.head is not None
        assert theirs.head is not None
        if ours.head.labels != theirs.head.labels:
            raise SoakError("the soaked store and the fresh one know different classes")
        largest = float(np.abs(theirs.head.weights).max())
        difference = float(np.abs(ours.head.weights - theirs.head.weights).max()) / largest
        difference = max(difference, float(np.abs(ours.head.bias - theirs.head.bias).max()) / largest)
        if difference > HEAD_DIFFERENCE:
            raise SoakError(f"the soaked head is {difference:.1e} from a fresh one, {HEAD_DIFFERENCE:.0e} is allowed")
        held_out = [Portion(label, int(label.removeprefix("class ")), TEST_SAMPLES, 0) for label in ours.head.labels]
        latents = np.concatenate([self.latents.rows(one) for one in held_out])
        labels = np.repeat([one.label for one in held_out], TEST_SAMPLES)
        answers, expected = np.array(ours.predict(latents).labels), np.array(theirs.predict(latents).labels)
        if (answers != expected).any():
            raise SoakError(
                f"{(answers != expected).sum()} of {len(labels)} answers differ from those of a fresh store"
            )
        return {
            "compared_samples": report.samples,
            "compared_classes": len(ours.head.labels),
            "head_difference": difference,
            "accuracy": float((answers == labels).mean()),
            "fresh_accuracy": float((expected == labels).mean()),
        }

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


def named(store: Store) -> set[Path]:
    """The files that a store is made of, but for its objects."""
    files = {store.path / name for name in ("store.json", "current", "journal.jsonl", "lock")}
    return files | {store.extractor_path} | {store.path / "revisions" / f"{one:06d}.json" for one in store.revisions()}


def is_object(path: Path) -> bool:
    return path.parent.name == "objects" and path.suffix == ".npz"


def tree_bytes(folder: Path) -> int:
    """The lengths of all files, temporary ones included."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", type=Path)
    for name in Size.__dataclass_fields__:
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    size = Size(**{name: getattr(arguments, name) for name in Size.__dataclass_fields__})
    if arguments.child:
        serve(arguments.child, size)
    else:
        arguments.json.write_text(json.dumps(soaked(arguments.folder, size), indent=1))


if __name__ == "__main__":
    main()
