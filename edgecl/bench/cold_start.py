"""Runs one command and prints `{"ms": ..., "peak_bytes": ..., "exit_code": ..., "stderr": ...}`.

A script of its own, run as `python -I -S cold_start.py COMMAND...` and loading next to nothing: Linux counts the
memory of whoever starts a process into that process's peak (`ru_maxrss` outlives `exec`), so one that has
ONNX Runtime cannot measure another.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time


def main(command: list[str]) -> dict[str, object]:
    """Start a command with its output thrown away, wait for it, and return what it took."""
    with tempfile.TemporaryFile() as errors, open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (pathlib costs memory)
        actions = [(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1), (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)]
        started = time.perf_counter()
        process = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        _, status, usage = os.wait4(process, 0)
        elapsed_ms = 1e3 * (time.perf_counter() - started)
        errors.seek(0)
        return {
            "ms": elapsed_ms,
            "peak_bytes": usage.ru_maxrss * 1024,
            "exit_code": os.waitstatus_to_exitcode(status),
            "stderr": errors.read().decode(errors="replace")[-2000:],
        }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
