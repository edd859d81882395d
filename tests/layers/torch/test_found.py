"""Which layers `swap` leaves, and the reason that it gives for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.ao.nn.quantized
import torch.nn.utils.prune
from torch import Tensor, nn
from torch.nn.utils import parametrize

from normscope.layers.torch import swap, unswap


class Methods(nn.BatchNorm2d):
    def fused(self) -> None: ...


class Named(nn.BatchNorm2d):
    def extra_repr(self) -> str:
        return "another text"


class Called(nn.LayerNorm):
    def __call__(self, x: Tensor) -> Any:
        return 2 * super().__call__(x)


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def _parametrized() -> nn.Module:
    layer = nn.LayerNorm(6)
    parametrize.register_parametrization(layer, "weight", Doubled())
    return layer


def _pruned() -> nn.Module:
    layer: nn.Module = torch.nn.utils.prune.l1_unstructured(nn.LayerNorm(6), "weight", 2)
    return layer


def _observed() -> nn.Module:
    layer = nn.BatchNorm2d(6)
    layer.activation_post_process = nn.Identity()
    return layer


def _with(**attributes: Any) -> nn.Module:
    layer = nn.BatchNorm2d(6)
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def _plain_weight() -> nn.Module:
    layer = nn.LayerNorm(6)
    del layer.weight
    layer.weight = torch.ones(6)  # type: ignore[assignment]
    return layer


class Odd(Tensor):
    """A tensor of another kind."""


def _odd_weight() -> nn.Module:
    layer = nn.LayerNorm(6)
    layer._parameters["weight"] = torch.ones(6).as_subclass(Odd).requires_grad_()  # type: ignore[assignment]
    return layer


LEFT: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "cumulative average": (lambda: nn.BatchNorm2d(6, momentum=None), "momentum=None"),
    "lazy": (nn.LazyBatchNorm2d, "no shapes yet"),
    "windows": (lambda: nn.LocalResponseNorm(2), "windows overlap"),
    "quantized": (lambda: torch.ao.nn.quantized.BatchNorm2d(6), "scale and zero_point"),
    "parametrized": (_parametrized, "parametrizations compute weight"),
    "pruned": (_pruned, "weight_orig and weight_mask"),
    "observed": (_observed, "modules of its own: activation_post_process"),
    "replaced forward": (lambda: _with(forward=abs), "on the object itself"),
    "compiled": (lambda: _with(_compiled_call_impl=abs), "compiled on its own"),
    "scripted": (lambda: torch.jit.script(nn.LayerNorm(6)), "compiled already"),
    "own methods": (lambda: Methods(6), "methods of its own: fused"),
    "own call": (lambda: Called(6), "own way of being called"),
    "plain weight": (_plain_weight, "a plain attribute"),
    "another tensor": (_odd_weight, "is a Odd"),
    "uncounted": (lambda: _with(num_batches_tracked=None), "num_batches_tracked is None"),
}


@pytest.mark.filterwarnings("ignore:.*(torch.jit|torch.ao).*:DeprecationWarning")
@pytest.mark.parametrize(("make", "reason"), LEFT.values(), ids=LEFT)
def test_left_with_the_reason(make: Callable[[], nn.Module], reason: str) -> None:
    layer = make()
    model = nn.ModuleList([layer])
    changes = swap(model)
    assert model[0] is layer
    assert not changes.changed
    [[said]] = [one.notes for one in changes.left]
    assert reason in said
    assert said in str(changes)


def test_a_subclass_that_only_prints_itself_otherwise_is_swapped() -> None:
    model = nn.Sequential(Named(6))
    assert len(swap(model).changed) == 1
    assert type(unswap(model).model[0]) is Named


def test_a_lazy_layer_that_has_met_its_input_is_swapped() -> None:
    model = nn.Sequential(nn.LazyBatchNorm1d())
    model(torch.randn(8, 6))
    assert len(swap(model).changed) == 1


def test_a_layer_that_an_attribute_holds_too_is_left() -> None:
    model = nn.Sequential(*(nn.LayerNorm(6) for _ in range(4)))
    model.often = [model[1]]
    model.nested = {"some": [(model[2],)]}
    model.method = model[3].forward
    left = swap(model).left
    assert [one.paths for one in left] == [("1",), ("2",), ("3",)]
    for one, name in zip(left, ("often", "nested", "method"), strict=True):
        assert f"the plain attribute {name}" in one.notes[0]
