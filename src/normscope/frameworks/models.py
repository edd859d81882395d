"""Which kind of model this is, told by the modules that its classes come from."""

from __future__ import annotations

from typing import Any

from normscope.errors import MissingPackageError, SpecError
from normscope.frameworks.function.model import FunctionModel
from normscope.frameworks.layers import framework
from normscope.frameworks.model import Model
from normscope.wording import qualified


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
            from normscope.frameworks.torch.model import TorchModel

            return TorchModel(model, given)
        case "keras":
            from normscope.frameworks.keras.model import KerasModel

            return KerasModel(model, given)
        case "nnx":
            from normscope.frameworks.flax.nnx_model import NnxModel

            return NnxModel(model, given)
        case "linen":
            from normscope.frameworks.flax.linen_model import LinenModel

            return LinenModel(model, given)
        case "onnx":
            try:
                from normscope.frameworks.onnx.model import OnnxModel
            except ImportError as missing:
                raise MissingPackageError(
                    f"an ONNX model is run by onnxruntime, which is not installed ({missing}): "
                    "pip install onnx onnxruntime"
                ) from missing
            try:
                return OnnxModel(model)
            except Exception as error:  # onnxruntime has many, and the model is anybody's
                problem = " ".join(str(error).split())[:300]
                raise SpecError(f"onnxruntime cannot run this model: {problem}") from error
    if not callable(model):
        kind = qualified(type(model).__qualname__)
        raise SpecError(
            f"scope calls a model, and this {kind} cannot be called; give a "
            "function that runs it, such as lambda x: transformed.apply(parameters, None, x)"
        )
    return FunctionModel(model)
