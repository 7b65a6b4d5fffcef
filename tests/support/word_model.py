"""An ONNX embedding model that looks every word up in a table, built by hand."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

WORDS = ("[PAD]", "[UNK]", "полис", "карта", "погода", "query:")
TABLE = np.array([[9, 9, 9], [0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 4]], dtype=np.float32)
"""Row per word; padding is loud, so that a pooling that forgets the mask is found out."""

_VARINT, _LENGTH = 0, 2
_INT64, _FLOAT = 7, 1


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | _LENGTH) + varint(len(raw)) + raw


def tensor_value(name: str, kind: int, axes: tuple[str, ...]) -> bytes:
    """ValueInfoProto of a tensor with named axes."""
    shape = b"".join(field(1, field(2, axis)) for axis in axes)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def word_model() -> bytes:
    """ModelProto that looks every token up in TABLE: states = Gather(table, input_ids)."""
    dims = b"".join(field(1, size) for size in TABLE.shape)
    table = dims + field(2, _FLOAT) + field(8, "table") + field(9, struct.pack(f"<{TABLE.size}f", *TABLE.flatten()))
    node = field(1, "table") + field(1, "input_ids") + field(2, "states") + field(4, "Gather")
    graph = (
        field(1, node)
        + field(2, "words")
        + field(5, table)
        + field(11, tensor_value("input_ids", _INT64, ("texts", "tokens")))
        + field(12, tensor_value("states", _FLOAT, ("texts", "tokens", "three")))
    )
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def write_word_model(folder: Path) -> Path:
    """The model with its tokenizer in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = {
        "version": "1.0",
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
        "added_tokens": [],
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (folder / "model.onnx").write_bytes(word_model())
    return folder
