"""Where channels run, and what is multiplied with what, through merges and splits of axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from normscope.frameworks.registry import live_of
from normscope.graph.channel_axes import ChannelAxes
from normscope.graph.operators import Graph
from normscope.graph.value_products import value_products

X = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")


def traced(model: Any) -> Graph:
    live = live_of(model, lambda live: live.inputs(X).arguments(live.leaf), "")
    return live.trace(live.inputs(X), False)


class Mixed(torch.nn.Module):
    """A product along features, one along tokens, and a token in front."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Linear(6, 8)
        self.tokens = torch.nn.Linear(5, 7)
        self.token = torch.nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, x: Any) -> Any:
        features = self.features(x)
        mixed = self.tokens(features.transpose(1, 2)).transpose(1, 2)
        with_token = torch.cat([self.token.expand(2, -1, -1), features], 1)
        heads = features.reshape(2, 5, 2, 4).transpose(1, 2)
        return features, mixed, with_token, heads, mixed.sum(-1), heads @ heads.mT


def test_channels_are_found_behind_further_products() -> None:
    graph = traced(Mixed())
    axes = [ChannelAxes(graph).of(value) for value in graph.outputs]
    assert axes == [{2}, {1, 2}, {2}, {1, 3}, {1}, frozenset()]
    assert ChannelAxes(graph).of(graph.inputs[0]) == frozenset()


def test_a_product_sums_over_one_head() -> None:
    graph = traced(Mixed())
    products = value_products(graph, graph.outputs[0])
    assert {(product.along, product.length) for product in products} == {((2,), 4)}
    assert value_products(graph, graph.outputs[1]) == ()
