"""Make the old store of this folder: python make_store_0_1.py EXTRACTOR, with the edgecl that is to be kept.

EXTRACTOR is `edgecl export identity --columns flow,level,heat,load -o EXTRACTOR`. See README.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
STORE = HERE / "store_0_1"
COLUMNS = "flow,level,heat,load"
CENTRES = {
    "idle": (0, 0, 0, 0),
    "pumping": (4, 1, 0, 3),
    "dry": (-3, 2, 4, 0),
    "blocked": (1, -4, 3, 2),
    "leaking": (5, 4, 4, -3),
    "secret": (0, 5, -4, -3),
}
KNOWN = ("idle", "pumping", "dry")
SWAPPED = {"idle": "pumping", "pumping": "dry", "dry": "idle"}

Rows = list[tuple[Sequence[float], str]]


def rows(
    labels: Sequence[str],
    each: int,
    *,
    seed: int,
    shift: float = 0,
    meant: Mapping[str, str] | None = None,
    spread: float = 0.5,
) -> Rows:
    """Rows of four columns in random order; `meant` gives them the columns of another label."""
    draw = np.random.default_rng(seed)
    found = [
        (np.array(CENTRES[(meant or {}).get(label, label)]) + shift + spread * draw.standard_normal(4), label)
        for label in labels
        for _ in range(each)
    ]
    return [found[at] for at in draw.permutation(len(found))]


def write(path: Path, found: Rows, *, labelled: bool = True) -> Path:
    header = f"{COLUMNS},label" if labelled else COLUMNS
    lines = [",".join([*(f"{value:.3f}" for value in row), *([label] if labelled else [])]) for row, label in found]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def edgecl(*arguments: object, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "edgecl.cli", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != code:
        raise SystemExit(f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def damage(role: str) -> None:
    """Change one byte of a part of the live revision."""
    number = int((STORE / "current").read_text().split()[0])
    revision = json.loads((STORE / "revisions" / f"{number:06d}.json").read_text())
    path = STORE / "objects" / f"{revision['objects'][role]}.npz"
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    path.write_bytes(data)


def make(extractor: Path, folder: Path) -> None:
    """A revision of every kind that a table can have, and a note of every kind but a stream's."""
    edgecl("init", STORE, "--extractor", extractor, "--max-classes", 8)
    edgecl("learn", STORE, write(folder / "first.csv", rows(KNOWN, 20, seed=1)))
    edgecl("learn", STORE, write(folder / "same.csv", rows(KNOWN[:2], 2, seed=3, spread=0.1)))
    wrong = rows(["pumping"], 15, seed=4, meant={"pumping": "idle"})
    edgecl("learn", STORE, write(folder / "wrong.csv", wrong), code=3)
    edgecl("centre", STORE, write(folder / "placed.csv", rows(KNOWN, 10, seed=12), labelled=False), code=3)
    edgecl("centre", STORE, write(folder / "shifted.csv", rows(KNOWN, 30, seed=5, shift=0.8), labelled=False))
    edgecl("centre", STORE, "--off")
    stream = rows(KNOWN, 150, seed=6) + rows(KNOWN, 400, seed=10, meant=SWAPPED)
    edgecl("learn", STORE, write(folder / "stream.csv", stream), "--prequential")
    edgecl("rollback", STORE, 4)
    edgecl("learn", STORE, write(folder / "more.csv", rows(["blocked", "leaking"], 15, seed=8)))
    damage("statistics/leaking")
    edgecl("doctor", STORE, "--repair")
    edgecl("learn", STORE, write(folder / "secret.csv", rows(["secret"], 15, seed=7)))
    edgecl("forget", STORE, "secret")


def answers(store: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in edgecl("predict", store, HERE / "ask.csv", "--json").splitlines()]
    return [{name: one[name] for name in ("label", "confidence", "novelty")} for one in lines]


def expected(folder: Path) -> dict[str, object]:
    """What the edgecl that made the store answers: as it is, and after a lesson or a rollback."""
    found: dict[str, object] = {"live": answers(STORE)}
    for name, arguments in {"learnt": ("learn", HERE / "new.csv"), "rolled_back": ("rollback", 7)}.items():
        copy = shutil.copytree(STORE, folder / name)
        edgecl(arguments[0], copy, arguments[1])
        found[name] = answers(copy)
    return found


def main() -> None:
    extractor = Path(sys.argv[1])
    shutil.rmtree(STORE, ignore_errors=True)
    write(HERE / "ask.csv", rows([*KNOWN, "blocked"], 6, seed=9, spread=1.2), labelled=False)
    write(HERE / "new.csv", rows(["leaking"], 15, seed=11))
    with tempfile.TemporaryDirectory() as name:
        make(extractor, Path(name))
        text = json.dumps(expected(Path(name)), indent=1)
    (HERE / "store_0_1_answers.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
