"""The operator graph of a model of Keras, by the front end of the backend that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.keras.calls import (
    LayerCalls,
    Original,
    Paths,
    noted,
    replaced_calls,
    told,
)
from normscope.frameworks.keras.saved.unknown import UnknownLayer, unknown_outputs
from normscope.frameworks.live import Live
from normscope.frameworks.trees import Array
from normscope.graph.operators import Call, CannotTraceError, Graph
from normscope.graph.rules import Opaque

if TYPE_CHECKING:
    from normscope.frameworks.keras.live import KerasLive
    from normscope.frameworks.tensorflow.session import Session


def trace(live: KerasLive, given: Inputs, training: bool) -> Graph:
    """The operator graph of one call in a mode.

    Raises:
        CannotTraceError: there is none.
    """
    if live.problem is not None:
        raise CannotTraceError(f"it could not be called: {live.problem}") from live.problem
    graph = _BACKENDS[keras.backend.backend()](live, given, training)
    for one in (graph, *graph.bodies()):
        for node in one.nodes:
            if isinstance(node.call.layer, UnknownLayer) and isinstance(node.rule, Opaque):
                node.operator, node.run = node.call.layer.kind, None
                node.call.type = node.call.layer.kind
                node.rule = Opaque("it is none of Keras's own layers, and its code is not there")
    return graph


def _by_tensorflow(live: KerasLive, given: Inputs, training: bool) -> Graph:
    from normscope.frameworks.tensorflow.trace import current_graph, trace as trace_tensorflow

    calls = LayerCalls(live.layer, current_graph)
    dtypes = _dtypes(live, given)

    def call(tensors: Sequence[Any], session: Session) -> Any:
        numbers = iter(tensors)
        arguments, named = given.arguments(lambda leaf, array: next(numbers))
        with noted(calls), unknown_outputs(session.unknown):
            return live.call(arguments, named, training)

    graph, session = trace_tensorflow(
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
    return graph


def _dtypes(live: KerasLive, given: Inputs) -> list[str]:
    """The dtypes of the arrays as the model is given them."""
    found: list[str] = []

    def note(leaf: Any, array: Any) -> Any:
        found.append(keras.backend.standardize_dtype(live.leaf(leaf, array).dtype))
        return leaf

    given.arguments(note)
    return found


def _by_torch(live: KerasLive, given: Inputs, training: bool) -> Graph:
    import torch

    from normscope.frameworks.torch.module_calls import ModuleCalls
    from normscope.frameworks.torch.trace import trace as trace_torch
    from normscope.frameworks.torch.unknown_operator import unknown

    paths = Paths(live.layer)

    @contextmanager
    def watch(calls: ModuleCalls) -> Iterator[None]:
        """The calls of layers, but for that of the model."""
        open_paths: list[str] = []

        def call(original: Original, part: Any, arguments: Any, named: Any) -> Any:
            if not paths.knows(part):
                return original(part, *arguments, **named)
            if not open_paths:
                open_paths.append("")
                try:
                    return original(part, *arguments, **named)
                finally:
                    open_paths.pop()
            open_paths.append(paths.of(part, open_paths[-1]))
            one = calls.enter(open_paths[-1], type(part).__name__, part, (arguments, named))
            one.told = told(named)
            output = None
            try:
                output = original(part, *arguments, **named)
            finally:
                open_paths.pop()
                calls.leave(one, output)
            return output

        with replaced_calls(call), unknown_outputs(unknown):
            yield

    held = {name: getattr(one, "value", one) for name, one in live.held().items()}
    device = torch.device(keras.src.backend.torch.core.get_device())
    graph = trace_torch(_Tensors(live), given, training, held, watch, device)
    graph.calls[0].layer = live.layer
    return graph


class _Tensors(Live):
    """A model that is given tensors, as what comes in a NumPy array has numbers."""

    def __init__(self, live: KerasLive) -> None:
        super().__init__(live.title, live.kind, live.function)
        self._live = live

    def leaf(self, original: Any, value: Array) -> Any:
        return keras.ops.convert_to_tensor(self._live.leaf(original, value))

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        return self._live.call(arguments, named, training)

    def put_back(self, stream: int | None = 0) -> None:
        self._live.put_back(stream)


def _by_jax(live: KerasLive, given: Inputs, training: bool) -> Graph:
    from normscope.frameworks.jax.marks import innermost, marked
    from normscope.frameworks.jax.trace import passed, prototypes, traced
    from normscope.frameworks.jax.unknown import unknown

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
        with keras.StatelessScope(mapping), replaced_calls(call), unknown_outputs(unknown):
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
