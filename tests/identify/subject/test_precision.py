# ruff: noqa: E501 (one layer is one line of a table)
"""Half precisions: layers of them, and statistics in them inside a layer of float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from identified import identified_as
from layers_by_hand import (
    BOTH,
    IMAGE,
    LAYER,
    NAMES,
    NODES,
    WORDS,
    B,
    Tensor,
    W,
    column,
    made,
    mean,
    plain,
    rms_spec,
    square,
    stated,
    var,
)  # fmt: skip
from normscope import NormSpec, Running
from normscope.identify import identify

BATCH = stated("[b] c [h w]", running=Running(0.9, 1), **LAYER)
HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def to(x: Tensor, kind: str) -> Tensor:
    return x.to(HALVES[kind])


NATIVE = {
    "batch norm": (lambda: nn.BatchNorm2d(8), IMAGE, BATCH),
    "batch norm of nodes": (lambda: nn.BatchNorm1d(8), NODES, stated("[n] c", running=Running(0.9, 1), **LAYER)),
    "batch norm, bare": (lambda: nn.BatchNorm2d(8, affine=False), IMAGE, stated("[b] c [h w]", running=Running(0.9, 1))),
    "batch norm, another eps": (lambda: nn.BatchNorm2d(8, eps=1e-3), IMAGE, stated("[b] c [h w]", eps=1e-3, running=Running(0.9, 1), **LAYER)),
    "batch norm, another momentum": (lambda: nn.BatchNorm2d(8, momentum=0.01), IMAGE, stated("[b] c [h w]", running=Running(0.99, 1), **LAYER)),
    "layer norm": (lambda: nn.LayerNorm(8), WORDS, stated("b t [c]", **LAYER)),
    "group norm": (lambda: nn.GroupNorm(2, 8), IMAGE, stated("b (g [c]) [h w]", sizes={"g": 2}, scale="g c", bias="g c")),
    "instance norm": (lambda: nn.InstanceNorm2d(8, affine=True), IMAGE, stated("b c [h w]", **LAYER)),
    "rms norm": (lambda: nn.RMSNorm(8, eps=1e-5), WORDS, rms_spec("b t [c]", scale="c")),
    "by hand": (lambda: made(lambda s, x: s.w * plain(x) + s.b, **BOTH), WORDS, stated("b t [c]", **LAYER)),
    "by hand, another eps": (lambda: made(lambda s, x: s.w * plain(x, eps=1e-3) + s.b, **BOTH), WORDS, stated("b t [c]", eps=1e-3, **LAYER)),
    "computed in float32": (lambda: made(lambda s, x: (s.w.float() * plain(x.float()) + s.b.float()).to(x.dtype), **BOTH), WORDS, stated("b t [c]", **LAYER)),
    "scaled in half": (lambda: made(lambda s, x: s.w * (x.float() * (square(x.float()) + 1e-6).rsqrt()).to(x.dtype), w=W), WORDS, rms_spec("b t [c]", eps=1e-6, scale="c")),
}  # fmt: skip


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("name", NATIVE)
def test_layers_of_a_half_precision(name: str, kind: str) -> None:
    make, shape, expected = NATIVE[name]
    found = identified_as(expected, make().to(HALVES[kind]), shape, NAMES[shape])
    assert found.infer == found.train.inference(), found
    assert found.calls <= 200


def normalized(x: Tensor, m: Tensor, v: Tensor, eps: float = 1e-5) -> Tensor:
    return (x - m.float()) / (v.float() + eps).sqrt()


STATISTICS = {
    "the mean": (lambda k: made(lambda s, x: normalized(x, mean(to(x, k)), var(x))), WORDS, stated("b t [c]")),
    "the variance": (lambda k: made(lambda s, x: normalized(x, mean(x), var(to(x, k)))), WORDS, stated("b t [c]")),
    "both": (lambda k: made(lambda s, x: s.w * normalized(x, mean(to(x, k)), var(to(x, k))) + s.b, **BOTH), WORDS, stated("b t [c]", **LAYER)),
    "both, another eps": (lambda k: made(lambda s, x: normalized(x, mean(to(x, k)), var(to(x, k)), 1e-3)), WORDS, stated("b t [c]", eps=1e-3)),
    "a rounded variance": (lambda k: made(lambda s, x: normalized(x, mean(x), to(var(x), k))), WORDS, stated("b t [c]")),
    "a rounded deviation": (lambda k: made(lambda s, x: (x - mean(x)) / to((var(x) + 1e-5).sqrt(), k).float()), WORDS, stated("b t [c]")),
    "a mean square": (lambda k: made(lambda s, x: s.w * x * (square(to(x, k)).float() + 1e-6).rsqrt(), w=W), WORDS, rms_spec("b t [c]", eps=1e-6, scale="c")),
    "a mean alone": (lambda k: made(lambda s, x: x - mean(to(x, k)).float()), WORDS, stated("b t [c]", measure="none")),
    "over the batch": (lambda k: made(lambda s, x: column(s.w) * normalized(x, mean(to(x, k), (0, 2, 3)), var(to(x, k), (0, 2, 3))), w=W), IMAGE, stated("[b] c [h w]", scale="c")),
    "in groups": (lambda k: made(lambda s, x: in_groups(x, k)), IMAGE, stated("b (g [c]) [h w]", sizes={"g": 2})),
    "of float64": (lambda k: made(lambda s, x: (x - mean(to(x, k)).double()) / (var(to(x, k)).double() + 1e-5).sqrt()).double(), WORDS, stated("b t [c]")),
}  # fmt: skip


def in_groups(x: Tensor, kind: str) -> Tensor:
    apart = x.view(4, 2, 4, 6, 5)
    half, dims = to(apart, kind), (2, 3, 4)
    return normalized(apart, mean(half, dims), var(half, dims)).view(x.shape)


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_of_a_half_precision(name: str, kind: str) -> None:
    make, shape, expected = STATISTICS[name]
    found = identified_as(expected, make(kind), shape, NAMES[shape])
    (line,) = [line for line in found.evidence if line.startswith("its statistics are in ")]
    assert kind in line  # where jumps fit either, both are named
    assert found.calls <= 130


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_statistics_of_numpy_in_float16(kind: type) -> None:
    def layer(x: np.ndarray) -> np.ndarray:
        half = x.astype(np.float16)
        m, v = half.mean(-1, keepdims=True), half.var(-1, keepdims=True)
        y = (x - m.astype(np.float32)) / np.sqrt(v.astype(np.float32) + np.float32(1e-3))
        return y.astype(kind)

    found = identified_as(NormSpec("b t [c]", eps=1e-3), layer, WORDS, "b t c")
    assert "float16" in str(found)


@pytest.mark.parametrize("kind", HALVES)
def test_running_statistics_of_half_precision_ones(kind: str) -> None:
    def forward(s: nn.Module, x: Tensor) -> Tensor:
        m, v = column(s.m.clone()), column(s.v.clone())
        if s.training:
            m, v = mean(to(x, kind), (0, 2, 3)).float(), var(to(x, kind), (0, 2, 3)).float()
            with torch.no_grad():
                s.m += 0.1 * (m.flatten() - s.m)
                s.v += 0.1 * (v.flatten() - s.v)
        return column(s.w) * normalized(x, m, v) + column(s.b)

    expected = stated("[b] c [h w]", running=Running(0.9), **LAYER)
    found = identified_as(expected, made(forward, {"m": B, "v": W}, **BOTH), IMAGE, "b c h w")
    assert found.infer == found.train.inference()
    # inference has no such statistics, and is verified as exactly as float32 allows
    assert found.infer_report.max_ulp is not None
    (line,) = [line for line in found.evidence if line.startswith("inference: the reference")]
    assert float(line.split("within ")[1].split()[0]) < 256


NO_HALF = {
    "softmax": nn.Softmax(-1),
    "rounded to steps": made(lambda s, x: torch.round(plain(x) * 300) / 300),
    "a wrong share of the mean": made(lambda s, x: (x - 0.999 * mean(x)) / (var(x) + 1e-5).sqrt()),
    "another power": made(lambda s, x: (x - mean(x)) / (var(x) + 1e-5) ** 0.501),
    "noise of each element": made(lambda s, x: plain(x) * (1 + 1e-3 * torch.sin(1e4 * x))),
}


@pytest.mark.parametrize("name", NO_HALF)
def test_what_is_only_a_little_off_is_not_taken_for_rounding(name: str) -> None:
    found = identify(NO_HALF[name], WORDS, "b t c")
    assert found.train is None, found
    assert "its statistics" not in str(found)


def test_float32_alone_is_not_called_half() -> None:
    for layer in (nn.LayerNorm(8), nn.Sequential(nn.LayerNorm(8), nn.GELU())):
        assert "its statistics" not in str(identify(layer, WORDS, "b t c"))


def test_signs_say_nothing_of_the_precision() -> None:
    """Two elements are normalized to -1 and 1, whatever is rounded before."""
    found = identify(made(lambda s, x: plain(x)), (6, 2), "n c")
    assert "inside" not in str(found)
