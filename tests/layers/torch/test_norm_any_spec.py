"""`Norm` against the definition: any spec, with all that a call may add to it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from normscope import Measure, NormSpec, Running, reference
from normscope.layers.torch import Norm
from normscope.layers.torch.memory import counts_samples
from normscope.reference import running_update
from strategies import cases, specs
from torch_ways import WAYS, forced


@dataclass(frozen=True)
class Call:
    """A spec, the shape of an input, and what is given with it."""

    spec: NormSpec
    shape: tuple[int, ...]
    masked: bool
    residual: bool
    slope: float | None
    seed: int

    def arrays(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """x, mask and residual; the mask is one that leaves out axes, or has fewer."""
        rng = np.random.default_rng(self.seed)
        x, residual = rng.normal(0.5, 1, (2, *self.shape))
        first = rng.integers(len(self.shape) + 1)
        kept = np.where(rng.random(len(self.shape)) < 0.5, self.shape, 1)[first:]
        mask = np.asarray(rng.random(kept) < 0.7)
        return x, mask if self.masked else None, residual if self.residual else None

    def of(self, layer: Norm) -> tuple[torch.Tensor, torch.Tensor]:
        """The output, and x, which has a gradient."""
        x, mask, residual = self.arrays()
        leaf = torch.from_numpy(x).requires_grad_()
        y = layer(
            leaf,
            mask=None if mask is None else torch.from_numpy(mask),
            residual=None if residual is None else torch.from_numpy(residual),
            negative_slope=self.slope,
        )
        return y, leaf

    def layer(self) -> Norm:
        rng = np.random.default_rng(self.seed + 1)
        layer = Norm(self.spec, dtype=torch.float64)
        layer(torch.ones(self.shape, dtype=torch.float64))
        with torch.no_grad():
            for tensor in layer.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.from_numpy(rng.uniform(0.5, 2, tensor.shape)))
        return layer


@st.composite
def calls(draw: st.DrawFn) -> Call:
    case = draw(cases(max_rank=4))
    stated = draw(specs(case))
    if stated.measure in (Measure.VARIANCE, Measure.NONE):
        memories = st.builds(Running, st.sampled_from([0.9, 0.25]), plus_eps=st.booleans())
        stated = replace(stated, running=draw(st.none() | memories))
    return Call(
        stated,
        case.shape,
        masked=draw(st.booleans()) and not stated.ddof,
        residual=draw(st.booleans()),
        slope=draw(st.sampled_from([None, 0.0, 0.25])),
        seed=draw(st.integers(0, 2**32 - 2)),
    )


@pytest.mark.parametrize("way", WAYS)
@given(call=calls())
@settings(max_examples=60)
def test_any_call_is_what_the_definition_says(way: str, call: Call) -> None:
    layer, spec = call.layer(), call.spec
    x, mask, residual = call.arrays()
    whole = x if residual is None else x + residual
    full = None if mask is None else np.broadcast_to(mask, x.shape)
    learned = _learned(layer)
    memory = {name: _array(getattr(layer, f"running_{name}")) for name in ("mean", "var")}
    for training in (True, False):
        if training or spec.running is None:
            wanted = reference(whole, spec, mask=full, **learned)
        else:
            memory = {name: _array(getattr(layer, f"running_{name}")) for name in memory}
            wanted = _applied(whole, spec, memory, learned)
        with forced(way):
            y = call.of(layer.train(training))[0]
        if call.slope is not None:
            wanted = np.where(wanted > 0, wanted, wanted * call.slope)
        size = max(1.0, np.abs(wanted).max(initial=0))
        np.testing.assert_allclose(y.detach().numpy(), wanted, rtol=1e-7, atol=1e-9 * size)
        if training and spec.running is not None and mask is None:
            _assert_moved(layer, whole, memory)


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize("training", [True, False])
@given(call=calls())
@settings(max_examples=30)
def test_gradients_of_any_call_are_those_of_the_formula(
    training: bool, way: str, call: Call
) -> None:
    layer = call.layer().train(training)
    again = copy.deepcopy(layer)
    with forced(way):
        found = _gradients(call, layer)
    with forced("formula"):
        wanted = _gradients(call, again)
    for name, gradient in wanted.items():
        size = max(1.0, np.abs(gradient).max(initial=0))
        np.testing.assert_allclose(found[name], gradient, rtol=1e-6, atol=1e-9 * size)


def _gradients(call: Call, layer: Norm) -> dict[str, Any]:
    y, x = call.of(layer)
    y.backward(torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape))
    tensors = {"x": x, **dict(layer.named_parameters())}
    return {name: _array(tensor.grad) for name, tensor in tensors.items()}


def _learned(layer: Norm) -> dict[str, Any]:
    found = {"scale": layer.weight, "bias": layer.bias}
    return {name: _array(tensor) for name, tensor in found.items() if tensor is not None}


def _array(tensor: torch.Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().numpy().copy()


def _applied(x: np.ndarray, spec: NormSpec, memory: dict[str, Any], learned: Any) -> np.ndarray:
    """Running statistics, spread over the sets that they are averages of."""
    layout = spec.layout(x.shape)
    kept = [layout.known_sizes[i] for i in layout.kept]
    spread = {
        name: np.broadcast_to(values.reshape(_averaged_shape(spec, x.shape)), kept)
        for name, values in memory.items()
        if values is not None
    }
    return reference(x, replace(spec, eps=spec.inference().eps, ddof=0), **spread, **learned)


def _averaged_shape(spec: NormSpec, shape: tuple[int, ...]) -> list[int]:
    """The lengths of the axes outside brackets, with 1 for those that count samples."""
    layout = spec.layout(shape)
    first = {axis.name for axis in spec.parsed.axes} if counts_samples(spec) else set()
    items = spec.parsed.items[0]
    names = {axis.name for axis in spec.parsed.axes if items.start <= axis.start < items.stop}
    return [
        1 if first and layout.axes[i].base in names else layout.known_sizes[i] for i in layout.kept
    ]


def _assert_moved(layer: Norm, x: np.ndarray, memory: dict[str, Any]) -> None:
    spec = layer.spec
    layout = spec.layout(x.shape)
    kept = [layout.known_sizes[i] for i in layout.kept]
    averaged = _averaged_shape(spec, x.shape)
    samples = tuple(i for i, (n, one) in enumerate(zip(kept, averaged, strict=True)) if n != one)
    before = [
        np.broadcast_to(np.ones(()) if values is None else values.reshape(averaged), kept)
        for values in memory.values()
    ]
    for name, moved in zip(memory, running_update(x, spec, *before), strict=True):
        found = _array(getattr(layer, f"running_{name}"))
        if found is not None:
            wanted = moved.mean(samples).reshape(found.shape)
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
