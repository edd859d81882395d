"""The list of what is in a zip archive is bounded before it is read."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from normscope.files.archive import MAX_LIST_BYTES, member_names, stored_place


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name in names:
            opened.writestr(name, b"{}")
    return stream.getvalue()


def test_the_list_of_an_archive_is_bounded_before_it_is_read() -> None:
    """A list that is long by the record of small archives, or by that of large ones."""
    data = archive("a.txt")
    assert member_names(io.BytesIO(data)) == {"a.txt"}
    end = data.rindex(b"PK\5\6")
    claims = struct.pack("<I", MAX_LIST_BYTES + 1)
    assert member_names(io.BytesIO(data[: end + 12] + claims + data[end + 16 :])) is None
    large = b"PK\6\6" + bytes(36) + struct.pack("<Q", 2**40) + bytes(8)
    locator = b"PK\6\7" + bytes(4) + struct.pack("<Q", end) + bytes(4)
    assert member_names(io.BytesIO(data[:end] + large + locator + data[end:])) is None


@pytest.mark.parametrize("kept", [0, 3, 30, -1, -10])
def test_what_is_no_archive_or_a_damaged_one_has_no_names(kept: int) -> None:
    assert member_names(io.BytesIO(archive("a.txt", "b.txt")[:kept])) is None


def test_the_end_of_an_archive_inside_of_a_cut_one_is_not_its_end() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr("inner.zip", archive("a.txt"))
    assert member_names(stream) == {"inner.zip"}
    assert member_names(io.BytesIO(stream.getvalue()[:-30])) is None
    with zipfile.ZipFile(stream, "a") as opened:
        opened.comment = b"a comment"
    assert member_names(stream) == {"inner.zip"}


def test_a_member_that_would_reach_beyond_the_file_is_refused() -> None:
    stream = io.BytesIO(archive("a.txt"))
    with zipfile.ZipFile(stream) as opened:
        member = opened.getinfo("a.txt")
    start, stop = stored_place(stream, member)
    assert stream.getvalue()[start:stop] == b"{}"
    for offset, size in ((member.header_offset, 2**40), (2**40, 2), (3, 2)):
        member.header_offset, member.file_size, member.compress_size = offset, size, size
        with pytest.raises(zipfile.BadZipFile):
            stored_place(stream, member)
