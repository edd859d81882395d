"""Which kind of model this is, told by the modules that its classes come from."""

from __future__ import annotations

from typing import Any

from normscope.errors import MissingPackageError, SpecError
from normscope.identify.adapters.choose import framework
from normscope.scope.models.base import Model
from normscope.scope.models.function import FunctionModel


def model_of(model: Any, given: Any) -> Model:
    """The model as the core sees it.

    Args:
        model: a model of a framework, or any callable.
        given: the inputs, with which a model is initialized that has no shapes yet.

    Raises:
        SpecError: it cannot be called.
        MissingPackageError: its framework is not installed.
    """
    # a framework is imported only here, once a model of its own has been seen
    match framework(model):
        case "torch":
            from normscope.scope.models.torch import TorchModel

            return TorchModel(model, given)
        case "keras":
            from normscope.scope.models.keras import KerasModel

            return KerasModel(model, given)
        case "nnx":
            from normscope.scope.models.nnx import NnxModel

            return NnxModel(model, given)
        case "linen":
            from normscope.scope.models.linen import LinenModel

            return LinenModel(model, given)
        case "onnx":
            try:
                from normscope.scope.models.onnx import OnnxModel
            except ImportError as missing:
                raise MissingPackageError(
                    f"an ONNX model is run by onnxruntime, which is not installed ({missing}): "
                    "pip install onnx onnxruntime"
                ) from missing
            return OnnxModel(model)
    if not callable(model):
        raise SpecError(
            f"scope calls a model, and this {type(model).__qualname__} cannot be called; give a "
            "function that runs it, such as lambda x: transformed.apply(parameters, None, x)"
        )
    return FunctionModel(model)
