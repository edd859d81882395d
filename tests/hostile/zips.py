"""Zip archives written by hand, so that each field of them can lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
ENCRYPTED, DESCRIBED_AFTER, UTF8 = 1, 8, 0x800
SYMLINK = 0o120777 << 16
FOLDER = 0o040755 << 16 | 0x10


@dataclass
class Member:
    """What is in an archive; what is None is as it should be.

    Attributes:
        name, data: of the file.
        method: how it is packed.
        flags: bits of the record.
        size, packed, crc: what the list claims.
        local_name: the name before the bytes.
        local_size: the size before the bytes.
        offset: where the list says that it begins.
        attributes: of the file system.
        extra: of the list.
    """

    name: str
    data: bytes = b""
    method: int = STORED
    flags: int = 0
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    local_name: str | None = None
    local_size: int | None = None
    offset: int | None = None
    attributes: int = 0
    extra: bytes = b""


def archive(
    members: Sequence[Member],
    *,
    before: bytes = b"",
    after: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    list_size: int | None = None,
    list_offset: int | None = None,
    counted_from_begin: bool = True,
) -> bytes:
    """The bytes of an archive.

    Args:
        members: in it.
        before, after: bytes around it.
        comment: of the archive.
        count, list_size, list_offset: what its end claims.
        counted_from_begin: whether offsets count the bytes before.
    """
    shift = len(before) if counted_from_begin else 0
    body, entries = bytearray(), bytearray()
    for one in members:
        packed = _deflated(one.data) if one.method == DEFLATED else one.data
        crc = zlib.crc32(one.data) if one.crc is None else one.crc
        size = len(one.data) if one.size is None else one.size
        length = len(packed) if one.packed is None else one.packed
        name = one.name.encode("utf-8", "surrogatepass")
        local = name if one.local_name is None else one.local_name.encode()
        offset = len(body) + shift if one.offset is None else one.offset
        after_it = one.flags & DESCRIBED_AFTER
        told = (0, 0, 0) if after_it else (crc, length, one.local_size or size)
        body += struct.pack(
            "<4sHHHHHIIIHH", b"PK\3\4", 20, one.flags, one.method, 0, 33, *told, len(local), 0
        )
        body += local + packed
        if after_it:
            body += struct.pack("<4sIII", b"PK\7\10", crc, len(packed), len(one.data))
        entries += struct.pack(
            "<4sHHHHHHIIIHHHHHII",
            b"PK\1\2",
            0x314,
            20,
            one.flags,
            one.method,
            0,
            33,
            crc,
            length,
            size,
            len(name),
            len(one.extra),
            0,
            0,
            0,
            one.attributes,
            offset,
        )
        entries += name + one.extra
    number = len(members) if count is None else count
    end = struct.pack(
        "<4sHHHHIIH",
        b"PK\5\6",
        0,
        0,
        number & 0xFFFF,
        number & 0xFFFF,
        len(entries) if list_size is None else list_size,
        len(body) + shift if list_offset is None else list_offset,
        len(comment),
    )
    return before + bytes(body) + bytes(entries) + end + comment + after


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zip64_end(count: int, size: int, offset: int, record: int, locator: int | None = None) -> bytes:
    """The larger end of an archive, and where it claims to be."""
    large = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    at = record if locator is None else locator
    place = struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)
    rest = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    return large + place + rest
