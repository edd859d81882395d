"""Which adapter a layer needs, told by its classes' modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from normscope.errors import MissingPackageError, SpecError
from normscope.frameworks.function.layer import FunctionAdapter
from normscope.frameworks.layer import Adapter
from normscope.frameworks.registry import framework as framework
from normscope.wording import qualified


def adapt(
    layer: Any,
    shape: tuple[int, ...],
    *,
    others: tuple[Any, ...] = (),
    inputs: Mapping[str, Any] | None = None,
    dtype: np.dtype[Any] | None = None,
) -> Adapter:
    """The adapter for a layer.

    Args:
        layer: a layer, or a pair of a module and its variables.
        shape: of the input.
        others: further inputs, given by position and held fixed.
        inputs: further inputs, given by name and held fixed.
        dtype: to call the layer in; None is the layer's own, else float32.

    Raises:
        SpecError: it cannot be called.
        MissingPackageError: the layer's framework is not installed.
    """
    named = dict(inputs or {})
    # a framework is imported only here, once a layer of its own has been seen
    match framework(layer):
        case "torch":
            from normscope.frameworks.torch.layer import TorchAdapter

            return TorchAdapter(layer, shape, others, named, dtype)
        case "keras":
            from normscope.frameworks.keras.layer import KerasAdapter

            return KerasAdapter(layer, shape, others, named)
        case "nnx":
            from normscope.frameworks.flax.nnx_layer import NnxAdapter

            return NnxAdapter(layer, shape, others, named)
        case "linen":
            from normscope.frameworks.flax.linen_layer import LinenAdapter

            return LinenAdapter(layer, shape, others, named)
        case "haiku":
            from normscope.frameworks.haiku.layer import HaikuAdapter

            return HaikuAdapter(layer, shape, others, named)
        case "equinox":
            from normscope.frameworks.equinox.layer import EquinoxAdapter

            return EquinoxAdapter(layer, shape, others, named)
        case "onnx":
            try:
                from normscope.frameworks.onnx.layer import OnnxAdapter
            except ImportError as missing:
                raise MissingPackageError(
                    f"an ONNX model is run by onnxruntime, which is not installed ({missing}): "
                    "pip install onnx onnxruntime"
                ) from missing
            return OnnxAdapter(layer, shape, named)
    if not callable(layer):
        kind = qualified(type(layer).__qualname__)
        raise SpecError(
            f"identify calls a layer, and an object of {kind} cannot be called; give a "
            "layer of a framework, an ONNX model, or a function from an array to an array"
        )
    return FunctionAdapter(layer, others, named, dtype or np.dtype(np.float32))
