"""The Containerfile, as far as it can be checked without a builder."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "tools" / "edgecl.Containerfile"
KNOWN = {"FROM", "RUN", "COPY", "USER", "VOLUME", "WORKDIR", "ENV", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="there are no tools beside the tests")


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", FILE.read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


def test_it_is_made_of_known_instructions_and_runs_as_nobody_special() -> None:
    found = instructions()
    assert {name for name, _ in found} <= KNOWN
    names = [name for name, _ in found]
    assert names[0] == "FROM"
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert all("apt-get install" not in text or "rm -rf /var/lib/apt/lists" in text for _, text in found)


def test_its_base_is_named_by_version_and_for_any_processor() -> None:
    bases = [text.split()[0] for name, text in instructions() if name == "FROM"]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", bases[0])


def test_the_extras_it_installs_are_those_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((FILE.parents[1] / "pyproject.toml").read_text())["project"]
    wanted = re.search(r"/source\[([\w,]+)\]", FILE.read_text())
    assert wanted is not None
    assert set(wanted[1].split(",")) <= set(project["optional-dependencies"])


@pytest.mark.host
@pytest.mark.slow
def test_a_builder_builds_it() -> None:
    builder = shutil.which("podman") or shutil.which("docker")
    if builder is None:
        pytest.skip("there is no builder of containers")
    command = [builder, "build", "-f", FILE, FILE.parents[1]]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
