"""`ModelGraph`: what rules see of a model, whatever framework or file it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.advice import Advice
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.traits import Traits
from normscope.notation.axis_words import axis_word
from normscope.notation.layout import Layout
from normscope.notation.shape import Size
from normscope.notation.spec import NormSpec

Shape = tuple[Size, ...]


@dataclass(frozen=True)
class Node:
    """One call of one layer.

    Attributes:
        id: unique in the graph; a shared layer has one node per call.
        path: the layer, as its user names it.
        layer_class: the name of the class of the layer.
        inputs: the ids of the nodes whose outputs it takes.
        shape: of its output; None if it is not known.
        traits: what is known of the layer from its class and its settings.
        is_output: whether its output is one of the model's.
    """

    id: str
    path: str
    layer_class: str
    inputs: tuple[str, ...]
    shape: Shape | None
    traits: Traits = field(default_factory=Traits)
    is_output: bool = False


@dataclass(frozen=True)
class Site:
    """One place where something is normalized.

    Attributes:
        node: the call.
        declaration: what the layer's settings declare, with the axis names of this place.
        input_shape: None if it is not known.
        dtype: of the computation.
        arrays: stored values by role: scale, bias, running_mean, running_var; those there are. The
            last holds what the `running` of the training spec says, which may be a deviation.
    """

    node: Node
    declaration: Declaration
    input_shape: Shape | None
    dtype: str = "float32"
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The layer, as its user names it."""
        return self.node.path

    @property
    def train(self) -> NormSpec:
        """What is computed in training."""
        return self.declaration.train

    @property
    def infer(self) -> NormSpec:
        """What is computed at inference."""
        return self.declaration.infer

    @cached_property
    def layout(self) -> Layout | None:
        """The training spec at this place; None if the shape is not known."""
        return None if self.input_shape is None else self.train.layout(self.input_shape)

    def word(self, dim: int) -> str | None:
        """Which elements along an axis share statistics in training; None if unknown."""
        if self.layout is None or not -len(self.layout.shape) <= dim < len(self.layout.shape):
            return None
        return axis_word(self.layout, dim % len(self.layout.shape))

    @property
    def couples_samples(self) -> bool:
        """Whether a sample's output depends on the others in training. Axis 0 is the samples."""
        if self.layout is None:
            return self.train.parsed.axes[0].shared
        return self.word(0) != "independent"

    def axis_name(self, dim: int) -> str:
        """An axis in words: "axis 3 (w)"."""
        if self.layout is None:
            return f"axis {dim}"
        name = self.layout.parts(dim)[0].name
        return f"axis {dim} ({name})" if name.isalpha() else f"axis {dim}"

    def stored(self, role: str) -> NDArray[Any] | None:
        """A stored array of floats; None if there is none."""
        array = self.arrays.get(role)
        return None if array is None or not np.issubdtype(array.dtype, np.floating) else array


MOST_SOURCES = 4
"""How many makers of channels are told of one node; a model can have thousands of them."""


@dataclass(frozen=True)
class ChannelSources:
    """The nearest nodes upstream that make channels: on which axes, and the first few of them."""

    axes: frozenset[int]
    paths: tuple[str, ...]
    more: bool

    @classmethod
    def of(cls, parts: Iterable[ChannelSources]) -> ChannelSources:
        """The sources of several inputs together."""
        different = list(dict.fromkeys(parts))
        if len(different) == 1:
            return different[0]
        paths = sorted({path for part in different for path in part.paths})
        return cls(
            frozenset(axis for part in different for axis in part.axes),
            tuple(paths[:MOST_SOURCES]),
            len(paths) > MOST_SOURCES or any(part.more for part in different),
        )


@dataclass(frozen=True, eq=False)
class ModelGraph:
    """A model: its nodes in an order in which they can be computed, and its sites.

    What is asked of each node is found for all of them in one pass: models have thousands.

    Attributes:
        file: the name of the file without its folder, so that a report is the same everywhere; it
            is shown through `printable`.
        name: of the model.
        format: of the file: "hdf5" or "json".
        framework: the folder of the framework in `normscope.frameworks`.
        provenance: who wrote the model, and in what form, in words.
        advice: what to write instead, in the words of the framework.
        nodes, sites: the calls of layers, and those where something is normalized.
        details: what else is known of the model, by the framework's own names, as JSON types.
        assumed: what the file does not tell, what is assumed, and how the numbers would differ.
    """

    file: str
    name: str
    format: str
    framework: str
    provenance: str
    advice: Advice
    nodes: tuple[Node, ...]
    sites: tuple[Site, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()

    @cached_property
    def _channel_sources(self) -> dict[str, ChannelSources]:
        """What each node's input has of makers of channels."""
        at_output: dict[str, ChannelSources] = {}
        at_input: dict[str, ChannelSources] = {}
        for node in self.nodes:
            sources = ChannelSources.of(at_output[source] for source in node.inputs)
            at_input[node.id] = sources
            if node.traits.channel_axis is not None:
                sources = ChannelSources(frozenset({node.traits.channel_axis}), (node.path,), False)
            elif not node.traits.keeps_axes:
                sources = ChannelSources.of(())
            at_output[node.id] = sources
        return at_input

    @cached_property
    def _origins(self) -> dict[str, tuple[Node, ...]]:
        """The nodes whose values each node takes, looking through those that change nothing."""
        behind: dict[str, tuple[Node, ...]] = {}
        found: dict[str, tuple[Node, ...]] = {}
        for node in self.nodes:
            taken = [behind[source] for source in dict.fromkeys(node.inputs)]
            one = taken[0] if len(taken) == 1 else tuple(o for origins in taken for o in origins)
            found[node.id] = one
            behind[node.id] = one if node.traits.identity else (node,)
        return found

    @cached_property
    def _site_of(self) -> dict[str, Site]:
        return {site.node.id: site for site in self.sites}

    def origins(self, node: Node) -> tuple[Node, ...]:
        """The nodes whose values a node takes, looking through those that change nothing."""
        return self._origins[node.id]

    def site_of(self, node: Node) -> Site | None:
        """The site of a node that normalizes."""
        return self._site_of.get(node.id)

    def channel_sources(self, node: Node) -> ChannelSources:
        """The nearest makers of channels upstream, looking through what keeps the axes."""
        return self._channel_sources[node.id]
