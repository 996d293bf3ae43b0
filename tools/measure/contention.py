"""Let many processes use one store at once, run by `tools/contention` where edgecl is installed.

python measure/contention.py --json FILE --folder FOLDER --commits N --writers N --readers N --seed N

Every writer reports each revision that it committed; readers load the live model all the time, a collector removes
what no revision uses, and a vandal removes or replaces the file `lock`. At the end every number was reported once, and
the last revision counts exactly what each writer reported.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np

from edgecl.errors import StoreLockedError
from edgecl.store.store import Store

TIME = "2026-01-01T00:00:00+00:00"
ROLES = 8
PATIENCE_S = 120.0
VANDAL_S = 0.02  # between two attacks on the lock


@dataclass(frozen=True)
class Size:
    """How much is done."""

    commits: int = 10_000
    writers: int = 4
    readers: int = 2
    seed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    for name, value in asdict(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = vars(parser.parse_args())
    output, folder = arguments.pop("json"), arguments.pop("folder")
    output.write_text(json.dumps(contended(folder, Size(**arguments)), indent=1))


def contended(folder: Path, size: Size) -> dict[str, Any]:
    """Run all processes on a new store in `folder`, and return what they did and what was wrong."""
    (folder / "extractor.onnx").write_bytes(b"a graph")
    settings = {"disk_bytes": 1 << 24, "keep_revisions": 5}
    body: dict[str, Any] = {"commits": {}, "marks": {}}
    path = Store.create(
        folder / "kitchen", extractor=folder / "extractor.onnx", settings=settings, revision_body=body, time=TIME
    ).path
    started, context = time.monotonic(), multiprocessing.get_context("fork")
    is_over = context.Event()
    shares = [size.commits // size.writers + (one < size.commits % size.writers) for one in range(size.writers)]
    writers = [
        context.Process(target=write, args=(path, folder / f"writer{one}", one, share, size.seed))
        for one, share in enumerate(shares)
    ]
    jobs = [(read, f"reader{one}") for one in range(size.readers)] + [(collect, "collector"), (attack, "vandal")]
    others = [context.Process(target=job, args=(path, folder / name, is_over)) for job, name in jobs]
    for one in [*writers, *others]:
        one.start()
    for one in writers:
        one.join()
    is_over.set()
    for one in others:
        one.join()
    failed = [one.exitcode for one in [*writers, *others] if one.exitcode]
    figures = {**asdict(size), "seconds": round(time.monotonic() - started, 1), **judged(path, folder, size)}
    if failed:
        figures["faults"] = [*figures["faults"], f"{len(failed)} processes ended with a traceback"]
    return figures


def write(path: Path, report: Path, which: int, commits: int, seed: int) -> None:
    """Commit `commits` lessons, each on top of what is live, and report the number of each."""
    draw, store = np.random.default_rng([seed, which]), Store.open(path)
    with report.open("w") as file:
        done = 0
        while done < commits:
            with suppress(StoreLockedError), store.writer(timeout_s=PATIENCE_S) as writer:
                live = store.current()
                role, mark = f"statistics/{draw.integers(ROLES)}", draw.random()
                digest = writer.put({"filled": np.full(draw.integers(1, 3000), mark, np.float32)})
                counts = {**live.body["commits"], str(which): done + 1}
                revision = writer.commit(
                    kind="lesson",
                    objects={**live.objects, role: digest},
                    body={"commits": counts, "marks": {**live.body["marks"], role: float(np.float32(mark))}},
                    time=TIME,
                    parent=live.number,
                )
                done += 1
                file.write(f"{revision.number}\n")
                file.flush()


def read(path: Path, report: Path, is_over: Event) -> None:
    """Load the live model again and again; report how often, and each that was not whole."""
    loads, faults, last = 0, [], 0
    while not is_over.is_set():
        store = Store.open(path)
        revision, objects = store.load("statistics")
        held = {role: float(arrays["filled"][0]) for role, arrays in objects.items()}
        if held != revision.body["marks"] or store.damage:
            faults.append(f"revision {revision.number} is not what was committed: {store.damage}")
        if revision.number < last:
            faults.append(f"revision {revision.number} was live after {last}")
        last, loads = revision.number, loads + 1
    report.write_text(json.dumps({"done": loads, "faults": faults[:10]}))


def collect(path: Path, report: Path, is_over: Event) -> None:
    """Remove what no revision uses, and add a line to the journal."""
    done, store = 0, Store.open(path)
    while not is_over.is_set():
        with suppress(StoreLockedError), store.writer(timeout_s=PATIENCE_S) as writer:
            writer.remove_unused()
            writer.note({"kind": "rejected"})
            done += 1
        time.sleep(VANDAL_S)
    report.write_text(json.dumps({"done": done, "faults": []}))


def attack(path: Path, report: Path, is_over: Event) -> None:
    """Remove the file `lock`, or put another one in its place."""
    done = 0
    while not is_over.is_set():
        with suppress(FileNotFoundError):
            if done % 2:
                other = path.with_name("another lock")
                other.touch()
                other.replace(path / "lock")
            else:
                (path / "lock").unlink()
        done += 1
        time.sleep(VANDAL_S)
    report.write_text(json.dumps({"done": done, "faults": []}))


def judged(path: Path, folder: Path, size: Size) -> dict[str, Any]:
    """Compare what was reported with what is there."""
    reports = [(folder / f"writer{one}").read_text().split() for one in range(size.writers)]
    numbers = sorted(int(number) for one in reports for number in one)
    store = Store.open(path)
    live, faults = store.current(), store.check()
    if numbers != list(range(2, size.commits + 2)):
        faults.append(f"{len(numbers)} revisions were reported, {len(set(numbers))} different ones")
    if live.number != size.commits + 1:
        faults.append(f"the last revision is {live.number}, {size.commits + 1} was expected")
    if live.body["commits"] != {str(one): len(report) for one, report in enumerate(reports) if report}:
        faults.append(f"a lesson is lost: the last revision counts {live.body['commits']}")
    names = [*(f"reader{one}" for one in range(size.readers)), "collector", "vandal"]
    others = {name: json.loads((folder / name).read_text()) for name in names if (folder / name).exists()}
    faults += [f"{name}: {fault}" for name, one in others.items() for fault in one["faults"]]
    lost = size.commits - len(set(numbers) & set(range(2, live.number + 1)))
    return {"lost": lost, "others": {name: one["done"] for name, one in others.items()}, "faults": faults}


if __name__ == "__main__":
    main()
