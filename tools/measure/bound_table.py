"""Measure how often FACTORY's sound is mistaken for a word above what its kept rows reach; for `tools/bound_table`.

The background that ships keeps the hops that are most easily mistaken for made-up words, and a threshold follows from
their scores. Here the commands of FACTORY's people (tools/common/sounds.py) are words that the background lacks: its
distractors near them, and its rows that hold a recorded command, are left out. Those that the texts say LEAST_RARE
times or more are not taught. Half of the words are taught by half of the people, two or five, and by a student that has
heard neither, as in tools/make_people; the other half of the people says them. What is mistaken is counted in the
minutes that the rows are of, and in as much other sound of the same kind; hops that hold the very word do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from numpy.typing import NDArray

from common.sounds import COMMANDS, FACTORY_MINUTES, FACTORY_SEED, Logged, World, worlds
from common.splits import data_root
from common.windows import FOUND
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.opening import builtin_extractor, open_extractor
from edgecl.model.exemplars import person_number
from edgecl.spotting.background import Background, factory_background
from edgecl.spotting.calibration import OwnClips, calibrated, reached
from edgecl.spotting.people import factory_allowance
from edgecl.spotting.reference import Reference
from edgecl.spotting.student import BETA, Net, form_of, thirds
from edgecl.values import replace
from measure.listen_table import events
from measure.people import LEVELS_DB, played, without_word
from measure.student import taught, wanted
from measure.student_sound import keep, taught_with
from measure.student_words import Ground

LEAST_RARE = 100
OTHER_MINUTES, OTHER_SEED = {"words": 96, "speech": 96, "babble": 24}, 611
PLANS, DRAWS, LEAST_PEOPLE = ((2, 1), (2, 2), (5, 1)), 4, 5
ABOVE = (0.0, 0.05, 0.08, 0.1, 0.12, 0.14, 0.16, 0.2)  # a column
TAKES = 2

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Half:
    """A student that has heard neither half of the words nor half of the people, and what it answers."""

    net: Net
    words: tuple[str, ...]
    people: NDArray[np.str_]
    rows: Rows
    grounds: dict[str, Rows]


class Bench:
    """FACTORY's sound as that of a background that lacks its commands."""

    def __init__(self, folder: Path, *, parts: int) -> None:
        extractor = open_extractor(builtin_extractor("voice"))
        assert isinstance(extractor, FileExtractor)
        background = factory_background(source=extractor.contract.source, dimension=extractor.contract.dimension)
        assert background is not None
        world, _ = worlds(data_root())
        self.extractor, self._mean = extractor, np.asarray(extractor.contract.mean, np.float32)
        self.data = played(world, world.clips, takes=TAKES)
        self.background = self._lacking(background)
        plan = [kind for kind, count in FACTORY_MINUTES.items() for _ in range(count)]
        own = [(kind, (FACTORY_SEED, index)) for index, kind in enumerate(plan) if kind != "noise"]
        kinds = [kind for kind, count in OTHER_MINUTES.items() for _ in range(count)]
        other = [(kind, (OTHER_SEED, index)) for index, kind in enumerate(kinds)]
        self._minutes = {
            name: minutes(folder / f"factory-{name}.npz", world, chosen, extractor)
            for name, chosen in (("own", own), ("other", other))
        }
        self.grounds = {
            name: Ground(frames, placed, self.background, extractor) for name, (frames, placed) in self._minutes.items()
        }
        noise = sum(FACTORY_MINUTES.values()) / (sum(FACTORY_MINUTES.values()) - FACTORY_MINUTES["noise"])
        self.hours = {name: noise * len(one.rivals) * 0.08 / 3600 for name, one in self.grounds.items()}
        self._windows, self.rows = self._kept_rows(background)
        self._pupil = taught_with(folder, world, extractor, parts=parts)
        texts = Counter(word for text in world.sentences for word in re.findall(r"[a-z']+", text))
        self.words = tuple(word for word in COMMANDS if texts[word] < LEAST_RARE)

    def halves(self) -> Iterator[Half]:
        """Yield the four students."""
        z, targets = thirds(self._pupil.frames, self._mean), wanted(self._pupil.vectors)
        people = np.unique(self.data.speakers)
        for words in (COMMANDS[::2], COMMANDS[1::2]):
            for others in (people[::2], people[1::2]):
                hidden = {*words, *others}
                heard = np.array([not hidden & {who, *said.split("-")} for _, who, said in self._pupil.said])
                net = taught(z[heard], targets[heard])
                grounds = {name: one.answers(net, one.windows) for name, one in self.grounds.items()}
                flat = {name: one.reshape(-1, one.shape[-1]) for name, one in grounds.items()}
                print(f"{heard.sum()} windows", file=sys.stderr, flush=True)
                yield Half(net, words, others, net(thirds(self._windows, self._mean)), flat)

    def answers(self, net: Net, windows: NDArray[np.floating]) -> Rows:
        return net(thirds(windows, self._mean))

    def _lacking(self, background: Background) -> Background:
        """Return the background without distractors that are nearer to a command than its clips are."""
        for word in COMMANDS:
            background = without_word(background, self.data.of(word).clean)
        return background

    def _kept_rows(self, background: Background) -> tuple[NDArray[np.float16], Rows]:
        """Return windows (n, P, D) and latents (n, D) of the rows that are found and hold no command."""
        unit = (background.rows / np.linalg.norm(background.rows, axis=1, keepdims=True)).T
        ground, said = self.grounds["own"], self.grounds["own"].holds(set(COMMANDS))
        windows, rows, length = [], [], ground.windows.shape[1]
        for minute in range(len(ground.windows)):
            cosines = ground.latents(ground.windows[minute]) @ unit
            for row in np.flatnonzero(cosines.max(axis=0) > FOUND).tolist():
                hop = int(cosines[:, row].argmax())
                if not said[minute * length + hop]:
                    windows.append(ground.windows[minute, hop])
                    rows.append(background.rows[row])
        return np.array(windows), np.array(rows)


def minutes(
    file: Path, world: World, plan: list[tuple[str, tuple[int, int]]], extractor: FileExtractor
) -> tuple[NDArray[np.float16], list[list[tuple[str, int, int]]]]:
    """Return frames (m, T + 8, D) of minutes of a world, and their recorded words; made once and kept."""
    logged = Logged(world.voices, world.sentences, world.clips, world.noises)
    if not file.exists():
        frames, log = [], []
        for kind, seed in plan:
            logged.log.clear()
            frames.append(extractor.frames(logged.chunk(kind, np.random.default_rng(seed))).astype(np.float16))
            log.append(list(logged.log))
        keep(file, frames=np.array(frames), log=json.dumps(log))
    with np.load(file) as kept:
        return kept["frames"], [[tuple(one) for one in words] for words in json.loads(str(kept["log"]))]


def lessons(bench: Bench, half: Half) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.intp]]]:
    """Yield word, the clips that teach, and the clips by others."""
    rng, data = np.random.default_rng(3), bench.data
    for word in (one for one in half.words if one in bench.words):
        rows = np.flatnonzero((data.words == word) & np.isin(data.speakers, half.people))
        names, counts = np.unique(data.speakers[rows], return_counts=True)
        for people, each in PLANS:
            able = names[counts >= each]
            if len(able) < people or len(names) - people < LEAST_PEOPLE:
                continue
            for _ in range(DRAWS):
                chosen = rng.choice(able, people, replace=False)
                own = [rng.choice(rows[data.speakers[rows] == one], each, replace=False) for one in chosen]
                yield word, np.concatenate(own), rows[~np.isin(data.speakers[rows], chosen)]


def figures(bench: Bench, half: Half) -> Iterator[dict[str, Any]]:
    """Yield what every lesson has, of the first stage and with the student, so far above the kept rows."""
    data, hidden = bench.data, {}
    ground = bench.grounds["own"]
    kept_rivals, kept = ground.scored(bench.rows)
    clip_rivals, clips = ground.scored(data.clean + bench.background.offset)
    own_answers = bench.answers(half.net, data.own_frames)
    heard = {level: ground.scored(rows.astype(np.float32)) for level, rows in data.heard.items()}
    for word, taught_by, others in lessons(bench, half):
        if word not in hidden:
            hidden[word] = {name: one.holds({word}) for name, one in bench.grounds.items()}
            shape = data.heard[LEVELS_DB[0]].shape[:3]
            said = np.flatnonzero(data.words == word)
            near = {level: bench.answers(half.net, data.windows(level)[said]) for level in LEVELS_DB}
        mean = (data.clean[taught_by] + bench.background.offset).mean(axis=0)
        score = ground.word_score(mean, len(taught_by))
        reference = Reference.of([own_answers[row, form_of(at)] for at, row in enumerate(taught_by.tolist())])
        people = np.array([person_number(str(one)) for one in data.speakers[taught_by]], np.uint8)
        own = OwnClips(
            clips[taught_by], ground.densities.whiten(mean[None])[0], len(taught_by), people, clip_rivals[taught_by],
            float(ground.densities.half_determinant),
        )  # fmt: skip
        for stage, weight in (("first stage", 0.0), ("with a student", BETA)):
            r = np.float32(weight) * reference.direction
            rows = score(kept_rivals, kept) + half.rows @ r
            allowance = factory_allowance("student" if weight else "allowance")
            found = calibrated(
                replace(own, likely=weight * reference.left_out), rows, hours=bench.background.hours, room=-np.inf,
                allowance=allowance, is_mine=False, least_above=0.0,
            )  # fmt: skip
            mistaken, columns = reached(rows, bench.background.hours), len(mean)
            at = {"rule alone": found.threshold} | {f"{above:g}": mistaken + above * columns for above in ABOVE}
            streams = {
                name: np.where(hidden[word][name], -np.inf, score(one.rivals, one.whitened) + half.grounds[name] @ r)
                for name, one in bench.grounds.items()
            }
            best = {}
            for level, scored in heard.items():
                scores = score(*scored).reshape(shape)[said] + near[level] @ r
                best[level] = scores.max(axis=2)[np.isin(said, others)]
            for name, threshold in at.items():
                rates = {
                    f"{one}_per_hour": len(events(scores.astype(np.float32), threshold)) / bench.hours[one]
                    for one, scores in streams.items()
                }
                shares = {f"heard_{level}": float((best[level] >= threshold).mean()) for level in LEVELS_DB}
                about = {"word": word, "stage": stage, "people": len(set(people.tolist())), "at": name}
                yield {**about, "above": (threshold - mistaken) / columns, **rates, **shares}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=Path, required=True, help="folder where sound is kept")
    parser.add_argument("--parts", type=int, required=True, help="parts of windows that teach the students")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args()
    bench = Bench(chosen.kept, parts=chosen.parts)
    found: list[dict[str, Any]] = []
    for half in bench.halves():
        found += figures(bench, half)
        report = {"hours": bench.hours, "words": bench.words, "rows": len(bench.rows), "cases": found}
        chosen.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
