"""What is shipped, how it is installed and what importing it costs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import edgecl

ROOT = Path(__file__).resolve().parent.parent
VOICE = "edgecl/data/voice.onnx"
UNITS = Path(edgecl.__file__).parent / "data" / "systemd"
LIBRARY = "edgecl_kernels/libedgecl_kernels.so"
INSTALLED = os.environ.get("EDGECL_TEST_INSTALLED") == "1"
only_installed = pytest.mark.skipif(not INSTALLED, reason="the checkout is tested, not an installed wheel")


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@only_installed
def test_the_suite_tests_the_installed_wheel():
    assert Path(edgecl.__file__).parent.parent.name == "site-packages"
    assert not Path(edgecl.__file__).is_relative_to(ROOT)


@only_installed
def test_a_child_started_in_the_checkout_imports_the_installed_wheel():
    child = [
        sys.executable,
        "-c",
        "import edgecl; print(edgecl.__file__)",
    ]  # looks in its working folder first
    done = subprocess.run(child, cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == edgecl.__file__


def test_importing_edgecl_loads_no_runtime_compiler_or_command_line():
    heavy = {"numpy", "onnxruntime", "numba", "llvmlite", "click", "onnx", "torch"}
    child = [sys.executable, "-W", "error", "-c", "import sys, edgecl; print(*sys.modules)"]
    done = subprocess.run(child, text=True, capture_output=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())


def test_all_lists_what_is_importable():
    namespace: dict[str, object] = {}
    exec("from edgecl import *", namespace)
    del namespace["__builtins__"]
    assert sorted(namespace) == sorted(edgecl.__all__)


def test_each_public_name_is_listed_by_dir():
    assert set(edgecl.__all__) <= set(dir(edgecl))


def test_type_checkers_see_the_names_that_all_lists():
    source = Path(edgecl.__file__).read_text()
    assert sorted(re.findall(r"import (\w+) as \1$", source, re.MULTILINE)) == edgecl.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'edgecl' has no attribute 'lern'"):
        edgecl.lern  # noqa: B018


@only_installed
def test_the_version_of_the_distribution_is_the_version_of_the_package():
    assert importlib.metadata.version("edgecl") == edgecl.__version__


def test_the_version_is_written_once():
    assert "version" in pyproject()["project"]["dynamic"]
    written = [
        path
        for folder in ("edgecl", "kernels", "export")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^__version__\s*=", path.read_text(), re.MULTILINE)
    ]
    assert written == [ROOT / "edgecl" / "__init__.py"]


def test_a_device_needs_three_packages():
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in pyproject()["project"]["dependencies"]]
    assert sorted(names) == ["click", "numpy", "onnxruntime"]


def test_the_build_asks_for_what_the_export_extra_holds():
    extra = pyproject()["project"]["optional-dependencies"]["export"]
    assert set(extra) <= set(pyproject()["build-system"]["requires"])


@only_installed
def test_the_installed_wheel_holds_extractor_library_and_no_generic_package():
    files = [Path(str(path)) for path in importlib.metadata.files("edgecl")]
    check_contents([path.as_posix() for path in files])


@only_installed
@pytest.mark.native("runs the whole demo")
def test_a_lesson_loads_no_compiler():
    code = (
        "import sys; from edgecl.cli import main; main(['demo', 'voice', '--json'], standalone_mode=False)\n"
        "print({'numba', 'llvmlite'} & set(sys.modules))"
    )
    environ = {name: value for name, value in os.environ.items() if name not in ("EDGECL_KERNELS", "NUMBA_DISABLE_JIT")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.host
@pytest.mark.slow
def test_a_wheel_built_from_the_sdist_is_complete(tmp_path):
    build = [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(copy_sources(tmp_path))]
    subprocess.run(build, check=True)  # the sdist, then the wheel from it, in isolation
    made = next(tmp_path.glob("*.whl"))
    assert made.name.endswith(f"-py3-none-manylinux_2_28_{platform.machine()}.whl")
    with zipfile.ZipFile(made) as wheel:
        check_contents(wheel.namelist())


@pytest.mark.host
@pytest.mark.slow
@pytest.mark.parametrize("linker", ["none", "no-such-linker"])
def test_a_wheel_built_without_a_linker_is_for_any_machine_and_the_build_says_so(tmp_path, linker):
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(copy_sources(tmp_path))]
    environ = {**os.environ, "EDGECL_LINKER": linker}
    done = subprocess.run(build, env=environ, text=True, capture_output=True, check=True)
    assert "NO COMPILED KERNELS" in done.stdout + done.stderr
    made = next(tmp_path.glob("*.whl"))
    assert made.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(made) as wheel:
        assert LIBRARY not in wheel.namelist()


@pytest.mark.host
@pytest.mark.slow
def test_an_editable_install_makes_extractor_and_library_in_the_source_tree(tmp_path):
    sources = copy_sources(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-e", sources], check=True)
    where = "import importlib.util as u; print(*(u.find_spec(n).origin for n in ('edgecl', 'edgecl_export')))"
    found = subprocess.run([python, "-c", where], cwd=tmp_path, text=True, capture_output=True, check=True)
    assert [Path(name).is_relative_to(sources) for name in found.stdout.split()] == [True, True]
    assert (sources / VOICE).stat().st_size > 1_000_000
    assert (sources / "kernels" / LIBRARY).stat().st_size > 50_000


@pytest.mark.host
@pytest.mark.slow
def test_a_build_that_cannot_make_the_voice_extractor_says_why(tmp_path):
    sources = copy_sources(tmp_path)
    (sources / "export" / "edgecl_export" / "__init__.py").write_text("import a_package_that_is_not_there\n")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(sources)]
    done = subprocess.run(build, text=True, capture_output=True, check=False)
    assert done.returncode != 0
    reason = "cannot make edgecl/data/voice.onnx: No module named 'a_package_that_is_not_there'"
    assert reason in done.stdout + done.stderr


def copy_sources(folder: Path) -> Path:
    made = shutil.ignore_patterns(".git", ".*cache", "__pycache__", "*.egg-info", "build", "dist", "*.onnx", "*.so")
    return Path(shutil.copytree(ROOT, folder / "sources", ignore=made))


def check_contents(files: list[str]) -> None:
    wanted = {
        VOICE,
        LIBRARY,
        "edgecl/data/systemd/edgecl-health.service",
        "edgecl/data/systemd/edgecl-health.timer",
        "edgecl/data/systemd/edgecl-listen.service",
        "edgecl/py.typed",
        "edgecl_kernels/__init__.py",
        "edgecl_export/__init__.py",
    }
    assert wanted <= set(files)
    assert any(re.fullmatch(r"edgecl-[^/]+\.dist-info/licenses/NOTICE", file) for file in files)
    tops = {file.split("/")[0] for file in files if not file.startswith("..")}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"edgecl", "edgecl_kernels", "edgecl_export"}


@pytest.mark.host
def test_every_tool_can_be_executed():
    files = [ROOT / ".ci" / "run", *(ROOT / "tools").iterdir()]
    tools = [path for path in files if path.is_file() and not path.suffix]
    assert {tool.name for tool in tools} >= {"run", "build_wheels", "demo", "test"}
    assert [tool.name for tool in tools if not os.access(tool, os.X_OK)] == []
    assert [tool.name for tool in tools if not tool.read_text().startswith("#!")] == []


@pytest.mark.host
def test_ruff_reads_every_script():
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed beside this Python")
    done = subprocess.run([ruff, "check", "--show-files"], cwd=ROOT, text=True, capture_output=True, check=True)
    read = {Path(line).relative_to(ROOT) for line in done.stdout.splitlines()}
    files = [path for path in (ROOT / "tools").rglob("*") if path.is_file()]
    scripts = {path.relative_to(ROOT) for path in files if path.read_bytes().startswith(b"#!/usr/bin/env python3")}
    assert len(scripts) > 20
    assert scripts <= read
    assert {path.suffix for path in read if path.parts[0] == "tools"} == {"", ".py"}


@pytest.mark.host
def test_no_tool_imports_a_test():
    files = [path for path in (ROOT / "tools").rglob("*") if path.suffix in ("", ".py") and path.is_file()]
    imported = re.compile(r"^\s*(?:from|import) (device_tests\S*)", re.MULTILINE)
    names = {name for path in files for name in imported.findall(path.read_text())}
    assert names
    assert [name for name in names if not name.startswith("device_tests.support.")] == []


@pytest.mark.host
@pytest.mark.parametrize("tool", ["arm", "build_wheels", "demo", "test"])
def test_a_tool_explains_itself(tool):
    # a tool imports its neighbours, which the variable that protects the suite forbids
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [ROOT / "tools" / tool, "--help"]
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=True)
    assert f"tools/{tool}" in done.stdout


@pytest.mark.host
def test_every_command_of_the_emulation_that_help_shows_is_one():
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    shown = subprocess.run([ROOT / "tools" / "arm", "--help"], env=environ, text=True, capture_output=True, check=True)
    about, _, commands = shown.stdout.partition("positional arguments:")
    examples = set(re.findall(r"^ +tools/arm (\w+)", about, re.MULTILINE))
    assert examples == set(re.findall(r"^    (\w+) ", commands, re.MULTILINE))


@pytest.mark.host
@pytest.mark.parametrize("names", [("edgecl-health.service", "edgecl-health.timer"), ("edgecl-listen.service",)])
def test_systemd_takes_the_units(tmp_path, names):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "edgecl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = [tmp_path / name for name in names]
    for unit in units:
        text = (UNITS / unit.name).read_text()
        unit.write_text(text.replace("/opt/edgecl/bin/edgecl", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", *units], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.host
def test_the_listener_is_a_command_that_exists_and_a_store_in_the_state_directory():
    unit = (UNITS / "edgecl-listen.service").read_text()
    command, store, *options = re.findall(r"edgecl (listen) (\S+) ((?:--\S+ )+)", unit)[0]
    done = subprocess.run([sys.executable, "-m", "edgecl.cli", command, "--help"], text=True, capture_output=True)
    assert done.returncode == 0
    assert all(option in done.stdout for option in options[0].split())
    assert store.startswith(f"/var/lib/{re.findall('^StateDirectory=(.+)$', unit, re.MULTILINE)[0]}/")


@pytest.mark.host
def test_the_health_check_is_a_command_that_exists():
    unit = (UNITS / "edgecl-health.service").read_text()
    _, command, store = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)[0].split()
    done = subprocess.run([sys.executable, "-m", "edgecl.cli", command, "--help"], capture_output=True, check=False)
    assert done.returncode == 0
    assert store.startswith(f"/var/lib/{re.findall('^StateDirectory=(.+)$', unit, re.MULTILINE)[0]}/")
