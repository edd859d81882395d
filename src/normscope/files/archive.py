"""What is in a zip archive: the names and places, the list of them bounded before it is read."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import BinaryIO

END, END_BYTES = b"PK\x05\x06", 22
END64, END64_BYTES = b"PK\x06\x06", 56  # of archives larger than 4 GiB, before the other one
LOCATOR64, LOCATOR64_BYTES = b"PK\x06\x07", 20  # where that one is
NOT_HERE = 2**32 - 1  # the length is in the larger record
MAX_COMMENT_BYTES = 2**16
MAX_LIST_BYTES = 2**22


def member_names(stream: BinaryIO) -> frozenset[str] | None:
    """The names of what is in an archive; None where the list is damaged or very long.

    >>> import io, zipfile
    >>> stream = io.BytesIO()
    >>> with zipfile.ZipFile(stream, "w") as archive:
    ...     archive.writestr("net/data.pkl", b"")
    >>> member_names(stream)
    frozenset({'net/data.pkl'})
    """
    archive = open_archive(stream)
    if archive is None:
        return None
    with archive:
        return frozenset(archive.namelist())


def open_archive(stream: BinaryIO) -> zipfile.ZipFile | None:
    """The archive, once its list of members is known to be short; None where it is not."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - MAX_COMMENT_BYTES - END_BYTES))
    tail = stream.read(MAX_COMMENT_BYTES + END_BYTES)
    place = tail.rfind(END)
    if place < 0 or len(tail) - place < END_BYTES:
        return None
    (comment,) = struct.unpack_from("<H", tail, place + 20)
    if place + END_BYTES + comment != len(tail):  # the end of an archive inside of a cut one
        return None
    lengths = [*struct.unpack_from("<I", tail, place + 12), *_lengths64(stream, tail, place, size)]
    if any(length > MAX_LIST_BYTES and length != NOT_HERE for length in lengths):
        return None
    try:
        return zipfile.ZipFile(stream)
    # NotImplementedError: a version of the format that zipfile does not know
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error):
        return None


LOCAL, LOCAL_BYTES = b"PK\x03\x04", 30  # before the bytes of each member


def stored_place(stream: BinaryIO, member: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of a member begin and end, if they are stored as they are.

    Raises:
        BadZipFile: they are compressed or encrypted, or lie outside the file.

    >>> import io
    >>> stream = io.BytesIO()
    >>> with zipfile.ZipFile(stream, "w") as archive:
    ...     archive.writestr("a", b"hello")
    >>> start, stop = stored_place(stream, archive.getinfo("a"))
    >>> stream.getvalue()[start:stop]
    b'hello'
    """
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        raise zipfile.BadZipFile("a member is compressed or encrypted, as torch does not write it")
    size = stream.seek(0, os.SEEK_END)
    stream.seek(min(member.header_offset, size))
    header = stream.read(LOCAL_BYTES)
    if len(header) < LOCAL_BYTES or not header.startswith(LOCAL):
        raise zipfile.BadZipFile("a member is not where the list says")
    name, extra = struct.unpack_from("<HH", header, 26)
    start = member.header_offset + LOCAL_BYTES + name + extra
    if member.file_size != member.compress_size or start + member.file_size > size:
        raise zipfile.BadZipFile("a member is cut off")
    return start, start + member.file_size


def _lengths64(stream: BinaryIO, tail: bytes, place: int, size: int) -> list[int]:
    """The length of the list by each larger record that `zipfile` might believe."""
    records = [tail[max(0, place - LOCATOR64_BYTES - END64_BYTES) : place]]
    locator = tail[max(0, place - LOCATOR64_BYTES) : place]
    if locator.startswith(LOCATOR64) and len(locator) == LOCATOR64_BYTES:
        (offset,) = struct.unpack_from("<Q", locator, 8)
        stream.seek(min(offset, size))
        records.append(stream.read(END64_BYTES))
    return [
        struct.unpack_from("<Q", record, 40)[0]
        for record in records
        if record.startswith(END64) and len(record) >= 48
    ]
