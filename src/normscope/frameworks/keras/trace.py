"""The operator graph of a model of Keras, by the front end of the backend that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.keras.calls import LayerCalls, Original, Paths, noted, replaced_calls
from normscope.graph.operators import Call, CannotTraceError, Graph

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
    from normscope.frameworks.tensorflow.trace import current_graph, trace as trace_tensorflow

    calls = LayerCalls(live.layer, current_graph)
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
    )
    for one in calls.calls[1:]:
        if calls.places[one] in session.graphs:
            session.graphs[calls.places[one]].calls.append(one)
    for one, arguments in calls.given.items():
        one.inputs = session.values_of(arguments)
        one.outputs = session.values_of(calls.gave.get(one))
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
    from normscope.frameworks.jax.marks import innermost, marked
    from normscope.frameworks.jax.trace import passed, prototypes, traced

    paths = Paths(live.layer)
    held = {name: getattr(one, "value", one) for name, one in live.held().items()}

    def call(original: Original, part: Any, arguments: Any, named: Any) -> Any:
        around = innermost()
        if (part is live.layer and around is None) or not paths.knows(part):
            return original(part, *arguments, **named)
        gave: list[Any] = []

        def inner(marked_arguments: Any, marked_named: Any) -> Any:
            _hand_masks((arguments, named), (marked_arguments, marked_named))
            gave.append(original(part, *marked_arguments, **marked_named))
            return gave[0]

        path = paths.of(part, (around.path or "") if around else "")
        kind = type(part).__name__
        output = marked(inner, arguments, named, path=path, type=kind, layer=part)
        _hand_masks(gave[0], output)
        return output

    def function(values: dict[str, Any], arrays: list[Any]) -> Any:
        variables = live.held()
        mapping = [
            (variable, values[name])
            for name, variable in variables.items()
            if isinstance(variable, keras.Variable)
        ]
        arguments, named = passed(given, arrays)
        with keras.StatelessScope(mapping), replaced_calls(call):
            return live.call(arguments, named, training)

    model = Call("", type(live.layer).__name__, layer=live.layer)
    return traced(function, held, prototypes(given, live.leaf), model)


def _hand_masks(old: Any, new: Any) -> None:
    """Tensors that stand for others have the masks of these."""
    for one, other in zip(keras.tree.flatten(old), keras.tree.flatten(new), strict=True):
        mask = get_keras_mask(one) if one is not None else None
        if mask is not None and other is not one:
            set_keras_mask(other, mask)


_BACKENDS: Mapping[str, Callable[[KerasLive, Inputs, bool], Graph]] = {
    "tensorflow": _by_tensorflow,
    "torch": _by_torch,
    "jax": _by_jax,
}
