"""One operator of ONNX, run again: by the reference implementation of ONNX, which is NumPy.

What it does not know, or is slow at, ONNX Runtime runs. Nothing of a file is run but operators of
these two, by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Timer
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from normscope.frameworks.onnx.structure import graphs_of
from normscope.graph.operators import Value
from normscope.graph.replay import CannotReplayError
from normscope.wording import one_line

_BY_RUNTIME = frozenset(
    (
        "Conv",
        "ConvTranspose",
        "MaxPool",
        "AveragePool",
        "LpPool",
        "LSTM",
        "GRU",
        "RNN",
        "MatMulInteger",
        "LRN",
        "Loop",
        "Scan",
    )
)
"""What the reference does by loops in Python, or not in all directions."""

_STASHED = frozenset({"LayerNormalization", "RMSNormalization", "GroupNormalization"})
"""What takes its statistics in the dtype of `stash_type`, float32 if it says nothing."""

_REFUSED = frozenset({"ImageDecoder", "RegexFullMatch"})
"""What decodes, or matches patterns of the file."""

MANY_BYTES = 2**28
"""What makes more is not run."""

SECONDS = 20.0
"""A loop that does not end is stopped after so long."""


def type_of(value: Value) -> Any:
    """A value's type, as ONNX states it."""
    return helper.make_tensor_type_proto(element_type(value.dtype), value.shape)


def dtype_of(array: Any) -> str:
    """The name of the dtype of an array; all texts are objects."""
    dtype = np.asarray(array).dtype
    return "object" if dtype.kind in "OUS" else dtype.name


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

        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name, object))
        return dtype


def per_group(node: Any, versions: Mapping[str, int]) -> bool:
    """Whether it is GroupNormalization with a scale per group, as it was until version 21."""
    return (
        node.op_type == "GroupNormalization"
        and not node.domain
        and 18 <= versions.get("", 0) < 21
        and any(one.name == "num_groups" and one.i > 0 for one in node.attribute)
    )


class Evaluation:
    """Runs one node.

    Args:
        node: with nothing in its attributes that refers to a function around.
        versions: of the operators, by domain.
        captured: the names that graphs inside of it take from around it; their arrays come last.
        functions: of the file, where graphs inside may call them.
    """

    def __init__(
        self,
        node: Any,
        versions: Mapping[str, int],
        captured: Sequence[str] = (),
        functions: Sequence[Any] = (),
    ) -> None:
        self._node = node
        self._versions = dict(versions)
        self._captured = tuple(captured)
        self._functions = functions
        self._model: Any = None
        self._ways: list[Callable[[Any], Any]] = []
        self._evaluator: Any = None
        self._names: list[str] = []

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[Any]:
        """The results, for arrays of the operands.

        Raises:
            CannotReplayError: neither implementation can.
        """
        if self._node.op_type in _REFUSED:
            raise CannotReplayError(f"{self._node.op_type} is not run")
        try:
            if not self._ways:
                self._model, self._names = self._made(self._fitted(arrays))
                self._ways = self._possible(arrays)
            if not self._ways:
                raise CannotReplayError("no implementation is known for these dtypes")
            feeds = dict(zip(self._names, map(np.asarray, self._fitted(arrays)), strict=True))
        except Exception as error:  # of a node that anybody wrote
            raise self._error(error) from error
        while True:
            try:
                if self._evaluator is None:
                    self._evaluator = self._ways[0](self._model)
                found = list(self._evaluator.run(None, feeds))
                if self._stashes(arrays):
                    found[0] = np.asarray(found[0]).astype(np.asarray(arrays[0]).dtype)
                return found
            except Exception as error:  # the other way may do it
                if len(self._ways) < 2:
                    raise self._error(error) from error
                self._evaluator = None
                self._ways.pop(0)

    def _stashes(self, arrays: Sequence[NDArray[Any]]) -> bool:
        """Whether a normalization takes its statistics in a wider dtype than that of its input."""
        if self._node.op_type not in _STASHED or self._node.domain:
            return False
        said = {one.name: one.i for one in self._node.attribute}
        return said.get("stash_type", 1) == 1 and dtype_of(arrays[0]) in ("float16", "bfloat16")

    def _fitted(self, arrays: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """The operands as the implementations take them."""
        if self._stashes(arrays):
            arrays = [np.asarray(array).astype(np.float32) for array in arrays]
        if per_group(self._node, self._versions):
            x, *learned = map(np.asarray, arrays)
            groups = next(one.i for one in self._node.attribute if one.name == "num_groups")
            each = x.shape[1] // groups
            arrays = [x, *(np.repeat(a, each) if a.size == groups else a for a in learned)]
        return arrays

    def _error(self, error: Exception) -> CannotReplayError:
        text = one_line(error, 200)
        return CannotReplayError(f"{self._node.op_type} cannot be run: {text}")

    def _possible(self, arrays: Sequence[NDArray[Any]]) -> list[Callable[[Any], Any]]:
        """What may run it, the first choice first."""
        if self._node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
            return [_runtime_session]
        if not all(np.asarray(array).dtype.kind in "fiub" for array in arrays):
            return [] if self._may_loop() else [ReferenceEvaluator]
        if self._may_loop():  # which only onnxruntime can be told to leave
            return [_runtime_session]
        if self._node.op_type in _BY_RUNTIME or next(graphs_of(self._node), None) is not None:
            return [_runtime_session, ReferenceEvaluator]
        return [ReferenceEvaluator, _runtime_session]

    def _may_loop(self) -> bool:
        return _may_loop(self._node, {function.name for function in self._functions})

    def _made(self, arrays: Sequence[NDArray[Any]]) -> tuple[Any, list[str]]:
        """A model of this node and its inputs; by number, so that the same may come twice."""
        node = onnx.NodeProto()
        node.CopyFrom(self._node)
        versions = self._versions
        if node.op_type == "Scatter" and not node.domain:  # its name until version 11
            node.op_type, versions = "ScatterElements", {"": 11}
        if per_group(node, versions):
            versions = {**versions, "": 21}
        del node.input[:]
        node.input.extend(f"operand {n}" if name else "" for n, name in enumerate(self._node.input))
        given = [name for name in node.input if name] + list(self._captured)
        del node.output[:]
        node.output.extend(
            f"result {n}" if name else "" for n, name in enumerate(self._node.output)
        )
        inputs = [
            helper.make_tensor_value_info(
                name, element_type(dtype_of(array)), [None] * np.ndim(array)
            )
            for name, array in zip(given, arrays, strict=True)
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "one", inputs, outputs)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(d, v) for d, v in versions.items()],
            functions=self._functions,
        )
        model.ir_version = 10
        return model, given


def _may_loop(node: Any, functions: Collection[str]) -> bool:
    """Whether a loop stands in a node, or may stand in a function that it calls."""
    return node.op_type == "Loop" or any(
        inner.op_type in functions or _may_loop(inner, functions)
        for graph in graphs_of(node)
        for inner in graph.node
    )


class _Stopped:
    """A session of onnxruntime that is left when it takes too long."""

    def __init__(self, session: Any, options: Callable[[], Any]) -> None:
        self._session = session
        self._options = options

    def run(self, names: None, feeds: Mapping[str, Any]) -> list[Any]:
        """The results."""
        options = self._options()
        timer = Timer(SECONDS, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            return list(self._session.run(names, feeds, options))
        finally:
            timer.cancel()


def _runtime_session(model: Any) -> Any:
    import onnxruntime

    from normscope.frameworks.onnx.memory import bound

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    bound(options)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    runs_graphs = next(graphs_of(model.graph.node[0]), None) is not None
    return _Stopped(session, onnxruntime.RunOptions) if runs_graphs else session
