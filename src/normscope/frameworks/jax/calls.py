"""The calls of layers, as the marks in a jaxpr tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from normscope.frameworks.jax.marks import Mark
from normscope.graph.operators import Call, Graph, Value


class Calls:
    """The calls that are open in one graph; those that end are noted there."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._open: list[tuple[Mark | None, Call]] = [(None, graph.calls[0])]
        self._numbers: Counter[str] = Counter()

    @property
    def innermost(self) -> Call:
        """The call that an operator belongs to."""
        return self._open[-1][1]

    def enter(self, mark: Mark, inputs: Sequence[Value], operands: Sequence[Value]) -> None:
        """A call begins; what the layer holds stands behind its inputs."""
        self._close_down_to(mark.parent)
        path = mark.path
        if path is None:
            held = operands[len(inputs) :]
            path = _path_by(dict(zip(mark.holds, held, strict=True)))
        if path is None:  # it cannot be said which layer this is
            self._open.append((mark, self.innermost))
            return
        if mark.parent is not None and mark.parent.path is not None:
            # `jit` traces a function once, also for two layers that both call it
            path = _moved(path, mark.parent.path, self.innermost.path)
        self._numbers[path] += 1
        call = Call(
            path,
            mark.type,
            self.innermost,
            mark.layer,
            tuple(inputs),
            number=self._numbers[path],
        )
        self._graph.calls.append(call)
        self._open.append((mark, call))

    def leave(self, mark: Mark, outputs: Sequence[Value]) -> None:
        """A call ends."""
        if any(opened is mark for opened, _ in self._open):
            self._close_down_to(mark)
            _, call = self._open.pop()
            call.outputs = call.outputs or tuple(outputs)

    def _close_down_to(self, mark: Mark | None) -> None:
        """Calls whose end is not in the jaxpr, as nothing of it was used, end here."""
        if any(opened is mark for opened, _ in self._open):
            while self._open[-1][0] is not mark:
                self._open.pop()


def _moved(path: str, before: str, now: str) -> str:
    """The path of what is in one layer, in another.

    >>> _moved("a.norm", "a", "b")
    'b.norm'
    """
    return now + path.removeprefix(before) if path.startswith(before) else path


def _path_by(held: dict[str, Value]) -> str | None:
    """The path of a layer by the names of the arrays that it holds, such as slices of stacked ones.

    >>> weight = Value((3,), "float32", name="layers.weight")
    >>> _path_by({".weight": weight})
    'layers'
    """
    for place, value in held.items():
        name = _origin(value).name
        if name and name.endswith(place) and len(name) > len(place):
            return name.removesuffix(place)
    return None


def _origin(value: Value) -> Value:
    """Where a value comes from, through what only moves."""
    while value.node is not None and value.node.moves:
        value = value.node.operands[0]
    return value
