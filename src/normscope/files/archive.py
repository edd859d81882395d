"""What is in a zip archive: the names and places, the list of them bounded before it is read."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import BinaryIO

END, END_BYTES = b"PK\x05\x06", 22
END64, END64_BYTES = b"PK\x06\x06", 56  # of archives larger than 4 GiB, before the other one
LOCATOR64, LOCATOR64_BYTES = b"PK\x06\x07", 20  # where that one is
NOT_HERE = 2**32 - 1  # the length is in the larger record
MAX_COMMENT_BYTES = 2**16
MAX_LIST_BYTES = 2**22
ENCRYPTED, UTF8 = 1, 0x800  # bits of a member


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
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ENCRYPTED:
        raise zipfile.BadZipFile("a member is compressed or encrypted")
    start = _start(stream, member)
    size = stream.seek(0, os.SEEK_END)
    if member.file_size != member.compress_size or start + member.file_size > size:
        raise zipfile.BadZipFile("a member is cut off")
    return start, start + member.file_size


def member_bytes(
    stream: BinaryIO, member: zipfile.ZipInfo, most: int, *, checked: bool = True
) -> bytes:
    """What a member holds, stored or deflated.

    Args:
        stream: the archive.
        member: of its list.
        most: so many bytes may be inflated; what is stored as it is may have more.
        checked: whether its checksum must be right, which torch can be told not to compute.

    Raises:
        BadZipFile: it is damaged, encrypted, packed otherwise, or longer than `most`.

    >>> import io
    >>> stream = io.BytesIO()
    >>> with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
    ...     archive.writestr("a", b"hello")
    >>> member_bytes(stream, archive.getinfo("a"), 5)
    b'hello'
    """
    if member.compress_type == zipfile.ZIP_STORED:
        start, stop = stored_place(stream, member)
        stream.seek(start)
        data = stream.read(stop - start)
    else:
        if member.file_size > most:
            raise zipfile.BadZipFile(f"a member has {member.file_size} bytes, and {most} are read")
        data = inflated(stream, member)
    if checked and zlib.crc32(data) != member.CRC:
        raise zipfile.BadZipFile("a member is not what its checksum says")
    return data


def inflated(stream: BinaryIO, member: zipfile.ZipInfo) -> bytes:
    """What a deflated member holds, as long as the list says that it is, and no longer.

    Raises:
        BadZipFile: it is not deflated, or not of that length.
    """
    if member.compress_type != zipfile.ZIP_DEFLATED or member.flag_bits & ENCRYPTED:
        raise zipfile.BadZipFile("a member is encrypted, or packed in a way not known here")
    start = _start(stream, member)
    if start + member.compress_size > stream.seek(0, os.SEEK_END):
        raise zipfile.BadZipFile("a member is cut off")
    stream.seek(start)
    try:
        packed = stream.read(member.compress_size)
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.file_size + 1)
    except zlib.error as error:
        raise zipfile.BadZipFile(f"a member cannot be inflated: {error}") from error
    if len(data) != member.file_size:
        raise zipfile.BadZipFile("a member has not the length that the list says")
    return data


def _start(stream: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin."""
    stream.seek(min(member.header_offset, stream.seek(0, os.SEEK_END)))
    header = stream.read(LOCAL_BYTES)
    if len(header) < LOCAL_BYTES or not header.startswith(LOCAL):
        raise zipfile.BadZipFile("a member is not where the list says")
    name, extra = struct.unpack_from("<HH", header, 26)
    given = stream.read(name)
    if given != member.orig_filename.encode("utf-8" if member.flag_bits & UTF8 else "cp437"):
        raise zipfile.BadZipFile("a member has another name than the list says")
    return member.header_offset + LOCAL_BYTES + int(name) + int(extra)


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
