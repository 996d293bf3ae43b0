"""Text extractors (extra `[text]`): a text in, one frame out.

A text is a signal of one channel, the bytes of its UTF-8. The file is ONNX with a second entry next to the contract,
`edgecl.tokenizer`: the JSON of a tokenizer of the package `tokenizers`. Its graph takes the int64 inputs that BERT's
do, and returns an embedding for each token; a frame is their mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgecl.errors import ContractError, DataError
from edgecl.extractors.base import FileExtractor
from edgecl.extractors.contract import PREFIX
from edgecl.extractors.onnx import open_graph

TOKENIZER = PREFIX + "tokenizer"
MOST_TOKENS = 128  # tokens of a text that are read
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Read(NamedTuple):
    """What of a text is read."""

    is_unknown: bool
    """Whether more than half of its tokens are of characters that the tokenizer does not know."""
    is_cut: bool
    """Whether it has more than MOST_TOKENS tokens."""


class TextExtractor(FileExtractor):
    """An extractor of texts, run by ONNX Runtime one text at a time; raises ContractError as `OnnxExtractor` does."""

    _slides = False

    def __init__(self, path: str | Path, content: bytes, digest: str = "") -> None:
        self._session, self.contract, self.digest, metadata = open_graph(path, content, digest)
        self._inputs = [one.name for one in self._session.get_inputs()]
        output = self._session.get_outputs()[0]
        if set(self._inputs) - set(INPUTS) or output.shape[-1] != self.contract.dimension:
            raise ContractError(
                f"{path}: the graph takes {', '.join(self._inputs)} and gives {output.shape}, wanted of "
                f"{', '.join(INPUTS)} and (batch, tokens, {self.contract.dimension})"
            )
        self._tokenizer = open_tokenizer(metadata[TOKENIZER], path)

    def frames(self, signal: ArrayLike) -> NDArray[np.float32]:
        """Return the one frame (1, D) of a text, given as the bytes of its UTF-8 (n, 1); raises DataError."""
        return self._embedded(self.text(signal))

    def text(self, signal: ArrayLike) -> str:
        """Return the text of a signal."""
        return self.checked(signal)[:, 0].clip(0, 255).astype(np.uint8).tobytes().decode("utf-8", "replace")

    def reads(self, signal: ArrayLike) -> Read:
        """Return what of a text, given as for `frames`, becomes tokens."""
        found = self._tokenizer.encode(self.text(signal))
        own = [token for token, added in zip(found.tokens, found.special_tokens_mask, strict=True) if not added]
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        return Read(2 * own.count(unknown) > len(own), bool(found.overflowing))

    def _clip_frames(self, signal: ArrayLike) -> NDArray[np.float32]:
        return self.frames(signal)[None]

    def _embedded(self, text: str) -> NDArray[np.float32]:
        ids = np.array([self._tokenizer.encode(text).ids], np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (tokens,) = self._session.run(None, {name: feeds[name] for name in self._inputs})
        mean = np.asarray(tokens, np.float32).mean(axis=1)
        if not np.isfinite(mean).all():
            raise DataError("the extractor answers NaN or infinity")
        return np.asarray(mean, np.float32)

    def _run(
        self, batch: NDArray[np.float32], state: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        return self.frames(batch[0])[None], None


def open_tokenizer(text: str, path: str | Path) -> Any:
    """Return a tokenizer from its JSON, which cuts texts to MOST_TOKENS; raises ContractError, which names `path`."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ContractError(f"{path} takes text, which needs a tokenizer: pip install edgecl[text]") from error
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # its errors have no other base
        raise ContractError(f"{path}: its tokenizer cannot be read ({error}): export it again") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=MOST_TOKENS)
    return tokenizer
