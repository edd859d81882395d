"""The files of ONNX, and what is missing where its packages are."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normscope.errors import MissingPackageError, ModelFileError
from normscope.files.regular import open_regular
from normscope.frameworks.onnx.structure import StructureError, check
from normscope.frameworks.onnx.wire import DamagedError, without_large_arrays
from normscope.wording import one_line


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX model in a file.

    Attributes:
        path: of the file.
        model: what is in it; its large arrays stay in the file until they are asked for.
    """

    path: Path
    model: Any


def not_installed(what_for: str, missing: ImportError) -> MissingPackageError:
    """The error for a package of ONNX that cannot be imported.

    >>> print(not_installed("it is read by onnx", ImportError("no onnx")))
    it is read by onnx, which is not installed (no onnx): pip install onnx onnxruntime
    """
    return MissingPackageError(
        f"{what_for}, which is not installed ({missing}): pip install onnx onnxruntime"
    )


def onnx_model(path: Path) -> OnnxFile:
    """The ONNX model in a file.

    Raises:
        ModelFileError: the file cannot be read, holds no ONNX model, or a damaged one.
        MissingPackageError: ONNX is not installed.
    """
    if not path.is_file():
        problem = "is not a regular file" if path.exists() else "there is no such file"
        raise ModelFileError(str(path), problem)
    try:
        import onnx

        from normscope.frameworks.onnx.tensors import Tensors
    except ModuleNotFoundError as missing:
        raise not_installed("an ONNX file is read by onnx", missing) from missing
    try:
        model = onnx.ModelProto.FromString(_small_part(path))
    except OSError as error:
        raise ModelFileError(str(path), f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # whatever protobuf raises of bytes that anybody wrote
        reason = one_line(error, 200) or "its bytes are no message"
        raise ModelFileError(str(path), f"is not an ONNX model: {reason}") from error
    if not model.graph.output or not model.graph.node:
        raise ModelFileError(str(path), "is not an ONNX model: it holds no graph with an output")
    try:
        check(model)
    except StructureError as error:
        raise ModelFileError(str(path), f"is damaged: {error}") from error
    Tensors(path).check(model.graph)
    return OnnxFile(path, model)


def _small_part(path: Path) -> bytes:
    """The bytes of a file, but for its large arrays."""
    if not path.stat().st_size:
        raise DamagedError
    with (
        open_regular(path) as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as whole,
    ):
        view = memoryview(whole)
        try:
            return without_large_arrays(view, path.resolve().name)
        finally:
            view.release()
