"""Functions of JAX, which may call layers of the libraries on top of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.jax.trace import passed, prototypes, traced
from normscope.frameworks.live import Live
from normscope.frameworks.registry import is_of
from normscope.frameworks.trees import arrays_by_name
from normscope.graph.operators import Call, CannotTraceError, Graph, OutOfSightError


def traced_function(
    live: Live, given: Inputs, training: bool, captured: Mapping[str, Any]
) -> Graph:
    """The operator graph of a function.

    Args:
        live: the function.
        given: its inputs.
        training: the mode.
        captured: what it gets from outside of its arguments, by name.

    Raises:
        CannotTraceError: it is no function of JAX, or it cannot be followed.
    """
    found = prototypes(given, live.leaf)
    if not all(isinstance(array, jax.Array) for array in found.values()):
        _check_takes_jax(live, given, training)
        found = {name: jnp.asarray(array) for name, array in found.items()}

    def run(held: dict[str, Any], arrays: Sequence[Any]) -> Any:
        arguments, named = passed(given, arrays)
        with ExitStack() as marks:
            _mark_layers(marks, captured)
            return live.call(arguments, named, training)

    names = {id(array): name for name, array in _arrays(captured)}
    try:
        return traced(run, {}, found, Call("", live.kind, layer=live.function), names)
    finally:
        live.put_back()


def _check_takes_jax(live: Live, given: Inputs, training: bool) -> None:
    """Refuse a function that does not do to arrays of JAX what it does to those of NumPy.

    It may write into arrays of NumPy, which those of JAX do not allow.
    """

    def called(convert: Any) -> list[Any]:
        live.put_back()
        arguments, named = given.arguments(lambda x, value: convert(live.leaf(x, value)))
        with np.errstate(all="ignore"):
            outputs = live.call(arguments, named, training)
        return [array for _, array in arrays_by_name(outputs, "")]

    try:
        first, second = called(_read_only), called(jnp.asarray)
    except Exception as error:  # whatever it raises, it is not one of JAX
        raise OutOfSightError(_NO_JAX) from error
    finally:
        live.put_back()
    if not any(isinstance(array, jax.Array) for array in first) or any(map(_is_numpy, first)):
        raise OutOfSightError(_NO_JAX)
    pairs = zip(first, second, strict=True)
    if not all(np.allclose(a, b, 1e-2, 1e-3, equal_nan=True) for a, b in pairs):
        raise CannotTraceError("it gives something else for arrays of JAX than for those of NumPy")


def _is_numpy(array: Any) -> bool:
    """Whether an array is one of NumPy, or a number of its kind."""
    return isinstance(array, np.ndarray | np.generic)


_NO_JAX = (
    "it computes in NumPy, of which no operators are seen; to prove anything, write it in JAX or "
    "PyTorch, or give it their arrays"
)


def _read_only(array: Any) -> Any:
    if isinstance(array, np.ndarray):
        array.flags.writeable = False
    return array


def _mark_layers(marks: ExitStack, captured: Mapping[str, Any]) -> None:
    if "flax.linen" in sys.modules:
        from normscope.frameworks.flax import linen_trace

        marks.enter_context(linen_trace.marking())
    if "haiku" in sys.modules:
        from normscope.frameworks.haiku import trace as haiku_trace

        marks.enter_context(haiku_trace.marking())
    modules = {name: part for name, part in captured.items() if is_of(part, "equinox")}
    if modules:
        from normscope.frameworks.equinox import trace as equinox_trace

        marks.enter_context(equinox_trace.marking(modules))
    if "flax.nnx" in sys.modules:
        from normscope.frameworks.flax import nnx_trace

        marks.enter_context(nnx_trace.marking(captured))


def _arrays(captured: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The arrays in what a function captures, trees of JAX taken apart, with their names."""
    for name, part in captured.items():
        if isinstance(part, jax.Array):
            yield name, part
        elif is_of(part, "equinox") or is_of(part, "flax"):
            dotted = is_of(part, "flax")
            for path, leaf in jax.tree_util.tree_flatten_with_path(part)[0]:
                if isinstance(leaf, jax.Array):
                    yield f"{name}{_suffix(path, dotted)}", leaf


def _suffix(path: tuple[Any, ...], dotted: bool) -> str:
    if not dotted:
        return str(jax.tree_util.keystr(path))
    keys = [str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", "")))) for key in path]
    return ".".join(["", *keys]).removesuffix(".value")
