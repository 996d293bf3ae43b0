"""80 ms of sound through the voice extractor, between marks that the plugin counts from (1: an empty stretch)."""

from __future__ import annotations

import ctypes
import sys

import numpy as np

from edgecl.extractors.opening import builtin_extractor, open_extractor

MARK = 9999
HOPS = 3

mark = ctypes.CDLL(None).syscall
extractor = open_extractor(builtin_extractor("voice"))
contract = extractor.contract
sound = np.random.default_rng(0).normal(0, 0.1, (contract.window_samples + 4 * contract.hop_samples, 1))
stream = extractor.stream()
signal = sound.astype(np.float32)
stream.push(signal[: -3 * contract.hop_samples])
mark(MARK, 0)
mark(MARK, 1)
for hop in range(HOPS, 0, -1):
    piece = signal[len(signal) - hop * contract.hop_samples :][: contract.hop_samples]
    mark(MARK, 0)
    frames = stream.push(piece)
    mark(MARK, 2)
    if len(frames) != 1:
        sys.exit(f"{contract.hop_samples} samples gave {len(frames)} frames")
