"""`edgecl listen`: a stream to events, on clips that are put one after another."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecl.demo.movement import CHANNELS, RATE_HZ, TEACHING_SUBJECTS, TESTING_SUBJECTS, recording, windows
from edgecl.errors import ContractError, DataError
from edgecl.extractors.contract import Contract
from edgecl.extractors.opening import builtin_extractor
from edgecl.live.events import Summary
from edgecl.live.inputs.chunks import Arrival, Halt, Piece
from edgecl.live.inputs.microphone import MICROPHONE_HOPS, microphone
from edgecl.live.inputs.rows import movement
from edgecl.live.listener import listen
from edgecl.live.scorer import LiveScorer
from edgecl.live.stream import Recent
from edgecl.operations.open_store import OpenStore

from ..support.commands import (
    RATE,
    Result,
    clips,
    command_line,
    edgecl,
    noise,
    process,
    voice_extractor,
    write_clips,
    write_wav,
)

WORDS = ("yes", "stop", "left", "right")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that knows four words."""
    voice_extractor()
    folder = tmp_path_factory.mktemp("live")
    assert edgecl("init", folder / "kitchen", "--extractor", "voice").code == 0
    lesson = write_clips(folder / "clips", clips("teach", WORDS, most=8))
    for number in range(8):
        write_wav(lesson / "_background_noise_" / f"{number}.wav", noise(seed=number) * 0.1 ** (number % 3))
    assert edgecl("learn", folder / "kitchen", lesson).code == 0
    return folder / "kitchen"


def said(*labels: str, pause_s: float = 1.5, take: int = 0) -> NDArray[np.float32]:
    """Words by a voice that did not teach, each after a pause, over a little noise."""
    pause = np.zeros(round(pause_s * RATE), np.float32)
    words = [clips("test", [label])[take].signal[:, 0] for label in labels]
    sound = np.concatenate([part for word in words for part in (pause, word)] + [pause])
    return (sound + 0.01 * noise(len(sound) / RATE, seed=99)[: len(sound)]).astype(np.float32)


def test_words_in_a_recording_are_heard_once_each_where_they_are(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes", "left", "stop", "right")), "--json")
    assert done.code == 0
    assert [one["label"] for one in done.lines] == ["yes", "left", "stop", "right"]
    for one in done.lines:
        assert set(one) == {"time", "label", "confidence", "novelty", "span"}
        assert one["span"][0] < one["time"] <= one["span"][1]
    assert [one["time"] for one in done.lines] == sorted(one["time"] for one in done.lines)
    assert "4 events" in done.err


def pcm(signal: NDArray[np.float32]) -> bytes:
    return (np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes()


def piped(kitchen: Path, content: bytes, *options: object, **more: Any) -> Result:
    """`edgecl listen` with bytes on its stdin."""
    done = subprocess.run(
        command_line("listen", kitchen, "--json", *options), input=content, capture_output=True, check=False, **more
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_raw_pcm_on_stdin_is_heard_like_the_file(kitchen: Path, tmp_path: Path) -> None:
    sound = said("yes", "left", "stop")
    from_file = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", sound), "--json").lines
    done = piped(kitchen, pcm(sound) + b"\x01")
    assert (done.code, done.lines) == (0, from_file)
    assert "1 byte of a torn sample" in done.err


def test_another_rate_is_heard_where_it_is_stated(kitchen: Path) -> None:
    soxr = pytest.importorskip("soxr")
    done = piped(kitchen, pcm(soxr.resample(said("yes", "left"), RATE, 44_100)), "--rate", 44_100)
    assert [one["label"] for one in done.lines] == ["yes", "left"]


def test_a_wav_file_on_stdin_is_refused_with_advice(kitchen: Path, tmp_path: Path) -> None:
    done = piped(kitchen, write_wav(tmp_path / "heard.wav", said("yes")).read_bytes())
    assert done.code == 4
    assert "arecord -t raw" in done.err


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("x.wav", "--microphone"), "not both"),
        (("x.wav", "--rate", 16_000), "raw PCM on stdin"),
        (("--realtime",), "plays a FILE"),
        (("x.wav", "--novelty", 0.4), "add --inbox"),
        (("x.wav", "--patience", 0), "range"),
    ],
)
def test_options_that_contradict_are_refused(kitchen: Path, options: tuple[object, ...], advice: str) -> None:
    done = edgecl("listen", kitchen, *options)
    assert done.code == 2
    assert advice in done.err


def test_a_file_is_played_at_its_own_speed_where_that_is_asked_for(kitchen: Path, tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "heard.wav", said("yes", pause_s=0.3))
    started = time.monotonic()
    assert len(edgecl("listen", kitchen, sound, "--json", "--realtime").lines) == 1
    assert time.monotonic() - started >= len(said("yes", pause_s=0.3)) / RATE


def test_a_threshold_that_nothing_reaches_hears_nothing(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes")), "--json", "--threshold", 1.1)
    assert (done.code, done.lines) == (0, [])


def test_a_word_at_the_very_edge_of_a_recording_is_heard(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes", pause_s=0.02)), "--json")
    assert [one["label"] for one in done.lines] == ["yes"]
    assert done.lines[0]["span"][0] >= 0


def test_digital_silence_and_clipping_are_counted_and_no_event(kitchen: Path, tmp_path: Path) -> None:
    sound = np.concatenate([np.zeros(3 * RATE, np.float32), said("yes"), 20 * noise(2, seed=5)])
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", sound), "--json")
    assert [one["label"] for one in done.lines] == ["yes"]
    assert "digital silence" in done.err
    assert "clipped" in done.err


def test_an_offset_is_told_and_changes_nothing(kitchen: Path, tmp_path: Path) -> None:
    done = edgecl("listen", kitchen, write_wav(tmp_path / "heard.wav", said("yes", "stop") * 0.8 + 0.1), "--json")
    assert [one["label"] for one in done.lines] == ["yes", "stop"]
    assert "offset" in done.err


def test_an_empty_input_ends_cleanly(kitchen: Path) -> None:
    done = piped(kitchen, b"")
    assert (done.code, done.out) == (0, "")
    assert "heard 0.0 s, 0 events" in done.err
    assert "revision 2" in done.err


def test_a_store_that_knows_nothing_hears_nothing(tmp_path: Path) -> None:
    voice_extractor()
    assert edgecl("init", tmp_path / "empty", "--extractor", "voice").code == 0
    done = edgecl("listen", tmp_path / "empty", write_wav(tmp_path / "heard.wav", said("yes")), "--json")
    assert (done.code, done.lines) == (0, [])


class FakeMicrophone:
    """What is used of sounddevice: gives a sound a block at a time, and says of the middle one that some was lost."""

    PortAudioError = OSError

    def __init__(self, sound: NDArray[np.float32]) -> None:
        self._sound = sound

    def InputStream(  # noqa: N802
        self, *, blocksize: int, callback: Callable[..., None], **asked: object
    ) -> AbstractContextManager[None]:
        assert asked == {"samplerate": 16_000, "channels": 1, "dtype": "float32"}

        def play() -> None:
            for start in range(0, len(self._sound), blocksize):
                is_middle = start <= len(self._sound) // 2 < start + blocksize
                block = self._sound[start : start + blocksize]
                callback(block, len(block), None, SimpleNamespace(input_overflow=is_middle))

        threading.Thread(target=play, daemon=True).start()
        return nullcontext()


def until_heard(pieces: Iterator[Piece], samples: int, halt: Halt) -> Iterator[Piece]:
    """Pieces that ask for an end, like a signal would, once so many samples were given."""
    for piece in pieces:
        yield piece
        samples -= len(piece.signal)
        if samples <= 0:
            halt.ask()


def test_a_microphone_that_loses_samples_breaks_the_stream(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound, halt = np.concatenate([said("yes", pause_s=0.5), said("stop", pause_s=0.5)])[:, None], Halt()
    monkeypatch.setitem(sys.modules, "sounddevice", FakeMicrophone(sound))
    device, summary = OpenStore.open(kitchen), Summary()
    pieces = until_heard(microphone(device.extractor.contract, halt=halt, arrival=Arrival()), len(sound), halt)
    assert len(sound) / device.extractor.contract.hop_samples < MICROPHONE_HOPS  # all of it can wait
    assert [one.label for one in listen(device, pieces, summary=summary)] == ["yes", "stop"]
    assert summary.breaks == 1


def test_a_microphone_without_its_extra_is_told_what_to_install(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = edgecl("listen", kitchen, "--microphone")
    assert done.code == 4
    assert "edgecl[mic]" in done.err


@contextmanager
def listening(kitchen: Path, *options: object, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`edgecl listen` in a process of its own, fed by hand; killed at the end if it is still there."""
    pipe = subprocess.PIPE
    command = command_line("listen", kitchen, "--json", *options)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, **more) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.native("waits for a process in real time")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_its_summary(kitchen: Path, number: int) -> None:
    with listening(kitchen) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pcm(said("yes")))
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["label"] == "yes"
        child.send_signal(number)
        _, err = child.communicate(timeout=20)
        assert child.returncode == 0
    assert "1 event" in err.decode()


@pytest.mark.native("waits for a process in real time")
def test_a_reader_who_leaves_ends_it_cleanly(kitchen: Path) -> None:
    with listening(kitchen) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdin.write(pcm(said("yes")))
        child.stdin.flush()
        child.stdout.readline()
        child.stdout.close()
        with suppress(BrokenPipeError):
            child.stdin.write(pcm(said("stop", "left")))
            child.stdin.close()
        err = child.stderr.read().decode()
        assert child.wait(timeout=20) == 0
    assert "Traceback" not in err
    assert "heard" in err


@pytest.mark.native("waits for a process in real time")
def test_what_another_process_teaches_is_heard_without_a_restart_and_without_losing_a_hop(
    kitchen: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    lesson = write_clips(tmp_path / "lesson", clips("new", ["coffee"]))
    mine = clips("new-test", ["coffee"])[0].signal[:, 0]
    sound = np.concatenate([said("yes"), mine, said("stop")])
    control = tmp_path / "control"
    with listening(store, "--threshold", 0.3, "--control", control) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pcm(sound))
        child.stdin.flush()
        before = [json.loads(child.stdout.readline())["label"]]
        assert control.is_socket()
        assert process("learn", store, lesson).code == 0
        child.stdin.write(pcm(sound))
        child.stdin.flush()
        out, err = child.communicate(timeout=20)
        assert child.returncode == 0
    heard = before + [json.loads(line)["label"] for line in out.decode().splitlines()]
    assert "coffee" not in heard[: heard.index("stop")]
    assert heard[heard.index("stop") :][:4] == ["stop", "yes", "coffee", "stop"]
    assert f"heard {2 * len(sound) / RATE:.1f} s" in err.decode()
    assert "revision 2, 3" in err.decode()


@pytest.mark.native("waits for a process in real time")
def test_systemd_is_told_that_it_is_ready_alive_and_stopping(kitchen: Path, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        piped(kitchen, pcm(said("yes")), env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"})
        told = [manager.recv(64).decode() for _ in range(2)]
        while told[-1] != "STOPPING=1":
            told.append(manager.recv(64).decode())
    assert told[0] == "READY=1"
    assert set(told[1:-1]) == {"WATCHDOG=1"}


def test_a_damaged_revision_does_not_end_the_listening(
    kitchen: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    live = LiveScorer(OpenStore.open(store))
    assert live.refresh()
    assert not live.refresh()
    scorer, revision = live.scorer, live.revision
    edgecl("rollback", store)
    for path in (store / "revisions").iterdir():
        path.write_bytes(b"")
    assert not live.refresh()
    assert (live.scorer, live.revision) == (scorer, revision)
    assert f"revision {revision} is listened with" in caplog.text


def test_a_store_that_is_damaged_to_begin_with_is_refused(kitchen: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(kitchen, tmp_path / "kitchen"))
    sound = write_wav(tmp_path / "heard.wav", said("yes"))
    for path in (store / "objects").iterdir():
        path.write_bytes(b"")
    assert "revision 1" in edgecl("listen", store, sound).err  # which knew nothing, and is sound
    for path in (store / "revisions").iterdir():
        path.write_bytes(b"")
    assert edgecl("listen", store, sound).code == 5


def test_what_was_lost_breaks_the_stream_and_times_go_on_from_there(kitchen: Path) -> None:
    sound = said("yes")[:, None]
    summary = Summary()
    events = list(listen(OpenStore.open(kitchen), [Piece(sound, 0.0), Piece(sound, 60.0)], summary=summary))
    assert [one.label for one in events] == ["yes", "yes"]
    assert events[1].time - events[0].time == pytest.approx(60)
    assert (summary.breaks, summary.events) == (1, 2)
    assert summary.seconds == pytest.approx(2 * len(sound) / RATE)


@pytest.mark.parametrize("length", [100, 1280, 5000])
def test_events_do_not_depend_on_how_the_sound_is_cut(kitchen: Path, length: int) -> None:
    device, sound = OpenStore.open(kitchen), said("yes", pause_s=0.5)[:, None]
    whole = list(listen(device, [Piece(sound, 0.0)]))
    buffer = np.empty((length, 1), np.float32)  # used again, as a recorder's is

    def pieces() -> Iterator[Piece]:
        for start in range(0, len(sound), length):
            piece = sound[start : start + length]
            buffer[: len(piece)] = piece
            yield Piece(buffer[: len(piece)], 0.0 if start == 0 else None)

    assert list(listen(device, pieces())) == whole != []


def test_the_latest_samples_are_found_by_their_numbers(rng: np.random.Generator) -> None:
    recent, signal, added = Recent(1000, 2), rng.random((5000, 2)).astype(np.float32), 0
    while added < 5000:
        count = int(rng.integers(1, 400))
        recent.add(signal[added : added + count])
        added = min(added + count, 5000)
        np.testing.assert_array_equal(
            recent.between(added - 900, added - 100), signal[max(added - 900, 0) : max(added - 100, 0)]
        )


# Surprises, and what was wrong


@pytest.fixture(scope="module")
def evening(kitchen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has heard a known word and one that nobody taught, the latter twice, and kept what it should."""
    folder = tmp_path_factory.mktemp("evening")
    store = Path(shutil.copytree(kitchen, folder / "kitchen"))
    coffee = clips("new-test", ["coffee"])[0].signal[:, 0]
    gap = said("yes")
    heard = write_wav(folder / "heard.wav", np.concatenate([gap, coffee, gap, coffee, gap]))
    assert edgecl("listen", store, heard, "--inbox", "--novelty", 0.3, "--threshold", 0.6).code == 0
    return store


@pytest.fixture
def noticed(evening: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(evening, tmp_path / "kitchen"))


def test_a_surprise_is_kept_once_and_named_through_the_gate(noticed: Path, tmp_path: Path) -> None:
    kept = edgecl("inbox", noticed, "--json").value["items"]
    (surprise,) = [one for one in kept if one["kind"] == "surprise"]
    assert surprise["count"] == 2
    assert edgecl("inbox", noticed, "export", surprise["id"], "-o", tmp_path / "out.wav").code == 0
    assert (tmp_path / "out.wav").read_bytes() == (noticed / "inbox" / surprise["file"]).read_bytes()
    assert edgecl("inbox", noticed, "label", surprise["id"], "coffee", "--json").value["new_classes"] == ["coffee"]
    assert surprise["id"] not in {one["id"] for one in edgecl("inbox", noticed, "--json").value["items"]}
    assert process("predict", noticed, surprise_clip(tmp_path), "--json").lines[0]["label"] == "coffee"


def surprise_clip(folder: Path) -> Path:
    return write_wav(folder / "again.wav", clips("new-test", ["coffee"])[0].signal)


def test_the_inbox_lists_for_people_and_for_programs(noticed: Path, tmp_path: Path) -> None:
    shown = edgecl("inbox", noticed)
    assert shown.code == 0
    assert "surprise" in shown.out
    assert "detection" in shown.out
    refused = edgecl("inbox", noticed, "export", 77, "-o", tmp_path / "x.wav")
    assert refused.code == 2
    assert "there is 0000" in refused.err


def test_a_wrong_detection_becomes_a_sample_of_what_it_was(noticed: Path) -> None:
    before = edgecl("status", noticed, "--json").value["classes"]["stop"]["samples"]
    done = edgecl("wrong", noticed, "--label", "stop", "--force", "--json")
    assert done.code == 0
    assert edgecl("status", noticed, "--json").value["classes"]["stop"]["samples"] == before + 1


def test_a_wrong_detection_without_a_name_becomes_background(noticed: Path) -> None:
    kept = len(edgecl("inbox", noticed, "--json").value["items"])
    assert edgecl("wrong", noticed, "--last", 2, "--force").code == 0
    classes = edgecl("status", noticed, "--json").value["classes"]
    assert classes["_background_noise_"]["samples"] == 10
    assert len(edgecl("inbox", noticed, "--json").value["items"]) == kept - 2


def test_wrong_is_refused_where_nothing_was_kept(kitchen: Path) -> None:
    done = edgecl("wrong", kitchen)
    assert done.code == 2
    assert "--inbox" in done.err


# Movement


def wrist_contract(hop_samples: int = 50) -> Contract:
    channels = ("acc_x", "acc_y")
    return Contract(
        modality="imu",
        sample_rate_hz=50.0,
        channels=channels,
        units=("g", "g"),
        window_samples=100,
        hop_samples=hop_samples,
        pool_frames=1,
        dimension=4,
        mean=np.zeros(4, np.float32),
        normalisation="l2",
        shrinkage_floor=0.1,
        source="a test",
        licence="Apache-2.0",
    )


def rows(seconds: float, *, begins_s: float = 100.0, rate_hz: float = 50.0, seed: int = 0) -> list[tuple[float, ...]]:
    """Times that jitter, and two channels that are functions of time."""
    generator = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    times = begins_s + np.arange(count) / rate_hz + generator.normal(0, 0.002, count)
    return [(time, float(np.sin(2 * time)), float(np.cos(3 * time))) for time in times]


def as_csv(table: list[tuple[float, ...]]) -> bytes:
    lines = ["timestamp,acc_x,acc_y", *(",".join(f"{value:.6f}" for value in row) for row in table)]
    return ("\n".join(lines) + "\n").encode()


def as_jsonl(table: list[tuple[float, ...]]) -> bytes:
    names = ("acc_y", "timestamp", "acc_x")
    return b"".join(
        json.dumps(dict(zip(names, (row[2], row[0], row[1]), strict=True))).encode() + b"\n" for row in table
    )


def pieces_of(tmp_path: Path, content: bytes) -> tuple[list[Piece], Arrival]:
    path, arrival = tmp_path / "movement", Arrival()
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return list(movement(descriptor, "movement", wrist_contract(), halt=Halt(), arrival=arrival)), arrival
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("written", [as_csv, as_jsonl])
def test_rows_that_jitter_become_samples_at_the_rate_of_the_contract(
    tmp_path: Path, written: Callable[[list[tuple[float, ...]]], bytes]
) -> None:
    table = rows(20)
    pieces, _ = pieces_of(tmp_path, written(table))
    assert [piece.begins_s is not None for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    signal = np.concatenate([piece.signal for piece in pieces])
    times = table[0][0] + np.arange(len(signal)) / 50
    assert len(signal) == pytest.approx(1000, abs=2)
    np.testing.assert_allclose(signal, np.stack([np.sin(2 * times), np.cos(3 * times)], axis=1), atol=2e-3)
    assert max(len(piece.signal) for piece in pieces) <= 60


def test_a_gap_begins_the_stream_anew_at_its_own_time(tmp_path: Path) -> None:
    pieces, _ = pieces_of(tmp_path, as_csv(rows(5) + rows(5, begins_s=130.0)))
    assert [round(piece.begins_s) for piece in pieces if piece.begins_s is not None] == [100, 130]


def test_rows_that_cannot_be_used_are_counted_and_bridged(tmp_path: Path) -> None:
    table = rows(10)
    lines = as_csv(table).splitlines(keepends=True)
    lines[100] = b"102.0,nonsense,1\n"
    lines[200] = b"1,2\n"
    pieces, arrival = pieces_of(tmp_path, b"".join(lines) + b"109.99,1.0,0.")
    assert dict(arrival.rows.counts) == {"not a number": 1, "ragged row": 1}
    assert arrival.torn_bytes == len(b"109.99,1.0,0.")
    assert sum(len(piece.signal) for piece in pieces) == pytest.approx(500, abs=2)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "no column timestamp"),
        (as_csv(rows(20, rate_hz=10)), "wrong rate"),
        (b"RIFF\x00\x00\n", "neither CSV nor JSON Lines"),
    ],
)
def test_rows_that_make_no_recording_are_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        pieces_of(tmp_path, content)


def test_exercises_are_one_event_each_with_their_span(tmp_path: Path) -> None:
    wrist, bouts = tmp_path / "wrist", (("biceps curl", 20), ("lateral raise", 15), ("biceps curl", 10))
    try:
        extractor = builtin_extractor("imu")
    except ContractError as error:
        pytest.skip(str(error))
    assert edgecl("init", wrist, "--extractor", extractor).code == 0
    assert edgecl("learn", wrist, taught_exercises(tmp_path / "lesson.npz"), "--force").code == 0
    stream = tmp_path / "stream.csv"
    stream.write_text(bouts_as_csv(bouts))
    done = edgecl("listen", wrist, stream, "--json")
    assert done.code == 0
    assert [one["label"] for one in done.lines] == [label for label, _ in bouts]
    begins_s = 0.0
    for one, (_, seconds) in zip(done.lines, bouts, strict=True):
        assert one["span"] == [pytest.approx(begins_s, abs=2.1), pytest.approx(begins_s + seconds, abs=2.1)]
        assert begins_s < one["time"] < begins_s + 6
        begins_s += seconds
    assert edgecl("listen", wrist, stream, "--inbox", "--novelty", 0, "--threshold", 2).code == 0
    assert edgecl("inbox", wrist, "--json").value["items"][0]["file"].endswith(".npz")


def taught_exercises(lesson: Path) -> Path:
    """Windows of two simulated exercises by eight people."""
    taught = windows(("biceps curl", "lateral raise"), TEACHING_SUBJECTS[:8], seconds=20)
    np.savez(lesson, X=np.stack([one.signal for one in taught]), y=[str(one.label) for one in taught], rate_hz=RATE_HZ)
    return lesson


def bouts_as_csv(bouts: tuple[tuple[str, int], ...]) -> str:
    """One bout after another by somebody else, without a pause."""
    signal = np.concatenate([recording(label, TESTING_SUBJECTS[0], seconds=seconds) for label, seconds in bouts])
    lines = [",".join(("timestamp", *CHANNELS))]
    lines += [f"{index / RATE_HZ:.4f}," + ",".join(f"{one:.5f}" for one in row) for index, row in enumerate(signal)]
    return "\n".join(lines) + "\n"
