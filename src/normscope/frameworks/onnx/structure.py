"""The order of the nodes of a file, and what is wrong with its structure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

MANY_NODES = 50_000
DEEP = 64

Key = tuple[str, str, str]
"""Of a function or of what calls it: domain, name, overload."""


class StructureError(Exception):
    """A graph cannot be computed; the text says why."""


def graphs_of(node: Any) -> Iterator[Any]:
    """The graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def taken(node: Any, depth: int = 0) -> Iterator[str]:
    """The names that a node takes, those that graphs inside of it take from around included."""
    yield from filter(None, node.input)
    for graph in graphs_of(node):
        yield from captured(graph, depth + 1)


def captured(graph: Any, depth: int = 0) -> list[str]:
    """The names that a graph takes from around it, in their order."""
    if depth > DEEP:
        raise StructureError(f"graphs stand inside of each other, {DEEP} deep")
    own = {value.name for value in (*graph.input, *graph.initializer)}
    own |= {tensor.values.name for tensor in graph.sparse_initializer}
    for node in graph.node:
        own.update(node.output)
    wanted = [name for node in graph.node for name in taken(node, depth)]
    wanted += [output.name for output in graph.output]
    return list(dict.fromkeys(name for name in wanted if name not in own))


def ordered(nodes: Sequence[Any], known: Collection[str]) -> Sequence[Any]:
    """The nodes, each after those whose results it takes.

    Args:
        nodes: of one graph or function.
        known: the names that are there before.

    Raises:
        StructureError: nothing makes a name, two nodes make it, or nodes wait for each other.
    """
    makers: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in makers:
                raise StructureError(f"{name!r} is made twice")
            makers[name] = number
    waits = [list(dict.fromkeys(taken(node))) for node in nodes]
    if all(
        makers.get(name, -1) < number if name in makers else name in known
        for number, names in enumerate(waits)
        for name in names
    ):
        return nodes
    return [nodes[number] for number in _sorted(waits, makers, known)]


def _sorted(
    waits: Sequence[Sequence[str]], makers: Mapping[str, int], known: Collection[str]
) -> list[int]:
    order: list[int] = []
    state = [0] * len(waits)  # 1: begun, 2: done
    for root in range(len(waits)):
        stack = [root]
        while stack:
            number = stack[-1]
            if state[number] == 2:
                stack.pop()
                continue
            state[number] = 1
            missing = [name for name in waits[number] if name not in makers and name not in known]
            if missing:
                raise StructureError(f"nothing makes {missing[0]!r}")
            open_ones = [n for n in (makers.get(name) for name in waits[number]) if n is not None]
            open_ones = [n for n in open_ones if state[n] != 2]
            if any(state[n] == 1 for n in open_ones):
                raise StructureError("its nodes wait for each other in a circle")
            if open_ones:
                stack += open_ones
                continue
            state[number] = 2
            order.append(stack.pop())
    return order


def check(model: Any) -> None:
    """Whether the graph of a model can be computed as far as names tell.

    Raises:
        StructureError: it cannot; the text says why.
    """
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    sizes: dict[Key, int] = {}
    for key in functions:
        _size(key, functions, sizes, ())
    count = sum(_size_of(node, functions, sizes, (), 0) for node in model.graph.node)
    if count > MANY_NODES:
        raise StructureError(f"with its functions written out it has {count} operators")
    held = {tensor.name for tensor in model.graph.initializer}
    held |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    held |= {value.name for value in model.graph.input}
    ordered(model.graph.node, held)
    made = held.union(*(node.output for node in model.graph.node))
    for output in model.graph.output:
        if output.name not in made:
            raise StructureError(f"nothing makes the output {output.name!r}")


def _size(
    key: Key, functions: Mapping[Key, Any], sizes: dict[Key, int], around: tuple[Key, ...]
) -> int:
    """How many operators a function is, written out."""
    if key in around or len(around) > DEEP:
        raise StructureError(f"the function {key[1]!r} calls itself")
    if key not in sizes:
        nodes = functions[key].node
        sizes[key] = sum(_size_of(node, functions, sizes, (*around, key), 0) for node in nodes)
    return sizes[key]


def _size_of(
    node: Any,
    functions: Mapping[Key, Any],
    sizes: dict[Key, int],
    around: tuple[Key, ...],
    depth: int,
) -> int:
    if depth > DEEP:
        raise StructureError(f"graphs stand inside of each other, {DEEP} deep")
    key = (node.domain, node.op_type, node.overload)
    own = _size(key, functions, sizes, around) if key in functions else 1
    return own + sum(
        _size_of(inner, functions, sizes, around, depth + 1)
        for graph in graphs_of(node)
        for inner in graph.node
    )
