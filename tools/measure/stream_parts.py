"""Measure one part of what `tools/drift_table` shows; the tool runs this where edgecl is installed.

python -m measure.stream_parts detectors|reliability|memory --json FILE [--seeds N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before numpy is loaded

import numpy as np
from edgecl_export import export_identity, export_table

from common.splits import data_root
from edgecl.learner import Learner
from edgecl.sources.reading import read_samples

STREAMS = {"elec2": "class", "noaa_weather": "target"}  # set: its column of labels
DELAYS = (0, 100)
LENGTHS = (10_000, 100_000, 1_000_000)
LATE_LENGTHS = (3_000, 30_000)  # rows that are answered as they come, one at a time
COLUMNS = 6
BLOCK = 5_000  # rows that are written to the pipe at once


def detectors(seeds: int) -> dict[str, Any]:
    """Return the rows of the detectors, which need River."""
    from measure import detectors as streams

    about = {"seeds": seeds, "length": streams.LENGTH, "low": streams.LOW, "high": streams.HIGH}
    return {
        "detectors": streams.detector_rows(range(seeds)),
        "adwin": streams.adwin_matches(range(min(seeds, 5))),
        **about,
    }


def reliability() -> dict[str, Any]:
    """Follow both real streams with labels at once and a hundred rows later; return how sure and how right."""
    return {
        "streams": [
            {"set": name, "delay": delay, **followed(data_root() / name / "data.csv", label, delay)}
            for name, label in STREAMS.items()
            for delay in DELAYS
        ]
    }


def followed(path: Path, label: str, delay: int) -> dict[str, Any]:
    """Return accuracy and reliability of the default on one stream."""
    with tempfile.TemporaryDirectory() as folder:
        extractor = Path(folder, "table.onnx")
        export_table(extractor, path, label_column=label)
        device = Learner.create(Path(folder, "store"), extractor=extractor, max_classes=4)
        samples = read_samples(path, device.extractor.contract, label_column=label, labelled=False)
        report = device.follow(samples, label_delay=delay).as_dict()
    return {name: report[name] for name in ("accuracy", "labelled", "reliability")}


def memory() -> dict[str, Any]:
    """Pipe rows into `edgecl follow`, and return the peak of resident memory for each length of the stream."""
    runs = [piped(rows, by_id=False) for rows in LENGTHS] + [piped(rows, by_id=True) for rows in LATE_LENGTHS]
    return {"columns": COLUMNS, "runs": runs}


def piped(rows: int, *, by_id: bool) -> dict[str, Any]:
    """Follow one stream in a process of its own; its labels are a column of it, or a file that names rows by id."""
    with tempfile.TemporaryDirectory() as folder:
        extractor, store, labels = Path(folder, "rows.onnx"), Path(folder, "store"), Path(folder, "labels.csv")
        names = [f"x{at}" for at in range(COLUMNS)]
        export_identity(extractor, names)
        Learner.create(store, extractor=extractor, max_classes=4)
        if by_id:
            with labels.open("w") as file:
                written(file, rows, "id,label", "{id},{label}")
        how = ["--id-column", "id", "--labels", str(labels)] if by_id else ["--label-column", "label"]
        command = [sys.executable, "-m", "edgecl", "follow", str(store), "-", *how, "--json"]
        output = Path(folder, "output")
        with output.open("w") as said:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, text=True)
            assert process.stdin is not None
            with process.stdin as pipe:
                written(pipe, rows, ",".join(["id", *names, "label"] if not by_id else ["id", *names]), _line(by_id))
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode} from {' '.join(command)}")
        report = json.loads(_last_line(output))
        disk = sum(one.stat().st_size for one in store.rglob("*") if one.is_file())
    return {
        "rows": report["rows"],
        "by_id": by_id,
        "peak_mib": usage.ru_maxrss / 1024,
        "us": 1e6 * (usage.ru_utime + usage.ru_stime) / rows,
        "accuracy": report["accuracy"],
        "store_bytes": disk,
        "learner_bytes": report["bytes"]["total"],
    }


def _line(by_id: bool) -> str:
    return "{id},{cells}" if by_id else "{id},{cells},{label}"


def written(file: IO[str], rows: int, header: str, line: str) -> None:
    """Write a stream whose two classes change places every 50,000 rows."""
    print(header, file=file)
    for name, cells, label in made(rows):
        print(line.format(id=name, cells=cells, label=label), file=file)


def made(rows: int) -> Iterator[tuple[int, str, str]]:
    """Yield number, cells and label of each row."""
    draw = np.random.default_rng(0)
    for first in range(0, rows, BLOCK):
        block = draw.normal(size=(min(BLOCK, rows - first), COLUMNS))
        for at, row in enumerate(block.tolist(), first):
            is_high = (row[0] + 0.5 * row[1] * row[2] > 0) != (at // 50_000 % 2 == 1)
            yield at, ",".join(f"{cell:.4f}" for cell in row), "high" if is_high else "low"


def _last_line(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - (1 << 16), 0))
        return file.read().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("detectors", "reliability", "memory"))
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    started = time.process_time()
    figures: Mapping[str, Any] = {
        "detectors": lambda: detectors(given.seeds), "reliability": reliability, "memory": memory
    }[given.part]()  # fmt: skip
    given.json.write_text(json.dumps({**figures, "seconds": time.process_time() - started}, indent=1))


if __name__ == "__main__":
    main()
