"""The ways that a `Norm` of PyTorch can take, each of which a test can ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from normscope.layers.torch import Norm, compute, operators

WAYS = ("chosen", "kernels", "formula")
"""Small inputs go to torch's operators where nothing else is forced."""


@contextmanager
def forced(way: str) -> Iterator[None]:
    """`Norm` takes kernels, or the formula, for small inputs too."""

    def never(*_: object) -> None:
        return None

    with ExitStack() as stack:
        if way != "chosen":
            stack.enter_context(patch.object(Norm, "_quickly", never))
            stack.enter_context(patch.object(compute, "is_small", never))
        if way == "formula":
            stack.enter_context(patch.object(compute, "can_run", never))
            stack.enter_context(patch.object(operators, "normalize", never))
        yield
