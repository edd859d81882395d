"""Marks in a jaxpr: here a layer is entered, here it is left.

A mark is a primitive that gives its operands back. It goes through `vmap`, `grad`, `jit`, `scan`
and the like as any operator does, and whoever reads the jaxpr takes it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

MARK: Any = Primitive("normscope_layer")
MARK.multiple_results = True


@dataclass(frozen=True, eq=False)
class Mark:
    """One call of a layer, as the program makes it.

    Attributes:
        path: the layer, as its user names it; None where only what it holds can tell.
        type: the name of its class.
        layer: the layer itself.
        parent: the call that it is made in.
        holds: where in the layer the arrays stand that are the last operands of its first mark.
    """

    path: str | None
    type: str
    layer: Any
    parent: Mark | None
    holds: tuple[str, ...] = ()


_OPEN: ContextVar[Mark | None] = ContextVar("open", default=None)

_FRESH = jax.make_user_context(None)  # type: ignore[no-untyped-call]
"""What `jit` has traced before has no marks, and what it traces now shall not be run later."""


def innermost() -> Mark | None:
    """The call that the program is in."""
    return _OPEN.get()


@contextmanager
def traced_anew(key: object) -> Iterator[None]:
    """Within, nothing is used that `jit` has traced outside."""
    with _FRESH(key):
        yield


def marked(
    call: Callable[[Any, Any], Any],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    *,
    path: str | None,
    type: str,
    layer: Any,
    held: dict[str, Any] | None = None,
) -> Any:
    """Call a layer with a mark before and a mark behind.

    Args:
        call: takes positional arguments and those by name.
        arguments, named: of the call.
        path, type, layer: as a `Mark` has them.
        held: the arrays of the layer, by where they stand in it.
    """
    held = held or {}
    mark = Mark(path, type, layer, _OPEN.get(), tuple(held))
    before = _OPEN.set(mark)
    try:
        arguments, named = _through((arguments, named), mark, True, list(held.values()))
        return _through(call(arguments, named), mark, False, [])
    finally:
        _OPEN.reset(before)


def _through(tree: Any, mark: Mark, entered: bool, held: list[Any]) -> Any:
    """A nested value with its arrays passed through a mark."""
    leaves, structure = jax.tree_util.tree_flatten(tree, is_leaf=_is_leaf)
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
    passed = MARK.bind(*(leaves[place] for place in places), *held, mark=mark, entered=entered)
    for place, leaf in zip(places, passed, strict=False):
        leaves[place] = leaf
    return jax.tree_util.tree_unflatten(structure, leaves)


def _is_leaf(node: Any) -> bool:
    """Layers among the arguments shall stay the objects that they are."""
    return type(node) not in (tuple, list, dict) and not hasattr(node, "_fields")


MARK.def_impl(lambda *arrays, **_: list(arrays))
MARK.def_abstract_eval(lambda *avals, **_: list(avals))
mlir.register_lowering(MARK, lambda _, *arrays, **__: list(arrays))


def _batched(arrays: Any, dims: Any, **params: Any) -> Any:
    return MARK.bind(*arrays, **params), dims


def _differentiated(primals: Any, tangents: Any, **params: Any) -> Any:
    return MARK.bind(*primals, **params), tangents


batching.primitive_batchers[MARK] = _batched
ad.primitive_jvps[MARK] = _differentiated
