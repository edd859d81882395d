"""The numbers of a file, read when they are asked for; those outside of it from its folder only."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from normscope.errors import ModelFileError
from normscope.files.folder import inside
from normscope.wording import one_line

_PACKED_BITS = {
    int(getattr(onnx.TensorProto, name)): bits
    for name, bits in (("INT4", 4), ("UINT4", 4), ("FLOAT4E2M1", 4), ("INT2", 2), ("UINT2", 2))
    if hasattr(onnx.TensorProto, name)
}


MOST_SPARSE_BYTES = 2**28
"""Of a sparse array, zeros and all."""


class Tensors:
    """Reads the arrays of a model.

    Attributes:
        path: of the file, for what is said of it; None for a model that came as an object.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    def shape_and_dtype(self, tensor: Any) -> tuple[tuple[int, ...], str]:
        """As the file declares them."""
        dtype = dtype_name(tensor.data_type)
        return tuple(int(n) for n in tensor.dims), dtype

    def reader(self, tensor: Any) -> Callable[[], NDArray[Any]]:
        """Gives the array, as often as it is asked for; it is not to be written to."""
        return lambda: self.array(tensor)

    def array(self, tensor: Any) -> NDArray[Any]:
        """The array: of a file, a view of its bytes where that is possible.

        Raises:
            ModelFileError: its data are not there, or are not as declared.
        """
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor)
        try:
            return np.asarray(numpy_helper.to_array(tensor))
        except Exception as error:  # of bytes that anybody wrote
            reason = one_line(error, 200)
            raise self._error(f"tensor {tensor.name!r} cannot be read: {reason}") from error

    def sparse_reader(self, sparse: Any) -> Callable[[], NDArray[Any]]:
        """Gives the array of a sparse one, zeros and all."""

        def read() -> NDArray[Any]:
            size = prod(sparse.dims) * self.array(sparse.values).itemsize
            if size > MOST_SPARSE_BYTES:
                raise self._error(
                    f"a sparse tensor has {size} bytes with its zeros; at most "
                    f"{MOST_SPARSE_BYTES} are made"
                )
            values, places = self.array(sparse.values), self.array(sparse.indices)
            try:
                found = np.zeros(tuple(sparse.dims), values.dtype)
                if places.ndim == 1:
                    found.flat[places] = values
                else:
                    found[tuple(places.T)] = values
            except (IndexError, ValueError) as error:
                raise self._error(f"a sparse tensor cannot be read: {error}") from error
            return found

        return read

    def check(self, graph: Any) -> None:
        """Whether the data of all arrays that a graph holds are there.

        Raises:
            ModelFileError: those of one are not.
        """
        for tensor in graph.initializer:
            try:
                shape, _ = self.shape_and_dtype(tensor)
            except Exception as error:  # of a number that anybody wrote
                raise self._error(
                    f"tensor {tensor.name!r} has no type of ONNX: {tensor.data_type}"
                ) from error
            if any(length < 0 for length in shape):
                raise self._error(f"tensor {tensor.name!r} has a length below 0")
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                self._external(tensor)  # a view, nothing is read
            elif tensor.HasField("raw_data"):
                wanted = self._bytes(tensor, shape)
                if wanted > tensor.ByteSize():
                    raise self._error(f"tensor {tensor.name!r} is longer than its data")

    def _bytes(self, tensor: Any, shape: tuple[int, ...]) -> int:
        count = prod(shape)
        bits = _PACKED_BITS.get(tensor.data_type)
        element = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return -(-count * bits // 8) if bits else count * element.itemsize

    def _external(self, tensor: Any) -> NDArray[Any]:
        place = {entry.key: entry.value for entry in tensor.external_data}
        if tensor.data_type == onnx.TensorProto.STRING:
            raise self._error(f"tensor {tensor.name!r} holds texts, which cannot lie outside")
        file = self._inside(place.get("location", ""), tensor.name)
        offset = self._whole(place.get("offset", "0"), tensor.name)
        shape = self.shape_and_dtype(tensor)[0]
        element = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        length = self._bytes(tensor, shape)
        if "length" in place and self._whole(place["length"], tensor.name) < length:
            raise self._error(f"tensor {tensor.name!r} is longer than its data")
        if offset + length > file.stat().st_size:
            raise self._error(f"the data of tensor {tensor.name!r} end after those of {file.name}")
        if not length:
            return np.zeros(shape, element)
        if tensor.data_type in _PACKED_BITS:
            whole = onnx.TensorProto(dims=tensor.dims, data_type=tensor.data_type)
            whole.raw_data = np.memmap(file, np.uint8, "r", offset, (length,)).tobytes()
            return np.asarray(numpy_helper.to_array(whole))
        raw = np.memmap(file, np.uint8, "r", offset, (length,))
        return np.asarray(raw).view(element).reshape(shape)

    def _inside(self, location: str, name: str) -> Path:
        """The file of this name, if it lies in the folder of the model."""
        if self.path is None:
            raise self._error(
                f"the data of tensor {name!r} lie in the file {location!r:.100}: give the "
                "path of the model, or load it with onnx.load, which reads them"
            )
        shown = f"{location!r:.100}"
        wanted = Path(location.replace("\\", "/"))
        if wanted.is_absolute() or ".." in wanted.parts or "\0" in location or not location:
            raise self._error(f"the data of tensor {name!r} lie outside of its folder: {shown}")
        # a model that is a link itself has its data beside what it leads to, or beside the link
        folders = dict.fromkeys((self.path.parent.resolve(), self.path.resolve().parent))
        places = [inside(folder, str(wanted)) for folder in folders]
        if all(place is None for place in places):
            raise self._error(f"the data of tensor {name!r} lie outside of its folder: {shown}")
        try:
            return next(place for place in places if place is not None and place.is_file())
        except (OSError, StopIteration):  # a name too long
            raise self._error(f"the data of tensor {name!r} are missing: no file {shown}") from None

    def _whole(self, text: str, name: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise self._error(f"the data of tensor {name!r} have no place: {text!r:.60}")
        return int(text)

    def _error(self, reason: str) -> ModelFileError:
        return ModelFileError(str(self.path or "this ONNX model"), reason)


def dtype_name(element_type: int) -> str:
    """NumPy's name for a number of ONNX."""
    return helper.tensor_dtype_to_np_dtype(element_type).name
