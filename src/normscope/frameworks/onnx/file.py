"""The files of ONNX, and what is missing where its packages are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from normscope.errors import MissingPackageError, ModelFileError


def not_installed(what_for: str, missing: ImportError) -> MissingPackageError:
    """The error for a package of ONNX that cannot be imported.

    >>> print(not_installed("it is read by onnx", ImportError("no onnx")))
    it is read by onnx, which is not installed (no onnx): pip install onnx onnxruntime
    """
    return MissingPackageError(
        f"{what_for}, which is not installed ({missing}): pip install onnx onnxruntime"
    )


def onnx_model(path: Path) -> Any:
    """The ONNX model in a file.

    Raises:
        ModelFileError: the file cannot be read, or holds no ONNX model.
        MissingPackageError: ONNX is not installed.
    """
    if not path.is_file():
        problem = "is not a regular file" if path.exists() else "there is no such file"
        raise ModelFileError(str(path), problem)
    try:
        import onnx
    except ModuleNotFoundError as missing:
        raise not_installed("an ONNX file is read by onnx", missing) from missing
    try:
        model = onnx.load(str(path))
    except OSError as error:
        raise ModelFileError(str(path), f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # whatever onnx raises of bytes that anybody wrote
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(str(path), f"is not an ONNX model: {reason}") from error
    if not model.graph.output or not model.graph.node:
        raise ModelFileError(str(path), "is not an ONNX model: it holds no graph with an output")
    return model
