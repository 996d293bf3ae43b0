"""The loop on an emulated board: init, learn, eval, predict, a power cut while it learns, and what is left of it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from common.environments import CommandError, pip
from emulation.arm64 import Arm64
from emulation.machine import VIRT, Machine, boot, kernel, make_root, make_work

WORDS = ("yes", "no", "up", "down", "left", "right")
NEW_WORD = "stop"
TAUGHT, HELDOUT, SHOTS = 5, 4, 5
LOOP_STEPS, RECOVERED_STEPS = 7, 5
DOORS = ("paho-mqtt>=2.1", "wyoming>=1.7")  # as the extra `home`
FOLLOWED_S = 60  # for which a service follows a stream
SMALLEST = (256, 192, 160, 144, 128, 112, 96)  # MiB that are tried, until one is too small
_HEAD = """\
export PATH={bin}:/tmp PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 HOME=/tmp EDGECL_EMULATED=1
cd /work
step() {{
    name=$1; shift
    echo "STEP $name $(python3 /work/peak.py "$@" 2>/tmp/err)"
    busybox tail -n 3 /tmp/err
}}
"""
# prints exit code, peak of resident memory in KiB and output of a command; busybox time -v says four times too much
_PEAK = """\
import os, subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as child:
    told = " ".join(child.stdout.read().split())
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
print(child.returncode, used.ru_maxrss, told)
"""
_LOOP = """\
busybox rm -rf store
step init edgecl init store --extractor voice --json
step learn edgecl learn store known --json
step eval edgecl eval store heldout --json
step predict edgecl predict store one --json
step bench edgecl bench store --rounds 3 --json
busybox ifconfig lo up
export PYTHONPATH=/work/doors
doors="--wyoming 0 --mqtt mqtt://edge@127.0.0.1:1 --mqtt-commands --json"
step serve busybox timeout -s TERM {followed_s} edgecl serve store --port 0 --listen one/* --json
step listen busybox timeout -s TERM {followed_s} edgecl listen store $doors --exec "busybox true"
"""
# the plug is pulled when the commit has written its first file
_CUT = """\
files() {{ busybox ls -A store store/objects store/revisions | busybox wc -l; }}
before=$(files)
edgecl learn store new --label {word} --json >/tmp/out 2>&1 &
while [ $(files) = $before ]; do :; done
echo "CUT HERE"
busybox sleep 60
"""
_RECOVERED = """\
step doctor edgecl doctor store --json
step status edgecl status store --json
step predict edgecl predict store one --json
step learn edgecl learn store new --label {word} --json
step eval edgecl eval store heldout --json
"""


def run_board(made: Arm64, recordings: Path, machine: Machine, *, smallest: bool) -> bool:
    """Run the loop and print its peaks; False where a step failed or the store is not whole after the cut."""
    with kernel() as started, tempfile.TemporaryDirectory(dir=made.folder) as folder:
        scratch = Path(folder)
        root, work = scratch / "root.ext4", scratch / "work.ext4"
        make_root(made, root, scratch)
        _write_clips(recordings, scratch / "work")
        (scratch / "work" / "peak.py").write_text(_PEAK)
        pip(made.program("python"), "install", "--no-compile", "--target", scratch / "work" / "doors", *DOORS)
        head = _HEAD.format(bin=made.program("edgecl").parent)
        passed = _first_and_second(started, root, work, scratch / "work", head, machine)
        if passed and smallest:
            _find_smallest(started, root, work, scratch / "work", head + _loop(), machine.memory_mib)
    return passed


def _first_and_second(started: Path, root: Path, work: Path, folder: Path, head: str, machine: Machine) -> bool:
    """The loop up to the power cut, then the same disk in a machine that boots again."""
    (folder / "cut.sh").write_text(head + _loop() + _CUT.format(word=NEW_WORD))
    (folder / "recovered.sh").write_text(head + _RECOVERED.format(word=NEW_WORD))
    # the first boot takes the first script, and leaves the second to the next
    (folder / "job.sh").write_text("if [ -e /work/store ]; then . /work/recovered.sh; else . /work/cut.sh; fi\n")
    make_work(folder, work)
    print(f"emulated: QEMU {machine.name}, {machine.about}, {machine.memory_mib} MiB", flush=True)
    before = _steps(boot(started, root, work, machine, cut_after="CUT HERE"))
    print("  power cut while it learns", flush=True)
    after = _steps(boot(started, root, work, machine))
    codes = (*before.values(), *after.values())
    return (len(before), len(after)) == (LOOP_STEPS, RECOVERED_STEPS) and not any(codes)


def _loop() -> str:
    return _LOOP.format(followed_s=FOLLOWED_S)


def _steps(printed: str) -> dict[str, int]:
    """Exit codes by step; what they say is printed."""
    found = {}
    for name, code, peak, told in re.findall(r"STEP (\w+) (-?\d+) (\d+) ?(.*)$", printed, re.MULTILINE):
        found[name] = int(code)
        print(f"  {name:8} exit code {code}, peak {int(peak) / 1024:.0f} MiB{_told(name, told)}", flush=True)
    if not found or any(found.values()):
        print(printed[-1500:])
    return found


def _told(name: str, printed: str) -> str:
    try:
        value = json.loads(printed)
    except json.JSONDecodeError:
        return ""
    match name:
        case "learn":
            return f", accepted {value['accepted']}, revision {value['revision']}"
        case "eval":
            return f", {value['balanced_accuracy']:.1%} of {value['n']} clips by other people"
        case "predict":
            return f", {value['label']}"
        case "bench":
            memory = value["memory"]
            peak, held = memory["learn_peak_bytes"] / 2**20, memory["learner_bytes"] / 2**10
            return f", a lesson's process peaks at {peak:.0f} MiB, the learner holds {held:.0f} KiB, {value['marks']}"
        case "doctor":
            return f", damage {value['store']['damage']}, revision {value['store']['revision']}"
    return ""


def _find_smallest(started: Path, root: Path, work: Path, folder: Path, script: str, memory_mib: int) -> None:
    (folder / "job.sh").write_text(script)
    works = memory_mib
    for size in SMALLEST:
        make_work(folder, work)
        print(f"emulated: {size} MiB", flush=True)
        try:
            steps = _steps(boot(started, root, work, replace(VIRT, memory_mib=size)))
        except CommandError as error:
            print(f"  {error}")
            break
        if len(steps) < LOOP_STEPS or any(steps.values()):
            break
        works = size
    print(f"smallest machine that was tried in which the loop runs: {works} MiB (emulated)")


def _write_clips(recordings: Path, folder: Path) -> None:
    """Real clips, of each word by as many people as there are clips; those held out by other people."""
    if not recordings.is_dir():
        raise CommandError(f"looking for recordings in {recordings}: set EDGECL_DATA to the folder that holds them")
    for word in (*WORDS, NEW_WORD):
        clips = _by_different_people(recordings / word)
        if word == NEW_WORD:
            _copy(clips[:SHOTS], folder / "new")
            continue
        _copy(clips[:TAUGHT], folder / "known" / word)
        _copy(clips[-HELDOUT:], folder / "heldout" / word)
    _copy(_by_different_people(recordings / WORDS[0])[-1:], folder / "one")


def _by_different_people(folder: Path) -> list[Path]:
    """One clip of each speaker; a file is <speaker>_<number>."""
    seen: Counter[str] = Counter()
    clips = []
    for path in sorted(folder.glob("*.*")):
        speaker = path.stem.rpartition("_")[0]
        seen[speaker] += 1
        if seen[speaker] == 1:
            clips.append(path)
    return clips


def _copy(clips: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for clip in clips:
        shutil.copyfile(clip, folder / clip.name)
