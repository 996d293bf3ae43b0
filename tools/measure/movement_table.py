"""Events against truth in streams of movement: run by tools/movement_table where edgecl is installed.

A stream is what the unseen subjects of a split did, one activity after another, in the order of the recordings, with
jitter of 2 ms on its timestamps and a gap of 30 s between subjects. The subjects by whom patience, pause and threshold
of `listen` were chosen take no part. An event is right where its label is that of an activity that it shares half of
their common time with (intersection over union), each activity once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from common.splits import SETS, class_orders, data_root, splits

CHOSEN_BY = {"hapt_uci_har": (7, 17, 19, 24, 26, 29), "spar_watch": (3, 8)}
GAP_S, JITTER_S, BEGINS_S = 30.0, 0.002, 1000.0
OVERLAP = 0.5


@dataclass(frozen=True)
class Activity:
    """One in a stream, in seconds."""

    begins: float
    ends: float
    label: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for name in CHOSEN_BY:
        with np.load(SETS[name].path(data_root()), allow_pickle=False) as archive:
            windows = {key: archive[key] for key in archive.files}
        labels = windows["label_names"][windows["y"]].tolist()
        orders = class_orders(labels)
        for index, split in enumerate(splits(SETS[name], labels, windows["subject"].astype(str).tolist())):
            new = orders[0][index]
            with tempfile.TemporaryDirectory() as folder:
                rows.append(
                    {
                        "set": name,
                        "split": split.name,
                        "new": new,
                        **measured(windows, split.unseen, new, Path(folder), name),
                    }
                )
    arguments.json.write_text(json.dumps([*rows, *averages(rows)], indent=1))


def measured(windows: Mapping[str, Any], unseen: frozenset[str], new: str, folder: Path, name: str) -> dict[str, Any]:
    """F1 of events before and after `new` is taught, through the command line."""
    subjects = windows["subject"].astype(str)
    teaches = ~np.isin(subjects, sorted(unseen))
    is_new = windows["label_names"][windows["y"]] == new
    tested = [one for one in sorted(unseen) if int(one) not in CHOSEN_BY[name]]
    truth = write_stream(folder / "stream.csv", windows, subjects, tested)
    save(folder / "like.npz", windows, np.flatnonzero(teaches)[::5], with_labels=False)
    save(folder / "first.npz", windows, np.flatnonzero(teaches & ~is_new))
    save(folder / "new.npz", windows, np.flatnonzero(teaches & is_new))
    edgecl("export", "imu", "--like", folder / "like.npz", "-o", folder / "imu.onnx")
    edgecl("init", folder / "wrist", "--extractor", folder / "imu.onnx")
    edgecl("learn", folder / "wrist", folder / "first.npz", "--force")
    before = heard(folder)
    edgecl("learn", folder / "wrist", folder / "new.npz", "--force")
    after = heard(folder)
    known = [one for one in truth if one.label != new]
    return {
        "activities": len(truth),
        "F1 before, of what was taught": f1(before, known),
        "F1 after, of all": f1(after, truth),
        "F1 after, of the new one": f1(
            [one for one in after if one["label"] == new], [one for one in truth if one.label == new]
        ),
        "delay, s": delay(after, truth),
    }


def edgecl(*arguments: object) -> str:
    command = [sys.executable, "-m", "edgecl.cli", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def heard(folder: Path) -> list[dict[str, Any]]:
    lines = edgecl("listen", folder / "wrist", folder / "stream.csv", "--json").splitlines()
    return [json.loads(line) for line in lines]


def save(path: Path, windows: Mapping[str, Any], rows: Any, *, with_labels: bool = True) -> None:
    labels = {"y": windows["y"][rows], "label_names": windows["label_names"]} if with_labels else {}
    np.savez(path, X=windows["X"][rows], channels=windows["channels"], rate_hz=windows["rate_hz"], **labels)


def write_stream(path: Path, windows: Mapping[str, Any], subjects: Any, tested: Sequence[str]) -> list[Activity]:
    """Windows overlap by half: a segment is the first one, and the second half of each other."""
    generator, step_s, now = np.random.default_rng(0), 1 / float(windows["rate_hz"]), BEGINS_S
    truth: list[Activity] = []
    with path.open("w") as file:
        file.write(",".join(["timestamp", *windows["channels"]]) + "\n")
        for subject in tested:
            of_subject = subjects == subject
            for segment in dict.fromkeys(windows["segment"][of_subject].tolist()):
                rows = np.flatnonzero(of_subject & (windows["segment"] == segment))
                cut = windows["X"][rows]
                signal = np.concatenate([cut[0], *(one[len(one) // 2 :] for one in cut[1:])])
                times = now + step_s * np.arange(len(signal)) + generator.normal(0, JITTER_S, len(signal))
                for time, values in zip(times, signal, strict=True):
                    file.write(f"{time:.4f}," + ",".join(f"{one:.5f}" for one in values) + "\n")
                ends = now + step_s * len(signal)
                label = str(windows["label_names"][windows["y"][rows[0]]])
                if truth and truth[-1].label == label and now - truth[-1].ends < GAP_S / 2:
                    truth[-1] = Activity(truth[-1].begins, ends, label)
                else:
                    truth.append(Activity(now, ends, label))
                now = ends
            now += GAP_S
    return truth


def matched(events: Sequence[Mapping[str, Any]], truth: Sequence[Activity]) -> list[tuple[Mapping[str, Any], Activity]]:
    found, left = [], list(events)
    for activity in truth:
        for event in left:
            begins, ends = event["span"]
            shared = min(ends, activity.ends) - max(begins, activity.begins)
            together = max(ends, activity.ends) - min(begins, activity.begins)
            if event["label"] == activity.label and shared >= OVERLAP * together:
                found.append((event, activity))
                left.remove(event)
                break
    return found


def f1(events: Sequence[Mapping[str, Any]], truth: Sequence[Activity]) -> float:
    return round(2 * len(matched(events, truth)) / max(len(events) + len(truth), 1), 3)


def delay(events: Sequence[Mapping[str, Any]], truth: Sequence[Activity]) -> float:
    """Median time from the beginning of an activity until it is known."""
    waited = [float(event["time"]) - activity.begins for event, activity in matched(events, truth)]
    return round(median(waited), 2)


def averages(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    made = []
    for name in CHOSEN_BY:
        of_set = [row for row in rows if row["set"] == name]
        figures = [key for key in of_set[0] if key not in ("set", "split", "new")]
        made.append(
            {
                "set": name,
                "split": "mean",
                "new": "",
                **{key: round(mean(row[key] for row in of_set), 3) for key in figures},
            }
        )
    return made


if __name__ == "__main__":
    main()
