"""Pictures: what cameras and phones write, what is damaged, and what would take all the memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError
from edgecl.operations.data import samples_of
from edgecl.sources.pictures import Bursts, as_picture, check_content, decode_picture, picture_of_array
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample, Skip, UnusableError

from ..support.pictures import SIZE, encoded, picture_contract, scene

CONTRACT = picture_contract()


@pytest.fixture
def pillow():
    return pytest.importorskip("PIL.Image", reason="picture files need the extra [image]")


def upright() -> np.ndarray:
    return decode_picture(encoded(scene()), SIZE)


def near(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found.astype(float) - wanted).mean())


@pytest.mark.parametrize(
    ("kind", "more"), [("PNG", {}), ("BMP", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})]
)
def test_every_kind_of_file_gives_the_same_square(pillow, kind: str, more: dict) -> None:
    found = decode_picture(encoded(scene(), kind, **more), SIZE)
    assert (found.shape, found.dtype) == ((SIZE, SIZE, 3), np.uint8)
    assert near(found, upright()) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(pillow, orientation: int) -> None:
    image = pillow.fromarray(scene())
    # what undoes each orientation: the transpositions by which a camera's picture becomes upright are inverted
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    if orientation > 1:
        image = image.transpose(getattr(pillow.Transpose, undo[orientation]))
    exif = pillow.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=exif)
    assert near(decode_picture(stream.getvalue(), SIZE), upright()) < 1


def test_exif_that_is_damaged_does_not_lose_the_picture(pillow) -> None:
    stream = io.BytesIO()
    pillow.fromarray(scene()).save(stream, "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert near(decode_picture(stream.getvalue(), SIZE), upright()) < 4


def test_cmyk_palette_and_grey_become_rgb(pillow) -> None:
    assert near(decode_picture(encoded(scene(), "JPEG", mode="CMYK", quality=95), SIZE), upright()) < 6
    assert near(decode_picture(encoded(scene(), "PNG", mode="P"), SIZE), upright()) < 25
    grey = decode_picture(encoded(scene(), "PNG", mode="L"), SIZE)
    assert np.array_equal(grey[..., 0], grey[..., 2])


def test_sixteen_bits_become_eight(pillow) -> None:
    grey = scene()[..., 1]
    deep = decode_picture(encoded(grey.astype(np.uint16) * 257), SIZE)
    assert near(deep, decode_picture(encoded(grey), SIZE)) < 1


def test_what_is_transparent_becomes_white(pillow) -> None:
    rgba = np.dstack([scene(), np.full(scene().shape[:2], 255, np.uint8)])
    rgba[20:, :, 3] = 0
    found = decode_picture(encoded(rgba), SIZE)
    assert found[-8:].min() == 255
    assert near(found[:12], upright()[:12]) < 1


def test_animated_files_are_refused_by_name(pillow) -> None:
    frames = [pillow.fromarray(scene(seed)) for seed in range(3)]
    for kind in ("PNG", "WEBP"):
        stream = io.BytesIO()
        frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
        with pytest.raises(UnusableError, match="animated: it has 3 frames"):
            decode_picture(stream.getvalue(), SIZE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_any_cut_is_a_reason_and_never_half_a_picture(pillow, kind: str) -> None:
    whole = encoded(scene(), kind)
    for share in (0.0, 0.02, 0.3, 0.7, 0.9):
        with pytest.raises(UnusableError, match=r"truncated|damaged|not a picture"):
            decode_picture(whole[: int(share * len(whole))], SIZE)


def test_flipped_bytes_are_a_reason_or_a_picture(pillow) -> None:
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP", "BMP"):
        whole = encoded(scene(), kind)
        for _ in range(40):
            content = bytearray(whole)
            for at in rng.integers(0, len(whole), 4):
                content[at] = rng.integers(256)
            try:
                assert decode_picture(bytes(content), SIZE).shape == (SIZE, SIZE, 3)
            except UnusableError:
                continue


def huge_png(width: int, height: int) -> bytes:
    """Return a PNG that states a size, and has next to nothing in it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(4096))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [7_000, 9_600, 60_000])
def test_huge_pictures_are_refused_before_they_are_decoded(pillow, side: int) -> None:
    content = huge_png(side, side)
    tracemalloc.start()
    try:
        with pytest.raises(UnusableError, match=r"too large: .* million are read: scale it down"):
            decode_picture(content, SIZE)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_large_plain_jpeg_is_decoded_at_a_fraction_of_its_size(pillow) -> None:
    image = pillow.fromarray(scene()).resize((6400, 5400))
    stream = io.BytesIO()
    image.save(stream, "JPEG")
    assert near(decode_picture(stream.getvalue(), SIZE), upright()) < 8


def test_black_and_constant_pictures_are_refused_and_a_dark_street_is_not() -> None:
    with pytest.raises(UnusableError, match="black"):
        check_content(np.random.default_rng(0).integers(0, 8, (SIZE, SIZE, 3)).astype(np.uint8))
    with pytest.raises(UnusableError, match="constant"):
        check_content(np.full((SIZE, SIZE, 3), (90, 30, 30), np.uint8))
    check_content((scene() * 0.15).astype(np.uint8))


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_a_flat_folder_of_pictures_of_a_phone_names_the_line_that_converts_them(pillow, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"convert them: ffmpeg -i FILE FILE\.png"):
        list(read_samples(folder_of(tmp_path, {"IMG_0001.HEIC": b"ftypheic"}), CONTRACT, label="cat"))


def test_one_bad_picture_is_named_and_the_others_are_read(pillow, tmp_path: Path) -> None:
    files = {f"cat/IMG_{seed}.png": encoded(scene(seed)) for seed in range(3)}
    files |= {
        "cat/cut.jpg": encoded(scene(7), "JPEG")[:400],
        "cat/again.png": files["cat/IMG_1.png"],
        "cat/black.bmp": encoded(np.zeros((40, 40, 3), np.uint8), "BMP"),
        "cat/phone.heic": b"ftypheic",
        "cat/renamed.jpg": b"\0\0\0\x18ftypheic" + bytes(90),
        "cat/note.txt": b"hello",
        "cat/pointer.jpg": b"version https://git-lfs.github.com/spec/v1\n",
        "cat/saved_by_a_browser.jfif": encoded(scene(9), "JPEG"),
    }
    items = list(read_samples(folder_of(tmp_path, files), CONTRACT))
    reasons = {Path(one.source).name: one.reason for one in items if isinstance(one, Skip)}
    assert reasons["cut.jpg"].startswith("truncated")
    assert reasons["again.png"].startswith("duplicate")
    assert reasons["black.bmp"].startswith("black")
    assert "convert it" in reasons["phone.heic"]
    assert reasons["renamed.jpg"].startswith("not a picture: HEIC or AVIF, whatever its name says: convert it: ffmpeg")
    assert "note.txt" in reasons
    assert reasons["pointer.jpg"].startswith("not a picture: a pointer of Git LFS")
    assert [one.label for one in items if isinstance(one, Sample)] == ["cat"] * 4


def test_a_black_picture_is_predicted_with_a_warning(pillow, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder_of(tmp_path, {"black.png": encoded(np.zeros((40, 40, 3), np.uint8))}) / "black.png"
    [one] = read_samples(path, CONTRACT, labelled=False)
    assert isinstance(one, Sample)
    assert "black" in caplog.text


def test_numbered_names_are_no_group_but_the_frames_of_a_burst_are_one(pillow, tmp_path: Path) -> None:
    burst = [np.clip(scene(5).astype(int) + step, 0, 255).astype(np.uint8) for step in (0, 2, 4)]
    files = {f"cat/IMG_{number}.png": encoded(picture) for number, picture in enumerate([scene(1), scene(2), *burst])}
    files["cat/garden/a.png"] = encoded(scene(9))
    groups = [one.group for one in read_samples(folder_of(tmp_path, files), CONTRACT) if isinstance(one, Sample)]
    assert groups[2] == groups[3] == groups[4]
    assert len(set(groups)) == 4
    assert "garden" in groups


def test_other_scenes_are_other_bursts() -> None:
    bursts = Bursts()
    names = [bursts.group(scene(seed), str(seed)) for seed in range(30)]
    assert len(set(names)) == 30


def test_arrays_are_pictures_of_uint8_or_signals() -> None:
    picture = scene(width=SIZE + 4, height=SIZE + 3)[:SIZE, :SIZE]
    padded = np.zeros((SIZE, SIZE, 3), np.uint8)
    padded[: picture.shape[0], : picture.shape[1]] = picture
    signal = picture_of_array(padded, CONTRACT)
    assert np.array_equal(as_picture(signal, CONTRACT), padded)
    assert np.array_equal(picture_of_array(signal, CONTRACT), signal)
    with pytest.raises(UnusableError, match="uint8"):
        picture_of_array(padded / 255, CONTRACT)
    with pytest.raises(UnusableError, match="out of range"):
        picture_of_array(signal - 128, CONTRACT)
    with pytest.raises(UnusableError, match="too small"):
        picture_of_array(padded[:4], CONTRACT)


def test_arrays_of_another_size_are_cut_and_scaled_as_files_are(pillow) -> None:
    assert near(as_picture(picture_of_array(scene(), CONTRACT), CONTRACT), upright()) < 1


def test_windows_of_pictures_in_an_archive(tmp_path: Path) -> None:
    pictures = np.stack([scene(seed, width=36, height=35)[:SIZE, :SIZE] for seed in range(4)])
    np.savez(tmp_path / "p.npz", X=pictures, y=np.array(["a", "b", "a", "b"]))
    items = list(read_samples(tmp_path / "p.npz", CONTRACT))
    assert [one.label for one in items] == ["a", "b", "a", "b"]
    assert np.array_equal(as_picture(items[3].signal, CONTRACT), pictures[3])


def test_black_pictures_and_masks_of_an_archive_or_array_are_no_lesson(tmp_path: Path) -> None:
    pictures = np.stack([scene(0)[:SIZE, :SIZE], np.zeros((SIZE, SIZE, 3), np.uint8), (scene(1) > 99)[:SIZE, :SIZE]])
    np.savez(tmp_path / "p.npz", X=pictures, y=np.array(["a", "b", "a"]))
    for items in (
        list(read_samples(tmp_path / "p.npz", CONTRACT)),
        list(samples_of({"a": list(pictures)}, contract=CONTRACT)),
    ):
        assert [isinstance(one, Sample) for one in items] == [True, False, False]
        assert {one.reason.partition(":")[0] for one in items if isinstance(one, Skip)} == {"black"}
    assert all(isinstance(one, Sample) for one in samples_of(list(pictures), contract=CONTRACT))  # as for `predict`
    assert all(isinstance(one, Sample) for one in read_samples(tmp_path / "p.npz", CONTRACT, checked=False))


def test_a_file_of_another_kind_is_refused_by_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("timestamp,x\n0,1\n")
    with pytest.raises(DataError, match="the extractor takes pictures"):
        list(read_samples(tmp_path / "a.csv", CONTRACT, label="a"))
