"""The network of a Keras 1 model: layers, calls, shapes and axis names; no Keras is needed."""

from normscope.keras1.network.calls import Call
from normscope.keras1.network.layers import Graph, Layer
from normscope.keras1.network.network import Network, build_network

__all__ = ["Call", "Graph", "Layer", "Network", "build_network"]
