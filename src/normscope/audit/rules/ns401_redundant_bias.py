"""NS401 redundant-bias: the normalization subtracts the bias that was just added.

What it finds:
    A convolution or dense layer with a bias, followed only by normalizations that subtract a mean
    taken within one channel.

Why it matters:
    The bias has no effect, in training nor at inference: it costs memory and a pass over the data.

How it is found:
    From the graph: every reader of the layer's output is a centred normalization whose statistics
    sets do not span channels. Before a layer norm, an RMS norm or a group norm over several
    channels the bias matters, and nothing is reported.

Known limits:
    A stored bias goes into the running mean; drop both together.

Use instead:
    bias=False.

References:
    handson-ml2 PR 538, Mask_RCNN PR 1455
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Node, Site
from normscope.audit.rule import Rule


class RedundantBias(Rule):
    code, name, since = "NS401", "redundant-bias", "0.1"
    severity = Severity.INFO

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        for source in graph.origins(site.node):
            if source.id in _undone_biases(graph):
                yield self.finding(
                    site,
                    f"the bias of {source.path} is subtracted again with the mean",
                    fix=graph.advice.without_bias(source.path),
                    evidence={"producer": source.path, "channel_axis": source.traits.channel_axis},
                )


_KNOWN: WeakKeyDictionary[ModelGraph, frozenset[str]] = WeakKeyDictionary()


def _undone_biases(graph: ModelGraph) -> frozenset[str]:
    """The ids of the nodes whose bias every reader of their output takes away again."""
    if graph not in _KNOWN:
        readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for source in graph.origins(node):
                readers.setdefault(source.id, []).append(node)
        _KNOWN[graph] = frozenset(
            node.id
            for node in graph.nodes
            if node.traits.adds_bias
            and node.traits.channel_axis is not None
            and not node.is_output
            and all(_is_undone(reader, node, graph) for reader in readers.get(node.id, ()))
        )
    return _KNOWN[graph]


def _is_undone(reader: Node, source: Node, graph: ModelGraph) -> bool:
    """Whether a reader takes away what is constant along all but the channels."""
    if reader.traits.identity:
        return not reader.is_output  # what reads it in turn is judged too
    site, channels = graph.site_of(reader), source.traits.channel_axis
    if site is None or channels is None or not site.train.center:
        return False
    return site.word(channels) == "independent"
