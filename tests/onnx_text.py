"""ONNX models from the text of their nodes, for the tests of the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def onnx_model(
    nodes: str,
    shape: Sequence[int],
    dtype: str = "float",
    opset: int = 17,
    output: Sequence[int] | None = None,
    layer: str = "",
    **arrays: Any,
) -> Any:
    """A model with the input x and the output y.

    Args:
        nodes: in the text form of ONNX, `[name] y = Relu (x)`.
        shape, dtype: of x and y, in the words of ONNX: "float", "float16".
        opset: of the standard operators.
        output: the shape of y, where it is another.
        layer: a path, which nodes without a name get as exporters of torch write it.
        arrays: the initializers; those of floats become of the dtype.
    """
    from onnx import numpy_helper, parser

    kind = np.dtype({"float": "float32"}.get(dtype, dtype))
    takes = f"{dtype}[{','.join(map(str, shape))}]"
    gives = f"{dtype}[{','.join(map(str, shape if output is None else output))}]"
    head = f'<ir_version: 8, opset_import: ["" : {opset}]>'
    model = parser.parse_model(f"{head} net ({takes} x) => ({gives} y) {{ {nodes} }}")
    for node in model.graph.node if layer else ():
        node.name = node.name or f"/{layer.replace('.', '/')}/{node.op_type}"
    for name, values in arrays.items():
        array = np.asarray(values)
        if array.dtype.kind == "f":
            array = array.astype(kind)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model
