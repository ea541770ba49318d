"""Weigh a protobuf file before it is parsed: what it would unfold to, and whether it reaches for other files.

Parsing turns two bytes into an object of a hundred, and one byte of a packed number into eight. So the wire
format is walked first, along the schema that the `onnx` package carries, and nothing is built meanwhile.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nasviz.errors import OnnxError

__all__ = ["Limits", "Weight", "weigh"]

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_MESSAGE, _STRING = 11, 9
"""Types of fields, as descriptors number them."""
_PACKED_TWO_FOLD, _PACKED_EIGHT_FOLD = (1, 2), (3, 4, 5, 8, 14)
"""Packed numbers of fixed length, and those that take one byte at least and eight when unpacked."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may hold."""

    num_bytes: int = 512 * 2**20
    fields: int = 1_000_000
    """Messages, texts and numbers."""
    unfolded_bytes: int = 1024 * 2**20
    """What its numbers take in memory."""
    depth: int = 40
    """Messages inside messages; a graph inside a graph is three."""


@dataclass(slots=True)
class Weight:
    """What a file holds."""

    fields: int = 0
    unfolded_bytes: int = 0
    depth: int = 0


@dataclass(slots=True)
class _Message:
    """A message that is still to be walked."""

    schema: _Schema
    start: int
    end: int
    depth: int


@dataclass(slots=True)
class _Schema:
    """Fields of a kind of message by number: type, and the kind of message inside."""

    name: str
    types: dict[int, int] = field(default_factory=dict)
    inner: dict[int, _Schema] = field(default_factory=dict)


def weigh(data: bytes, descriptor: Any, limits: Limits | None = None) -> Weight:
    """Walk the wire format of a message once.

    Args:
        data: The file.
        descriptor: Of the outermost message, such as `onnx.ModelProto.DESCRIPTOR`.
        limits: What to refuse.

    Raises:
        OnnxError: It is damaged, holds more than the limits allow, or keeps its weights in another file.
    """
    limits = limits or Limits()
    weight = Weight()
    waiting = [_Message(_schema(descriptor, {}), 0, len(data), 1)]
    while waiting:
        message = waiting.pop()
        weight.depth = max(weight.depth, message.depth)
        if message.depth > limits.depth:
            raise OnnxError(
                f"this file nests graphs more than {limits.depth // 3} deep: it is no network to look at"
            )
        place = message.start
        while place < message.end:
            place = _field(data, place, message, weight, waiting)
            if weight.fields > limits.fields or weight.unfolded_bytes > limits.unfolded_bytes:
                raise OnnxError(
                    f"this file would unfold to more than {limits.unfolded_bytes // 2**20} MiB or"
                    f" {limits.fields:,} fields: it is too large to look at"
                )
    return weight


def _field(data: bytes, place: int, message: _Message, weight: Weight, waiting: list[_Message]) -> int:
    """Count one field; where the next one starts."""
    key, place = _varint(data, place, message.end)
    number, wire = key >> 3, key & 7
    weight.fields += 1
    if wire == _VARINT:
        value, place = _varint(data, place, message.end)
        _refuse_elsewhere(message.schema.name, number, value)
        return place
    if wire in (_EIGHT_BYTES, _FOUR_BYTES):
        length = 8 if wire == _EIGHT_BYTES else 4
    elif wire == _BYTES:
        length, place = _varint(data, place, message.end)
    else:
        raise _damaged(place)
    end = place + length
    if end > message.end:
        raise _damaged(place)
    if wire == _BYTES:
        _content(data, place, end, number, message, weight, waiting)
    return end


def _content(
    data: bytes, start: int, end: int, number: int, message: _Message, weight: Weight, waiting: list[_Message]
) -> None:
    _refuse_elsewhere(message.schema.name, number, 1)
    kind = message.schema.types.get(number)
    if kind == _MESSAGE:
        waiting.append(_Message(message.schema.inner[number], start, end, message.depth + 1))
        return
    fold = 2 if kind in _PACKED_TWO_FOLD else 8 if kind in _PACKED_EIGHT_FOLD else 1
    weight.unfolded_bytes += (end - start) * fold
    if kind == _STRING:
        try:
            data[start:end].decode()
        except UnicodeDecodeError:
            raise OnnxError(f"this file holds a name that is no text, at byte {start}") from None


def _refuse_elsewhere(message: str, number: int, value: int) -> None:
    """Refuse tensors whose numbers lie in another file: fields `external_data` and `data_location`."""
    if message == "TensorProto" and (number == 13 or (number == 14 and value == 1)):
        raise OnnxError(
            "this file keeps its weights in another file (external data), which is not opened; save it again"
            " as a single file: torch.onnx.export(..., external_data=False), or"
            " onnx.save(onnx.load(path), new_path)"
        )


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise _damaged(place)


def _schema(descriptor: Any, known: dict[str, _Schema]) -> _Schema:
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    schema = known[descriptor.full_name] = _Schema(descriptor.name)
    for part in descriptor.fields:
        schema.types[part.number] = part.type
        if part.type == _MESSAGE:
            schema.inner[part.number] = _schema(part.message_type, known)
    return schema


def _damaged(place: int) -> OnnxError:
    return OnnxError(f"this is no ONNX file, or it is damaged at byte {place}")
