"""Thrift's compact protocol, as much of it as Parquet's headers and footers take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
Fields = dict[int, tuple[int, Any]]  # by number: type and value


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


def read_varint(data: bytes | memoryview, place: int) -> tuple[int, int]:
    """Read a number that `varint` wrote; give it, and the place after it.

    Raises
    ------
    ValueError
        If none ends there.
    """
    number = 0
    for count, byte in enumerate(data[place : place + 10]):
        number |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return number, place + count + 1
    raise ValueError("no number ends here")


def read_struct(data: bytes, place: int = 0) -> tuple[Fields, int]:
    """Read a struct of what is written above; give it, and the place after it.

    Raises
    ------
    ValueError, IndexError, RecursionError
        If it is of anything else, has a field twice, ends too soon or is nested too deeply.
    """
    fields: Fields = {}
    number = 0
    while head := data[place]:
        number += head >> 4
        if head < 16 or number in fields:
            raise ValueError("a field that is not written so")
        value, place = _read(data, place + 1, head & 15)
        fields[number] = (head & 15, value)
    return fields, place + 1


def _read(data: bytes, place: int, kind: int) -> tuple[Any, int]:
    if kind == _STRUCT:
        return read_struct(data, place)
    if kind == _LIST:
        count, kind, place = data[place] >> 4, data[place] & 15, place + 1
        if count == 15:
            count, place = read_varint(data, place)
        values = []
        for _ in range(count):
            value, place = _read(data, place, kind)
            values.append(value)
        return values, place
    if kind not in (_I32, _I64, _BINARY):
        raise ValueError("a type that is not written")
    number, place = read_varint(data, place)
    if kind == _BINARY:
        return data[place : place + number], place + number
    return number >> 1 ^ -(number & 1), place


def zigzag(number: int) -> int:
    """Give the number from 0 that stands for an integer: small ones for small integers of either sign."""
    return number << 1 ^ number >> 63
