"""`Norm` against torch's own layers in float64: any shape, memory layout, dtype and mode."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from normscope import NormSpec, spec_of
from normscope.layers.torch import Norm
from torch_ways import WAYS, forced


@dataclass(frozen=True)
class Case:
    """A layer of torch, made for an input of some shape, layout and dtype."""

    kind: str
    shape: tuple[int, ...]
    lies: str
    dtype: torch.dtype
    training: bool
    affine: bool
    seed: int

    def native(self) -> nn.Module:
        return _NATIVE[self.kind](self.shape, self.affine)

    def values(self, *shape: int) -> Tensor:
        rng = np.random.default_rng([self.seed, *shape])
        return torch.from_numpy(rng.normal(rng.uniform(-4, 4), rng.uniform(0.5, 3), shape))

    def input(self) -> Tensor:
        return _LIES[self.lies](self.values(*self.shape).to(self.dtype))


def _batch(shape: tuple[int, ...], affine: bool) -> nn.Module:
    made = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
    return made[len(shape)](shape[1], eps=1e-3, affine=affine)


def _instance(shape: tuple[int, ...], affine: bool) -> nn.Module:
    made = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}
    return made[len(shape)](shape[1], affine=affine, track_running_stats=affine)


def _group(shape: tuple[int, ...], affine: bool) -> nn.Module:
    groups = 2 if shape[1] % 2 == 0 else 1
    return nn.GroupNorm(groups, shape[1], affine=affine)


_NATIVE: dict[str, Callable[[tuple[int, ...], bool], nn.Module]] = {
    "batch": _batch,
    "instance": _instance,
    "group": _group,
    "layer": lambda shape, affine: nn.LayerNorm(shape[-1], elementwise_affine=affine),
    "layer over the last axes": lambda shape, affine: nn.LayerNorm(
        shape[1:], elementwise_affine=affine, bias=False
    ),
    "rms": lambda shape, affine: nn.RMSNorm(shape[-1], eps=1e-4, elementwise_affine=affine),
}


def _reversed(x: Tensor) -> Tensor:
    return x.permute(*reversed(range(x.dim())))


_LIES: dict[str, Callable[[Tensor], Tensor]] = {
    "in order": lambda x: x,
    "channels last": lambda x: x.movedim(1, -1).contiguous().movedim(-1, 1),
    "backwards": lambda x: _reversed(_reversed(x).contiguous()),
    "every second": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "repeated": lambda x: x[:1].expand(x.shape),
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(sorted(_NATIVE)))
    least = 3 if kind == "instance" else 2
    rank = draw(st.integers(least, 5 if kind in ("batch", "instance") else 4))
    batch = draw(st.integers(2, 5))  # one value has no variance, and torch refuses it
    channels = draw(st.integers(1, 9))
    space = [draw(st.integers(2, 6)) for _ in range(rank - 2)]
    return Case(
        kind,
        (batch, channels, *space),
        draw(st.sampled_from(sorted(_LIES))),
        draw(st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])),
        training=draw(st.booleans()),
        affine=draw(st.booleans()),
        seed=draw(st.integers(0, 1000)),
    )


@pytest.mark.parametrize("way", WAYS)
@given(case=cases())
@settings(max_examples=60)
def test_output_gradients_and_memory_are_those_of_torch(way: str, case: Case) -> None:
    theirs = case.native().double()
    _fill(theirs, case)
    stated = spec_of(theirs)
    ours = Norm(stated, dtype=case.dtype if case.seed % 2 else None)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())  # rounded as ours
    x = case.input()
    slope = case.values(*case.shape).to(case.dtype)
    with forced(way):
        found = _run(ours.train(case.training), x, slope)
    wanted = _run(theirs.train(case.training), x.double(), slope.double())
    allowed = _allowed(stated, x.double(), slope.double(), case)
    lost_by_torch = _lost_by_torch(case, wanted) if case.dtype.itemsize == 2 else {}
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        own = torch.finfo(found[name].dtype).eps
        most = allowed[name] + own * value.abs() + 2 * lost_by_torch.get(name, 0)
        error = (found[name].double() - value).abs()
        assert (error <= most).all(), (name, error.max())


def _lost_by_torch(case: Case, wanted: dict[str, Tensor]) -> dict[str, float]:
    """The largest errors of torch's layer in 16 bits, to which it rounds what its gradients need.

    Small inputs are given to its operators. Nothing is lost where it takes no such parameters.
    """
    theirs = case.native().to(case.dtype if case.seed % 2 else torch.float32)
    _fill(theirs, case)
    x, slope = case.input(), case.values(*case.shape).to(case.dtype)
    try:
        with warnings.catch_warnings(action="ignore"):  # that mixed dtypes are slow
            found = _run(theirs.train(case.training), x, slope)
    except RuntimeError:
        return {}
    return {name: (found[name].double() - wanted[name]).abs().max().item() for name in wanted}


def _run(layer: nn.Module, x: Tensor, slope: Tensor) -> dict[str, Tensor]:
    """Output and all gradients, and the buffers afterwards, by name."""
    x = x.detach().requires_grad_()
    y = layer(x)
    y.backward(slope)
    assert x.grad is not None
    found = {"y": y.detach(), "x": x.grad}
    for name, tensor in layer.named_parameters():
        assert tensor.grad is not None
        found[name] = tensor.grad
    for name, tensor in layer.named_buffers():
        if tensor.is_floating_point():
            found[name] = tensor
    return found


def _fill(layer: nn.Module, case: Case) -> None:
    with torch.no_grad():
        for tensor in layer.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(case.values(*tensor.shape).abs() / 4 + 0.5)


def _allowed(stated: NormSpec, x: Tensor, slope: Tensor, case: Case) -> dict[str, float]:
    """What rounding may do to each result: to the values it is the sum of, and these are not small.

    Statistics have the digits of float32, and what is left of them depends on how large the values
    are beside their deviation.
    """
    digits = 2.0**-52 if case.dtype == torch.float64 and not _in_float32(case) else 2.0**-23
    layout = stated.layout(tuple(x.shape))
    sets = x.reshape(layout.known_sizes)
    squares = sets.var(layout.shared, correction=0) if stated.center else sets.square().mean()
    deviation = (squares + stated.eps).sqrt().min().item()
    if stated.running and not case.training:
        deviation = min(deviation, 0.5)  # the smallest running variance of `_fill`
    largest = x.abs().max().item() + 1
    lost = digits * (largest / deviation)
    steepest = slope.abs().max().item()
    weight = 3 * (1 + largest / deviation)
    return {
        "y": lost * weight,
        "x": lost * weight * steepest / deviation * (1 + largest / deviation),
        "weight": lost * x.numel() * steepest * (1 + largest / deviation),
        "bias": lost * x.numel() * steepest,
        "running_mean": lost * largest,
        "running_var": lost * largest**2,
    }


def _in_float32(case: Case) -> bool:
    """Whether the parameters are float32, to which those of torch were rounded."""
    return not case.seed % 2


MEMORIES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "batch of vectors": (lambda: nn.BatchNorm1d(5), (7, 5)),
    "batch 1d": (lambda: nn.BatchNorm1d(5, momentum=0.01), (3, 5, 4)),
    "batch 2d": (lambda: nn.BatchNorm2d(5, momentum=0.3), (3, 5, 4, 2)),
    "batch 3d": (lambda: nn.BatchNorm3d(5), (2, 5, 2, 2, 2)),
    "instance 1d": (lambda: nn.InstanceNorm1d(5, track_running_stats=True), (3, 5, 6)),
    "instance 2d": (
        lambda: nn.InstanceNorm2d(5, affine=True, momentum=0.5, track_running_stats=True),
        (3, 5, 2, 3),
    ),
}


@pytest.mark.parametrize(("make", "shape"), MEMORIES.values(), ids=MEMORIES.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_running_statistics_after_100_steps_are_those_of_torch(
    make: Callable[[], Any], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    theirs = make().double()
    ours = Norm(spec_of(theirs), dtype=torch.float64 if dtype == torch.float64 else None)
    rng = np.random.default_rng(0)
    for step in range(100):
        x = torch.from_numpy(rng.normal(step % 7, 1 + step % 3, shape)).to(dtype)
        ours(x)
        theirs(x.double())
    wanted = copy.deepcopy(theirs.state_dict())
    near = 1e-12 if dtype == torch.float64 else 1e-5
    for name in ("running_mean", "running_var"):
        found = ours.state_dict()[name].double()
        torch.testing.assert_close(found, wanted[name], rtol=near, atol=near)
    assert ours.num_batches_tracked == 100
