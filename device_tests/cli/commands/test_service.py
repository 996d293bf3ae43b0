"""`edgecl service install --print`: units filled in."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from device_tests.support.commands import edgecl
from edgecl.service.units import NAMES, shipped

PROGRAM = ("--program", "/opt/edgecl/bin/edgecl")


def printed(*arguments: object) -> dict[str, str]:
    units = edgecl("service", "install", *arguments, "--print", "--json").value["units"]
    assert isinstance(units, dict)
    return units


def values(unit: str, key: str) -> list[str]:
    return re.findall(f"^{key}=(.*)$", unit, re.MULTILINE)


def words(command: str) -> list[str]:
    """The words of an ExecStart as systemd reads them: quotes, escapes in quotes, doubled % and $."""
    found = re.findall(r"'((?:[^'\\]|\\.)*)'|(\S+)", command)
    return [re.sub(r"\\(.)", r"\1", quoted or plain).replace("%%", "%").replace("$$", "$") for quoted, plain in found]


def listener(unit: str) -> list[str]:
    """The words that bash starts the listener with."""
    bash, option, script = words(values(unit, "ExecStart")[0])
    assert (bash, option) == ("/bin/bash", "-c")
    command, separator, _ = script.partition(" < <(exec arecord ")
    assert separator
    return shlex.split(command)


def test_without_values_the_units_are_those_that_ship():
    assert printed(*PROGRAM) == {name: shipped(name) for name in NAMES}


def test_store_user_program_and_options_are_filled_in():
    units = printed("/var/lib/house/hall", "--user", "ann", "--program", "/usr/bin/edgecl", "--listen", "--wake marvin")
    expected = ["exec", "/usr/bin/edgecl", "listen", "/var/lib/house/hall", "--wake", "marvin"]
    assert listener(units["edgecl-listen.service"]) == expected
    health = units["edgecl-health.service"]
    assert words(values(health, "ExecStart")[0]) == ["/usr/bin/edgecl", "doctor", "/var/lib/house/hall"]
    for name in NAMES[:2]:
        assert values(units[name], "User") == ["ann"]
        assert values(units[name], "StateDirectory") == ["house"]
        assert values(units[name], "ConditionPathExists") == ["/var/lib/house/hall/current"]
        assert "kitchen" not in units[name]


def test_a_store_elsewhere_is_made_writable():
    unit = printed("/srv/hall", *PROGRAM)["edgecl-listen.service"]
    assert values(unit, "ReadWritePaths") == ["/srv/hall"]
    assert values(unit, "StateDirectory") == values(unit, "StateDirectoryMode") == []
    assert values(unit, "ProtectHome") == ["yes"]


def test_a_store_or_program_in_a_home_can_be_read():
    assert values(printed("/home/ann/hall", *PROGRAM)["edgecl-health.service"], "ProtectHome") == ["read-only"]
    unit = printed("/srv/hall", "--program", "/home/ann/venv/bin/edgecl")["edgecl-health.service"]
    assert values(unit, "ProtectHome") == ["read-only"]


@pytest.mark.parametrize("name", ["it's mine", "100%n", "$HOME", 'a "b"', "a\\nb", "größe"])
def test_any_path_reaches_the_program_as_it_is(name):
    units = printed(f"/srv/{name}/hall", *PROGRAM)
    assert listener(units["edgecl-listen.service"])[3] == f"/srv/{name}/hall"
    health = units["edgecl-health.service"]
    assert words(values(health, "ExecStart")[0])[-1] == f"/srv/{name}/hall"
    assert values(health, "ConditionPathExists") == [f"/srv/{name}/hall/current".replace("%", "%%")]
    assert values(health, "ReadWritePaths")[0].count("$") == name.count("$")


def test_one_unit_is_printed_ready_to_be_saved():
    done = edgecl("service", "install", *PROGRAM, "--print", "--unit", "edgecl-health.timer")
    assert done.out == shipped("edgecl-health.timer")
    everything = edgecl("service", "install", *PROGRAM, "--print").out
    assert re.findall(r"^# --- (\S+)$", everything, re.MULTILINE) == [f"/etc/systemd/system/{name}" for name in NAMES]


def test_a_relative_store_is_written_as_an_absolute_path(monkeypatch):
    monkeypatch.chdir("/usr/share")
    unit = printed("hall", *PROGRAM)["edgecl-health.service"]
    assert values(unit, "ConditionPathExists") == ["/usr/share/hall/current"]


def test_without_a_program_this_one_is_written():
    command = words(values(printed()["edgecl-health.service"], "ExecStart")[0])
    done = subprocess.run([*command[:-2], "--version"], text=True, capture_output=True, check=True)
    assert done.stdout.startswith("edgecl ")


def test_units_are_written_and_what_is_left_to_do_is_told(tmp_path: Path):
    done = edgecl("service", "install", *PROGRAM, "--folder", tmp_path / "units", "--no-start")
    assert {one.name for one in (tmp_path / "units").iterdir()} == set(NAMES)
    assert (tmp_path / "units" / NAMES[0]).read_text() == shipped(NAMES[0])
    assert "systemctl enable --now edgecl-listen.service edgecl-health.timer" in done.out
    with_page = ("--with-page", "--no-start", "--json")
    told = edgecl("service", "install", *PROGRAM, "--folder", tmp_path / "units", *with_page).value
    assert told["to_run"][1] == "systemctl enable --now edgecl-page.service edgecl-health.timer"
    (tmp_path / "file").write_text("")
    refused = edgecl("service", "install", *PROGRAM, "--folder", tmp_path / "file", "--no-start")
    assert (refused.code, "run it as root" in refused.err) == (2, True)


def test_a_store_that_is_not_there_is_named_where_its_units_are_written(tmp_path: Path):
    missing = edgecl("service", "install", "/srv/no/hall", *PROGRAM, "--folder", tmp_path / "units", "--no-start")
    assert missing.code == 0
    assert "no store is found at /srv/no/hall: what is started does not run" in missing.err
    assert edgecl("service", "install", "/srv/no/hall", *PROGRAM, "--print").err == ""  # maybe for another machine


def test_a_users_own_units_want_nothing_that_only_root_may(tmp_path: Path):
    for text in printed("/home/ann/hall", *PROGRAM, "--own").values():
        keys = {line.partition("=")[0] for line in text.splitlines() if "=" in line and not line.startswith("#")}
        assert not {"User", "DynamicUser", "ProtectSystem", "PrivateNetwork", "CapabilityBoundingSet"} & keys
    assert values(printed("/home/ann/hall", "--own")[NAMES[0]], "WantedBy") == ["default.target"]


def test_an_account_is_made_by_systemd_unless_one_is_named():
    assert values(printed(*PROGRAM)[NAMES[0]], "DynamicUser") == ["yes"]
    assert values(printed(*PROGRAM, "--user", "ann")[NAMES[0]], "DynamicUser") == []
    assert values(printed("/srv/hall", *PROGRAM)[NAMES[0]], "DynamicUser") == []


@pytest.mark.host
@pytest.mark.parametrize("name", [one for one in NAMES if one.endswith(".service")])
def test_services_are_hardened(name):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = Path(str(files("edgecl").joinpath("data", "systemd", name)))
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=35", path]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-400:]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("/tmp/hall",), "temporary folder"),
        (("/srv/hall", "--listen", "--wok marvin"), "No such option"),
        (("/srv/hall", "--listen", "--wok marvin"), "Try 'edgecl listen --help'"),
        (("/srv/hall", "--page", "--wok marvin"), "Try 'edgecl serve --help'"),
        (("/srv/hall", "--listen", "--threshold much"), "--threshold"),
        (("/srv/hall", "--listen", "--wake 'marvin"), "No closing quotation"),
        (("/srv/hall", "--user", "ann\nExecStart=evil"), "control characters"),
        (("/srv/hall", "--unit", "edgecl.service"), "edgecl-listen.service"),
    ],
)
def test_what_cannot_work_is_refused(arguments, reason):
    done = edgecl("service", "install", *arguments, "--print")
    assert (done.code, done.out) == (2, "")
    assert reason in done.err


@pytest.mark.host
@pytest.mark.parametrize("store", ["/var/lib/edgecl/kitchen", "/srv/it's 5 %/hall", "/home/ann/hall"])
def test_systemd_accepts_what_is_printed(tmp_path: Path, store):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "edgecl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    paths = []
    for name, text in printed(store, "--program", program, "--user", "root").items():
        paths.append(tmp_path / name)
        paths[-1].write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", *paths], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
