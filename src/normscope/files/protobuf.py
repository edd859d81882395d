"""The fields of a protobuf message: a row of numbers, each with a kind and its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

VARINT, FIXED64, MESSAGE, FIXED32 = 0, 1, 2, 5
"""The wire types; a text, an array of bytes and a message look alike."""

MAX_FIELDS = 20_000


class DamagedError(Exception):
    """The bytes are no such message."""


def top_level_fields(stream: BinaryIO) -> dict[tuple[int, int], int]:
    r"""Number and wire type of each field of a message, with the first value or length of each.

    Empty where the bytes are no such message.

    >>> import io
    >>> top_level_fields(io.BytesIO(b"\x08\x0a\x3a\x02ab"))
    {(1, 0): 10, (7, 2): 2}
    >>> top_level_fields(io.BytesIO(b"\x3a\x09ab"))
    {}
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    found: dict[tuple[int, int], int] = {}
    for _ in range(MAX_FIELDS):
        if stream.tell() == size:
            return found
        tag = _varint(stream)
        if tag is None or tag >> 3 == 0:
            return {}
        value = _value(stream, tag & 7)
        if value is None or stream.tell() > size:
            return {}
        found.setdefault((tag >> 3, tag & 7), value)
    return found


def fields(data: bytes | memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message in memory: number, begin, begin of its bytes, and end.

    Where the field is a number it has no bytes, and -1 stands for their begin.

    Raises:
        DamagedError: the bytes are no message.
    """
    at = start
    while at < end:
        first = at
        tag, at = varint(data, at)
        inside = -1
        match tag & 7:
            case 0:
                _, at = varint(data, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                length, inside = varint(data, at)
                at = inside + length
            case _:
                raise DamagedError
        if at > end or tag >> 3 == 0:
            raise DamagedError
        yield tag >> 3, first, inside, at


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends.

    Raises:
        DamagedError: it has no end.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise DamagedError


def _value(stream: BinaryIO, wire_type: int) -> int | None:
    """A number, or the length of what was passed over; None for what cannot be."""
    if wire_type == VARINT:
        return _varint(stream)
    length = {FIXED64: 8, FIXED32: 4}.get(wire_type)
    if wire_type == MESSAGE:
        length = _varint(stream)
    if length is not None:
        stream.seek(min(length, 2**62), os.SEEK_CUR)
    return length


def _varint(stream: BinaryIO) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            return None
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    return None
