"""One target of device_tests/support/fuzzing.py under atheris; `tools/fuzz` calls it in an environment that has both.

python measure/fuzz.py TARGET CORPUS... [-libfuzzer_option=value]...
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import atheris

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: edgecl is the one that is installed


def main() -> None:
    target, folder = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(include=["edgecl", "json", "zipfile", "csv", "numpy.lib.format"]):
        fuzzing = import_module("device_tests.support.fuzzing")
    for number, seed in enumerate(fuzzing.seeds(target)):
        (folder / f"sound-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], fuzzing.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
