"""Pictures: files by Pillow (extra [image]), arrays without it; cut to the square that an extractor takes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecl.errors import DataError
from edgecl.hashes import sha256
from edgecl.notes import Logger
from edgecl.sources.folders import CONVERT_PICTURE, Found, disguise
from edgecl.sources.samples import Sample, Skip, UnusableError

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgecl.extractors.contract import Contract

logger = Logger(__name__)
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
LARGEST_FILE = 64 << 20
LARGEST_PIXELS = 32 << 20  # that are decoded: 96 MiB of RGB; a plain JPEG is decoded at an eighth of its size
LARGEST_JPEG = 80_000_000  # pixels; below where Pillow warns
SMALLEST_SIDE = 8  # pixels
BLACK = 10  # of 255: nearly all of a covered lens is below
BRIGHTEST = 99.5  # percent, which leaves out a camera's hot pixels
EVEN = 1.5  # of 255, standard deviation: less is one colour
_ORIENTATION = 0x0112
_OF_PHONES = (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"avif")  # brands of files that begin with a box "ftyp"
# Difference hash: bits of 64 that the frames of one burst differ by at most
HASH_SIDE, SAME_BITS = 8, 6
_BURST = 64  # pictures of a label back that a picture is compared with


def picture_signal(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture (height, width, 3) as a signal (pixels, 3), row after row."""
    return picture.reshape(-1, 3).astype(np.float32)


def as_picture(signal: NDArray[np.float32], contract: Contract) -> NDArray[np.uint8]:
    """Return a signal (pixels, 3) as the picture (height, width, 3) that it is of."""
    size = contract.picture_size
    return signal.reshape(size, size, 3).round().clip(0, 255).astype(np.uint8)


def picture_of_array(raw: NDArray[Any], contract: Contract) -> NDArray[np.float32]:
    """Return the signal (pixels, 3) of an array.

    Parameters
    ----------
    raw
        (height, width, 3) or (height, width) uint8 of any size, or a signal as this function returns it. What has
        another size than the extractor takes is cut and scaled, for which Pillow is needed.

    Raises
    ------
    UnusableError
        Another shape or type.
    DataError
        Pillow is needed and is not installed.
    """
    size = contract.picture_size
    if raw.ndim == 2 and raw.shape == (size * size, 3) and raw.dtype.kind in "fiu":
        signal = raw.astype(np.float32)
        if not np.isfinite(signal).all():
            raise UnusableError("not finite: the pixels contain NaN or infinity")
        if signal.min() < 0 or signal.max() > 255:
            raise UnusableError(f"out of range: {signal.min():g} to {signal.max():g}, pixels are 0 to 255")
        return signal
    if raw.ndim == 2:
        raw = np.repeat(raw[:, :, None], 3, axis=2)
    if raw.ndim != 3 or raw.shape[2] != 3 or raw.dtype != np.uint8:
        raise UnusableError(f"wrong shape: {raw.dtype} {raw.shape}, a picture is uint8 (height, width, 3), 0 to 255")
    if min(raw.shape[:2]) < SMALLEST_SIDE:
        raise UnusableError(f"too small: {raw.shape[1]}x{raw.shape[0]} pixels, wanted {SMALLEST_SIDE} on each side")
    if raw.shape == (size, size, 3):
        return picture_signal(raw)
    return picture_signal(_square(_pillow().fromarray(np.ascontiguousarray(raw)), size))


def read_pictures(files: Iterator[Found | Skip], contract: Contract, *, is_strict: bool) -> Iterator[Sample | Skip]:
    """Yield a sample for each file, or a skip with its reason.

    The group is the folder below the label, or else what nearly the same pictures of a label share: the frames of
    one burst are no independent samples.

    Parameters
    ----------
    is_strict
        Whether pictures without content are skipped; else they are named in a warning.

    Raises
    ------
    DataError
        Pillow is not installed.
    """
    _pillow()
    first_seen: dict[tuple[bytes, str | None], str] = {}
    bursts: dict[str | None, Bursts] = {}
    for file in files:
        if isinstance(file, Skip):
            yield file
            continue
        source = str(file.path)
        try:
            content = _content(file)
            first = first_seen.setdefault((sha256(content).digest(), file.label), source)
            if first != source:
                raise UnusableError(f"duplicate: the same as {first}")
            picture = decode_picture(content, contract.picture_size)
            _check(picture, source, is_strict=is_strict)
        except UnusableError as error:
            yield error.skip(source)
            continue
        group = bursts.setdefault(file.label, Bursts()).group(picture, file.path.stem)
        yield Sample(source, file.label, picture_signal(picture), file.group or group)


def in_bursts(items: Iterator[Sample | Skip], contract: Contract, *, is_strict: bool) -> Iterator[Sample | Skip]:
    """Pass samples of pictures, as `seen`; those without a group get that of the burst that they are of."""
    bursts: dict[str | None, Bursts] = {}
    for item in (seen(item, contract, is_strict=is_strict) for item in items):
        if isinstance(item, Sample) and item.group is None:
            picture = as_picture(item.signal, contract)
            group = bursts.setdefault(item.label, Bursts()).group(picture, item.source)
            item = replace(item, group=group)
        yield item


def seen(item: Sample | Skip, contract: Contract, *, is_strict: bool) -> Sample | Skip:
    """Return a sample of a picture with something in it; another becomes a skip, or a warning."""
    if isinstance(item, Sample):
        try:
            _check(as_picture(item.signal, contract), item.source, is_strict=is_strict)
        except UnusableError as error:
            return error.skip(item.source)
    return item


class Bursts:
    """Groups of nearly the same pictures, by a difference hash of 64 bits."""

    def __init__(self) -> None:
        self._seen: list[tuple[NDArray[np.bool_], str]] = []

    def group(self, picture: NDArray[np.uint8], name: str) -> str:
        """Return the group of a picture: that of the latest one that is nearly the same, or its own name."""
        bits = difference_hash(picture)
        for other, group in reversed(self._seen[-_BURST:]):
            if np.count_nonzero(bits != other) <= SAME_BITS:
                name = group
                break
        self._seen.append((bits, name))
        return name


def difference_hash(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return 64 bits of a picture (height, width, 3): where it gets brighter from left to right."""
    grey = picture.astype(np.float32).mean(axis=2)
    rows = np.array([part.mean(axis=0) for part in np.array_split(grey, HASH_SIDE)])
    cells = np.array([part.mean(axis=1) for part in np.array_split(rows, HASH_SIDE + 1, axis=1)]).T
    return np.asarray(cells[:, 1:] > cells[:, :-1] + 0.5).ravel()


def decode_picture(content: bytes, size: int) -> NDArray[np.uint8]:
    """Return a picture file as (size, size, 3) RGB: turned as its EXIF says, scaled, and cut to its middle.

    Its size is read first: what would take more memory than a picture does is never decoded. Transparency becomes
    white, 16 bits become 8.

    Raises
    ------
    UnusableError
        Truncated, damaged, animated, too large, too small or of another format.
    DataError
        Pillow is not installed.
    """
    pillow = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of EXIF and profiles that are damaged
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            if other := disguise(content[:12]):
                raise UnusableError(f"not a picture: {other}")
            with pillow.open(io.BytesIO(content), formats=_FORMATS) as image:
                _check_size(image, size)
                return _square(_upright(image), size)
    except UnusableError:
        raise
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise UnusableError(
            f"too large: it has more than {pillow.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels, at most "
            f"{LARGEST_PIXELS / 1e6:.0f} million are read: scale it down"
        ) from error
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged files
        raise UnusableError(_damage(content, error)) from error


def check_content(picture: NDArray[np.uint8]) -> None:
    """Refuse a picture (height, width, 3) in which there is nothing to see.

    Raises
    ------
    UnusableError
        It is black, or of one colour.
    """
    bright = float(np.percentile(picture, BRIGHTEST))
    if bright < BLACK:
        raise UnusableError(f"black: nearly all of it is below {BLACK} of 255: is the lens covered?")
    spread = float(picture.reshape(-1, 3).std(axis=0).max())
    if spread < EVEN:
        raise UnusableError("constant: it has one colour and nothing in it: is the camera focused and uncovered?")


def _check(picture: NDArray[np.uint8], source: str, *, is_strict: bool) -> None:
    try:
        check_content(picture)
    except UnusableError as error:
        if is_strict:
            raise
        logger.warning("%s: %s", source, error)


def _content(file: Found) -> bytes:
    try:
        if (length := file.path.stat().st_size) > LARGEST_FILE:
            raise UnusableError(f"too large: {length / 2**20:.0f} MiB, at most {LARGEST_FILE >> 20} MiB are read")
        return file.path.read_bytes()
    except OSError as error:
        raise UnusableError(f"unreadable: {error.strerror}") from error


def _check_size(image: Image, size: int) -> None:
    """Refuse what is not worth decoding, by the header alone; let a JPEG be decoded at a fraction of its size."""
    width, height = image.size
    if min(width, height) < SMALLEST_SIDE:
        raise UnusableError(f"too small: {width}x{height} pixels, wanted {SMALLEST_SIDE} on each side")
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise UnusableError(f"animated: it has {getattr(image, 'n_frames', 0)} frames: give single pictures")
    is_plain = image.format in ("JPEG", "MPO") and not image.info.get("progressive")
    most = LARGEST_JPEG if is_plain else LARGEST_PIXELS
    if width * height > most:
        raise UnusableError(
            f"too large: {width}x{height} pixels would take {width * height * 3 / 2**20:.0f} MiB, at most "
            f"{most / 1e6:.0f} million are read: scale it down"
        )
    if is_plain:
        image.draft(None, (2 * size, 2 * size))


def _upright(image: Image) -> Image:
    """Return the decoded picture in RGB, turned as its EXIF says."""
    from PIL import ImageOps

    image.load()
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # an EXIF block that is damaged is no reason to lose the picture
        orientation = 1
    rgb = _rgb(image)
    if orientation in range(2, 9):
        rgb.getexif()[_ORIENTATION] = orientation
        rgb = ImageOps.exif_transpose(rgb)
    return rgb


def _rgb(image: Image) -> Image:
    """Return a picture of any mode as RGB: 16 bits become 8, what is transparent becomes white."""
    pillow = _pillow()
    if image.mode.startswith("I") or image.mode == "F":
        image = pillow.fromarray(_eight_bits(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = pillow.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = pillow.alpha_composite(white, rgba)
    return image.convert("RGB")


def _eight_bits(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """Return grey levels of more than 8 bits as 8: of 65,535, or of what is the brightest beyond that."""
    values = np.nan_to_num(grey.astype(np.float64)).clip(0)
    return (values * (255 / max(65_535.0, float(values.max())))).round().astype(np.uint8)


def _square(image: Image, size: int) -> NDArray[np.uint8]:
    """Return the middle square of a picture in RGB, scaled to (size, size, 3)."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    scaled = image.resize((size, size), _pillow().Resampling.BILINEAR, box=box, reducing_gap=3.0)
    return np.asarray(scaled, np.uint8).copy()


def _damage(content: bytes, error: Exception) -> str:
    text = " ".join(str(error).split())[:120] or type(error).__name__
    if "truncated" in text.lower() or "unexpected end" in text.lower():
        return f"truncated: {text}: copy the file again"
    if not content:
        return "truncated: the file is empty"
    if content[4:8] == b"ftyp" and content[8:12] in _OF_PHONES:
        return f"not a picture: HEIC or AVIF, whatever its name says: convert it: {CONVERT_PICTURE}"
    if "cannot identify" in text:
        return "not a picture: neither JPEG, PNG, WebP nor BMP, whatever its name says"
    return f"damaged: {text}"


def _pillow() -> Any:
    """Return Pillow's module Image.

    Raises
    ------
    DataError
        It is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("pictures need the package Pillow: pip install edgecl[image]") from error
    return Image
