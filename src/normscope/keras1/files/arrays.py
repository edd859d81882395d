"""The arrays in a model file of Keras 1, each read when it is asked for."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import h5py

from normscope.files.hdf5 import MOST_DEFLATED, Hdf5, open_hdf5
from normscope.keras1.files.model_file import ModelFile
from normscope.keras1.files.weights import WEIGHTS, Array


class StoredArrays:
    """The arrays of an open model file, each read when it is asked for, once."""

    def __init__(self, file: Hdf5) -> None:
        self.file = file
        self.root = file.group(file.file, WEIGHTS)
        self.groups: dict[str, h5py.Group] = {}
        self.read: dict[tuple[str, str], Array] = {}

    def check_sizes(self, weights: Mapping[str, Sequence[str]]) -> None:
        """Refuse a file whose arrays claim more together than it can hold; no data is read.

        Raises:
            ModelFileError: they do, or an array is missing.
        """
        whole = in_pieces = 0
        for entry, names in weights.items():
            group = self._group(entry)
            for name in names:
                found = self.file.dataset(group, name)
                size = math.prod(found.shape) * found.dtype.itemsize
                if found.chunks is None:
                    whole += size
                else:
                    in_pieces += size
        length = len(self.file.data)
        if whole > length or in_pieces > MOST_DEFLATED * length:
            raise self.file.error(
                f"its arrays claim {whole + in_pieces} bytes together, which a file of {length} "
                "bytes cannot hold"
            )

    def shape(self, entry: str, name: str) -> tuple[int, ...]:
        """The shape of a weight of one entry of `ModelFile.weights`; no data is read."""
        shape: tuple[int, ...] = self.file.dataset(self._group(entry), name).shape
        return shape

    def array(self, entry: str, name: str) -> Array:
        """A weight of one entry of `ModelFile.weights`."""
        if (entry, name) not in self.read:
            self.read[entry, name] = self.file.array(self._group(entry), name)
        return self.read[entry, name]

    def _group(self, entry: str) -> h5py.Group:
        if entry not in self.groups:
            self.groups[entry] = self.file.group(self.root, entry)
        return self.groups[entry]


@contextmanager
def open_arrays(model: ModelFile, most: int = sys.maxsize) -> Iterator[StoredArrays]:
    """The arrays of a model file that has some; at most so many bytes of them are read."""
    with open_hdf5(model.path, most) as file:
        yield StoredArrays(file)
