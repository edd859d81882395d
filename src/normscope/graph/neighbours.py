"""What stands around a site: what makes its channels, what comes between, what uses its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normscope.graph.operators import Graph, Node
from normscope.graph.sites import Site

MOST_MAKERS = 4
"""How many makers are told of one site; through additions a site can have thousands of them."""


@dataclass(frozen=True, eq=False)
class Maker:
    """A product with learned numbers whose channels a site normalizes, the nearest upstream.

    Attributes:
        node: the product.
        channel_axis: the axis of the site's x along which its channels run; None where they have
            been merged with others or lost their place.
        adds_bias: whether one learned number per channel is added: by the product, or by what
            follows it at once.
        direct: whether x is what it makes, but for that bias, casts and moves.
        sole: whether nothing but the site uses what it makes, here and wherever the model makes
            something with the same learned numbers.
    """

    node: Node
    channel_axis: int | None
    adds_bias: bool
    direct: bool
    sole: bool

    @property
    def path(self) -> str:
        """The layer, as its user names it."""
        return self.node.path


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What stands around a site.

    Attributes:
        makers: the nearest makers of channels upstream, looking through what keeps the axes:
            activations, additions, pooling, moves; at most `MOST_MAKERS`.
        more: there are more of them.
        between: what stands between the nearest maker and x and is neither a move, a cast nor a
            bias, such as an activation; in order.
        users: what uses y, looking through moves and casts.
        is_output: whether y is an output of the model, looking through moves and casts.
    """

    makers: tuple[Maker, ...] = ()
    more: bool = False
    between: tuple[Node, ...] = ()
    users: tuple[Node, ...] = ()
    is_output: bool = False


def neighbours(graph: Graph, sites: Sequence[Site]) -> list[Neighbours]:
    """What stands around each of some sites of a graph, in their order."""
    raise NotImplementedError
