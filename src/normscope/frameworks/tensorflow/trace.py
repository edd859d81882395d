"""What a function computes with TensorFlow, as an operator graph.

The function is run once on tensors without numbers, in a graph of TensorFlow, so that no number can
leave it unseen. Variables keep their values: what a call writes to them stands in that graph only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.function.capture import capture_container
from tensorflow.python.framework.func_graph import FuncGraph

from normscope.frameworks.source_lines import source_line
from normscope.frameworks.tensorflow.builder import Builder
from normscope.frameworks.tensorflow.items import Handle, constant
from normscope.frameworks.tensorflow.session import Place, Session
from normscope.frameworks.trees import arrays_by_name
from normscope.graph.operators import Call, CannotTraceError, Graph, Node, Value
from normscope.wording import one_line

_LIBRARIES = tuple(str(Path(str(module.__file__)).parent) for module in (tf, keras))


class TensorFlowArrays:
    """Tensors to NumPy's arrays and back."""

    def to_numpy(self, array: Any) -> NDArray[Any]:
        """The numbers of a tensor; of bfloat16 and the like, as float32."""
        found = np.asarray(array)
        return (
            found.astype(np.float32)
            if found.dtype.kind == "V" or (found.dtype.name in ("float16", "bfloat16"))
            else found
        )

    def from_numpy(self, array: NDArray[Any], dtype: str) -> Any:
        """A tensor of this dtype."""
        with tf.init_scope():
            return tf.cast(tf.constant(array), dtype)


def trace(
    call: Callable[[Sequence[Any], Session], Any],
    arrays: Sequence[NDArray[Any]],
    names: Sequence[str],
    *,
    dtypes: Sequence[str],
    named: Mapping[str, Any],
    current: Callable[[], Call],
) -> tuple[Graph, Session]:
    """The operator graph of a function.

    Args:
        call: is given one tensor for each array, and what makes tensors of which nothing is known;
            gives nested tensors.
        arrays: numbers for which it is traced; where a shape depends on numbers, on these.
        names: of the arrays.
        dtypes: of the tensors.
        named: variables and tensors that the model holds, by name.
        current: the call of a layer that is running; at first that of the model.

    Returns:
        The graph, and what tells the value of each tensor.

    Raises:
        CannotTraceError: the function cannot be run on tensors without numbers.
    """
    traced = FuncGraph("traced")
    made: dict[tuple[str, str], Place] = {}
    session = Session(made)
    with _noting(made, current), traced.as_default():
        inputs = [
            tf.compat.v1.placeholder(dtype, array.shape, f"input_{number}")
            for number, (array, dtype) in enumerate(zip(arrays, dtypes, strict=True))
        ]
        try:
            output = call(inputs, session)
        except CannotTraceError:
            raise
        except Exception as error:  # whatever the function raises on tensors without numbers
            raise CannotTraceError(_reason(error)) from error
    model = current()
    graph = Graph(TensorFlowArrays(), calls=[model])
    builder = Builder(session, graph, model)
    env: dict[str, Any] = {}
    for tensor, array, name, dtype in zip(inputs, arrays, names, dtypes, strict=True):
        value = graph.input(array.shape, dtype, name)
        builder.memo[value] = graph.arrays.from_numpy(array, dtype)
        env[tensor.name] = value
    known = _names(named)
    for outside, inside in traced.captures:
        env[inside.name] = _captured(outside, known, builder)
    builder.add_all(traced, env)
    for name, tensor in arrays_by_name(output, "output"):
        graph.outputs.append(session.value(tensor))
        graph.output_names.append(name)
    _leave_out_trials(graph, [*graph.outputs, *builder.state.values()])
    return graph, session


def _leave_out_trials(graph: Graph, kept: Sequence[Value]) -> None:
    """Leave out what a layer computes that is called again, if nothing takes it.

    A recurrent layer calls its cell once to see what shapes it gives, before it calls it in a loop.
    """
    needed: set[Node] = set()
    waiting = list(kept)
    while waiting:
        node = waiting.pop().node
        if node is not None and node not in needed:
            needed.add(node)
            waiting += node.operands
    paths = {node.path for node in needed} | {n.path for b in graph.bodies() for n in b.nodes}
    dropped = {node for node in graph.nodes if node not in needed and node.path in paths}
    for value in {value for node in dropped for value in node.operands}:
        value.users = [user for user in value.users if user not in dropped]
    graph.nodes = [node for node in graph.nodes if node not in dropped]
    for number, node in enumerate(graph.nodes):
        node.number = number


def current_graph() -> str:
    """The name of the graph to which TensorFlow adds operations now; "" if it runs them."""
    return "" if tf.executing_eagerly() else str(tf.compat.v1.get_default_graph().name)


def _reason(error: Exception) -> str:
    return (
        "it cannot be run on tensors without numbers, which is how TensorFlow shows what it "
        f"computes: {type(error).__name__}: {one_line(error)}"
    )


def _names(named: Mapping[str, Any]) -> dict[int, str]:
    """The names of variables by their handles, and of tensors."""
    found = {}
    for name, held in named.items():
        value = getattr(held, "value", held)
        found[id(getattr(value, "handle", value))] = name
    return found


def _captured(outside: Any, names: Mapping[int, str], builder: Builder) -> Any:
    name = names.get(id(outside), "")
    if outside.dtype == tf.resource:
        handle = Handle(outside)
        shape, dtype = _variable_type(outside)
        if shape is not None:
            with tf.init_scope():
                now = tf.raw_ops.ReadVariableOp(resource=outside, dtype=dtype)
            builder.state[handle] = constant(now.shape, dtype.name, now, name or "a variable")
        return handle
    if outside.dtype in (tf.variant, tf.string):
        return Handle(outside)
    return constant(outside.shape, outside.dtype.name, outside, name)


def _variable_type(handle: Any) -> tuple[Any, Any]:
    data = getattr(handle, "_handle_data", None)
    if data is None or not data.is_set or len(data.shape_and_type) != 1:
        return None, None
    one = data.shape_and_type[0]
    return tf.TensorShape(one.shape), tf.as_dtype(one.dtype)


@contextmanager
def _noting(made: dict[tuple[str, str], Place], current: Callable[[], Call]) -> Iterator[None]:
    """Within, each operator that is added to a graph is noted with its layer and source line.

    Small tensors are captured too, and not written into the graph as numbers, which have no name.
    """
    original = FuncGraph._create_op_internal
    threshold = capture_container._EAGER_CONST_THRESHOLD

    def create(self: Any, *arguments: Any, **keywords: Any) -> Any:
        operation = original(self, *arguments, **keywords)
        made[self.name, operation.name] = current(), source_line(_LIBRARIES, trace.__code__)
        return operation

    FuncGraph._create_op_internal = create
    capture_container._EAGER_CONST_THRESHOLD = -1
    try:
        yield
    finally:
        FuncGraph._create_op_internal = original
        capture_container._EAGER_CONST_THRESHOLD = threshold
