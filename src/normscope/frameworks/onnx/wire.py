"""The bytes of an ONNX file without its large arrays, which stay in the file.

A protobuf message is a row of fields, each with a number, a kind and its bytes. Only messages that
hold something large are taken apart; all else is copied as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.files.protobuf import DamagedError as DamagedError, fields, varint

LARGE = 65536
"""From so many bytes on an array is left in the file."""

_DEEP = 32

_INSIDE = {
    ("model", 7): "graph",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 11): "graph",
}
"""Which message a field of another is, of those that may hold large arrays."""

_DIMS, _TYPE, _FLOATS, _RAW, _DOUBLES, _EXTERNAL, _LOCATION = 1, 2, 4, 9, 10, 13, 14
_PACKED = {_FLOATS: 1, _DOUBLES: 11}
"""Fields that hold numbers byte by byte as they are in memory, if the tensor is of this type."""


def without_large_arrays(data: memoryview, name: str) -> bytes:
    """A model whose large arrays are said to lie in the file `name`, at the places where they are.

    Args:
        data: all bytes of the file.
        name: of the file, as the arrays are to refer to it.

    Raises:
        DamagedError: the bytes are no message.
    """
    return b"".join(_message(data, 0, len(data), "model", name, 0))


def _message(
    data: memoryview, start: int, end: int, kind: str, name: str, depth: int
) -> Iterator[bytes]:
    for field, first, inside, stop in fields(data, start, end):
        child = _INSIDE.get((kind, field)) if inside >= 0 else None
        if child is None or stop - inside < LARGE or depth > _DEEP:
            yield bytes(data[first:stop])
            continue
        make = _tensor if child == "tensor" else _message
        parts = b"".join(make(data, inside, stop, child, name, depth + 1))
        yield _field(field, parts)


def _tensor(
    data: memoryview, start: int, end: int, kind: str, name: str, depth: int
) -> Iterator[bytes]:
    found = list(fields(data, start, end))
    element_type = next((varint(data, first + 1)[0] for f, first, *_ in found if f == _TYPE), 0)
    large = [
        (field, inside, stop)
        for field, _, inside, stop in found
        if stop - inside >= LARGE and (field == _RAW or _PACKED.get(field) == element_type)
    ]
    elsewhere = any(field in (_EXTERNAL, _LOCATION) for field, *_ in found)
    if len(large) != 1 or elsewhere:
        yield bytes(data[start:end])
        return
    field, inside, stop = large[0]
    yield from (bytes(data[first:last]) for f, first, _, last in found if f != field)
    for key, value in (
        ("location", name),
        ("offset", str(inside)),
        ("length", str(stop - inside)),
    ):
        yield _field(_EXTERNAL, _field(1, key.encode()) + _field(2, value.encode()))
    yield bytes([_LOCATION << 3, 1])


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
