"""The calls of the modules of Equinox inside of a model, marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax

from normscope.frameworks.jax.classes import Layers, replaced_calls


@contextmanager
def marking(models: Mapping[str, Any]) -> Iterator[None]:
    """Within, the calls of modules inside of models are marked.

    Modules are trees of JAX and are built anew again and again. So the paths in the model "" are
    those in the module that is called first; modules that are known by no path are known by what
    they hold.

    Args:
        models: modules as their user has them, by name; "" is the whole model.
    """
    own = {path: part for name, model in models.items() for path, part in modules_of(model, name)}
    layers = Layers(_held, {id(part): path for path, part in own.items() if "" not in models}, own)

    def replacement(original: Callable[..., Any]) -> Callable[..., Any]:
        marked = layers.marking(original)

        def call(module: Any, *arguments: Any, **named: Any) -> Any:
            if layers.paths:
                return marked(module, *arguments, **named)
            parts = dict(modules_of(module))  # holds them, so that each keeps its `id`
            layers.paths = {id(part): path for path, part in reversed(parts.items())}
            try:
                return original(module, *arguments, **named)
            finally:
                layers.paths = {}
                parts.clear()

        return call

    with replaced_calls(map(type, own.values()), replacement):
        yield


def modules_of(module: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """A module and all modules inside, by path; one that stands in two places, by both."""
    yield path.removeprefix("."), module
    inside = jax.tree_util.tree_flatten_with_path(
        module, is_leaf=lambda node: isinstance(node, eqx.Module) and node is not module
    )[0]
    for keys, part in inside:
        if isinstance(part, eqx.Module):
            yield from modules_of(part, f"{path}{jax.tree_util.keystr(keys)}")


def _held(module: Any) -> dict[str, Any]:
    """The arrays of a module that JAX has taken apart and built again, by where they stand."""
    found = jax.tree_util.tree_flatten_with_path(module)[0]
    return {jax.tree_util.keystr(k): x for k, x in found if isinstance(x, jax.Array)}
