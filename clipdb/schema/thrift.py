"""Thrift's compact protocol, as much of it as Parquet's headers and footers take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12


class Value(NamedTuple):
    """A value with its type."""

    type: int
    data: bytes


def i32(number: int) -> Value:
    """Write an integer of 32 bits."""
    return Value(_I32, varint(zigzag(number)))


def i64(number: int) -> Value:
    """Write an integer of 64 bits."""
    return Value(_I64, varint(zigzag(number)))


def text(value: str | bytes) -> Value:
    """Write text, or bytes."""
    data = value.encode() if isinstance(value, str) else value
    return Value(_BINARY, varint(len(data)) + data)


def sequence(values: Sequence[Value]) -> Value:
    """Write a list of values of one type; an empty one is of structs."""
    kind = values[0].type if values else _STRUCT
    head = bytes([len(values) << 4 | kind]) if len(values) < 15 else bytes([0xF0 | kind]) + varint(len(values))
    return Value(_LIST, head + b"".join(value.data for value in values))


def struct(fields: dict[int, Value]) -> Value:
    """Write a struct of fields by number, at most 15 apart."""
    data, last = bytearray(), 0
    for number, value in sorted(fields.items()):
        data += bytes([(number - last) << 4 | value.type]) + value.data
        last = number
    return Value(_STRUCT, bytes(data) + b"\0")


def varint(number: int) -> bytes:
    """Write a number from 0, seven bits a byte, the lowest first."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def read_varint(data: memoryview) -> int | None:
    """Read a number of up to 35 bits that `varint` wrote; None where there is none."""
    number = 0
    for place, byte in enumerate(data[:5]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number
    return None


def zigzag(number: int) -> int:
    """Give the number from 0 that stands for an integer: small ones for small integers of either sign."""
    return number << 1 ^ number >> 63
