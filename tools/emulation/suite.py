"""The test suite on ARM64: whole on one processor, the kernels' tests on the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.environments import ROOT, CommandError, child_environ
from emulation.arm64 import DEFAULT, Arm64
from emulation.processors import PROCESSORS

WORKERS = 2
VARIABLES = {
    "EDGECL_TEST_INSTALLED": "1",  # device_tests/conftest.py refuses to test the checkout
    "EDGECL_TEST_EMULATED": "1",  # and skips what is marked `native`
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # every worker must find the same tests in the same order
}


@dataclass(frozen=True)
class Tally:
    """The result of a run of the suite."""

    processor: str
    passed: int
    failed: int
    skipped: Counter[str]  # by reason
    seconds: float

    def __str__(self) -> str:
        count = f"{self.passed} passed, {self.failed} failed, {self.skipped.total()} skipped"
        return f"{self.processor}: {count} in {self.seconds:.0f} s"


def run_suites(made: Arm64, arguments: Sequence[str] = ()) -> list[Tally]:
    """Run every test that a device can run on `DEFAULT`, and those of the kernels on the other processors.

    Raises
    ------
    CommandError
        A run ended without a report, or nothing was run.
    """
    others = [name for name in PROCESSORS if name != DEFAULT]
    tallies = [_run(made, DEFAULT, ["device_tests", *arguments])]
    return tallies + [_run(made, name, ["device_tests/kernels", *arguments]) for name in others]


def _run(made: Arm64, processor: str, arguments: Sequence[str]) -> Tally:
    report = made.folder / f"report-{processor}.xml"
    report.unlink(missing_ok=True)
    started = time.monotonic()
    words = ["-m", "pytest", "-q", "-r=fE", "-p", "no:cacheprovider", "-m", "not host and not slow", "--durations=8"]
    words += [f"--numprocesses={WORKERS}", "--dist=loadfile"]
    command = [str(made.program("python")), *words, f"--junitxml={report}", *arguments]
    environ = child_environ(**VARIABLES, EDGECL_CPU=processor)
    print(f"--- {processor} ({PROCESSORS[processor].board}), emulated", flush=True)
    done = subprocess.run(command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, check=False)
    seconds = time.monotonic() - started
    if not report.exists():
        raise CommandError(f"exit code {done.returncode} from the tests on {processor}, and no report")
    tally = _read(report, processor, seconds)
    if done.returncode and not tally.failed:
        raise CommandError(f"exit code {done.returncode} from the tests on {processor}")
    return tally


def _read(report: Path, processor: str, seconds: float) -> Tally:
    passed, failed, skipped = 0, 0, Counter[str]()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314
        skip = case.find("skipped")
        if skip is not None:
            skipped[_general(skip.get("message", ""))] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        else:
            passed += 1
    return Tally(processor, passed, failed, skipped, seconds)


def _general(reason: str) -> str:
    """A reason without what differs from test to test."""
    return re.sub(r"/\S+", "...", reason.removeprefix("Skipped: "))


def cpu_seconds() -> float:
    """Processor time of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def print_tallies(tallies: Sequence[Tally]) -> None:
    """Print what was run and what was not, and why."""
    for tally in tallies:
        for reason, count in tally.skipped.most_common():
            print(f"  {tally.processor}: {count} skipped: {reason}")
    for tally in tallies:
        print(f"ARM64 (emulated) {tally}")
    sys.stdout.flush()
