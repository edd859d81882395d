# ruff: noqa: E501 (one layer is one line of a table)
"""Layers written by hand, right ones and buggy ones, each with the truth read off its source.

`identify` has to find the truth where a spec can say it. Where none can, it may know so ("mixing",
"pointwise") or not ("unknown"), as the table says; it never claims anything else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from layers_by_hand import (
    BOTH,
    IMAGE,
    LAYER,
    NAMES,
    NODES,
    SIGNAL,
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
)
from normscope import NormSpec, Running
from normscope.identify import identify
from normscope.identify.compare import differences

SAME = "same"


@dataclass(frozen=True)
class Truth:
    """What identify has to say of a layer; `kinds` are those verdicts that are true."""

    layer: nn.Module
    shape: tuple[int, ...]
    train: NormSpec | None
    infer: NormSpec | None
    kinds: tuple[str, ...] = ("normalization",)
    others: tuple[Tensor, ...] = ()


# --- over the features of words, (b, t, c) --------------------------------------------------------

FEATURES: dict[str, tuple[nn.Module, NormSpec]] = {
    "by hand": (made(lambda s, x: s.w * plain(x) + s.b, **BOTH), stated("b t [c]", **LAYER)),
    "eps squared": (made(lambda s, x: plain(x, eps=1e-3**2)), stated("b t [c]", eps=1e-6)),
    "eps ignored": (made(lambda s, x: plain(x, eps=0.0)), stated("b t [c]", eps=0)),
    "eps outside": (made(lambda s, x: s.w * (x - mean(x)) / (var(x).sqrt() + 1e-3) + s.b, **BOTH), stated("b t [c]", eps=0, eps_outside=1e-3, **LAYER)),
    "eps in both places": (made(lambda s, x: (x - mean(x)) / ((var(x) + 1e-4).sqrt() + 1e-4)), stated("b t [c]", eps=1e-4, eps_outside=1e-4)),
    "a large eps": (made(lambda s, x: plain(x, eps=0.1)), stated("b t [c]", eps=0.1)),
    "a tiny eps": (made(lambda s, x: plain(x, eps=1e-12)), stated("b t [c]", eps=1e-12)),
    "eps that is not round": (made(lambda s, x: plain(x, eps=3.14e-4)), stated("b t [c]", eps=3.14e-4)),
    "eps of the dtype": (made(lambda s, x: plain(x, eps=torch.finfo(x.dtype).eps)), stated("b t [c]", eps=2.0**-23)),
    "eps squared under the root": (made(lambda s, x: (x - mean(x)) / torch.hypot(var(x).sqrt(), torch.tensor(1e-4))), stated("b t [c]", eps=1e-8)),
    "unbiased where biased is usual": (made(lambda s, x: s.w * (x - mean(x)) / (var(x, ddof=1) + 1e-5).sqrt(), w=W), stated("b t [c]", ddof=1, scale="c")),
    "unbiased std and eps": (made(lambda s, x: s.w * (x - mean(x)) / (x.std(-1, keepdim=True) + 1e-6) + s.b, **BOTH), stated("b t [c]", ddof=1, eps=0, eps_outside=1e-6, **LAYER)),
    "clamped std": (made(lambda s, x: (x - mean(x)) / var(x).sqrt().clamp(min=1e-4)), stated("b t [c]", eps=0, floor=1e-4)),
    "clamped variance": (made(lambda s, x: (x - mean(x)) / var(x).clamp(min=1e-8).sqrt()), stated("b t [c]", eps=0, floor=1e-4)),
    "eps and a clamp": (made(lambda s, x: (x - mean(x)) / (var(x) + 1e-6).sqrt().clamp(min=1e-2)), stated("b t [c]", eps=1e-6, floor=1e-2)),
    "wrong axis": (made(lambda s, x: s.w * plain(x, 1) + s.b, **BOTH), stated("b [t] c", **LAYER)),
    "over the batch by mistake": (made(lambda s, x: s.w * plain(x, 0) + s.b, **BOTH), stated("[b] t c", **LAYER)),
    "over batch and features": (made(lambda s, x: plain(x, (0, 2))), stated("[b] t [c]")),
    "over time and features": (made(lambda s, x: s.w * plain(x, (1, 2)) + s.b, **BOTH), stated("b [t c]", **LAYER)),
    "over everything": (made(lambda s, x: plain(x, (0, 1, 2))), stated("[b t c]")),
    "statistics without gradient": (made(lambda s, x: s.w * (x - mean(x).detach()) / (var(x).detach() + 1e-5).sqrt(), w=W), stated("b t [c]", scale="c")),
    "NaN becomes 0": (made(lambda s, x: torch.nan_to_num(plain(x, eps=0.0))), stated("b t [c]", eps=0)),
    "variance by two moments": (made(lambda s, x: s.w * (x - mean(x)) / (square(x) - mean(x) ** 2 + 1e-5).sqrt(), w=W), stated("b t [c]", scale="c")),
    "moments, never negative": (made(lambda s, x: (x - mean(x)) / ((square(x) - mean(x) ** 2).relu() + 1e-5).sqrt()), stated("b t [c]")),
    "mean square, but centred": (made(lambda s, x: (x - mean(x)) / (square(x) + 1e-5).sqrt()), stated("b t [c]", measure="mean_square")),
    "variance, but not centred": (made(lambda s, x: x / (var(x) + 1e-5).sqrt()), stated("b t [c]", center=False)),
    "bias below the scale": (made(lambda s, x: s.w * (plain(x) + s.b), **BOTH), stated("b t [c]", **LAYER)),
    "a negative scale": (made(lambda s, x: s.w * plain(x), w=-W), stated("b t [c]", scale="c")),
    "a fixed scale per feature": (made(lambda s, x: s.w * plain(x), {"w": torch.linspace(0.5, 2, 8)}), stated("b t [c]", scale="c")),
    "a bias alone": (made(lambda s, x: plain(x) + s.b, b=B), stated("b t [c]", bias="c")),
    "one learned number": (made(lambda s, x: s.w * plain(x), w=torch.ones(1)), stated("b t [c]", scale="")),
    "one learned number, no axis": (made(lambda s, x: s.w * plain(x) + s.b, w=torch.tensor(1.0), b=torch.tensor(0.0)), stated("b t [c]", scale="", bias="")),
    "scale along time": (made(lambda s, x: s.w * plain(x), w=torch.ones(7, 1)), stated("b t [c]", scale="t")),
    "scale along time and features": (made(lambda s, x: s.w * plain(x) + s.b, w=torch.ones(7, 8), b=B), stated("b t [c]", scale="t c", bias="c")),
    "1 + scale": (made(lambda s, x: (1 + s.w) * plain(x) + s.b, w=B, b=B), stated("b t [c]", scale_shift=1, **LAYER)),
    "exp of the scale": (made(lambda s, x: s.w.exp() * plain(x), w=B), stated("b t [c]", scale="c")),
    "scale of two parameters, unbiased, eps 0": (made(lambda s, x: s.w * s.v * (x - mean(x)) / x.std(-1, keepdim=True), w=W, v=W), stated("b t [c]", ddof=1, eps=0, scale="c")),
    "unbiased, eps 0, and elu": (made(lambda s, x: functional.elu(s.w * (x - mean(x)) / x.std(-1, keepdim=True)), w=W), stated("b t [c]", ddof=1, eps=0, scale="c")),
    "eps outside as large as the data": (made(lambda s, x: s.w * (x - mean(x)) / (var(x).sqrt() + 1), w=W), stated("b t [c]", eps=0, eps_outside=1, scale="c")),
    "both epsilons, one as large as the data": (made(lambda s, x: (x - mean(x)) / ((var(x) + 1e-3).sqrt() + 1)), stated("b t [c]", eps=1e-3, eps_outside=1)),
    "a scale clamped from above, at its limit": (made(lambda s, x: s.w.clamp(max=1) * plain(x), w=W), stated("b t [c]", scale="c")),
    "a scale clamped from above, beyond its limit": (made(lambda s, x: s.w.clamp(0, 1) * plain(x), w=2 * W), stated("b t [c]", scale="c")),
    "a scale clamped from below": (made(lambda s, x: s.w.clamp(min=2) * plain(x), w=W), stated("b t [c]", scale="c")),
    "scale of two parameters": (made(lambda s, x: s.w * s.v * plain(x), w=W, v=W), stated("b t [c]", scale="c")),
    "a scale that sigmoid bounds": (made(lambda s, x: 2 * s.w.sigmoid() * plain(x), w=B), stated("b t [c]", scale="c")),
    "a constant factor": (made(lambda s, x: 3.0 * plain(x)), stated("b t [c]")),
    "residual": (made(lambda s, x: x + s.w * plain(x) + s.b, **BOTH), stated("b t [c]", **LAYER)),
    "relu": (made(lambda s, x: (s.w * plain(x) + s.b).relu(), **BOTH), stated("b t [c]", **LAYER)),
    "a learned slope": (nn.Sequential(nn.LayerNorm(8), nn.PReLU()), stated("b t [c]", **LAYER)),
    "hardtanh": (nn.Sequential(nn.LayerNorm(8), nn.Hardtanh()), stated("b t [c]", **LAYER)),
    "clamped output": (made(lambda s, x: plain(x).clamp(-1.5, 1.5)), stated("b t [c]")),
    "celu": (nn.Sequential(nn.LayerNorm(8), nn.CELU(0.7)), stated("b t [c]", **LAYER)),
    "log sigmoid": (nn.Sequential(nn.LayerNorm(8), nn.LogSigmoid()), stated("b t [c]", **LAYER)),
    "softsign": (nn.Sequential(nn.LayerNorm(8), nn.Softsign()), stated("b t [c]", **LAYER)),
    "squared relu": (made(lambda s, x: (s.w * plain(x)).relu() ** 2, w=W), stated("b t [c]", scale="c")),
    "hard mish": (made(lambda s, x: (y := s.w * plain(x)) * (y + 2).clamp(0, 2) / 2, w=W), stated("b t [c]", scale="c")),
    "scale that starts at 0": (made(lambda s, x: s.w * plain(x) + s.b, w=B, b=B), stated("b t [c]", **LAYER)),
    "scale and bias from one parameter": (made(lambda s, x: s.w * plain(x) + s.w, w=W), stated("b t [c]", **LAYER)),
    "two parameters in parts": (made(lambda s, x: plain(x) * torch.cat([s.a, s.c]), a=W[:4], c=W[4:]), stated("b t [c]", scale="c")),
    "two biases": (made(lambda s, x: plain(x) + s.a + s.b, a=B, b=B), stated("b t [c]", bias="c")),
    "small residual branch": (made(lambda s, x: x + s.w * plain(x), w=1e-4 * W), stated("b t [c]", scale="c")),
    "twice": (made(lambda s, x: plain(plain(x))), stated("b t [c]", eps=1e-10)),
    "of twice the input": (made(lambda s, x: plain(2 * x)), stated("b t [c]", eps=2.5e-6)),
    "float32 inside float64": (made(lambda s, x: s.w * plain(x.float()).double() + s.b, **BOTH).double(), stated("b t [c]", **LAYER)),
    "float32 statistics of float64": (made(lambda s, x: s.w * x * (square(x.float()) + 1e-6).rsqrt().double(), w=W).double(), rms_spec("b t [c]", eps=1e-6, scale="c")),
    "bfloat16": (nn.LayerNorm(8).bfloat16(), stated("b t [c]", **LAYER)),
    "float16": (nn.RMSNorm(8, eps=1e-5).half(), rms_spec("b t [c]", scale="c")),
    "transposed": (made(lambda s, x: plain(x).transpose(1, 2)), stated("b t [c]")),
    "flattened": (nn.Sequential(nn.LayerNorm(8), nn.Flatten()), stated("b t [c]", **LAYER)),
    "mean of absolute values": (made(lambda s, x: x / (mean(x.abs()) + 1e-3)), stated("b t [c]", center=False, measure="l1", eps=0, eps_outside=8e-3)),
    "unit ball": (made(lambda s, x: x / x.norm(dim=-1, keepdim=True).clamp(min=1.0)), stated("b t [c]", center=False, measure="l2", eps=0, floor=1.0)),
    "elu": (nn.Sequential(nn.LayerNorm(8), nn.ELU(0.5)), stated("b t [c]", **LAYER)),
    "quick gelu": (made(lambda s, x: (y := s.w * plain(x)) * torch.sigmoid(1.702 * y), w=W), stated("b t [c]", scale="c")),
    "float16 inside": (made(lambda s, x: plain(x.half().float()).half().float()), stated("b t [c]")),
    "bfloat16 inside": (made(lambda s, x: s.w * plain(x.bfloat16().float()).bfloat16().float(), w=W), stated("b t [c]", scale="c")),
    "double inside": (made(lambda s, x: plain(x.double()).float()), stated("b t [c]")),
    "rms": (made(lambda s, x: s.w * x * (square(x) + 1e-6).rsqrt(), w=W), rms_spec("b t [c]", eps=1e-6, scale="c")),
    "rms, eps outside": (made(lambda s, x: s.w * x / (square(x).sqrt() + 1e-8), w=W), rms_spec("b t [c]", eps=0, eps_outside=1e-8, scale="c")),
    "rms, eps ignored": (made(lambda s, x: x * square(x).rsqrt()), rms_spec("b t [c]", eps=0)),
    "rms by the l2 norm": (made(lambda s, x: s.w * x / (x.norm(dim=-1, keepdim=True) * 8**-0.5 + 1e-8), w=W), rms_spec("b t [c]", eps=0, eps_outside=1e-8, scale="c")),
    "rms, 1 + scale and bias": (made(lambda s, x: (1 + s.w) * x * (square(x) + 1e-5).rsqrt() + s.b, w=B, b=B), rms_spec("b t [c]", scale_shift=1, **LAYER)),
    "rms, divided by N - 1": (made(lambda s, x: x / (x.pow(2).sum(-1, keepdim=True) / 7 + 1e-5).sqrt()), rms_spec("b t [c]", ddof=1)),
    "l2": (made(lambda s, x: functional.normalize(x, dim=-1)), stated("b t [c]", center=False, measure="l2", eps=0, floor=1e-12)),
    "l2, eps inside": (made(lambda s, x: x * (x.pow(2).sum(-1, keepdim=True) + 1e-6).rsqrt()), stated("b t [c]", center=False, measure="l2", eps=1e-6)),
    "l2, eps outside": (made(lambda s, x: x / (x.norm(dim=-1, keepdim=True) + 1e-5)), stated("b t [c]", center=False, measure="l2", eps=0, eps_outside=1e-5)),
    "l2, over time": (made(lambda s, x: functional.normalize(x, dim=1)), stated("b [t] c", center=False, measure="l2", eps=0, floor=1e-12)),
    "l2, centred": (made(lambda s, x: functional.normalize(x - mean(x), dim=-1, eps=1e-6)), stated("b t [c]", eps=0, floor=1e-6 / 8**0.5)),
    "one learned length": (made(lambda s, x: s.g * x / x.norm(dim=-1, keepdim=True).clamp(min=1e-5), g=torch.tensor([8**0.5])), stated("b t [c]", center=False, measure="l2", eps=0, floor=1e-5, scale="")),
    "l1": (made(lambda s, x: functional.normalize(x, p=1, dim=-1)), stated("b t [c]", center=False, measure="l1", eps=0, floor=1e-12)),
    "largest value": (made(lambda s, x: functional.normalize(x, p=math.inf, dim=-1, eps=1e-6)), stated("b t [c]", center=False, measure="max", eps=0, floor=1e-6)),
    "heads": (made(lambda s, x: plain(x.unflatten(-1, (2, 4))).flatten(-2)), stated("b t (g [c])", sizes={"g": 2})),
    "heads with one scale for all": (made(lambda s, x: (s.w * x.unflatten(-1, (2, 4)) * (square(x.unflatten(-1, (2, 4))) + 1e-6).rsqrt()).flatten(-2), w=torch.ones(4)), rms_spec("b t (g [c])", sizes={"g": 2}, eps=1e-6, scale="c")),
    "heads side by side": (made(lambda s, x: plain(x.unflatten(-1, (4, 2)), -2).flatten(-2)), stated("b t ([c] g)", sizes={"g": 2})),
    "chunks of time": (made(lambda s, x: plain(x.unflatten(-1, (5, 2))).flatten(-2)), stated("b c (g [t])", sizes={"g": 5})),
}  # fmt: skip

# --- over the positions of images, (b, c, h, w) ---------------------------------------------------


def spoiled_groups(s: nn.Module, x: Tensor) -> Tensor:
    """Group norm after a reshape in the wrong order: every second channel forms a group."""
    return plain(x.view(4, 4, 2, 6, 5), (1, 3, 4)).reshape(x.shape)


IMAGES: dict[str, tuple[nn.Module, NormSpec]] = {
    "channels first": (made(lambda s, x: column(s.w) * plain(x, 1) + column(s.b), **BOTH), stated("b [c] h w", **LAYER)),
    "channels moved last and back": (made(lambda s, x: functional.layer_norm(x.permute(0, 2, 3, 1), (8,), s.w, s.b, 1e-6).permute(0, 3, 1, 2), **BOTH), stated("b [c] h w", eps=1e-6, **LAYER)),
    "the wrong permutation": (made(lambda s, x: functional.layer_norm(x.transpose(1, 2), (8, 5)).transpose(1, 2)), stated("b [c] h [w]")),
    "global": (made(lambda s, x: column(s.w) * plain(x, (1, 2, 3), 1e-8) + column(s.b), **BOTH), stated("b [c h w]", eps=1e-8, **LAYER)),
    "instance": (made(lambda s, x: column(s.w) * plain(x, (2, 3)) + column(s.b), **BOTH), stated("b c [h w]", **LAYER)),
    "instance, unbiased": (made(lambda s, x: (x - mean(x, (2, 3))) / (var(x, (2, 3), 1) + 1e-5).sqrt()), stated("b c [h w]", ddof=1)),
    "columns": (made(lambda s, x: plain(x)), stated("b c h [w]")),
    "rows and batch": (made(lambda s, x: plain(x, (0, 2))), stated("[b] c [h] w")),
    "groups": (made(lambda s, x: column(s.w) * plain(x.view(4, 2, 4, 6, 5), (2, 3, 4)).view(x.shape), w=W), stated("b (g [c]) [h w]", sizes={"g": 2}, scale="g c")),
    "groups, a scale per group": (made(lambda s, x: (s.w.view(1, 2, 1, 1, 1) * plain(x.view(4, 2, 4, 6, 5), (2, 3, 4))).view(x.shape), w=torch.ones(2)), stated("b (g [c]) [h w]", sizes={"g": 2}, scale="g")),
    "groups without positions": (made(lambda s, x: plain(x.view(4, 2, 4, 6, 5), 2).view(x.shape)), stated("b (g [c]) h w", sizes={"g": 2})),
    "groups in the wrong order": (made(spoiled_groups), stated("b ([c] g) [h w]", sizes={"g": 2})),
    "groups of samples": (made(lambda s, x: plain(x.view(2, 2, 8, 6, 5), (1, 3, 4)).view(x.shape)), stated("(g [b]) c [h w]", sizes={"g": 2})),
    "groups over all samples": (made(lambda s, x: plain(x.view(4, 2, 4, 6, 5), (0, 2, 3, 4)).view(x.shape)), stated("[b] (g [c]) [h w]", sizes={"g": 2})),
    "patches": (made(lambda s, x: plain(x.view(4, 8, 3, 2, 5), (3, 4)).view(x.shape)), stated("b c (g [h]) [w]", sizes={"g": 3})),
    "filter response": (made(lambda s, x: column(s.w) * x * (square(x, (2, 3)) + 1e-6).rsqrt() + column(s.b), **BOTH), rms_spec("b c [h w]", eps=1e-6, **LAYER)),
    "filter response, cut off": (made(lambda s, x: torch.maximum(column(s.w) * x * (square(x, (2, 3)) + 1e-6).rsqrt() + column(s.b), column(s.tau)), tau=-W, **BOTH), rms_spec("b c [h w]", eps=1e-6, **LAYER)),
    "pixel": (made(lambda s, x: x * (square(x, 1) + 1e-8).rsqrt()), rms_spec("b [c] h w", eps=1e-8)),
    "scale per position": (made(lambda s, x: s.w * plain(x, (1, 2, 3)), w=torch.ones(6, 5)), stated("b [c h w]", scale="h w")),
    "residual and relu": (made(lambda s, x: column(s.w) * plain(x, (2, 3)).relu(), w=W), stated("b c [h w]", scale="c")),
    "batch statistics in both modes": (made(lambda s, x: column(s.w) * plain(x, (0, 2, 3)) + column(s.b), **BOTH), stated("[b] c [h w]", **LAYER)),
}  # fmt: skip

# --- with a memory --------------------------------------------------------------------------------


def batch_norm(
    *,
    share: float = 0.1,
    ddof: int = 0,
    stored_ddof: int = 1,
    eps: float = 1e-5,
    infer_eps: float | None = None,
    updates: str = "train",
    batch_at_inference: bool = False,
    stored_mean: bool = True,
    dims: tuple[int, ...] = (0, 2, 3),
) -> nn.Module:
    """Batch normalization of images, with one mistake or another."""

    def forward(s: nn.Module, x: Tensor) -> Tensor:
        m, v = mean(x, dims), var(x, dims, ddof)
        batch_mean, batch_var, added = m, var(x, dims, stored_ddof), eps
        if not (s.training or batch_at_inference):
            m = column(s.running_mean.clone() if stored_mean else 0 * B)
            v = column(s.running_var.clone())
            added = eps if infer_eps is None else infer_eps
        if (s.training and updates != "never") or updates == "always":
            with torch.no_grad():
                s.running_mean += share * (batch_mean.mean(0).flatten() - s.running_mean)
                s.running_var += share * (batch_var.mean(0).flatten() - s.running_var)
        return column(s.w) * (x - m) / (v + added).sqrt() + column(s.b)

    return made(forward, {"running_mean": B, "running_var": W}, **BOTH)


def batch(decay: float = 0.9, memory_ddof: int = 1, **fields: object) -> NormSpec:
    memory = {"running": Running(decay, memory_ddof)}
    return stated(**{"pattern": "[b] c [h w]", **LAYER, **memory, **fields})  # type: ignore[arg-type]


def stored(**fields: object) -> NormSpec:
    return batch(**fields).inference()


class Residual(nn.Module):
    """The input is added to the result of a layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


def moves(
    pace: tuple[float, float] = (0.1, 0.1),
    stored: Callable[[Tensor], Tensor] = lambda x: var(x, (0, 2, 3)),
    divisor: Callable[[Tensor], Tensor] = lambda v: (v + 1e-5).sqrt(),
) -> nn.Module:
    """Batch normalization whose stored arrays move at some pace, towards some statistic."""

    def forward(s: nn.Module, x: Tensor) -> Tensor:
        if not s.training:
            return (x - column(s.m)) / divisor(column(s.v))
        with torch.no_grad():
            s.m += pace[0] * (mean(x, (0, 2, 3)).flatten() - s.m)
            s.v += pace[1] * (stored(x).flatten() - s.v)
        return plain(x, (0, 2, 3))

    return made(forward, {"m": B, "v": W})


def counted(corrected: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    """Batch norm whose inference also depends on how many training calls there were."""

    def forward(s: nn.Module, x: Tensor) -> Tensor:
        if not s.training:
            m, v = corrected(s.m, s.n), corrected(s.v, s.n)
            return (x - column(m)) / (column(v) + 1e-5).sqrt()
        with torch.no_grad():
            s.m += 0.1 * (mean(x, (0, 2, 3)).flatten() - s.m)
            s.v += 0.1 * (var(x, (0, 2, 3)).flatten() - s.v)
            s.n += 1
        return plain(x, (0, 2, 3))

    return made(forward, {"m": B, "v": B, "n": torch.tensor(0)})


def zero_scale(layer: nn.Module) -> nn.Module:
    nn.init.zeros_(layer.weight)
    return layer


BARE_BATCH = stated("[b] c [h w]", running=Running(0.9))

STATEFUL: dict[str, tuple[nn.Module, NormSpec | None, NormSpec | None]] = {
    "residual beside a batch norm": (Residual(nn.BatchNorm2d(8)), batch(), stored()),
    "batch norm and selu": (nn.Sequential(nn.BatchNorm2d(8), nn.SELU()), batch(), stored()),
    "batch norm and a learned slope": (nn.Sequential(nn.BatchNorm2d(8), nn.PReLU(8)), batch(), stored()),
    "scale 0 and relu": (nn.Sequential(zero_scale(nn.BatchNorm2d(8)), nn.ReLU()), batch(), stored()),
    "batch norm and dropout": (nn.Sequential(nn.BatchNorm2d(8), nn.Dropout()), None, stored()),
    "the last batch stored": (moves((1.0, 1.0)), replace(BARE_BATCH, running=Running(0.0)), stated(None, running=Running(0.0))),
    "eps forgotten at inference": (moves(divisor=lambda v: v.sqrt()), BARE_BATCH, stated(None, eps=0, running=Running(0.9))),
    "eps outside at inference": (moves(divisor=lambda v: v.sqrt() + 1e-3), BARE_BATCH, stated(None, eps=0, eps_outside=1e-3, running=Running(0.9))),
    "clamped at inference": (moves(divisor=lambda v: v.clamp(min=1e-4).sqrt()), BARE_BATCH, stated(None, eps=0, floor=1e-2, running=Running(0.9))),
    "zero start corrected": (counted(lambda value, n: value / torch.where(n > 0, 1 - 0.9**n, 1.0)), BARE_BATCH, BARE_BATCH.inference()),
    "zero start corrected wrongly": (counted(lambda value, n: value / torch.where(n > 0, 1 - 0.8**n, 1.0)), BARE_BATCH, None),
    "stored statistics that fade": (counted(lambda value, n: value / (1 + n)), BARE_BATCH, None),
    "no root at inference": (moves(divisor=lambda v: v + 1e-5), BARE_BATCH, None),
    "nothing at inference": (made(lambda s, x: plain(x, (0, 2, 3)) if s.training else x), stated("[b] c [h w]"), None),
    "instance at inference": (made(lambda s, x: plain(x, (0, 2, 3) if s.training else (2, 3))), stated("[b] c [h w]"), stated("b c [h w]")),
    "layer norm at inference alone": (made(lambda s, x: x if s.training else plain(x)), None, stated("b c h [w]")),
    "batch norm by hand": (batch_norm(), batch(), stored()),
    "momentum the wrong way round": (batch_norm(share=0.9), batch(0.1), stored(decay=0.1)),
    "momentum 0.003": (batch_norm(share=0.003), batch(0.997), stored(decay=0.997)),
    "biased variance stored": (batch_norm(stored_ddof=0), batch(memory_ddof=0), stored(memory_ddof=0)),
    "unbiased variance everywhere": (batch_norm(ddof=1), batch(ddof=1), stored()),
    "memory never updated": (batch_norm(updates="never"), batch(1.0, 0), stored(decay=1.0, memory_ddof=0)),
    "memory updated at inference": (batch_norm(updates="always"), batch(), stored()),
    "batch statistics at inference": (batch_norm(batch_at_inference=True), batch(), batch(running=None)),
    "another eps at inference": (batch_norm(infer_eps=1e-3), batch(), stored(eps=1e-3)),
    "stored mean forgotten": (batch_norm(stored_mean=False), batch(), stored(center=False)),
    "instance statistics with a memory": (batch_norm(dims=(2, 3)), batch(pattern="b c [h w]"), stored(pattern="b c [h w]")),
}  # fmt: skip

# --- what no spec can say: kinds that are true, and the words of the axes -------------------------


def cumulative(x: Tensor, dims: tuple[int, ...] = (1,)) -> Tensor:
    count = torch.arange(1, x.shape[-1] + 1) * x.shape[1]
    m = x.sum(1, keepdim=True).cumsum(-1) / count
    v = x.pow(2).sum(1, keepdim=True).cumsum(-1) / count - m**2
    return (x - m) / (v + 1e-8).sqrt()


def whitened(x: Tensor) -> Tensor:
    off = x - mean(x, 0)
    values, vectors = torch.linalg.eigh(off.T @ off / len(x) + 1e-3 * torch.eye(8))
    return off @ (vectors * values.rsqrt()) @ vectors.T


def global_response(s: nn.Module, x: Tensor) -> Tensor:
    energy = x.norm(dim=(2, 3), keepdim=True)
    return column(s.w) * x * energy / (mean(energy, 1) + 1e-6) + column(s.b) + x


def evolved(s: nn.Module, x: Tensor) -> Tensor:
    """EvoNorm-S0."""
    spread = (var(x.view(4, 2, 4, 6, 5), (2, 3, 4)) + 1e-5).sqrt()
    y = x * torch.sigmoid(column(s.v) * x)
    return column(s.w) * (y.view(4, 2, 4, 6, 5) / spread).view(x.shape) + column(s.b)


def evolved_of_batch(s: nn.Module, x: Tensor) -> Tensor:
    """EvoNorm-B0 in training."""
    spread = torch.maximum((var(x, (0, 2, 3)) + 1e-5).sqrt(), x + (var(x, (2, 3)) + 1e-5).sqrt())
    return column(s.w) * x / spread + column(s.b)


def switched(s: nn.Module, x: Tensor) -> Tensor:
    m = [mean(x, dims) for dims in ((2, 3), (1, 2, 3), (0, 2, 3))]
    v = [var(x, dims) for dims in ((2, 3), (1, 2, 3), (0, 2, 3))]
    a, b = s.a.softmax(0), s.b.softmax(0)
    m, v = sum(map(torch.mul, a, m)), sum(map(torch.mul, b, v))
    return (x - m) / (v + 1e-5).sqrt()


def graph(s: nn.Module, x: Tensor) -> Tensor:
    off = x - s.alpha * mean(x, 0)
    return s.w * off / (square(off, 0) + 1e-5).sqrt() + s.b


def partial_rms(x: Tensor) -> Tensor:
    return x / (x[..., :2].norm(dim=-1, keepdim=True) * 2**-0.5 + 1e-8)


def local_contrast(x: Tensor) -> Tensor:
    m = functional.avg_pool2d(x, 3, 1, 1)
    v = functional.avg_pool2d((x - m) ** 2, 3, 1, 1)
    return (x - m) / (v.sqrt() + 1e-4)


def excited(s: nn.Module, x: Tensor) -> Tensor:
    return x * torch.sigmoid(x.mean((2, 3)) @ s.u)[..., None, None]


def simple_attention(x: Tensor) -> Tensor:
    off = (x - mean(x, (2, 3))) ** 2
    return x * torch.sigmoid(off / (4 * (mean(off, (2, 3)) + 1e-4)) + 0.5)


def renormalized(s: nn.Module, x: Tensor) -> Tensor:
    m, v = mean(x, 0), var(x, 0)
    r = ((v + 1e-5) / (s.running_var + 1e-5)).sqrt().clamp(1 / 3, 3)
    d = ((m - s.running_mean) / (s.running_var + 1e-5).sqrt()).clamp(-5, 5)
    return plain(x, 0) * r + d


def set_up_by_data(s: nn.Module, x: Tensor) -> Tensor:
    """ActNorm: the first call sets its scale and bias, and only those count later."""
    if s.training and s.ready == 0:
        with torch.no_grad():
            s.b.copy_(-x.mean((0, 2, 3)))
            s.w.copy_(1 / (x.std((0, 2, 3)) + 1e-6))
            s.ready.fill_(1)
    return column(s.w) * (x + column(s.b))


def paired(x: Tensor) -> Tensor:
    x = x - mean(x, 0)
    return x / (1e-6 + x.pow(2).sum(-1).mean()).sqrt()


MIXING = ("mixing",)
NO_CLAIM = ("mixing", "unknown")
UNKNOWN = ("unknown",)
ALONE = ("pointwise",)
U = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))

AFTER_A_SUM = {
    "relu": torch.relu,
    "leaky relu": lambda x: functional.leaky_relu(x, 0.2),
    "gelu": functional.gelu,
    "silu": functional.silu,
    "elu": functional.elu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
"""What may stand after a residual: then the sum cannot be undone, and nothing is claimed."""

NO_SPEC: dict[str, tuple[nn.Module, tuple[int, ...], tuple[str, ...]]] = {
    # normalizations that a spec cannot say
    "nothing tells ddof": (made(lambda s, x: s.w.tanh() * (x - mean(x)) / x.std(-1, keepdim=True), w=W), WORDS, UNKNOWN),
    "nothing tells ddof, a fixed scale": (made(lambda s, x: s.w * (x - mean(x)) / x.std(-1, keepdim=True), {"w": torch.linspace(0.5, 2, 8)}), WORDS, UNKNOWN),
    "nothing tells ddof, elu": (made(lambda s, x: functional.elu(s.w.tanh() * plain(x, eps=0.0)), w=W), WORDS, UNKNOWN),
    **{f"{name} of x + layer norm": (made(lambda s, x, f=f: f(x + s.w * plain(x)), w=W), WORDS, UNKNOWN) for name, f in AFTER_A_SUM.items()},
    "relu of x + rms norm": (made(lambda s, x: (x + x / (square(x) + 1e-6).sqrt()).relu()), WORDS, UNKNOWN),
    "relu of x + batch norm": (made(lambda s, x: (x + plain(x, (0, 2, 3))).relu()), IMAGE, UNKNOWN),
    "no root": (made(lambda s, x: (x - mean(x)) / (var(x) + 1e-5)), WORDS, NO_CLAIM),
    "two roots": (made(lambda s, x: (x - mean(x)) / (var(x) + 1e-5) ** 0.25), WORDS, NO_CLAIM),
    "mean absolute deviation": (made(lambda s, x: (x - mean(x)) / (mean((x - mean(x)).abs()) + 1e-5)), WORDS, NO_CLAIM),
    "from the smallest to the largest": (made(lambda s, x: (x - x.amin(-1, True)) / (x.amax(-1, True) - x.amin(-1, True) + 1e-5)), WORDS, NO_CLAIM),
    "median": (made(lambda s, x: (x - x.median(-1, True)[0]) / (var(x) + 1e-5).sqrt()), WORDS, NO_CLAIM),
    "third power": (made(lambda s, x: functional.normalize(x, p=3, dim=-1)), WORDS, NO_CLAIM),
    "mean and variance over other axes": (made(lambda s, x: (x - mean(x)) / (var(x, (1, 2)) + 1e-5).sqrt()), WORDS, MIXING),
    "mean of the first sample": (made(lambda s, x: (x - x[:1].mean(-1, True)) / (var(x) + 1e-5).sqrt()), WORDS, MIXING),
    "weights before the statistics": (made(lambda s, x: plain(x * s.w), {"w": torch.linspace(0.5, 2, 8)}), WORDS, MIXING),
    "layer norm after a matrix": (made(lambda s, x: plain(x @ s.u), u=U), WORDS, MIXING),
    "a matrix after layer norm": (made(lambda s, x: plain(x) @ s.u, u=U), WORDS, MIXING),
    "layer norm twice, a matrix between": (made(lambda s, x: plain(plain(x) @ s.u), u=U), WORDS, MIXING),
    "layer norm, then softmax": (made(lambda s, x: plain(x).softmax(-1)), WORDS, NO_CLAIM),
    "relu before": (made(lambda s, x: plain(x.relu())), WORDS, NO_CLAIM),
    "tanh before": (made(lambda s, x: plain(x.tanh())), WORDS, NO_CLAIM),
    "partial rms": (made(lambda s, x: partial_rms(x)), WORDS, MIXING),
    "cumulative": (made(lambda s, x: cumulative(x)), SIGNAL, MIXING),
    "global response": (made(global_response, **BOTH), IMAGE, MIXING),
    "evolved, per sample": (made(evolved, v=W, **BOTH), IMAGE, NO_CLAIM),
    "evolved, over the batch": (made(evolved_of_batch, **BOTH), IMAGE, NO_CLAIM),
    "switched": (made(switched, a=torch.ones(3), b=torch.zeros(3)), IMAGE, MIXING),
    "graph": (made(graph, alpha=torch.ones(1), **BOTH), NODES, NO_CLAIM),
    "pairs": (made(lambda s, x: paired(x)), NODES, MIXING),
    "whitening": (made(lambda s, x: whitened(x)), NODES, NO_CLAIM),
    "local contrast": (made(lambda s, x: local_contrast(x)), IMAGE, MIXING),
    "local response": (nn.LocalResponseNorm(3), SIGNAL, MIXING),
    "cross channel response": (nn.CrossMapLRN2d(3), IMAGE, MIXING),
    "two paces": (moves((0.1, 0.01)), IMAGE, ("unknown",)),
    "only the mean moves": (moves((0.1, 0.0)), IMAGE, ("unknown",)),
    "mean square stored": (moves(stored=lambda x: square(x, (0, 2, 3))), IMAGE, ("unknown",)),
    "first sample stored": (moves(stored=lambda x: var(x[0], (1, 2))), IMAGE, ("unknown",)),
    "groups of unequal size": (made(lambda s, x: torch.cat([plain(x[:, :3], (1, 2, 3)), plain(x[:, 3:], (1, 2, 3))], 1)), IMAGE, UNKNOWN),
    "half by instance, half by batch": (made(lambda s, x: torch.cat([plain(x[:, :4], (2, 3)), plain(x[:, 4:], (0, 2, 3))], 1)), IMAGE, MIXING),
    "centred in rows and columns": (made(lambda s, x: x - mean(x, 2) - mean(x, 3) + mean(x, (2, 3))), IMAGE, MIXING),
    "anticausal": (made(lambda s, x: x / (x.pow(2).flip(2).cumsum(2).flip(2) + 1e-5).sqrt()), SIGNAL, MIXING),
    "clipped before": (made(lambda s, x: plain(x.clamp(-10, 10))), WORDS, NO_CLAIM),
    "divisor with a largest value": (made(lambda s, x: (x - mean(x)) / (var(x).clamp(max=1e4) + 1e-5).sqrt()), WORDS, NO_CLAIM),
    "eps in proportion": (made(lambda s, x: (x - mean(x)) / (var(x).sqrt() + 1e-3 * x.abs().amax(-1, True))), WORDS, ("unknown",)),
    "gated by the input": (made(lambda s, x: plain(x) * torch.sigmoid(x)), WORDS, NO_CLAIM),
    "matrix and batch norm": (nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)), IMAGE, MIXING),
    "renormalized": (made(renormalized, {"running_mean": B + 0.3, "running_var": 2 * W}), NODES, NO_CLAIM),
    # activations that have no name here: it may be a normalization, so "mixing" would be wrong
    "sine after": (made(lambda s, x: torch.sin(plain(x))), WORDS, ("unknown",)),
    "cube after": (made(lambda s, x: plain(x) ** 3), WORDS, ("unknown",)),
    "snake after": (made(lambda s, x: (y := s.w * plain(x)) + torch.sin(y) ** 2, w=W), WORDS, ("unknown",)),
    "absolute value after": (made(lambda s, x: plain(x, (2, 3)).abs()), IMAGE, ("unknown",)),
    "soft shrinkage after": (nn.Sequential(nn.InstanceNorm2d(8), nn.Softshrink()), IMAGE, ("unknown",)),
    "hard shrinkage after": (nn.Sequential(nn.BatchNorm2d(8), nn.Hardshrink()), IMAGE, ("unknown",)),
    "rounded after": (made(lambda s, x: torch.round(plain(x) * 4) / 4), WORDS, ("unknown",)),
    "residual after an unknown activation": (made(lambda s, x: x + torch.sin(plain(x))), WORDS, ("unknown",)),
    # other layers
    "softmax": (nn.Softmax(-1), WORDS, MIXING),
    "softmax over channels": (nn.Softmax2d(), IMAGE, MIXING),
    "log softmax": (nn.LogSoftmax(-1), WORDS, MIXING),
    "softmin with a temperature": (made(lambda s, x: functional.softmin(x / s.t, -1), t=torch.ones(1)), WORDS, MIXING),
    "sum to one": (made(lambda s, x: x.abs() / x.abs().sum(-1, True)), WORDS, NO_CLAIM),
    "softmax times the input": (made(lambda s, x: x * x.softmax(-1)), WORDS, MIXING),
    "linear": (nn.Linear(8, 8), WORDS, MIXING),
    "linear and relu": (nn.Sequential(nn.Linear(8, 8), nn.ReLU()), WORDS, MIXING),
    "weight norm": (nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), WORDS, MIXING),
    "spectral norm": (nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)), WORDS, NO_CLAIM),
    "convolution": (nn.Conv2d(8, 8, 3, padding=1), IMAGE, MIXING),
    "convolution of whole images": (nn.Conv2d(8, 8, (11, 9), padding=(5, 4)), IMAGE, MIXING),
    "depthwise convolution": (nn.Conv2d(8, 8, 3, padding=1, groups=8), IMAGE, MIXING),
    "standardized weights": (made(lambda s, x: functional.conv2d(x, plain(s.k, (1, 2, 3)), padding=1), k=torch.randn(8, 8, 3, 3, generator=torch.Generator().manual_seed(1))), IMAGE, MIXING),
    "attention": (nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True), WORDS, MIXING),
    "pooling": (nn.AvgPool2d(3, 1, 1), IMAGE, MIXING),
    "largest of a window": (nn.MaxPool2d(3, 1, 1), IMAGE, MIXING),
    "global pooling": (nn.AdaptiveAvgPool2d(1), IMAGE, MIXING),
    "squeeze and excite": (made(excited, u=U), IMAGE, MIXING),
    "gate by the mean": (made(lambda s, x: x * torch.sigmoid(mean(x, (2, 3)))), IMAGE, MIXING),
    "simple attention": (made(lambda s, x: simple_attention(x)), IMAGE, MIXING),
    "cumulative sum": (made(lambda s, x: x.cumsum(-1)), SIGNAL, MIXING),
    "recurrent": (nn.GRU(8, 8, batch_first=True), WORDS, MIXING),
    "sorted": (made(lambda s, x: x.sort(-1)[0]), WORDS, NO_CLAIM),
    "spatial gate": (made(lambda s, x: x * torch.sigmoid(mean(x, 1))), IMAGE, MIXING),
    "gate of rows and columns": (made(lambda s, x: x * torch.sigmoid(mean(x, 2)) * torch.sigmoid(mean(x, 3))), IMAGE, MIXING),
    "softmax of few": (nn.Softmax(0), WORDS, MIXING),
    "softmax at a high temperature": (made(lambda s, x: (x / 1000).softmax(-1)), WORDS, MIXING),
    "ranks": (made(lambda s, x: x.argsort(-1).argsort(-1).float()), WORDS, NO_CLAIM),
    "whole samples dropped": (made(lambda s, x: x * (torch.rand(len(x), 1, 1) > 0.3) if s.training else x), WORDS, ALONE),
    "shifted along time": (made(lambda s, x: x.roll(1, 1)), WORDS, ALONE),
    "pixels moved into channels": (nn.PixelUnshuffle(1), IMAGE, ALONE),
    "channels moved into pixels": (nn.PixelShuffle(2), IMAGE, ALONE),
    "flatten": (nn.Flatten(), IMAGE, ALONE),
    "standardized by constants": (made(lambda s, x: (x - 0.45) / 0.225), IMAGE, ALONE),
    "depthwise matrix": (nn.Conv2d(8, 8, 1, groups=8), IMAGE, ALONE),
    "dropout": (nn.Dropout(), WORDS, ALONE),
    "gelu": (nn.GELU(), WORDS, ALONE),
    "dynamic tanh": (made(lambda s, x: s.w * torch.tanh(s.alpha * x) + s.b, alpha=torch.tensor([0.5]), **BOTH), WORDS, ALONE),
    "layer scale": (made(lambda s, x: x * s.w, w=1e-5 * W), WORDS, ALONE),
    "fixed mean and std": (made(lambda s, x: (x - column(s.mean)) / column(s.std), {"mean": B + 0.4, "std": W / 2}), IMAGE, ALONE),
    "set up by the first batch": (made(set_up_by_data, {"ready": torch.tensor(0)}, **BOTH), IMAGE, (*NO_CLAIM, "pointwise")),
    "shuffled channels": (nn.ChannelShuffle(2), IMAGE, ALONE),
    "identity": (nn.Identity(), WORDS, ALONE),
}  # fmt: skip

# --- the second input is held fixed ---------------------------------------------------------------


def adaptive_instance(s: nn.Module, x: Tensor, style: Tensor) -> Tensor:
    deviation = (var(style, (2, 3), 1) + 1e-5).sqrt()
    return deviation * (x - mean(x, (2, 3))) / (var(x, (2, 3), 1) + 1e-5).sqrt() + mean(
        style, (2, 3)
    )


def adaptive_layer(s: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
    scale, shift = (embedding @ s.u)[:, None, :].chunk(2, -1)
    return plain(x, eps=1e-6) * (1 + scale) + shift


def conditional_batch(s: nn.Module, x: Tensor, label: Tensor) -> Tensor:
    scale, shift = s.table[label].chunk(2, -1)
    return plain(x, (0, 2, 3)) * scale[..., None, None] + shift[..., None, None]


def gated(s: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    return s.w * x * (square(x) + 1e-5).rsqrt() * functional.silu(z)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


TWO_INPUTS = {
    "instance, style of an image": (made(adaptive_instance), IMAGE, random(4, 8, 3, 3), stated("b c [h w]", ddof=1, scale="b c", bias="b c")),
    "layer, style of an embedding": (made(adaptive_layer, u=random(5, 16)), WORDS, random(3, 5), stated("b t [c]", eps=1e-6, scale="b c", bias="b c")),
    "batch, style of a class": (made(conditional_batch, table=1 + random(10, 16) / 4), IMAGE, torch.tensor([3, 1, 4, 1]), stated("[b] c [h w]", scale="b c", bias="b c")),
}  # fmt: skip

TRUTHS: dict[str, Truth] = {
    # the scale is a learned one along c times a fixed one along all axes: no spec says both
    "gated by a second input": Truth(
        made(gated, w=W), WORDS, None, None, ("unknown",), (random(*WORDS),)
    ),
    **{
        name: Truth(layer, SIGNAL if name == "chunks of time" else WORDS, spec, spec)
        for name, (layer, spec) in FEATURES.items()
    },
    **{
        f"images, {name}": Truth(layer, IMAGE, spec, spec) for name, (layer, spec) in IMAGES.items()
    },
    **{name: Truth(layer, IMAGE, *specs) for name, (layer, *specs) in STATEFUL.items()},
    **{
        name: Truth(layer, shape, None, None, kinds)
        for name, (layer, shape, kinds) in NO_SPEC.items()
    },
    **{
        name: Truth(layer, shape, spec, spec, others=(other,))
        for name, (layer, shape, other, spec) in TWO_INPUTS.items()
    },
}


def axis_words(spec: NormSpec, shape: tuple[int, ...]) -> list[str]:
    """The word of each axis, read off the pattern."""
    if spec.pattern is None:
        return ["independent"] * len(shape)
    words = []
    for token in re.findall(r"\([^)]*\)|\S+", _brackets_apart(spec.pattern)):
        names = token.strip("()").split()
        groups = [name for name in names if not name.startswith("[")]
        if len(names) == 1:
            words.append("independent" if groups else "shared")
        else:
            kind = "grouped" if names[0] == groups[0] else "interleaved"
            words.append(f"{kind} {spec.sizes[groups[0]]}")
    return words


def _brackets_apart(pattern: str) -> str:
    """`b [h w]` as `b [h] [w]`."""
    return re.sub(r"\[([^]]*)\]", lambda m: " ".join(f"[{name}]" for name in m[1].split()), pattern)


LARGE_SETS: dict[str, tuple[nn.Module, tuple[int, ...], str, NormSpec]] = {
    "rms of many": (nn.RMSNorm(2048, eps=1e-6), (2, 2, 2048), "b t c", rms_spec("b t [c]", eps=1e-6, scale="c")),
    "layer norm of many and silu": (nn.Sequential(nn.LayerNorm(512), nn.SiLU()), (2, 6, 512), "b t c", stated("b t [c]", **LAYER)),
    "one set and relu": (nn.Sequential(nn.LayerNorm((8, 4, 4)), nn.ReLU()), (1, 8, 4, 4), "b c h w", stated("b [c h w]", scale="c h w", bias="c h w")),
    "two sets and gelu": (nn.Sequential(nn.LayerNorm((8, 8, 8)), nn.GELU()), (2, 8, 8, 8), "b c h w", stated("b [c h w]", scale="c h w", bias="c h w")),
    "batch norm of two samples": (nn.BatchNorm1d(300), (2, 300), "n c", stated("[n] c", **LAYER, running=Running(0.9, 1))),
    "batch norm, few channels, a learned slope": (nn.Sequential(nn.BatchNorm2d(4), nn.PReLU()), (2, 4, 3, 3), "b c h w", batch()),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE_SETS)
def test_sets_of_any_size(name: str) -> None:
    layer, shape, axes, spec = LARGE_SETS[name]
    found = identify(layer, shape, axes)
    assert found.train is not None, found
    assert found.infer is not None, found
    assert not list(differences(spec, found.train, shape)), found
    assert not list(differences(spec.inference(), found.infer, shape)), found
    assert found.calls <= 200


def wrong_with(truth: Truth) -> list[str]:
    """What identify says of a layer that is not so."""
    torch.manual_seed(0)  # some layers are random
    found = identify(truth.layer, truth.shape, NAMES[truth.shape], others=truth.others)
    wrong = [f"kind {found.kind}"] if str(found.kind) not in truth.kinds else []
    for mode, spec, said in (
        ("train", truth.train, found.train),
        ("infer", truth.infer, found.infer),
    ):
        if spec is None or said is None:
            wrong += [f"{mode}: {said} instead of {spec}"] if said != spec else []
            continue
        wrong += [f"{mode}: {line}" for line in differences(spec, said, truth.shape)]
        words = list(getattr(found, f"{mode}_axes").values())
        if words != axis_words(spec, truth.shape):
            wrong.append(f"{mode}: the words {words}")
    return [*wrong, *([f"{found.calls} calls"] if found.calls > 200 else [])]


@pytest.mark.parametrize("name", TRUTHS)
def test_the_truth_is_found(name: str) -> None:
    assert not wrong_with(TRUTHS[name])


def test_a_correction_for_the_zero_start_is_said() -> None:
    found = identify(TRUTHS["zero start corrected"].layer, IMAGE, NAMES[IMAGE])
    assert (
        "inference: the stored statistics are divided by 1 - 0.9**n after n training calls, which "
        "n counts: they start at 0"
    ) in found.evidence
