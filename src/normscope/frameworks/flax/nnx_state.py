"""`NnxState`: the variables and modes of a Flax NNX module, as they were found."""

from __future__ import annotations

from typing import Any

from flax import nnx

from normscope.frameworks.state import State

_FAR = 65536  # draws; so far apart are streams


class NnxState(State):
    """Parameters, running statistics, streams of random numbers, and what `train()` sets."""

    def __init__(self, module: Any) -> None:
        self._values = [
            (node, node.get_value())
            for _, node in nnx.iter_graph(module)
            if isinstance(node, nnx.Variable)
        ]
        self._modes = [
            (part, name, vars(part)[name])
            for _, part in nnx.iter_modules(module)
            for name in ("deterministic", "use_running_average")
            if name in vars(part)
        ]

    def put_back(self, stream: int | None = 0) -> None:
        """Write back whatever has changed.

        Args:
            stream: of random numbers: 0 draws what would have been drawn, another number draws
                others, None lets the random generators go on.
        """
        for part, name, mode in self._modes:
            setattr(part, name, mode)
        for node, value in self._values:
            if isinstance(node, nnx.RngCount):
                if stream is not None:
                    node.set_value(value + _FAR * stream if stream else value)
            elif node.get_value() is not value:
                node.set_value(value)
