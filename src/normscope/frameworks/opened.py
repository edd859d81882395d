"""What a user names instead of giving it: a file, which is opened as data, or what must be made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.layer_class import check_not_class
from normscope.frameworks.opening import opener_by_name
from normscope.frameworks.registry import loader_of
from normscope.notation.values import shown

_WEIGHTS = "its class, with the weights of the file"  # which any framework may have written


def opened(layer: Any, verb: str) -> Any:
    """A layer or model as it came; of the path of a file that opens as data, the model in it.

    Args:
        layer: what a user gave to a verb.
        verb: `"identify"`, `"scope"` or `"audit"`.

    Raises:
        SpecError: it is another text, or a class.
        ModelFileError: the file cannot be read, or holds no model.
        MissingPackageError: what runs it is not installed.

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
    opens = opener_by_name(text)
    if opens is not None:
        return opens(Path(text))
    how = _WEIGHTS if ending == ".safetensors" else loader_of(ending)
    if how is not None:
        raise SpecError(
            f"{shown(text)} is a file, and {verb} calls a model: load it first "
            f"({how.format(path=text)}) and give what that returns"
        )
    what = "a layer" if verb == "identify" else "a model"
    advice = "; explain reads what a text declares" if verb == "identify" else ""
    raise SpecError(
        f"{shown(text)} is a text, and {verb} calls {what}: give the {what[2:]} itself, without "
        f"quotes, or the path of an .onnx, .pt2 or .keras file{advice}"
    )
