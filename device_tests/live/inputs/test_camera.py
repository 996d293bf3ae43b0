"""Frames of a camera: from a pipe, from a folder, torn, damaged and late."""

from __future__ import annotations

import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError, SettingError
from edgecl.live.inputs.camera import frame_size, jpeg_end, mjpeg, raw_rgb, watched_folder
from edgecl.live.inputs.chunks import Arrival, Halt
from edgecl.sources.pictures import as_picture

from ...support.pictures import SIZE, encoded, picture_contract, scene

CONTRACT = picture_contract()


def piped(content: bytes, *, at_once: int = 1 << 20) -> int:
    """Return a descriptor from which `content` can be read, a few bytes at a time."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as out:
            for start in range(0, len(content), at_once):
                out.write(content[start : start + at_once])

    threading.Thread(target=write, daemon=True).start()
    return reading


def frames_of(content: bytes, *, at_once: int = 1 << 20) -> tuple[list[np.ndarray], Arrival]:
    arrival = Arrival()
    descriptor = piped(content, at_once=at_once)
    try:
        pieces = list(mjpeg(descriptor, CONTRACT, halt=Halt(), arrival=arrival))
    finally:
        os.close(descriptor)
    return [as_picture(one.signal, CONTRACT) for one in pieces], arrival


def jpegs(count: int) -> list[bytes]:
    return [encoded(scene(seed), "JPEG", quality=95) for seed in range(count)]


@pytest.mark.parametrize("at_once", [1 << 20, 333])
def test_frames_of_mjpeg_are_found_however_they_arrive(at_once: int) -> None:
    frames, arrival = frames_of(b"\0\0".join(jpegs(4)) + b"\0\0\0", at_once=at_once)
    assert len(frames) == 4
    assert not arrival.rows.counts
    assert all(np.abs(one.astype(int) - other).max() > 50 for one, other in pairwise(frames))


def test_a_thumbnail_inside_a_frame_does_not_end_it() -> None:
    [whole] = jpegs(1)
    inner = b"Exif\0\0" + encoded(scene(3, width=12, height=10), "JPEG")
    content = whole[:2] + b"\xff\xe1" + (2 + len(inner)).to_bytes(2, "big") + inner + whole[2:]
    assert jpeg_end(content + b"\xff\xd8", 0) == len(content)


def test_a_progressive_frame_has_one_end() -> None:
    content = encoded(scene(), "JPEG", progressive=True)
    assert jpeg_end(content, 0) == len(content)


def test_a_damaged_frame_is_counted_and_the_next_ones_are_read() -> None:
    first, second, third = jpegs(3)
    frames, arrival = frames_of(first + second[:300] + third + first)
    assert len(frames) >= 2
    assert sum(arrival.rows.counts.values()) + len(frames) >= 3


def test_a_frame_that_is_cut_off_at_the_end_is_torn() -> None:
    first, second = jpegs(2)
    frames, arrival = frames_of(first + second[:300])
    assert (len(frames), arrival.torn_bytes) == (1, 300)


@pytest.mark.parametrize(("content", "message"), [(b"", "is empty"), (b"\xff\xd8\xff\xe0\0\x10", "no whole JPEG")])
def test_a_pipe_without_frames_is_an_error(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        frames_of(content)


def test_raw_frames_have_the_size_that_is_given() -> None:
    pictures = [scene(seed, width=SIZE + 4, height=SIZE + 3)[:SIZE, :SIZE] for seed in range(3)]
    whole = [np.ascontiguousarray(np.resize(one, (SIZE, SIZE, 3))) for one in pictures]
    arrival = Arrival()
    descriptor = piped(b"".join(one.tobytes() for one in whole) + b"abc", at_once=700)
    pieces = list(raw_rgb(descriptor, CONTRACT, size=(SIZE, SIZE), halt=Halt(), arrival=arrival))
    os.close(descriptor)
    assert all(np.array_equal(as_picture(one.signal, CONTRACT), two) for one, two in zip(pieces, whole, strict=True))
    assert arrival.torn_bytes == 3


def raw_of(content: bytes, size: tuple[int, int]) -> None:
    pytest.importorskip("PIL.Image", reason="frames of another size than the extractor's need Pillow")
    descriptor = piped(content)
    try:
        list(raw_rgb(descriptor, CONTRACT, size=size, halt=Halt(), arrival=Arrival()))
    finally:
        os.close(descriptor)


def test_raw_frames_of_another_size_or_of_other_pixels_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    picture = scene(2, width=240, height=160)
    for content, size in ((picture, (160, 240)), (np.dstack([picture, picture[..., :1]]), (240, 160))):
        raw_of(content.tobytes() * 3, size)
        assert f"the first frame is no RGB of {size[0]}x{size[1]}" in caplog.text
        assert caplog.text.count("first frame") == 1
        caplog.clear()


@pytest.mark.parametrize("noise", [0, 8])
@pytest.mark.parametrize("size", [(240, 160), (160, 240), (48, 40), (641, 480)])
def test_raw_frames_as_they_are_said_to_be_pass(
    caplog: pytest.LogCaptureFixture, size: tuple[int, int], noise: int
) -> None:
    width, height = size
    coarse = scene(4, width=width // 6 * 6, height=height // 5 * 5)
    picture = np.pad(coarse, [(0, height - coarse.shape[0]), (0, width - coarse.shape[1]), (0, 0)], mode="edge")
    seen = picture + np.random.default_rng(0).normal(scale=noise, size=picture.shape)
    raw_of(seen.clip(0, 255).astype(np.uint8).tobytes(), size)
    raw_of(bytes(width * height * 3), size)  # a covered lens
    assert caplog.text == ""


def test_jpegs_in_place_of_raw_frames_are_refused() -> None:
    with pytest.raises(DataError, match="stdin begins with a JPEG"):
        raw_of(b"".join(jpegs(20)), (16, 16))


@pytest.mark.parametrize("text", ["640", "0x480", "4x480", "99999x99999", "axb"])
def test_sizes_that_no_frame_has_are_refused(text: str) -> None:
    with pytest.raises(SettingError, match="WIDTHxHEIGHT"):
        frame_size(text)


def test_a_folder_gives_what_appears_in_it_whole_and_in_order(tmp_path: Path) -> None:
    first, second, third = jpegs(3)
    (tmp_path / "old.jpg").write_bytes(first)
    halt, arrival = Halt(), Arrival()

    def camera() -> None:
        time.sleep(0.5)
        with (tmp_path / "b.jpg").open("wb") as out:  # in two halves, a poll apart
            out.write(second[:200])
            out.flush()
            time.sleep(0.3)
            out.write(second[200:])
        time.sleep(0.6)
        (tmp_path / "cut.jpg").write_bytes(second[:200])
        (tmp_path / "note.txt").write_text("no picture")
        (tmp_path / "a.jpg").write_bytes(third)
        time.sleep(1.0)
        halt.ask()

    thread = threading.Thread(target=camera)
    thread.start()
    pieces = watched_folder(tmp_path, CONTRACT, halt=halt, arrival=arrival)
    seen = [as_picture(one.signal, CONTRACT) for one in pieces]
    thread.join()
    wanted = [frames_of(one)[0][0] for one in (second, third)]
    assert [any(np.array_equal(one, other) for other in seen) for one in wanted] == [True, True]
    assert len(seen) == 2
    assert any("truncated" in reason for reason in arrival.rows.counts)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give a folder that a camera writes to"):
        next(watched_folder(tmp_path / "none", CONTRACT, halt=Halt(), arrival=Arrival()))
