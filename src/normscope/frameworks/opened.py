"""What a user names instead of giving it: an ONNX file, which is opened, or what must be made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from normscope.errors import MissingPackageError, ModelFileError, SpecError
from normscope.frameworks.layer_class import check_not_class
from normscope.notation.values import shown

_LOADED_BY = {
    ".keras": "keras.models.load_model({path!r})",
    ".h5": "normscope.keras1.load_model({path!r}) or keras.models.load_model({path!r})",
    ".hdf5": "normscope.keras1.load_model({path!r}) or keras.models.load_model({path!r})",
    ".pt": "its class, with the weights that torch.load({path!r}) reads",
    ".pth": "its class, with the weights that torch.load({path!r}) reads",
    ".safetensors": "its class, with the weights of the file",
}


def opened(layer: Any, verb: str) -> Any:
    """A layer or model as it came; of the path of an ONNX file, the model in it.

    Args:
        layer: what a user gave to a verb.
        verb: `"identify"` or `"scope"`.

    Raises:
        SpecError: it is another text, or a class.
        ModelFileError: the file cannot be read, or holds no ONNX model.
        MissingPackageError: ONNX is not installed.

    Example:
        >>> opened("torch.nn.LayerNorm(8)", "scope")
        Traceback (most recent call last):
        normscope.errors.SpecError: 'torch.nn.LayerNorm(8)' is a text, and scope calls a model: ...
    """
    if not isinstance(layer, str | os.PathLike):
        check_not_class(layer)
        return layer
    path = os.fspath(layer)
    text = os.fsdecode(path)
    ending = Path(text).suffix.lower()
    if ending == ".onnx":
        return onnx_model(Path(text))
    if ending in _LOADED_BY:
        how = _LOADED_BY[ending].format(path=text)
        raise SpecError(
            f"{shown(text)} is a file, and {verb} calls a model: load it first ({how}) and give "
            "what that returns"
        )
    what = "a layer" if verb == "identify" else "a model"
    advice = "; explain reads what a text declares" if verb == "identify" else ""
    raise SpecError(
        f"{shown(text)} is a text, and {verb} calls {what}: give the {what[2:]} itself, without "
        f"quotes, or the path of an .onnx file{advice}"
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
        raise MissingPackageError(
            f"an ONNX file is read by onnx, which is not installed ({missing}): "
            "pip install onnx onnxruntime"
        ) from missing
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
