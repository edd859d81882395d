"""The operator graph of a module of Flax NNX: its variables are taken out of it and given to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
from flax import nnx

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.jax.classes import Layers, replaced_calls
from normscope.frameworks.jax.trace import passed, prototypes, traced
from normscope.graph.operators import Call, Graph


def traced_module(
    module: Any,
    call: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any],
    given: Inputs,
    leaf: Callable[[Any, Any], Any],
) -> Graph:
    """The operator graph of one call.

    Args:
        module: in the mode that is asked for; it is left alone.
        call: calls a copy of it.
        given: the inputs.
        leaf: gives them the form in which the model takes them.

    Raises:
        CannotTraceError: there is none; the text says why.
    """
    structure, state = nnx.split(module)
    found, leaves = jax.tree_util.tree_flatten_with_path(state)
    names = [_name(path) for path, _ in found]
    own = {".".join(map(str, path)): part for path, part in nnx.iter_modules(module)}

    def run(held: dict[str, Any], arrays: Sequence[Any]) -> Any:
        values = jax.tree_util.tree_unflatten(leaves, [held[name] for name in names])
        copy = nnx.merge(structure, values)
        parts = {".".join(map(str, path)): part for path, part in nnx.iter_modules(copy)}
        layers = Layers(_held, {id(part): path for path, part in parts.items()}, own)
        arguments, named = passed(given, arrays)
        with replaced_calls(map(type, parts.values()), layers.marking):
            return call(copy, arguments, named)

    held = {name: array for name, (_, array) in zip(names, found, strict=True)}
    model = Call("", type(module).__name__, layer=module)
    return traced(run, held, prototypes(given, leaf), model)


@contextmanager
def marking(models: Mapping[str, Any]) -> Iterator[None]:
    """Within, the calls of modules are marked, also of those inside of them.

    Args:
        models: by name; what is no module of NNX is left out.
    """
    own = {
        ".".join(map(str, (name, *path))): part
        for name, model in models.items()
        if isinstance(model, nnx.Module)
        for path, part in nnx.iter_modules(model)
    }
    layers = Layers(_held, {id(part): path for path, part in own.items()}, own)
    with replaced_calls(map(type, own.values()), layers.marking):
        yield


def _held(module: Any) -> dict[str, Any]:
    """The arrays of a module that JAX has taken apart and built again, by where they stand."""
    found = jax.tree_util.tree_flatten_with_path(nnx.state(module))[0]
    return {f".{_name(path)}": array for path, array in found}


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(key.key) for key in path if hasattr(key, "key"))
