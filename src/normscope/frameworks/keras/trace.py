"""The operator graph of a model of Keras, by the front end of the backend that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.keras.calls import LayerCalls, noted
from normscope.graph.operators import CannotTraceError, Graph

if TYPE_CHECKING:
    from normscope.frameworks.keras.live import KerasLive


def trace(live: KerasLive, given: Inputs, training: bool) -> Graph:
    """The operator graph of one call in a mode.

    Raises:
        CannotTraceError: there is none.
    """
    if live.problem is not None:
        raise CannotTraceError(f"it could not be called: {live.problem}") from live.problem
    return _BACKENDS[keras.backend.backend()](live, given, training)


def _by_tensorflow(live: KerasLive, given: Inputs, training: bool) -> Graph:
    from normscope.frameworks.tensorflow.trace import trace as trace_tensorflow

    calls = LayerCalls(live.layer)
    dtypes = _dtypes(live, given)

    def call(tensors: Sequence[Any]) -> Any:
        numbers = iter(tensors)
        arguments, named = given.arguments(lambda leaf, array: next(numbers))
        with noted(calls):
            return live.call(arguments, named, training)

    graph, output, session = trace_tensorflow(
        call,
        given.arrays,
        given.names,
        dtypes=dtypes,
        named=live.held(),
        current=lambda: calls.current,
        calls=calls.calls,
    )
    for one, arguments in calls.given.items():
        one.inputs = session.values_of(arguments)
    for one, gave in calls.gave.items():
        one.outputs = session.values_of(gave)
    graph.output_names = _output_names(output)
    return graph


def _dtypes(live: KerasLive, given: Inputs) -> list[str]:
    """The dtypes of the arrays as the model is given them."""
    found: list[str] = []

    def note(leaf: Any, array: Any) -> Any:
        found.append(keras.backend.standardize_dtype(live.leaf(leaf, array).dtype))
        return leaf

    given.arguments(note)
    return found


def _output_names(output: Any) -> list[str]:
    from normscope.frameworks.trees import arrays_by_name

    return [name for name, _ in arrays_by_name(output, "output")]


def _by_torch(live: KerasLive, given: Inputs, training: bool) -> Graph:
    raise CannotTraceError("not yet")


def _by_jax(live: KerasLive, given: Inputs, training: bool) -> Graph:
    raise CannotTraceError("not yet")


_BACKENDS: Mapping[str, Callable[[KerasLive, Inputs, bool], Graph]] = {
    "tensorflow": _by_tensorflow,
    "torch": _by_torch,
    "jax": _by_jax,
}
