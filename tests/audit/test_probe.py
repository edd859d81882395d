"""A site is run again on chosen numbers; alike sites of a model are measured once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from budget import budget
from normscope import audit
from normscope.audit.probe import Probe
from onnx_text import onnx_model

pytestmark = pytest.mark.framework

X = np.random.default_rng(0).normal(size=(4, 6, 32)).astype("float32")


def by_hand(widths: list[int], scale: float = 1.0, eps: float = 1e-5) -> Any:
    import torch
    from torch import nn

    class Norm(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.full((width,), scale))

        def forward(self, x: Any) -> Any:
            mean = x.mean(-1, keepdim=True)
            var = ((x - mean) ** 2).mean(-1, keepdim=True)
            return (x - mean) / torch.sqrt(var + eps) * self.weight

    class Resized(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.width = width

        def forward(self, x: Any) -> Any:
            return nn.functional.pad(x, (0, self.width - x.shape[-1]))

    return nn.Sequential(*[nn.Sequential(Resized(width), Norm(width)) for width in widths])


def probes(model: Any, x: Any = X) -> list[Probe]:
    found = [site.probe for site in audit(model, x, select=["NS101"]).graph.sites]
    assert None not in found
    return [one for one in found if one is not None]


def normalized(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def test_a_site_is_run_with_its_own_scale_or_without() -> None:
    (probe,) = probes(by_hand([32], scale=3.0))
    x = np.random.default_rng(1).normal(size=(4, 6, 32))
    y, bare = probe(x), probe.bare(x)
    assert y == pytest.approx(3 * normalized(x), rel=1e-4, abs=1e-5)
    assert bare == pytest.approx(normalized(x), rel=1e-4, abs=1e-5)
    assert probe(x) == pytest.approx(3 * normalized(x), rel=1e-4, abs=1e-5)  # as before


def test_a_scale_of_zero_hides_nothing() -> None:
    (probe,) = probes(by_hand([32], scale=0.0))
    y = probe.bare(X)
    assert y is not None
    assert np.abs(y).max() > 1


def test_a_shape_that_does_not_fit_is_refused() -> None:
    (probe,) = probes(by_hand([32]))
    assert probe(np.zeros((4, 6, 31))) is None


def test_alike_sites_are_measured_once() -> None:
    measured: list[Probe] = []

    def count(probe: Probe, given: int) -> int:
        measured.append(probe)
        return given + len(measured)

    alike = probes(by_hand([32, 32, 32, 40, 40]))
    assert [probe.once(count, 10) for probe in alike] == [11, 11, 11, 12, 12]
    assert [probe.once(count, 20) for probe in alike[:2]] == [23, 23]
    other = probes(by_hand([32], eps=1e-3))
    assert other[0].once(count, 10) == 14  # answers are of one model


def test_an_eps_makes_sites_unlike() -> None:
    from torch import nn

    model = nn.Sequential(by_hand([32], eps=1e-5), by_hand([32], eps=1e-2))
    first, second = probes(model)
    small = first.once(_of_small_numbers), second.once(_of_small_numbers)
    assert small[0] > 5 * small[1]


def _of_small_numbers(probe: Probe) -> float:
    y = probe.bare(1e-3 * X)
    assert y is not None
    return float(np.abs(y).max())


def test_short_axes_where_nothing_is_learned_along_them() -> None:
    from torch import nn

    images = np.zeros((16, 8, 40, 40), np.float32)
    (group,) = probes(nn.Sequential(nn.GroupNorm(2, 8)), images)
    (batch,) = probes(nn.Sequential(nn.BatchNorm2d(8)), images)
    assert batch.small == (8, 8, 8, 8)
    assert batch.few_samples == (16, 8, 40, 40)
    assert group.small is not None
    assert group.small[1] == 8
    (rows,) = probes(by_hand([32]))
    assert rows.few_samples == (2, 6, 32)
    assert rows.small == (2, 6, 32)


def test_operators_in_half_precision_are_known() -> None:
    import torch

    half = probes(by_hand([32]).half(), torch.tensor(X, dtype=torch.float16))[0]
    assert {one.dtype for one in half.narrow} == {"float16"}
    assert not list(probes(by_hand([32]))[0].narrow)


def of_torch() -> Any:
    return by_hand([32]), X


def of_keras() -> Any:
    import keras

    norm = keras.layers.LayerNormalization(epsilon=1e-5)
    return keras.Sequential([keras.Input((6, 32)), norm]), X


def of_flax() -> Any:
    from flax import nnx

    return nnx.LayerNorm(32, epsilon=1e-5, rngs=nnx.Rngs(0)), X


def of_onnx() -> Any:
    nodes = "y = LayerNormalization <epsilon = 0.00001> (x, scale, bias)"
    return onnx_model(nodes, X.shape, scale=np.ones(32), bias=np.zeros(32)), X


def of_a_program() -> Any:
    import torch

    return torch.export.export(by_hand([32]), (torch.tensor(X),)), X


@pytest.mark.parametrize("make", [of_torch, of_keras, of_flax, of_onnx, of_a_program])
def test_sites_of_every_framework_can_be_run(make: Any) -> None:
    (probe,) = probes(*make())
    x = np.random.default_rng(2).normal(size=X.shape)
    assert probe.bare(x, training=True) == pytest.approx(normalized(x), rel=1e-3, abs=1e-4)


def test_many_sites_are_measured_in_a_moment() -> None:
    """Forty alike and twenty unlike sites, by all rules of numerics."""
    from normscope.audit.audit import judged

    model = by_hand([32] * 40 + list(range(33, 53)))
    graph = audit(model, X, select=["NS101"]).graph
    assert len(graph.sites) == 60
    with budget(5):
        judged(graph, ["NS2"])
