"""What each parser promises for any bytes: a value, or an error of its own. The suite replays device_tests/corpus;
tools/fuzz looks for more."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np

from edgecl.errors import ContractError, EdgeclError, ModelError, StoreDamagedError
from edgecl.extractors.contract import Contract
from edgecl.extractors.onnx import graph_digest
from edgecl.extractors.tflite import parts
from edgecl.model.share import Share
from edgecl.model.statistics import ClassStatistics
from edgecl.operations.inbox import Item, listed
from edgecl.sharing import share_file
from edgecl.sharing.checks import require_fits
from edgecl.sources.reading import count_samples, read_samples
from edgecl.sources.samples import Sample, UnusableError
from edgecl.sources.sound import decode
from edgecl.store import journal as journal_file
from edgecl.store import records
from edgecl.store.arrays import pack, unpack
from edgecl.store.records import DIGEST, sha256
from edgecl.store.store import Store

from .stores import TIME, make_store, teach, without_waiting

NAME = "0123456789abcdef"
SOUND = (".wav", ".flac")


@cache
def folder() -> Path:
    """Where files are written, in memory where the machine allows it; removed at the end of the process."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    kept = tempfile.TemporaryDirectory(dir=memory, prefix="edgecl-fuzz-")
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def contract(**other: object) -> Contract:
    """Of an extractor of two channels and windows of four samples."""
    given = {
        "modality": "imu",
        "sample_rate_hz": 50.0,
        "channels": ("x", "y"),
        "units": ("g", "g"),
        "window_samples": 4,
        "hop_samples": 2,
        "pool_frames": 1,
        "dimension": 2,
        "mean": np.zeros(2, np.float32),
        "normalisation": "l2",
        "shrinkage_floor": 0.1,
        "source": "",
        "licence": "",
    }
    return Contract(**{**given, **other})  # type: ignore[arg-type]


def npz(data: bytes) -> None:
    """An object of a store: what is accepted has one form only."""
    try:
        arrays = unpack(bytearray(data))
    except ValueError:
        return
    assert b"".join(pack(arrays)) == data


def revision(data: bytes) -> None:
    """store.json and a revision whose seal is right, whatever they say."""
    sealed = data + f',"sha256":"{sha256(data)}"}}\n'.encode()
    with suppress(ValueError):
        records.decode_revision(sealed, number=3, store_digest="0" * 64)
    with suppress(ValueError, ModelError):
        records.decode_header(bytearray(sealed))
    with suppress(ValueError):
        DIGEST.open(data)
    records.decode_pointer(data)


def journal(data: bytes) -> None:
    """What is left of any journal can be read, and after the next writer no damage is left in its end."""
    path = folder() / "journal.jsonl"
    path.write_bytes(data)
    with without_waiting(), mock.patch.object(journal_file, "_RETRIES_S", ()):
        journal_file.read_journal(path, name=NAME)
        written = journal_file.Journal(path, name=NAME, longest=1 << 14)
        written.recover([])
        written.append({"kind": "rejected"})
        assert journal_file.read_journal(path, name=NAME)[0][-1]["kind"] == "rejected"
        written.drop_damaged()
        assert journal_file.read_journal(path, name=NAME)[1] == []


@cache
def _small_store() -> tuple[Store, list[Path], list[bytes]]:
    with without_waiting():
        store = make_store(folder() / "kitchen")
        teach(store, {"head": 1, "statistics/yes": 5})
        teach(store, {"head": 2})
    paths = sorted(path for path in store.path.rglob("*") if path.is_file())
    return store, paths, [path.read_bytes() for path in paths]


def store(data: bytes) -> None:
    """Any content of any one file of a store: the first byte chooses which."""
    if not data:
        return
    kitchen, paths, contents = _small_store()
    which = data[0] % len(paths)
    paths[which].write_bytes(data[1:])
    with mock.patch.object(journal_file, "_RETRIES_S", ()), suppress(EdgeclError):
        opened = Store.open(kitchen.path)
        for number in opened.revisions():
            with suppress(StoreDamagedError):
                opened.load(*opened.revision(number).objects)
        opened.check()
    paths[which].write_bytes(contents[which])


def samples(data: bytes, suffix: str) -> None:
    """A file of recordings or windows: usable ones are what the contract says."""
    path = folder() / f"data{suffix}"
    path.write_bytes(data)
    wanted = contract()
    with suppress(EdgeclError):
        assert count_samples(path, wanted) >= 0
    try:
        for item in _first(read_samples(path, wanted, labelled=False)):
            if isinstance(item, Sample):
                assert item.signal.dtype == np.float32
                assert item.signal.shape[1] == 2
                assert np.isfinite(item.signal).all()
    except EdgeclError:
        pass


def _first(items: Iterator[object]) -> Iterator[object]:
    """The first few hundred: a long recording is no slower to cut than a short one."""
    for _, item in zip(range(300), items, strict=False):
        yield item


def windows(data: bytes) -> None:
    samples(data, ".npz")


def csv(data: bytes) -> None:
    samples(data, ".csv")


def jsonl(data: bytes) -> None:
    samples(data, ".jsonl")


def sound(data: bytes) -> None:
    """A WAV or FLAC file."""
    with suppress(UnusableError):
        found = decode(data)
        assert found.samples.ndim == 2
        assert found.rate_hz > 0


def extractor(data: bytes) -> None:
    """The contract of an extractor: as texts, in a zip behind a model, and the digest of an ONNX graph."""
    keys = list(contract().metadata())
    texts = dict(zip(keys, data.decode("utf-8", "replace").split("\n"), strict=False))
    for given in (texts, {**contract().metadata(), **{key: text for key, text in texts.items() if text}}):
        with suppress(ContractError):
            Contract.from_metadata(given, file="fuzzed")
    end, metadata = parts(data)
    assert 0 <= end <= len(data)
    with suppress(ContractError):
        Contract.from_metadata(metadata, file="fuzzed")
    with suppress(ContractError, ValueError):
        graph_digest(data)


def share(data: bytes) -> None:
    """A share or a plan of another device, as it is and with seals that are right: what is taken can be summed."""
    line, _, arrays = data.partition(b"\n")
    shape = share_file.Shape("0" * 64, dimension=2, latent_dimension=2, projection=0, lift_width=0, seed=0)
    for sealed in (data, _sealed(line, arrays)):
        path = folder() / "fuzzed.share"
        path.write_bytes(sealed)
        with suppress(EdgeclError):
            share_file.read_plan(path)
        with suppress(EdgeclError):
            incoming = share_file.read(path)
            require_fits(incoming, shape, own="self", is_unit=False)
            assert all(np.isfinite(one.mean).all() and one.count > 0 for one in incoming.share.statistics.values())


def _sealed(line: bytes, arrays: bytes) -> bytes:
    """The same with the digests that belong to it, where the line can have any."""
    try:
        stated = json.loads(line)
        stated = {name: value for name, value in stated.items() if name != "sha256"}
        stated |= {"npz": {"bytes": len(arrays), "sha256": sha256(arrays)}} if arrays else {}
        return DIGEST.close(stated) + arrays
    except (ValueError, AttributeError, RecursionError):
        return line


def inbox(data: bytes) -> None:
    """What an item of an inbox says: one that is listed can be shown and ordered."""
    kept = folder() / "inbox"
    kept.mkdir(exist_ok=True)
    (kept / "000001.json").write_bytes(data)
    for one in listed(kept):
        assert one.latest + one.count < 1 << 60
        assert f"{one.confidence:.0%} {one.novelty:.2f} {one.seconds:.1f}"
        assert one.label + one.called + one.source + one.kept.replace("T", " ")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "csv": csv,
    "extractor": extractor,
    "inbox": inbox,
    "journal": journal,
    "jsonl": jsonl,
    "npz": npz,
    "revision": revision,
    "share": share,
    "sound": sound,
    "store": store,
    "windows": windows,
}


def seeds(target: str) -> list[bytes]:
    """Sound inputs, from which a fuzzer starts."""
    rows = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    match target:
        case "npz":
            return [b"".join(pack({"rows": np.ones((2, 3), np.int8), "scales": np.ones(2, np.float32)}))]
        case "windows":
            path = folder() / "seed.npz"
            plain = {"X": rows, "y": np.array([0, 1, 0]), "label_names": np.array(["a", "b"]), "rate_hz": 50.0}
            made = []
            for save in (np.savez, np.savez_compressed):
                save(path, **plain)  # type: ignore[operator]
                made.append(path.read_bytes())
            return made
        case "csv":
            lines = ["timestamp,x,y,label,subject", *(f"{at / 50:.2f},{at},1,walk,s1" for at in range(12))]
            return ["\n".join(lines).encode(), b"timestamp;x;y\n2026-01-01T00:00:00Z;1,5;2\n"]
        case "jsonl":
            return [b'{"signal": [[0,1],[1,2],[2,3],[3,5]], "label": "walk", "subject": "s", "rate_hz": 50}\n']
        case "sound":
            layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
            body = b"WAVE" + layout + struct.pack("<4sI", b"data", 8) + bytes(range(8))
            return [b"RIFF" + struct.pack("<I", len(body)) + body]
        case "journal":
            with without_waiting():
                path = folder() / "seed.jsonl"
                path.unlink(missing_ok=True)
                written = journal_file.Journal(path, name=NAME, longest=1 << 14)
                written.recover([])
                written.append({"kind": "rejected"}, {"kind": "lesson", "revision": 2, "sha256": "0" * 64})
            return [path.read_bytes()]
        case "revision":
            told = records.Revision(3, 2, "lesson", TIME, {"head": "0" * 64}, {"classes": {"a": 1}})
            text = records.encode_revision(told, store_digest="0" * 64)
            header = records.Header(NAME, "extractor.onnx", "0" * 64, 7, {"disk_bytes": 5})
            return [one.rpartition(b',"sha256":"')[0] for one in (text, records.encode_header(header))]
        case "store":
            return [bytes([which]) + content for which, content in enumerate(_small_store()[2])]
        case "share":
            known = ClassStatistics(5, np.array([0.5, 1.0]), np.array([2.0, 0.5, 1.0], np.float32))
            shape = share_file.Shape("0" * 64, dimension=2, latent_dimension=2, projection=0, lift_width=0, seed=0)
            one = Share("d" * 16, "hall", 3, "0" * 64, {"no": known, "yes": known})
            return [share_file.encode(one, shape), share_file.encode(one, shape, half=True, compact=True)]
        case "inbox":
            item = Item("000001", "surprise", TIME, 1.5, "yes", 0.75, 0.6, 1.0, 1, "000001.wav", "0" * 64)
            return [json.dumps(asdict(item)).encode()]
        case "extractor":
            return ["\n".join(contract().metadata().values()).encode()]
    raise ValueError(target)
