"""Running a part of a graph again, with other numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Value
from normscope.graph.rules import Fixed


class CannotReplayError(Exception):
    """A value cannot be computed again; the text says why."""


def replay(
    graph: Graph,
    targets: Iterable[Value],
    known: Mapping[Value, Any],
    otherwise: Callable[[Value], Any] | None = None,
    *,
    anew: bool = False,
) -> list[Any]:
    """The native arrays of some values.

    Args:
        graph: whose values they are.
        targets: the values wanted.
        known: the native arrays of values from which to start; constants need not be among them.
        otherwise: gives the array of a live value that is not known and that nothing makes, such as
            an input of the model.
        anew: constants that operators make are computed again too, as if those in `known` were
            others.

    Raises:
        CannotReplayError: an operator cannot be run again, or a value is not known.
    """
    arrays: dict[Value, Any] = dict(known)
    made = 0
    wanted = list(targets)
    stack = list(wanted)
    while stack:
        value = stack[-1]
        node = value.node
        if value in arrays:
            stack.pop()
        elif value.data is not None and not (anew and node is not None and node.run is not None):
            arrays[value] = value.data()
        elif node is None:
            if otherwise is None:
                raise CannotReplayError(f"{value.name or 'a value'} is not known")
            arrays[value] = otherwise(value)
        elif node.run is None:
            raise CannotReplayError(f"{node.operator} cannot be run again")
        else:
            # of what is live, an operator whose result is fixed takes the shape alone
            blank = isinstance(node.rule, Fixed)
            missing = [v for v in node.operands if v not in arrays and not (blank and v.live)]
            if missing:
                stack += missing
                continue
            given = [arrays[v] if v in arrays else _blank(graph, v) for v in node.operands]
            for result, array in zip(node.results, node.run(given), strict=True):
                arrays.setdefault(result, array)
                made += _bytes(result, array)
            if graph.most_bytes is not None and made > graph.most_bytes:
                raise CannotReplayError(
                    f"what leads to it takes more than {graph.most_bytes} bytes"
                )
    return [arrays[value] for value in wanted]


def known_numbers(graph: Graph, value: Value) -> NDArray[Any]:
    """The numbers of a value that depends on no input.

    Raises:
        CannotReplayError: it cannot be computed, or it depends on an input.
    """
    if value.live:
        raise CannotReplayError("it depends on an input")
    return graph.arrays.to_numpy(replay(graph, [value], {})[0])


def _bytes(value: Value, array: Any) -> int:
    try:
        return int(array.nbytes)
    except (AttributeError, RuntimeError):  # a sparse tensor of torch refuses: its dense size
        return 8 * value.size


def _blank(graph: Graph, value: Value) -> Any:
    return graph.arrays.from_numpy(np.zeros(value.shape), value.dtype)
