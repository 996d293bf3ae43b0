"""PNG without a library."""

from __future__ import annotations

import io

import numpy as np
import pytest

from edgecl.sources.png import decode_png, encode_png

from ..support.pictures import scene


def test_what_is_written_is_read_back_and_what_others_read() -> None:
    picture = scene()
    assert np.array_equal(decode_png(encode_png(picture)), picture)
    image = pytest.importorskip("PIL.Image")
    assert np.array_equal(np.asarray(image.open(io.BytesIO(encode_png(picture)))), picture)


def test_other_files_are_refused() -> None:
    whole = encode_png(scene())
    for content in (b"", whole[:30], whole[:60], b"GIF89a" + whole[6:], whole[:24] + b"\x10" + whole[25:]):
        with pytest.raises(ValueError, match=r"not a PNG|cannot reshape"):
            decode_png(content)
