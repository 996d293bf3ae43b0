"""The commands as they are used: what they print, what they leave behind, how they end."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from edgecl.cli import app, warn
from edgecl.cli.app import COMMANDS, OTHER_NAMES
from edgecl.cli.commands.doctor import PACKAGES
from edgecl.demo.clips import NEW_WORDS
from edgecl.learning.strategies import STRATEGIES
from edgecl.store.store import Store
from edgecl.units import format_bytes

from ..support.commands import (
    clips,
    command_line,
    edgecl,
    noise,
    process,
    tree,
    voice_extractor,
    write_clips,
    write_wav,
)

pytestmark = pytest.mark.native("help and messages are the same everywhere, and each starts a command")

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("yes", "no", "left", "right")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two lessons of two words."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("taught")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    for number in (0, 2):
        lesson = write_clips(folder / f"lesson{number}", clips("teach", WORDS[number : number + 2], most=5))
        assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder / "kitchen"


@pytest.fixture
def kitchen(taught: Path, tmp_path: Path) -> Path:
    """A copy of it to work on."""
    return Path(shutil.copytree(taught, tmp_path / "kitchen"))


@pytest.fixture
def heldout(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "heldout", clips("test", WORDS, most=3))


# Help


def test_help_lists_every_command_without_loading_what_commands_need() -> None:
    child = "import sys; from edgecl.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert {"numpy", "onnxruntime", "numba", "edgecl.operations.open_store"}.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    shown = edgecl(name, "--help")
    assert shown.code == 0
    assert f"  edgecl {name}" in shown.out.partition("Example:")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_ones_help_says(name: str) -> None:
    help_text = import_module(f"edgecl.cli.commands.{name}").command.help
    assert help_text.partition("\n")[0] == COMMANDS[name]


@pytest.mark.parametrize("name", set(COMMANDS) - {"export", "federate", "service"})
def test_every_reporting_command_has_json(name: str) -> None:
    assert "--json" in edgecl(name, "--help").out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name: str) -> None:
    readme = ROOT / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md beside the tests")
    assert f"edgecl {name}" in readme.read_text()


def test_learn_offers_the_strategies_of_the_learner() -> None:
    assert import_module("edgecl.cli.commands.learn").STRATEGIES == STRATEGIES


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant() -> None:
    done = edgecl("lern")
    assert done.code == 2
    assert "learn" in done.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("train", "learn"),
        ("add", "learn"),
        ("create", "init"),
        ("test", "eval"),
        ("delete", "forget"),
        ("info", "status"),
    ],
)
def test_a_command_called_by_another_tools_name_is_answered_with_ours(typed: str, meant: str) -> None:
    done = edgecl(typed, "kitchen")
    assert done.code == 2
    assert f"No such command '{typed}'. Did you mean '{meant}'?" in done.err


def test_every_other_name_leads_to_a_command_and_is_none() -> None:
    assert set(OTHER_NAMES.values()) <= set(COMMANDS)
    assert not set(OTHER_NAMES) & set(COMMANDS)


def test_the_version_is_printed() -> None:
    assert edgecl("--version").out.startswith("edgecl ")


# init


def test_init_says_what_was_made_and_what_to_do_next(tmp_path: Path) -> None:
    voice_extractor()
    done = edgecl("init", tmp_path / "kitchen", "--extractor", "voice", "--memory", "512KiB", "--max-classes", 20)
    assert done.code == 0
    assert "512 KiB" in done.out
    assert "20 classes" in done.out
    assert "edgecl learn" in done.out


def test_init_names_the_smallest_budget_of_every_tier_and_each_can_be_asked_for(tmp_path: Path) -> None:
    voice_extractor()
    tiers = edgecl("init", tmp_path / "one", "--extractor", "voice", "--json").value["tiers"]
    least: dict[int, int] = {}  # memory by width, of richer tiers
    for number, tier in enumerate(tiers):
        if tier["memory_bytes"] >= least.get(tier["features"], 1 << 40):
            continue  # it saves nothing, and the richer one is taken
        least[tier["features"]] = tier["memory_bytes"]
        budgets = ("--memory", tier["memory_bytes"], "--disk", tier["disk_bytes"])
        made = edgecl("init", tmp_path / str(number), "--extractor", "voice", *budgets, "--json").value
        assert (made["features"]["dimension"], made["features"]["precision"]) == (tier["features"], tier["precision"])


def test_init_says_from_which_memory_on_gradient_steps_refine(tmp_path: Path) -> None:
    voice_extractor()
    little = edgecl("init", tmp_path / "little", "--extractor", "voice", "--memory", "128KiB", "--json").value
    assert not little["has_room_for_steps"]
    told = edgecl("init", tmp_path / "told", "--extractor", "voice", "--memory", "128KiB").out
    assert f"refined    not, but from {format_bytes(little['steps_memory_bytes'])} on: --memory" in told
    enough = ("--memory", little["steps_memory_bytes"])
    assert edgecl("init", tmp_path / "more", "--extractor", "voice", *enough, "--json").value["has_room_for_steps"]
    few = edgecl("init", tmp_path / "few", "--extractor", "voice", "--max-classes", 8, "--json").value
    assert (few["has_room_for_steps"], few["steps_memory_bytes"]) == (False, None)


# learn


def test_learn_prints_the_verdict_the_classes_and_the_cost(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("learn", kitchen, write_clips(tmp_path / "new", clips("new", NEW_WORDS[:1])))
    assert done.code == 0
    assert "revision 4 is live" in done.out
    assert "lights off (5, new)" in done.out
    assert "KiB of 1 MiB" in done.out


def test_learn_prints_json_with_the_promised_keys(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("learn", kitchen, write_clips(tmp_path / "new", clips("new", NEW_WORDS[:1])), "--json")
    wanted = "accepted proven revision reasons new_classes classes strategy ms bytes skipped"
    assert set(wanted.split()) <= set(done.value)
    assert done.value["accepted"] is True
    assert done.value["new_classes"] == ["lights off"]
    assert done.err == ""


def test_a_flat_folder_is_taught_under_the_label_given(kitchen: Path, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "new", clips("new", NEW_WORDS[:1])) / NEW_WORDS[0]
    assert edgecl("learn", kitchen, folder, "--label", "Licht aus — café", "--json").code == 0
    assert "Licht aus — café" in edgecl("status", kitchen, "--json").value["classes"]


def test_swapped_labels_end_with_exit_code_3_and_the_live_model_as_it_was(kitchen: Path, tmp_path: Path) -> None:
    before = tree(kitchen)
    other = {"yes": "no", "no": "yes"}
    swapped = [replace(one, label=other[str(one.label)]) for one in clips("test", ("yes", "no"))]
    done = edgecl("learn", kitchen, write_clips(tmp_path / "swapped", swapped))
    assert done.code == 3
    assert "REJECTED" in done.out
    assert "revision 3 stays live" in done.out
    assert "'no'" in done.out
    assert "'yes'" in done.out
    after = tree(kitchen)
    assert {name for name in after if before.get(name) != after[name]} == {"journal.jsonl"}
    assert before.keys() <= after.keys()


def test_a_dry_run_judges_and_writes_nothing(kitchen: Path, tmp_path: Path) -> None:
    before = tree(kitchen)
    done = edgecl("learn", kitchen, write_clips(tmp_path / "new", clips("new", NEW_WORDS[:1])), "--dry-run")
    assert done.code == 0
    assert "nothing is written" in done.out
    assert tree(kitchen) == before


def test_a_rejected_dry_run_ends_with_exit_code_3(kitchen: Path, tmp_path: Path) -> None:
    wrong = [replace(one, label="yes") for one in clips("test", ("no",))]
    done = edgecl("learn", kitchen, write_clips(tmp_path / "wrong", wrong), "--dry-run")
    assert done.code == 3
    assert "DRY RUN: REJECTED" in done.out


def test_force_commits_what_the_gate_rejects_and_says_so(kitchen: Path, tmp_path: Path) -> None:
    wrong = [replace(one, label="yes") for one in clips("test", ("no",))]
    folder = write_clips(tmp_path / "wrong", wrong)
    done = edgecl("learn", kitchen, folder, "--force")
    assert done.code == 0
    assert "FORCED" in done.out
    assert edgecl("status", kitchen, "--json").value["revision"] == 4
    assert "FORCED" in edgecl("history", kitchen).out


def test_required_proof_turns_doubt_into_exit_code_3(kitchen: Path, tmp_path: Path) -> None:
    one_clip = write_clips(tmp_path / "new", clips("new", NEW_WORDS[:1], most=1))
    assert edgecl("learn", kitchen, one_clip, "--dry-run").code == 0
    before = edgecl("status", kitchen, "--json").value["revision"]
    done = edgecl("learn", kitchen, one_clip, "--require-proof")
    assert done.code == 3
    assert "for lack of proof" in done.out
    assert edgecl("status", kitchen, "--json").value["revision"] == before


def test_skipped_clips_are_counted_by_reason_and_listed_with_json(kitchen: Path, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "new", clips("new", NEW_WORDS[:1]))
    for number in range(5):
        write_wav(folder / NEW_WORDS[0] / f"silent_{number}.wav", noise(seed=number) / 1000)
    write_wav(folder / NEW_WORDS[0] / "short.wav", noise(0.01))
    done = edgecl("learn", kitchen, folder, "--dry-run")
    assert "skipped 5: silent" in done.err
    assert "skipped 1: too short" in done.err
    assert "2 more, which --json lists" in done.err
    assert len(edgecl("learn", kitchen, folder, "--dry-run", "--json").value["skipped"]) == 6


def test_the_same_lesson_gives_the_same_head(taught: Path, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "new", clips("new", NEW_WORDS[:1]))
    heads = set()
    for name in ("one", "two"):
        store = shutil.copytree(taught, tmp_path / name)
        assert edgecl("learn", store, folder).code == 0
        heads.add(json.loads((store / "revisions" / "000004.json").read_text())["objects"]["head"])
    assert len(heads) == 1


# predict and eval


def test_predict_prints_a_line_for_each_sample(kitchen: Path, heldout: Path) -> None:
    lines = edgecl("predict", kitchen, heldout / "yes", heldout / "no").out.splitlines()
    assert lines[0].split() == ["label", "confidence", "novelty", "source"]
    assert len(lines) == 7
    assert sum(line.split()[0] == "yes" for line in lines[1:4]) >= 2


def test_predict_prints_json_lines(kitchen: Path, heldout: Path) -> None:
    write_wav(heldout / "yes" / "zz_silent.wav", 0 * noise())
    lines = edgecl("predict", kitchen, heldout / "yes", "--json").lines
    skipped = [one for one in lines if "skipped" in one]
    answers = [one for one in lines if one not in skipped]
    assert [set(one) for one in skipped] == [{"source", "skipped"}]
    assert [set(one) for one in answers] == 3 * [{"source", "label", "confidence", "novelty", "known"}]
    assert all(0 <= one["confidence"] <= 1 and 0 <= one["novelty"] <= 1 for one in answers)


@pytest.mark.native("embeds hundreds of clips")
def test_eval_prints_accuracy_by_class_and_what_is_confused(kitchen: Path, heldout: Path) -> None:
    (heldout / "no").rename(heldout / "nay")
    shown = edgecl("eval", kitchen, heldout)
    assert shown.code == 0
    assert "balanced accuracy" in shown.out
    assert "never taught, so counted as answered wrong: nay" in shown.out
    assert "for no" in shown.out


def test_eval_prints_json_with_the_promised_keys(kitchen: Path, heldout: Path) -> None:
    told = edgecl("eval", kitchen, heldout, "--json").value
    assert told["n"] == 12
    assert told["balanced_accuracy"] > 0.8
    assert set(told["per_class"]) == set(WORDS)
    assert told["per_class"]["yes"]["n"] == 3


def test_a_store_that_was_taught_nothing_cannot_answer(tmp_path: Path, heldout: Path) -> None:
    voice_extractor()
    edgecl("init", tmp_path / "empty", "--extractor", "voice")
    for command in ("predict", "eval"):
        done = edgecl(command, tmp_path / "empty", heldout)
        assert done.code == 5
        assert "edgecl learn" in done.err


# status, history, rollback


def test_status_prints_the_budget_and_what_takes_it(kitchen: Path) -> None:
    told = edgecl("status", kitchen, "--json").value
    parts = dict(told["bytes"])
    assert parts.pop("total") == sum(parts.values())
    assert set(parts) == {"statistics", "exemplars", "head", "ewc", "centre", "workspace"}
    assert told["bytes"]["total"] <= told["budget_bytes"]
    shown = edgecl("status", kitchen).out
    assert "4 classes" in shown
    assert "of 1 MiB" in shown


def test_history_lists_lessons_rejections_and_rollbacks(kitchen: Path, tmp_path: Path) -> None:
    wrong = [replace(one, label="yes") for one in clips("test", ("no",))]
    edgecl("learn", kitchen, write_clips(tmp_path / "wrong", wrong))
    edgecl("rollback", kitchen)
    shown = edgecl("history", kitchen).out
    assert "*4" in shown
    assert "left +5, right +5" in shown
    assert "REJECTED" in shown
    assert "rollback to 2" in shown
    told = edgecl("history", kitchen, "--json").value
    assert [one["kind"] for one in told["journal"]] == ["init", "lesson", "lesson", "rejected", "rollback"]
    assert told["revisions"] == [1, 2, 3, 4]


@pytest.mark.native("embeds hundreds of clips")
def test_a_rollback_can_be_rolled_back(kitchen: Path, heldout: Path) -> None:
    before = edgecl("eval", kitchen, heldout, "--json").out
    told = edgecl("rollback", kitchen, "--json").value
    assert (told["revision"], told["rolled_back_to"], told["classes_gone"]) == (4, 2, ["left", "right"])
    assert edgecl("eval", kitchen, heldout, "--json").out != before
    assert "known again: left, right" in edgecl("rollback", kitchen, 3).out
    assert edgecl("eval", kitchen, heldout, "--json").out == before


@pytest.mark.native("embeds hundreds of clips")
def test_doctor_repairs_a_store_and_says_what_it_did(kitchen: Path) -> None:
    newest = max((kitchen / "revisions").iterdir())
    newest.write_bytes(b"damaged")
    (kitchen / "extractor.onnx").write_bytes(b"damaged")
    assert edgecl("doctor", kitchen).code == 5
    told = edgecl("doctor", kitchen, "--repair", "--json")
    assert told.code == 0
    assert any(newest.name in one for one in told.value["store"]["found"])
    assert any("is live: the model of revision" in one for one in told.value["store"]["repaired"])
    assert any("restored" in one for one in told.value["store"]["repaired"])
    assert told.value["store"]["damage"] == []
    assert "is intact" in edgecl("doctor", kitchen, "--repair").out
    assert edgecl("doctor", "--repair").code == 2


@pytest.mark.parametrize("command", ["status", "history", "rollback"])
def test_looking_at_a_store_loads_neither_runtime_nor_compiler(kitchen: Path, command: str) -> None:
    child = "import sys; from edgecl.cli import main; main(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", child, command, str(kitchen)], capture_output=True, text=True, check=True
    )
    assert {"onnxruntime", "numba", "llvmlite", "edgecl.learning.loop"}.isdisjoint(done.stdout.split())


# doctor


@pytest.mark.native("starts many processes")
def test_doctor_finds_a_sound_store_sound(kitchen: Path) -> None:
    done = edgecl("doctor", kitchen, "--json")
    assert done.code == 0
    assert done.value["store"]["damage"] == []
    assert done.value["packages"]["numpy"] == {"version": done.value["packages"]["numpy"]["version"]}
    assert done.value["kernels"]["implementation"]
    assert done.value["store"]["extractor"]["dimension"] == 96


def test_doctor_looks_at_what_every_extra_of_a_device_brings() -> None:
    extras = {"audio", "image", "jit", "mic", "mqtt", "text", "tflite", "wyoming"}
    assert extras <= {extra for _, extra in PACKAGES.values()}


@pytest.mark.native("starts many processes")
def test_doctor_names_the_damaged_file(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecl.cli.commands.doctor.PACKAGES", {"numpy": ("numpy", "")})
    victim = max((kitchen / "objects").iterdir())
    content = bytearray(victim.read_bytes())
    content[-200] ^= 1
    victim.write_bytes(content)
    done = edgecl("doctor", kitchen)
    assert done.code == 5
    assert victim.name in done.out


@pytest.mark.native("starts many processes")
def test_doctor_survives_a_runtime_that_kills_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "soxr.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    monkeypatch.setattr("edgecl.cli.commands.doctor.PACKAGES", {"numpy": ("numpy", ""), "soxr": ("soxr", "audio")})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    done = edgecl("doctor", "--json")
    if done.value["packages"]["soxr"]["version"] is None:
        pytest.skip("soxr is not installed")
    assert done.code == 1
    assert "SIGILL" in done.value["packages"]["soxr"]["fault"]


# How a command ends


@pytest.mark.native("depends on how fast a lesson is")
def test_an_interrupt_ends_with_130_and_the_old_model_live(kitchen: Path, tmp_path: Path) -> None:
    before = tree(kitchen)
    lesson, spool = write_clips(tmp_path / "lesson", clips("teach", ("up", "down"))), tmp_path / "spool"
    spool.mkdir()
    with Store.open(kitchen).writer():  # the lesson has to wait for the lock, however fast it is
        running = subprocess.Popen(
            command_line("learn", kitchen, lesson),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(spool)},
        )
        deadline = time.monotonic() + 30
        while "onnxruntime" not in Path(f"/proc/{running.pid}/maps").read_text() and time.monotonic() < deadline:
            time.sleep(0.005)  # until the extractor is loaded
        time.sleep(4)  # until it waits for the lock, which it does for ten seconds
        running.send_signal(signal.SIGINT)
        _, err = running.communicate()
    assert running.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert tree(kitchen) == before
    assert list(spool.iterdir()) == []


LIBRARY_THAT_SWALLOWS_AN_INTERRUPT = """
import os, signal, time

interrupted = False
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
except KeyboardInterrupt:
    interrupted = True
if interrupted:
    raise ImportError("initialisation failed")
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    time.sleep(10)
    raise AttributeError(name)
"""


@pytest.mark.native("starts many processes")
@pytest.mark.parametrize(("command", "library"), [("predict", "onnxruntime"), ("predict", "soxr"), ("status", "click")])
def test_an_interrupt_while_a_library_loads_ends_with_130(
    kitchen: Path, heldout: Path, tmp_path: Path, command: str, library: str
) -> None:
    before = tree(kitchen)
    write_wav(heldout / "yes" / "slow.wav", noise(), rate=8000)  # is resampled
    if library == "click":  # before any command has begun
        child = (
            "import os, runpy, signal, sys\n"
            "class Finder:\n"
            "    @staticmethod\n"
            "    def find_spec(name, *_):\n"
            "        if name == 'click':\n"
            "            os.kill(os.getpid(), signal.SIGINT)\n"
            "sys.meta_path.insert(0, Finder)\n"
            "runpy.run_module('edgecl.cli', run_name='__main__')\n"
        )
        run = [sys.executable, "-c", child, command, str(kitchen)]
    else:
        (tmp_path / f"{library}.py").write_text(LIBRARY_THAT_SWALLOWS_AN_INTERRUPT)
        run = command_line(command, kitchen, heldout)
    path = os.pathsep.join((str(tmp_path), *(one for one in sys.path if one)))
    done = subprocess.run(
        run, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}, timeout=60
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(kitchen) == before


@pytest.mark.native("starts many processes")
@pytest.mark.parametrize("command", ["predict", "doctor"])
def test_the_runtime_does_not_report_to_its_maker(kitchen: Path, heldout: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "spool").mkdir()
    environ = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    data = (heldout / "yes",) if command == "predict" else ()
    done = process(command, kitchen, *data, env={**environ, "TMPDIR": str(tmp_path / "spool")})
    assert done.code == 0
    assert list((tmp_path / "spool").iterdir()) == []  # the reporter leaves the name of its session there


@pytest.mark.native("starts many processes")
def test_a_closed_pipe_ends_quietly(kitchen: Path, heldout: Path) -> None:
    running = subprocess.Popen(
        command_line("predict", kitchen, heldout), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.readline()
    running.stdout.close()
    assert running.stderr.read() == ""
    running.wait()
    running.stderr.close()


def test_a_full_stdout_is_a_message(kitchen: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command_line("status", kitchen), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "writing the output failed" in done.stderr
    assert "nothing was committed" in done.stderr
    assert "No space left" in done.stderr


def test_a_full_stdout_and_a_store_that_is_gone_are_one_message(
    kitchen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warn, "BEGUN", {tmp_path / "gone": 1, kitchen: 1})

    def echo() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    try:
        echo()
    except OSError as error:
        found = app._failure(error)
    assert found is not None
    assert "writing the output failed: No space left on device" in found.message
    assert f"{tmp_path / 'gone'}" in found.message
    assert f"{kitchen}" in found.message


def test_a_library_that_cannot_be_loaded_is_a_message(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unloadable(_: object) -> None:
        path = "/lib/onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so"
        raise ImportError("failed to map segment from shared object", name="onnxruntime_pybind11_state", path=path)

    monkeypatch.setattr("edgecl.learner.Learner.status", unloadable)
    done = edgecl("status", kitchen)
    assert done.code == 1
    assert "installed and cannot be loaded: failed to map segment" in done.err


def test_a_mistake_of_ours_keeps_its_traceback(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecl.learner.Learner.status", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        edgecl("status", kitchen)


def test_a_missing_extra_is_named_with_the_way_to_install_it(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: object) -> None:
        raise ModuleNotFoundError("No module named 'numba'", name="numba")

    monkeypatch.setattr("edgecl.learner.Learner.status", missing)
    done = edgecl("status", kitchen)
    assert done.code == 1
    assert "pip install 'edgecl[jit]'" in done.err


def test_names_that_the_terminal_cannot_show_are_escaped(kitchen: Path, heldout: Path) -> None:
    odd = heldout / "yes" / "a\x1b[2Jb.wav"
    next((heldout / "yes").glob("*.wav")).rename(odd)
    assert "a\\x1b[2Jb.wav" in edgecl("predict", kitchen, odd).out
    done = process("predict", kitchen, odd, env={"PYTHONIOENCODING": "ascii", "PATH": ""} | _python_path())
    assert done.code == 0


def _python_path() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(one for one in sys.path if one), "PYTHONSAFEPATH": "1"}
