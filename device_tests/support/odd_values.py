"""Whole commands with odd values: a grammar of cells, rows, labels, options and files, drawn by a seed.

A run ends with one of the documented exit codes, in time, and with a store that is sound; of a file whose rows are
good but for a few, the good ones are used. The suite makes a few runs, `tools/fuzz commands` as many as there is time
for.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from edgecl.cli.app import main
from edgecl.demo.movement import CHANNELS, RATE_HZ, TESTING_SUBJECTS, recording
from edgecl.learner import Learner

from .commands import Result, edgecl

SLOWEST_S = 20.0  # of processor time: other work on the machine is no fault of a command
LONGEST_S = 300.0  # of a clock: a command that waits for what never comes
CODES = {0, 1, 2, 3, 4, 5}
MOST_ODD = 0.1  # of the rows of a file
NUMBERS = (
    *("0", "-1", "1", "2", "0.5", "-0.0", "1e-300", "5e-324", "1e12", "1e20", "3e38", "-3e38", "1e308", "1e400", "nan"),
    *("inf", "-inf", "", " ", "abc", "1_000", "0x10", "\u0663", "1,5", "1" * 401, "9" * 20, "true", "null", "\0", "1e"),
    *('"', '"1', '1"2', "1\r2", "\ufeff1", "--", "=1+1", "\xed\xa0\x80"),
)
LABELS = (
    *(
        "a",
        "b",
        "A",
        " a ",
        "",
        "nan",
        "None",
        "null",
        "?",
        "0",
        "-1",
        "1e3",
        "caf\u00e9",
        "cafe\u0301",
        "\u202ea",
        "\0",
    ),
    *("a\nb", "a" * 200, "a" * 5000, "--label", "../../x", "background", "unknown", "\U0001f600", "a,b", '"', "'; rm"),
    *("%s%n", "{}", "\0"),
)
SIGNAL_OPTIONS = ("--threshold", "--refractory", "--novelty", "--patience", "--span", "--inbox-size")
SKIPPED_OPTIONS = {"--help", "--control", "--exec", "--mqtt", "--wyoming", "--microphone", "--realtime", "--heartbeat"}


@dataclass(frozen=True)
class Run:
    """One command, and how many of the rows that it is given are good."""

    words: tuple[str, ...]
    store: Path
    good: int = 0
    odd: int = 0
    is_plain: bool = False
    """No option or label is odd: then the good rows have to be used."""


class OddValues:
    """Makes and judges runs on small stores in `folder`."""

    def __init__(self, folder: Path) -> None:
        from edgecl_export.identity import export_identity

        self.folder = folder
        extractor = folder / "identity.onnx"
        export_identity(extractor, ["a", "b", "c", "d"])
        table = Learner.create(folder / "table0", extractor=extractor)
        rows = np.random.default_rng(0).normal(size=(120, 4)).astype(np.float32)
        rows[60:] += 2
        table.learn(rows, ["a"] * 60 + ["b"] * 60)
        movement = Learner.create(folder / "movement0", extractor="imu")
        draw = np.random.default_rng(1)
        windows = draw.normal(size=(24, 100, 6)) + np.array([0, 0, 9.8, 0, 0, 0])
        windows[12:] *= 3
        movement.learn(list(windows.astype(np.float32)), ["rest"] * 12 + ["shake"] * 12)
        self._fresh(0)

    def _fresh(self, number: int) -> None:
        for name in ("table", "movement"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            shutil.copytree(self.folder / f"{name}0", self.folder / name)

    def _work(self) -> Path:
        """The working folder of a run: an odd value may be a file that is written."""
        path = self.folder / "work"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def judge(self, seed: int) -> str:
        """Make one run; return what is wrong with it: empty for nothing."""
        if seed % 25 == 0:
            self._fresh(seed)
        run = self.run(random.Random(seed))
        started, used = time.monotonic(), time.process_time()
        try:
            with chdir(self._work()):
                done = edgecl(*run.words)
        except Exception as error:
            return f"{run.words}: {type(error).__name__}: {error}"
        waited, spent = time.monotonic() - started, time.process_time() - used
        return fault(run, done, spent_s=spent, waited_s=waited)

    def is_sound(self) -> bool:
        """Check both stores, as `doctor` does; the command itself also starts a process for each package it names."""
        learners = [Learner.open(self.folder / name) for name in ("table", "movement")]
        return not any(one.check() or one.store.write_fault() for one in learners)

    def run(self, draw: random.Random) -> Run:
        """Draw a run."""
        kind = draw.choice(["rows", "rows", "rows", "lines", "archive", "stream", "init", "options"])
        if kind == "stream":
            return self._stream(draw)
        if kind == "init":
            return self._init(draw)
        if kind == "options":
            return self._options(draw)
        path, good, odd, is_plain = self._table_file(draw, kind)
        command = draw.choice(["learn", "follow", "predict", "eval", "learn", "follow"])
        words = [command, str(self.folder / "table"), str(path), "--json"]
        if draw.random() < 0.3:
            words += list(_odd_option(command, draw))
            is_plain = False
        return Run(tuple(words), self.folder / "table", good, odd, is_plain)

    def _table_file(self, draw: random.Random, kind: str) -> tuple[Path, int, int, bool]:
        count = draw.choice([1, 3, 20, 60, 200])
        rows = [[f"{draw.gauss(2 * (i % 2), 1):.5g}" for _ in range(4)] for i in range(count)]
        labels = ["ab"[i % 2] for i in range(count)]
        odd = {draw.randrange(count) for _ in range(draw.randint(0, max(int(MOST_ODD * count), 1)))}
        is_plain = draw.random() < 0.7 or kind == "archive"
        for row in odd:
            if is_plain:
                rows[row][draw.randrange(4)] = draw.choice(NUMBERS)
            else:
                labels[row] = draw.choice(LABELS)
        writer = {"rows": _csv, "lines": _json_lines, "archive": _archive}[kind]
        return writer(self.folder, rows, labels, draw), count - len(odd), len(odd), is_plain

    def _stream(self, draw: random.Random) -> Run:
        path = self.folder / "stream.csv"
        signal = _movement(draw.choice([300, 900]))
        lines = ["timestamp," + ",".join(CHANNELS)]
        for i, row in enumerate(signal):
            cells = [f"{i / RATE_HZ:.3f}", *(f"{value:.4f}" for value in row)]
            if draw.random() < 0.01:
                cells[draw.randrange(len(cells))] = draw.choice(NUMBERS)
            lines.append(",".join(cells))
        path.write_text("\n".join(lines) + "\n", "utf-8", "surrogateescape", newline="")
        words = ["listen", str(self.folder / "movement"), str(path), "--json"]
        is_plain = draw.random() < 0.5
        if not is_plain:
            words += [draw.choice(SIGNAL_OPTIONS), draw.choice(NUMBERS).replace("\0", "")]
        return Run(tuple(words), self.folder / "movement", 1, 0, is_plain)

    def _init(self, draw: random.Random) -> Run:
        path = self.folder / "new"
        shutil.rmtree(path, ignore_errors=True)
        extractor = draw.choice([str(self.folder / "identity.onnx"), "imu"])
        words = ["init", str(path), "--extractor", extractor, "--json"]
        for _ in range(draw.randint(1, 2)):
            words += list(_odd_option("init", draw))
        return Run(tuple(words), path)

    def _options(self, draw: random.Random) -> Run:
        store = self.folder / draw.choice(["table", "movement"])
        command = draw.choice(["rollback", "forget", "history", "status", "inbox", "set", "centre"])
        words = [command, str(store)]
        if command in ("forget", "rollback") and draw.random() < 0.5:
            words += [draw.choice(LABELS + NUMBERS), "--json"]
        words += list(_odd_option(command, draw))
        return Run(tuple(word.replace("\0", "") for word in words), store)


def fault(run: Run, done: Result, *, spent_s: float = 0, waited_s: float = 0) -> str:
    """Return what a run did that no run may do."""
    if done.code not in CODES:
        return f"{run.words}: exit code {done.code}: {done.err[-300:]}"
    if spent_s > SLOWEST_S or waited_s > LONGEST_S:
        return f"{run.words}: took {spent_s:.1f} s of processor time, {waited_s:.1f} s"
    uses_rows = run.is_plain and run.good >= 20 and run.odd <= 2 * MOST_ODD * run.good
    if uses_rows and done.code in (1, 2, 4):
        return f"{run.words}: {run.good} good rows were refused for {run.odd} odd ones: {done.err[-300:]}"
    if run.is_plain and run.words[0] == "listen" and done.code in (1, 2, 4):
        return f"{run.words}: a stream ended for its odd rows: {done.err[-300:]}"
    return ""


def _odd_option(command: str, draw: random.Random) -> Iterator[str]:
    """Yield an option of a command with a value that is odd."""
    found = main.get_command(click.Context(main), command)
    assert found is not None
    options = [
        one
        for one in found.params
        if isinstance(one, click.Option) and not one.is_flag and not set(one.opts) & SKIPPED_OPTIONS
    ]
    if options:
        yield draw.choice(options).opts[0]
        yield draw.choice(NUMBERS + LABELS).replace("\0", "")


def _csv(folder: Path, rows: list[list[str]], labels: list[str], draw: random.Random) -> Path:
    path = folder / "rows.csv"
    lines = ["a,b,c,d,label", *(",".join([*row, label]) for row, label in zip(rows, labels, strict=True))]
    path.write_text("\n".join(lines) + draw.choice(["\n", ""]), "utf-8", "surrogateescape", newline="")
    return path


def _json_lines(folder: Path, rows: list[list[str]], labels: list[str], draw: random.Random) -> Path:
    path = folder / "rows.jsonl"
    lines = []
    for row, label in zip(rows, labels, strict=True):
        values = ", ".join(value if _is_json(value) else json.dumps(value) for value in row)
        lines.append(f'{{"signal": [{values}], "label": {json.dumps(label)}}}')
    path.write_text("\n".join(lines) + "\n", "utf-8", "surrogateescape")
    return path


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return text in ("nan", "inf")
    return True


def _archive(folder: Path, rows: list[list[str]], labels: list[str], draw: random.Random) -> Path:
    path = folder / "rows.npz"
    with np.errstate(over="ignore"):
        values = np.array([[_number(value) for value in row] for row in rows], draw.choice([np.float32, np.float64]))
    np.savez(path, X=values, y=np.array(labels))
    return path


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _movement(count: int) -> np.ndarray:
    return np.asarray(recording("biceps curl", TESTING_SUBJECTS[0], seconds=count / RATE_HZ))[:count]
