"""One lesson on this machine, another on a store that another machine wrote, and what two machines answered.

    lesson.py teach FOLDER [--visit OTHER] [--few] SET...    writes FOLDER/<set>/{store,answers.npz}
    lesson.py compare FIRST SECOND SET...                    one JSON object; FIRST and SECOND have visited each other

Run by the Python of each machine, with edgecl installed. Sets are `words` and `exercises`, which edgecl ships, and the
folders of recordings that tools/common/splits.py knows. Of each the lesson is taught and unseen people are tested.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.splits import SETS, data_root, names_of, splits, taking_part
from edgecl.demo import movement
from edgecl.demo.clips import voice_clips
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.learner import Learner
from edgecl.operations.open_store import OpenStore
from edgecl.operations.teaching import Report
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample

TAUGHT, TESTED = 8, 20  # clips of each class, at most
FEW_TAUGHT, FEW_TESTED = 3, 4
FURTHER = 5  # clips of each class of the second lesson
TOLERANCE = 1e-4  # of heads, where the largest weight is 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    teach = commands.add_parser("teach")
    teach.add_argument("folder", type=Path)
    teach.add_argument("--visit", type=Path)
    teach.add_argument("--few", action="store_true")
    compare = commands.add_parser("compare")
    compare.add_argument("first", type=Path)
    compare.add_argument("second", type=Path)
    for one, function in ((teach, _teach), (compare, _compare)):
        one.add_argument("sets", nargs="+")
        one.set_defaults(call=function)
    arguments = parser.parse_args()
    arguments.call(arguments)
    return 0


def _teach(given: argparse.Namespace) -> None:
    """Teach and test every set; the answers to a visited store lie beside one's own."""
    for name in given.sets:
        target = given.folder / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        lesson, further, tested = _samples(name, few=given.few)
        kind = "voice" if len(lesson[0].signal[0]) == 1 else "imu"
        latents = open_extractor(builtin_extractor(kind)).latents([one.signal for one in tested])
        device = Learner.create(target / "store", extractor=kind)
        _finish(device, lesson, force=True)  # a few clips may prove nothing, and what is compared is what they make
        found: dict[str, Any] = {
            "machine": np.array(platform.machine()),
            "latents": latents,
            **_answers(device, latents),
        }
        if given.visit:
            shutil.copytree(given.visit / name / "store", target / "visited")
            visited = Learner.open(target / "visited")
            found["damage"] = np.array(visited.store.check(), str)
            found |= {f"visited {key}": value for key, value in _answers(visited, latents).items()}
            found["visited accepted"] = np.array(_finish(visited, further).is_accepted)
        np.savez(target / "answers.npz", truth=np.array([one.label for one in tested]), **found)


def _samples(name: str, *, few: bool) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """A lesson, another of two further classes, and samples of the first lesson's classes by other people."""
    if name == "words":
        lesson, further, tested = voice_clips("teach"), voice_clips("new"), voice_clips("test")
    elif name == "exercises":
        known, new = sorted(movement.EXERCISES), sorted(movement.NEW_EXERCISES)
        lesson = movement.windows(known, movement.TEACHING_SUBJECTS, seconds=20)
        further = movement.windows(new, movement.TEACHING_SUBJECTS, seconds=20)
        tested = movement.windows(known, movement.TESTING_SUBJECTS, seconds=20)
    else:
        lesson, further, tested = _recordings(name)
    taught, asked = (FEW_TAUGHT, FEW_TESTED) if few else (TAUGHT, TESTED)
    return _spread(lesson, taught), _spread(further, FURTHER), _spread(tested, asked)


def _recordings(name: str) -> tuple[list[Sample], list[Sample], list[Sample]]:
    data, root = SETS[name], data_root()
    labels, groups = names_of(data, root)
    classes = taking_part(data, labels, groups)
    kept = [(label, group) for label, group in zip(labels, groups, strict=True) if label in classes]
    unseen = splits(data, *zip(*kept, strict=True))[0].unseen
    contract = open_extractor(builtin_extractor("voice")).contract
    read = [one for one in read_samples(data.path(root), contract) if isinstance(one, Sample)]
    known, new = classes[:-2], classes[-2:]
    taught = [one for one in read if one.group not in unseen]
    return (
        [one for one in taught if one.label in known],
        [one for one in taught if one.label in new],
        [one for one in read if one.group in unseen and one.label in known],
    )


def _spread(samples: Iterable[Sample], most: int) -> list[Sample]:
    """Return at most `most` samples of each class, evenly spread over its people."""
    classes: dict[str | None, list[Sample]] = {}
    for one in samples:
        classes.setdefault(one.label, []).append(one)
    return [
        members[index]
        for members in classes.values()
        for index in np.unique(np.linspace(0, len(members) - 1, most).astype(np.intp))
    ]


def _finish(device: Learner, samples: list[Sample], *, force: bool = False) -> Report:
    return device.learn(samples, force=force)


def _answers(device: Learner, latents: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    model = OpenStore(device.store).model()[1]
    assert model.head is not None
    said = model.predict(latents)
    rows = [one.rows for _, one in sorted(model.exemplars.items())]
    return {
        "labels": np.array(said.labels),
        "confidence": np.asarray(said.confidence),
        "exemplars": np.concatenate([row.ravel() for row in rows]) if rows else np.zeros(0, np.int8),
        "means": np.concatenate([one.mean for _, one in sorted(model.statistics.items())]),
        **{f"head {key}": value for key, value in model.head.arrays().items() if value.dtype.kind == "f"},
    }


def _compare(given: argparse.Namespace) -> None:
    found = {name: _compared(given.first / name, given.second / name) for name in given.sets}
    print(json.dumps(found))


def _compared(first: Path, second: Path) -> dict[str, Any]:
    """Compare two machines; `differences` are the largest, as a share of the largest value."""
    with np.load(first / "answers.npz") as one, np.load(second / "answers.npz") as other:
        numbers = [key for key in one.files if one[key].dtype.kind in "fi" and not key.startswith("visited")]
        return {
            "machines": [str(one["machine"]), str(other["machine"])],
            "samples": len(one["truth"]),
            "accuracy": float(np.mean(one["labels"] == one["truth"])),
            "other_labels": int(np.sum(one["labels"] != other["labels"])),
            "differences": {key: _difference(one[key], other[key]) for key in numbers},
            # what each machine says with the other's store
            "visited_other_labels": [
                int(np.sum(here["visited labels"] != there["labels"])) for here, there in ((one, other), (other, one))
            ],
            "visited_damage": [*one["damage"].tolist(), *other["damage"].tolist()],
            "visited_lesson_accepted": [bool(one["visited accepted"]), bool(other["visited accepted"])],
        }


def _difference(one: NDArray[Any], other: NDArray[Any]) -> float | None:
    """None where shapes differ, 0 where all bits are the same."""
    if one.shape != other.shape:
        return None
    if one.tobytes() == other.tobytes():
        return 0.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float(np.abs(a - b).max() / np.abs(a).max())


if __name__ == "__main__":
    sys.exit(main())
