"""The digest of an ONNX graph, read from the file without ONNX Runtime."""

from __future__ import annotations

import hashlib

_METADATA_PROPS = 14  # the field of ModelProto in onnx.proto


def graph_digest(model: bytes) -> str:
    """sha256 of a serialised ONNX model without its metadata.

    Read by hand, because a device has no `onnx`: of the top-level fields of ModelProto, in their order, all but
    `metadata_props`.

    Raises
    ------
    ValueError
        It is not a serialised message, or cut short.
    """
    digest, at, whole = hashlib.sha256(), 0, memoryview(model)
    while at < len(model):
        start = at
        tag, at = _varint(model, at)
        match tag & 7:
            case 0:
                _, at = _varint(model, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(model, at)
                at += length
            case 5:
                at += 4
            case kind:
                raise ValueError(f"no field of kind {kind}")
        if at > len(model):
            raise ValueError("cut short")
        if tag >> 3 != _METADATA_PROPS:
            digest.update(whole[start:at])
    return digest.hexdigest()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("cut short")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("no such number")
