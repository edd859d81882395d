"""The operator graph of a function of JAX: what it computes, found without computing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.jax.jaxpr import Constant, graph_of
from normscope.frameworks.jax.marks import traced_anew
from normscope.frameworks.trees import Array, arrays_by_name
from normscope.graph.operators import Call, CannotTraceError, Graph
from normscope.wording import one_line

_READS = (
    "it decides by numbers that depend on its input, or gives them to NumPy, which JAX cannot "
    "follow; write jax.lax.cond or jnp.where for if, jnp for numpy"
)


def traced(
    function: Callable[[dict[str, Any], list[Any]], Any],
    held: Mapping[str, Any],
    inputs: Mapping[str, Any],
    model: Call | None = None,
    constants: Mapping[int, str] | None = None,
) -> Graph:
    """The operator graph of a function of JAX.

    Args:
        function: takes the arrays that the model holds, by name, and the list of its inputs; gives
            the outputs of the model, nested as they are.
        held: the arrays that the model holds, by their paths as its user knows them.
        inputs: what has the shape and the dtype of each input, by name.
        model: the call of the model itself.
        constants: the names of arrays that the function holds besides, by their `id`.

    Raises:
        CannotTraceError: the function raised, or it reads numbers that depend on its input.
    """
    names: list[str] = []

    def called(held: dict[str, Any], arrays: list[Any]) -> list[Any]:
        found = list(arrays_by_name(function(held, arrays), "output"))
        names[:] = [name for name, _ in found]
        return [jnp.asarray(array) for _, array in found]

    struct: Any = jax.ShapeDtypeStruct
    avals = [struct(x.shape, x.dtype) for x in inputs.values()]
    try:
        with traced_anew(object()):
            try:
                closed = jax.make_jaxpr(called)(dict(held), avals)
                # JAX sorts dicts by their keys
                given: list[str | Constant] = [Constant(n, held[n]) for n in sorted(held)]
            except jax.errors.ConcretizationTypeError:  # it may read what it holds
                closed = jax.make_jaxpr(lambda arrays: called(dict(held), arrays))(avals)
                given = []
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise CannotTraceError(_READS) from error
    except Exception as error:  # a model may refuse its input by any exception
        said = one_line(error, 200)
        raise CannotTraceError(f"it raised {type(error).__name__}: {said}") from error
    by_identity = {**(constants or {}), **{id(array): name for name, array in held.items()}}
    return graph_of(closed, [*given, *inputs], names, model, by_identity)


def prototypes(given: Inputs, leaf: Callable[[Any, Array], Any]) -> dict[str, Any]:
    """Arrays as the model takes them, by the names of its inputs."""
    made: list[Any] = []

    def make(original: Any, value: Array) -> Any:
        made.append(leaf(original, value))
        return made[-1]

    given.arguments(make)
    return dict(zip(given.names, made, strict=True))


def passed(given: Inputs, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call in which these arrays take the places of those given."""
    remaining = iter(arrays)
    return given.arguments(lambda original, value: next(remaining))
