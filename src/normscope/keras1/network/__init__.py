"""The network of a Keras 1 model: its calls, shapes and axis names; no Keras is needed."""

from normscope.keras1.network.network import Call, Network, build_network

__all__ = ["Call", "Network", "build_network"]
