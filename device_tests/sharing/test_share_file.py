"""Share files: what is written is read again, and nothing else is."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgecl.errors import DataError, SettingError
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics, packed_length
from edgecl.sharing.checks import MOST_SAMPLES, is_positive, require_disjoint, require_fits
from edgecl.sharing.share_file import LARGEST_FILE, Shape, decode, encode, read
from edgecl.store.records import DIGEST, sha256

D = 24
SHAPE = Shape("a" * 64, D, D, 0, 0, 0)


def statistics_of(rows):
    mean = rows.mean(axis=0, dtype=np.float64)
    scatter = (rows - mean).T @ (rows - mean)
    return ClassStatistics(len(rows), mean, scatter[np.tril_indices(D)].astype(np.float32))


def unit_rows(count, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, D)) + 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def share(**counts):
    held = {label: statistics_of(unit_rows(count, seed)) for seed, (label, count) in enumerate(counts.items())}
    return Share("1234", "bath", 3, "", held)


SHARE = share(yes=40, no=5, go=1)


@pytest.mark.parametrize(("half", "compact", "tolerance"), [(0, 0, 0), (0, 1, 1e-5), (1, 0, 1e-3), (1, 1, 2e-3)])
def test_what_is_written_is_read_again(half, compact, tolerance):
    found = decode(encode(SHARE, SHAPE, half=bool(half), compact=bool(compact)), source="bath")
    assert (found.shape, found.share.name, found.share.revision) == (SHAPE, "bath", 3)
    for label, one in SHARE.statistics.items():
        again = found.share.statistics[label]
        assert again.count == one.count
        assert np.array_equal(again.mean, one.mean)
        np.testing.assert_allclose(again.scatter, one.scatter, atol=tolerance * np.abs(one.scatter).max())
        assert is_positive(again, rounding=4e-3 if half else 1e-4)
    require_fits(found, SHAPE, own="other", is_unit=True)


def test_compact_forms_are_smaller():
    many = share(**{f"word {n}": 3 for n in range(20)})
    plain, compact, both = (
        len(encode(many, SHAPE, half=half, compact=small))
        for half, small in ((False, False), (False, True), (True, True))
    )
    assert compact < 0.5 * plain
    assert both < compact


def test_a_cut_or_changed_file_is_refused():
    data, draw = encode(SHARE, SHAPE), random.Random(0)
    for at in (0, 1, 50, data.index(b"\n"), data.index(b"\n") + 1, len(data) - 1):
        with pytest.raises(DataError, match="bath"):
            decode(data[:at], source="bath")
    for _ in range(300):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        with pytest.raises(DataError):
            decode(bytes(changed), source="bath")


def resealed(data, arrays=None, **members):
    """The file with other members or arrays, under a seal that fits: written by somebody hostile."""
    end = data.index(b"\n") + 1
    npz = data[end:] if arrays is None else arrays
    stated = {**DIGEST.open(data[:end]), "npz": {"bytes": len(npz), "sha256": sha256(bytes(npz))}, **members}
    return DIGEST.close(stated) + npz


@pytest.mark.parametrize(
    "members",
    [
        {"share": 2},
        {"share": "1"},
        {"labels": ["no", "yes"]},
        {"labels": ["yes", "no", "go"]},
        {"labels": [".go", "no", "yes"]},
        {"labels": ["go", "no", "y\u0007s"]},
        {"labels": ["go", "no", "y" * 65]},
        {"labels": {}},
        {"device": ""},
        {"device": "a/b"},
        {"name": "a\nb"},
        {"revision": -1},
        {"revision": 1 << 40},
        {"dimension": 0},
        {"dimension": 1 << 20},
        {"dimension": D + 1},
        {"noise": {"epsilon": "much"}},
        {"npz": {"bytes": 1, "sha256": ""}},
    ],
)
def test_other_members_are_refused(members):
    with pytest.raises(DataError):
        decode(resealed(encode(SHARE, SHAPE), **members), source="bath")


def arrays_of(data):
    return dict(np.load(io.BytesIO(data[data.index(b"\n") + 1 :])))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("counts", lambda one: one * 0),
        ("counts", lambda one: one[:1]),
        ("counts", lambda one: one.astype(np.float64)),
        ("ranks", lambda one: one + D + 2),
        ("ranks", lambda one: one - 5),
        ("values", lambda one: one[:-1]),
        ("values", lambda one: one.astype(np.int8)),
        ("scales", lambda one: -one),
        ("means", lambda one: one[:, 1:]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name, changed):
    from edgecl.store.arrays import pack

    data = encode(SHARE, SHAPE)
    arrays = arrays_of(data)
    npz = b"".join(pack({**arrays, name: np.ascontiguousarray(changed(arrays[name]))}))
    with pytest.raises(DataError):
        decode(resealed(data, npz), source="bath")


def test_not_a_number_a_bomb_and_a_pickle_are_refused():
    data = encode(SHARE, SHAPE)
    arrays = arrays_of(data)
    for hostile in ("nan", "bomb", "pickle"):
        out = io.BytesIO()
        if hostile == "bomb":
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb:
                bomb.writestr("means.npy", bytes(1 << 24))
        else:
            worse = np.array([{}], object) if hostile == "pickle" else np.full_like(arrays["means"], np.nan)
            np.savez(out, **{**arrays, "means": worse})
        with pytest.raises(DataError):
            decode(resealed(data, out.getvalue()), source="bath")


def test_a_file_that_is_too_long_or_no_file_is_refused(tmp_path: Path):
    path = tmp_path / "long.share"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    for wrong in (path, tmp_path, tmp_path / "nothing"):
        with pytest.raises(DataError):
            read(wrong)


def incoming(held, **other):
    return decode(encode(Share("1234", "bath", 3, "", held), Shape(**{**vars(SHAPE), **other})), source="bath")


def test_other_features_and_ones_own_share_are_refused():
    others = ({"extractor": "b" * 64}, {"projection": 12}, {"lift_width": 8}, {"seed": 1}, {"latent_dimension": 48})
    for other in others:
        with pytest.raises(SettingError, match="'bath' has"):
            require_fits(incoming(SHARE.statistics, **other), SHAPE, own="other", is_unit=False)
    with pytest.raises(SettingError, match="own share"):
        require_fits(incoming(SHARE.statistics), SHAPE, own="1234", is_unit=False)


def test_numbers_that_no_samples_have_are_refused():
    one, packed = SHARE.statistics["yes"], packed_length(D)
    indefinite = np.zeros(packed, np.float32)
    indefinite[1] = 1
    wrong = {
        "not positive": ClassStatistics(40, one.mean, indefinite),
        "at most": ClassStatistics(MOST_SAMPLES + 1, one.mean, one.scatter),
        "length 1": ClassStatistics(40, one.mean * 3, one.scatter),
        "mean squared": ClassStatistics(40, one.mean, one.scatter * 9),
    }
    for match, hostile in wrong.items():
        with pytest.raises(DataError, match=match):
            require_fits(incoming({"yes": hostile}), SHAPE, own="other", is_unit=True)


def test_a_device_counts_once():
    held = SHARE.statistics
    alone, total = Share("a", "bath", 1, "", held), Share("sum", "fleet", 1, "", held, members=("a", "b"))
    with pytest.raises(SettingError, match="twice"):
        require_disjoint({"a": alone, "sum": total})
    require_disjoint({"c": Share("c", "attic", 1, "", held), "sum": total})


def test_the_first_line_is_json_for_people():
    line = encode(SHARE, SHAPE).split(b"\n")[0]
    assert json.loads(line)["labels"] == ["go", "no", "yes"]


def test_a_sum_of_more_devices_than_a_file_can_state_says_how_many():
    members = tuple(f"{number:016x}" for number in range(60_000))
    with pytest.raises(SettingError, match="3 labels and 60,000 devices"):
        encode(Share("fleet", "fleet", 1, "", SHARE.statistics, members=members), SHAPE)
