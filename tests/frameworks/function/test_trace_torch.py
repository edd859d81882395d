"""The operator graphs of functions that compute in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from frameworks.traces import graph_of, layers, parameters, sites
from normscope.graph.operators import CannotTraceError
from normscope.graph.proof import Verdict, samples_apart

X = torch.randn(4, 8)


def test_modules_that_a_function_calls_are_known() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    scale = torch.ones(8)
    graph = graph_of(lambda x: (net(x) * scale,), X)
    assert graph.output_names == ["output[0]"]
    assert samples_apart(graph, [0]).verdict is Verdict.APART
    assert layers(graph) == {"net": "Sequential", "net.0": "Linear", "net.1": "LayerNorm"}
    assert "net.1" in {path.removesuffix("/") for path in sites(graph)}
    assert {"net.0.weight", "net.1.bias", "scale"} <= parameters(graph)


def written(x: Any) -> Any:
    y = x.clone()
    y += x.mean(0)
    return y


_KEPT = torch.zeros(8)


def kept(x: Any) -> Any:
    _KEPT.add_(x.mean(0))
    return x - _KEPT


def through_numpy(x: Any) -> Any:
    return x + torch.from_numpy(x.detach().numpy().mean(0))


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (lambda x: x / x.norm(dim=1, keepdim=True), Verdict.APART),
        (lambda x: x - x.mean(0), Verdict.MEET),
        (written, Verdict.MEET),
        (kept, Verdict.MEET),
        (through_numpy, Verdict.UNKNOWN),
        (lambda x: x if x.mean() > 0 else -x, Verdict.UNKNOWN),
    ],
)
def test_who_sees_whom(function: Callable[[Any], Any], word: Verdict) -> None:
    assert samples_apart(graph_of(function, X), [0]).verdict is word
    assert not _KEPT.any()


def test_arrays_of_numpy_are_no_tensors() -> None:
    net = nn.Linear(8, 8)
    with pytest.raises(CannotTraceError, match="give it tensors"):
        graph_of(lambda x: net(torch.from_numpy(x)), np.zeros((4, 8), np.float32))
