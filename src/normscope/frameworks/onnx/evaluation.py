"""One operator of ONNX, run again: by the reference implementation of ONNX, which is NumPy.

What it does not know, or is slow at, ONNX Runtime runs. Nothing of a file is run but operators of
these two, by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from normscope.graph.operators import Value

_SLOW = frozenset(
    [
        "Conv",
        "ConvTranspose",
        "MaxPool",
        "AveragePool",
        "LpPool",
        "LSTM",
        "GRU",
        "RNN",
        "MatMulInteger",
    ]
)
"""What the reference does by loops in Python."""

_REFUSED = frozenset({"ImageDecoder", "RegexFullMatch"})
"""What decodes, or matches patterns of the file."""

MANY_BYTES = 2**32


class CannotRunError(Exception):
    """An operator cannot be run; the text says why."""


def type_of(value: Value) -> Any:
    """A value's type, as ONNX states it."""
    return helper.make_tensor_type_proto(element_type(value.dtype), value.shape)


def element_type(dtype: str) -> int:
    """The number of ONNX for a dtype by name."""
    if dtype == "object":
        return int(onnx.TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(np_dtype(dtype)))


def np_dtype(name: str) -> np.dtype[Any]:
    """NumPy's dtype, or that of `ml_dtypes`, by name."""
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return dtype


class Evaluation:
    """Runs one node.

    Attributes:
        node: with all that its attributes refer to; its inputs and outputs are named by number.
        operands: what it takes, in the order of the file without what is left out.
        versions: of the operators, by domain.
        captured: the names that graphs inside of it take from around it, with the values.
    """

    def __init__(
        self,
        node: Any,
        operands: Sequence[Value],
        versions: Mapping[str, int],
        captured: Sequence[str] = (),
    ) -> None:
        self._node = node
        self._operands = tuple(operands)
        self._versions = dict(versions)
        self._captured = tuple(captured)
        self._evaluator: Any = None
        self._names: list[str] = []

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """The results, for arrays of the operands.

        Raises:
            CannotRunError: neither implementation can.
        """
        if self._node.op_type in _REFUSED:
            raise CannotRunError(f"{self._node.op_type} is not run")
        try:
            if self._evaluator is None:
                self._evaluator = self._made(arrays)
            feeds = {
                name: np.asarray(array) for name, array in zip(self._names, arrays, strict=True)
            }
            return list(self._evaluator.run(None, feeds))
        except Exception as error:  # of a node that anybody wrote
            text = " ".join(str(error).split())[:200]
            raise CannotRunError(f"{self._node.op_type} cannot be run: {text}") from error

    def _made(self, arrays: Sequence[NDArray[Any]]) -> Any:
        model = self._model(arrays)
        foreign = self._node.domain not in ("", "ai.onnx", "ai.onnx.ml")
        plain = all(np.asarray(array).dtype.kind in "fiub" for array in arrays)
        if foreign or (self._node.op_type in _SLOW and plain):
            try:
                return _runtime_session(model)
            except Exception:
                if foreign:
                    raise
        return ReferenceEvaluator(model)

    def _model(self, arrays: Sequence[NDArray[Any]]) -> Any:
        """A model of this node; operands by number, so that the same may come twice."""
        node = onnx.NodeProto()
        node.CopyFrom(self._node)
        given = [name for name in node.input if name]
        fresh = iter(range(len(given)))
        del node.input[:]
        node.input.extend(f"_{next(fresh)}" if name else "" for name in self._node.input)
        self._names = [name for name in node.input if name] + list(self._captured)
        del node.output[:]
        node.output.extend(f"y{n}" if name else "" for n, name in enumerate(self._node.output))
        inputs = [
            helper.make_tensor_value_info(
                name, element_type(np.asarray(array).dtype.name), [None] * np.ndim(array)
            )
            for name, array in zip(self._names, arrays, strict=True)
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "one", inputs, outputs)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid(d, v) for d, v in self._versions.items()]
        )
        model.ir_version = 10
        return model


def _runtime_session(model: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
