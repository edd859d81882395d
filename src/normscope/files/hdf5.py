"""An HDF5 file from an untrusted source, read so that a damaged one does no harm."""

from __future__ import annotations

import math
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING

import h5py
import numpy as np
import numpy.typing as npt

from normscope.errors import ModelFileError
from normscope.files.regular import open_regular

if TYPE_CHECKING:
    import mmap

MAX_TEXT_BYTES = 8 * 2**20
MAX_NAMES = 10_000
MAX_NAME_BYTES = 1_000
MAX_STEPS = 100_000  # from a group to one of its members
MAX_UNPACKED = 500_000  # records of an HDF5 file looked at one by one
MAX_INFLATED_BYTES = 2**28  # of all arrays that are compressed
MOST_DEFLATED = 1032  # times can zlib make data smaller, not more
MAX_CHUNKS = 100_000  # of all arrays that are stored in pieces

SHUFFLE, CHECKSUM = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, struct.error, zlib.error)
"""What h5py, struct and zlib raise where a file is damaged."""


class Hdf5:
    """An open HDF5 file, read so that a damaged one costs neither time nor memory nor the process.

    libhdf5 does the reading, with two exceptions. A text of variable length is looked up in the
    bytes of the file, as libhdf5 (2.0.0, and before) may loop without end, allocate 4 GiB or crash
    where a single bit of such a text or of its heap is wrong. A compressed array is inflated here,
    as libhdf5 inflates a piece of it as far as that goes, whatever size the piece should have.

    What is read is counted over the whole life of this object: many names may stand for one array.
    """

    def __init__(self, path: str, file: h5py.File, data: mmap.mmap, most: int) -> None:
        self.path = path
        self.file = file
        self.data = data
        self.most = most
        self.begin = file.userblock_size  # of its addresses, behind what its user put before it
        self.heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self.unpacked = 0
        self.steps = 0
        self.read = 0
        self.inflated = 0
        self.chunks = 0
        if file.id.get_create_plist().get_sizes() != (8, 8):
            raise self.error("an HDF5 file whose addresses are not of 8 bytes")

    def error(self, reason: str) -> ModelFileError:
        """The error that names this file."""
        return ModelFileError(self.path, reason)

    def text(self, key: str) -> str | None:
        """The text in an attribute of the root."""
        if key not in self.file.attrs:
            return None
        texts = self._strings(self.file, key, 1, MAX_TEXT_BYTES)
        return texts[0] if texts else ""

    def names(self, group: h5py.Group, key: str) -> tuple[str, ...]:
        """A list of names, in one attribute or, if too long for one, in `key0`, `key1`, ..."""
        keys = [key]
        if key not in group.attrs:
            parts = (f"{key}{part}" for part in range(MAX_NAMES))
            keys = list(takewhile(lambda part: part in group.attrs, parts))
        names: list[str] = []
        for part in keys:
            names += self._strings(group, part)
            if len(names) > MAX_NAMES:
                raise self.error(f"{group.name!r} has more than {MAX_NAMES} {key}")
        if not keys or not all(name.isprintable() for name in names):
            raise self.error(f"{group.name!r} has no readable attribute {key}")
        return tuple(names)

    def group(self, parent: h5py.Group, name: str) -> h5py.Group:
        """A group inside a group."""
        found = self._member(parent, name)
        if not isinstance(found, h5py.Group):
            raise self.error(f"{name!r} in {parent.name!r} is not a group")
        return found

    def array(self, group: h5py.Group, name: str) -> npt.NDArray[np.generic]:
        """An array of numbers inside a group, its size bounded before it is read."""
        found = self.dataset(group, name)
        size = math.prod(found.shape) * found.dtype.itemsize
        if found.chunks is None:
            self.read += size
            most = min(len(self.data), self.most)  # each array that is there is a part of the file
            if self.read > most:
                raise self.error(
                    f"{self._place(group, name)} claims {size} bytes; with those read before it, "
                    f"that is more than the {most} there can be"
                )
            return np.asarray(found[()])
        self.inflated += size
        most = min(MAX_INFLATED_BYTES, self.most)
        if self.inflated > most:
            raise self.error(
                f"{self._place(group, name)} claims {size} bytes; all arrays stored in pieces can "
                f"have {most} together, those stored whole (h5repack -l CONTI) more"
            )
        return self._from_chunks(found, self._place(group, name))

    def dataset(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """An array of numbers inside a group, not yet read: its shape and dtype."""
        found = self._member(group, name)
        where = self._place(group, name)
        if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiu":
            raise self.error(f"{where} is not an array of numbers")
        # before its shape is asked for, which may be that of arrays in other files
        if found.is_virtual or found.external:
            raise self.error(f"{where} is stored outside the file, which is not followed")
        if found.shape is None:
            raise self.error(f"{where} is not an array of numbers")
        return found

    def _from_chunks(self, found: h5py.Dataset, where: str) -> npt.NDArray[np.generic]:
        """An array that is stored in pieces, each of which may be compressed."""
        sizes, whole = found.chunks, found.shape
        if math.prod(sizes) * found.dtype.itemsize > MAX_INFLATED_BYTES:
            raise self.error(f"{where} has pieces of {sizes} values, which is too large")
        self.chunks += math.prod(-(-n // size) for n, size in zip(whole, sizes, strict=True))
        if self.chunks > MAX_CHUNKS:
            raise self.error(f"{where} is stored in more than {MAX_CHUNKS} pieces")
        if h5py.h5t.py_create(found.dtype) != found.id.get_type():
            raise self.error(f"{where} has numbers of a kind not known here")
        filters = self._filters(found, where)
        array = np.full(whole, found.fillvalue, found.dtype)
        for stored in self._pieces(found, where):
            mask, data = found.id.read_direct_chunk(stored.chunk_offset)
            used = [code for bit, code in enumerate(filters) if not mask >> bit & 1]
            values = self._unfiltered(data, used, math.prod(sizes), found.dtype, where)
            part = tuple(
                slice(start, start + size)
                for start, size in zip(stored.chunk_offset, sizes, strict=True)
            )
            target = array[part]
            fits = tuple(slice(0, n) for n in target.shape)
            target[...] = values.reshape(sizes)[fits]
        return array

    def _pieces(self, found: h5py.Dataset, where: str) -> list[h5py.h5d.StoreInfo]:
        """Where the pieces of an array are in the file."""
        pieces: list[h5py.h5d.StoreInfo] = []

        def note(stored: h5py.h5d.StoreInfo) -> bool | None:
            pieces.append(stored)
            return len(pieces) > MAX_CHUNKS or None  # True ends it

        found.id.chunk_iter(note)
        if len(pieces) > MAX_CHUNKS or any(stored.size > len(self.data) for stored in pieces):
            raise self.error(f"damaged HDF5 file: the pieces of {where} are more than the file has")
        return pieces

    def _filters(self, found: h5py.Dataset, where: str) -> list[int]:
        """The codes of what was done to each piece, in that order."""
        how = found.id.get_create_plist()
        codes = [how.get_filter(index)[0] for index in range(how.get_nfilters())]
        known = (h5py.h5z.FILTER_DEFLATE, SHUFFLE, CHECKSUM)
        if any(code not in known for code in codes) or len(set(codes)) < len(codes):
            raise self.error(
                f"{where} is compressed in a way not known here: store it whole (h5repack -f NONE)"
            )
        return codes

    def _unfiltered(
        self, data: bytes, filters: list[int], count: int, dtype: np.dtype[np.generic], where: str
    ) -> npt.NDArray[np.generic]:
        """The `count` values of one piece."""
        size = count * dtype.itemsize
        for code in reversed(filters):
            if code == CHECKSUM:
                data = data[:-4]
            elif code == SHUFFLE:
                data = np.frombuffer(data, "u1").reshape(dtype.itemsize, -1).T.tobytes()
            else:
                data = zlib.decompressobj().decompress(data, size + 5)  # and a checksum at the end
        if len(data) != size:
            raise self.error(f"damaged HDF5 file: a piece of {where} has not the size it should")
        return np.frombuffer(data, dtype)

    @staticmethod
    def _place(group: h5py.Group, name: str) -> str:
        return f"{name!r} in {group.name!r}"

    def _member(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """The object under `name`, each `/` of which is a sub-group, without following a link."""
        found = group
        for part in name.split("/"):
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise self.error(f"the names in it lead through more than {MAX_STEPS} groups")
            if not isinstance(found, h5py.Group) or not part or not _has(found, part):
                raise self.error(f"{group.name!r} has no member {name!r}")
            if found.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
                raise self.error(f"{name!r} in {group.name!r} is a link, which is not followed")
            found = found[part]
        return found

    def _strings(
        self, group: h5py.Group, key: str, most: int = MAX_NAMES, longest: int = MAX_NAME_BYTES
    ) -> list[str]:
        """The texts in an attribute, whichever of the ways of h5py 2 and 3 they are stored in."""
        stored = group.attrs.get_id(key)
        count = math.prod(stored.shape)
        if count == 0:  # h5py 2 wrote an empty list as an array of float64
            return []
        kind = h5py.check_string_dtype(stored.dtype)
        if (
            kind is None
            or count > most
            or (kind.length or 0) > min(longest, MAX_TEXT_BYTES // count)
        ):
            raise self.error(f"the attribute {key} of {group.name!r} is too large, or not of texts")
        if kind.length is None:
            texts = self._variable_texts(group, key, count, longest)
        else:
            texts = np.ravel(group.attrs[key]).tolist()
        return [text.decode("utf-8") for text in texts]

    def _variable_texts(self, group: h5py.Group, key: str, count: int, longest: int) -> list[bytes]:
        """An attribute of `count` texts of variable length: 4 bytes length, 8 heap, 4 index."""
        start = self._attribute_data(self.begin + h5py.h5o.get_info(group.id).addr, key.encode())
        texts = []
        for position in range(start, start + 16 * count, 16):
            length, heap, index = self._unpack("<IQI", position)
            begin, size = self._heap(self.begin + heap).get(index, (0, 0))
            if length > min(size, longest):
                raise self.error(f"damaged HDF5 file: a text of the attribute {key} is not there")
            texts.append(self.data[begin : begin + length])
        return texts

    def _attribute_data(self, header: int, key: bytes) -> int:
        """Where the data of an attribute begin: after its name, its type and its shape."""
        for message in self._attribute_messages(header):
            form, shared, *sizes = self._unpack("<BBHHH", message)
            name = message + (9 if form == 3 else 8)
            if self.data[name : name + len(key) + 1] == key + b"\0" and not (form > 1 and shared):
                return name + sum(_padded(size) if form == 1 else size for size in sizes)
        raise self.error(f"its attribute {key.decode()} is stored in a way not known here")

    def _attribute_messages(self, header: int) -> Iterator[int]:
        """The attributes in an object header, which is blocks of messages: type, size, flags, data.

        Type 12 is an attribute, type 16 leads to a further block. Version 2 has a signature.
        """
        if self.data[header : header + 4] == b"OHDR":
            (flags,) = self._unpack("<B", header + 5)
            start = header + 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
            width = 1 << (flags & 3)
            blocks = [(start + width, int.from_bytes(self.data[start : start + width], "little"))]
            form, head, signature = "<BH", 6 if flags & 4 else 4, 4
        else:
            _, length = self._unpack("<B7xI", header)
            blocks = [(header + 16, length)]
            form, head, signature = "<HH", 8, 0
        for position, length in blocks:
            stop = position + length
            while position + head <= stop:
                kind, size = self._unpack(form, position)
                position += head
                if kind == 12:
                    yield position
                elif kind == 16:
                    start, length = self._unpack("<QQ", position)
                    blocks.append((self.begin + start + signature, length - 2 * signature))
                position += size

    def _unpack(self, form: str, position: int) -> tuple[int, ...]:
        self.unpacked += 1
        if self.unpacked > MAX_UNPACKED:
            raise self.error("damaged HDF5 file: the records of its texts have no end")
        return struct.unpack_from(form, self.data, position)

    def _heap(self, address: int) -> dict[int, tuple[int, int]]:
        """Begin and size of each object in a global heap.

        A heap is `GCOL`, version 1, its size, and for each object an index (2 bytes; index 0 is
        free space and last), 6 bytes, the size (8 bytes) and the data, padded to 8 bytes.
        """
        if address in self.heaps:
            return self.heaps[address]
        objects: dict[int, tuple[int, int]] = {}
        if self.data[address : address + 5] == b"GCOL\x01":
            stop = min(address + self._unpack("<Q", address + 8)[0], len(self.data))
            position = address + 16
            while position + 16 <= stop:
                index, size = self._unpack("<H6xQ", position)
                position += 16
                if index == 0 or position + size > stop:
                    break
                objects[index] = (position, size)
                position += _padded(size)
        self.heaps[address] = objects
        return objects


def holds(group: h5py.Group, name: str) -> bool:
    """Whether there is something of this name, each `/` of which is a sub-group.

    No link is followed, as h5py would to find out: what stands behind one counts as there.
    """
    found = group
    for part in name.split("/"):
        if not isinstance(found, h5py.Group) or not part or not _has(found, part):
            return False
        if found.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            return True
        found = found[part]
    return True


def _has(group: h5py.Group, name: str) -> bool:
    return bool(group.id.links.exists(name.encode()))


def _padded(size: int) -> int:
    return -(-size // 8) * 8


@contextmanager
def open_hdf5(path: str, most: int = sys.maxsize) -> Iterator[Hdf5]:
    """The open file; whatever a damaged one makes h5py or struct raise is a `ModelFileError`.

    `most` is how many bytes of arrays are read from it at most.
    """
    import mmap  # which not every Python has

    try:
        with (
            open_regular(path) as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
            h5py.File(path, "r") as file,
        ):
            yield Hdf5(path, file, data, most)
    except ModelFileError:
        raise
    except FileNotFoundError as error:
        raise ModelFileError(path, f"cannot be opened: {os.strerror(error.errno or 0)}") from error
    except DAMAGE as error:
        raise ModelFileError(path, f"damaged HDF5 file: {error}") from error
