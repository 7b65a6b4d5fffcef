"""Writes ONNX files: its protobuf messages as far as networks of a few nodes need them (fields: `onnx.proto3`)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_TYPES = {"float32": 1, "int32": 6, "int64": 7, "float16": 10}
_IR_VERSION, _OPSET = 8, 17
_ATTRIBUTE_INT, _ATTRIBUTE_INTS = 2, 7


@dataclass
class Graph:
    """A network under construction."""

    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)

    def takes(self, name: str, kind: str, *shape: int | str) -> str:
        """Declare an input."""
        self.inputs.append(_value(name, kind, shape))
        return name

    def gives(self, name: str, kind: str, *shape: int | str) -> None:
        """Declare an output."""
        self.outputs.append(_value(name, kind, shape))

    def constant(self, value: object, kind: str = "float32") -> str:
        """A tensor of the file."""
        tensor = np.asarray(value, dtype=kind)
        name = f"c{len(self.constants)}"
        dims = b"".join(_number(1, size) for size in tensor.shape)
        self.constants.append(dims + _number(2, _TYPES[kind]) + _text(8, name) + _bytes(9, tensor.tobytes()))
        return name

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: int | Sequence[int]) -> str:
        """An operation; gives the name of its result."""
        name = name or f"n{len(self.nodes)}"
        links = b"".join(_text(1, one) for one in inputs) + _text(2, name)
        settings = b"".join(_bytes(5, _attribute(key, value)) for key, value in attributes.items())
        self.nodes.append(links + _text(4, kind) + settings)
        return name

    def write(self, path: Path) -> None:
        """The file."""
        parts = ((1, self.nodes), (5, self.constants), (11, self.inputs), (12, self.outputs))
        graph = _text(2, "tiny") + b"".join(_bytes(place, one) for place, many in parts for one in many)
        path.write_bytes(_number(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, _OPSET)))


def _value(name: str, kind: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, size) if isinstance(size, int) else _text(2, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, _TYPES[kind]) + _bytes(2, dims)))


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _ATTRIBUTE_INT)
    return _text(1, name) + b"".join(_number(8, one) for one in value) + _number(20, _ATTRIBUTE_INTS)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*digits, value))


def _number(place: int, value: int) -> bytes:
    return _varint(place << 3) + _varint(value)


def _bytes(place: int, value: bytes) -> bytes:
    return _varint(place << 3 | 2) + _varint(len(value)) + value


def _text(place: int, value: str) -> bytes:
    return _bytes(place, value.encode())


def tone(frequency_hz: float, duration_s: float, rate_hz: int) -> bytes:
    """A tone between two silences of 100 ms, as 16-bit samples."""
    time = np.arange(int(duration_s * rate_hz)) / rate_hz
    silence = struct.pack("<h", 0) * (rate_hz // 10)
    sound = (0.3 * 32767 * np.sin(2 * np.pi * frequency_hz * time)).astype("<i2").tobytes()
    return silence + sound + silence
