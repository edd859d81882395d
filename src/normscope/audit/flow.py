"""`Flow`: where the numbers of a site come from and where they go, found when a rule asks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a file of layers is read without what follows operators
    from normscope.graph.channel_axes import ChannelAxes
    from normscope.graph.operators import Graph, Value


@dataclass(frozen=True)
class Comparison:
    """A product of what was normalized with another value that depends on the input.

    Attributes:
        path: of the layer that multiplies.
        along: the axes of y along which the products are summed.
        length: how many elements of y one sum takes.
    """

    path: str
    along: tuple[int, ...]
    length: int


class Flow:
    """Where the numbers of one site come from and where they go.

    Args:
        graph: of the site.
        x, y: before and after it.
        channels: along which axes of the values of that graph channels run; what was found for
            one site of a model is known for the next.
    """

    def __init__(self, graph: Graph, x: Value, y: Value, channels: ChannelAxes) -> None:
        self._graph = graph
        self._channels = channels
        self._x = x
        self._y = y

    @cached_property
    def channel_axes(self) -> frozenset[int] | None:
        """The axes of x along which channels run that any layer upstream made.

        None if there is too much upstream to tell.
        """
        return self._channels.of(self._x)

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The products of y with other values that depend on the input, as queries with keys."""
        from normscope.graph.value_products import value_products

        return tuple(
            Comparison(product.node.path, product.along, product.length)
            for product in value_products(self._graph, self._y)
        )
