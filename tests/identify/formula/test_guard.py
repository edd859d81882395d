# ruff: noqa: E501 (one layer is one line of a table)
"""Divisors that are 1 where the statistic is 0 or below a tolerance, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import preprocessing
from torch import nn
from torch.nn import functional

from identified import identified_as
from layers_by_hand import (
    BOTH,
    IMAGE,
    LAYER,
    WORDS,
    B,
    W,
    column,
    made,
    mean,
    plain,
    square,
    stated,
    var,
)
from normscope import NormSpec, Running
from normscope.identify import Kind, identify
from normscope.identify.compare import differences

Tensor = torch.Tensor


def guarded(divisor: Tensor, tolerance: float = 0.0, one: float = 1.0) -> Tensor:
    """1 where the divisor is below the tolerance, or 0."""
    return torch.where((divisor < tolerance) | (divisor == 0), one, divisor)


def centred(divisor: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    return lambda s, x: s.w * (x - mean(x)) / divisor(x) + s.b


def std(x: Tensor) -> Tensor:
    return var(x).sqrt()


def l2(x: Tensor) -> Tensor:
    return x.norm(dim=-1, keepdim=True)


def in_groups(s: nn.Module, x: Tensor) -> Tensor:
    apart = x.view(4, 2, 4, 6, 5)
    off = apart - mean(apart, (2, 3, 4))
    y = off / guarded(var(apart, (2, 3, 4)).sqrt(), 1e-4)
    return column(s.w) * y.view(x.shape) + column(s.b)


def guard(tolerance: float, pattern: str = "b t [c]", **fields: object) -> NormSpec:
    return stated(pattern, unit_below=tolerance, **{"eps": 0, **fields})


UNCENTRED = {"center": False}

TORCH: dict[str, tuple[nn.Module, NormSpec]] = {
    **{
        f"std below {tolerance:g}": (made(centred(lambda x, t=tolerance: guarded(std(x), t)), **BOTH), guard(tolerance, **LAYER))
        for tolerance in (0, 1e-12, 1e-8, 2.5e-4, 0.1, 3.14e-3, 5)
    },
    "std below 1": (made(centred(lambda x: guarded(std(x), 1.0)), **BOTH), guard(1, **LAYER)),
    "std + (std == 0)": (made(centred(lambda x: (d := std(x)) + (d == 0)), **BOTH), guard(0, **LAYER)),
    "std, unbiased, below 1e-4": (made(lambda s, x: (x - mean(x)) / guarded(var(x, ddof=1).sqrt(), 1e-4)), guard(1e-4, ddof=1)),
    "variance below 1e-5": (made(lambda s, x: (x - mean(x)) / guarded(var(x), 1e-5).sqrt()), guard(1e-5**0.5)),
    "ten machine epsilons": (made(lambda s, x: (x - mean(x)) / guarded(std(x), 10 * torch.finfo(x.dtype).eps)), guard(10 * 2.0**-23)),
    "in float64": (made(centred(lambda x: guarded(std(x), 1e-10)), **BOTH).double(), guard(1e-10, **LAYER)),
    "0 in float64": (made(centred(lambda x: guarded(std(x))), **BOTH).double(), guard(0, **LAYER)),
    "eps and a guard": (made(lambda s, x: (x - mean(x)) / guarded((var(x) + 1e-6).sqrt(), 1e-2)), guard(1e-2, eps=1e-6)),
    "eps outside and a guard": (made(lambda s, x: (x - mean(x)) / guarded(std(x) + 1e-4, 1e-2)), guard(1e-2, eps_outside=1e-4)),
    "not centred": (made(lambda s, x: x / guarded(std(x), 1e-3)), guard(1e-3, **UNCENTRED)),
    "rms": (made(lambda s, x: s.w * x / guarded(square(x).sqrt(), 1e-6), w=W), guard(1e-6, measure="mean_square", scale="c", **UNCENTRED)),
    "l2": (made(lambda s, x: x / guarded(l2(x), 1e-4)), guard(1e-4, measure="l2", **UNCENTRED)),
    "l2 at 0": (made(lambda s, x: x / guarded(l2(x))), guard(0, measure="l2", **UNCENTRED)),
    "l1": (made(lambda s, x: x / guarded(x.abs().sum(-1, True), 1e-4)), guard(1e-4, measure="l1", **UNCENTRED)),
    "largest value": (made(lambda s, x: x / guarded(x.abs().amax(-1, True))), guard(0, measure="max", **UNCENTRED)),
    "1 + scale": (made(lambda s, x: (1 + s.w) * (x - mean(x)) / guarded(std(x), 1e-5), w=B), guard(1e-5, scale="c", scale_shift=1)),
    "a constant factor": (made(lambda s, x: 3 * (x - mean(x)) / guarded(std(x), 1e-5)), guard(1e-5)),
    "a fixed bias that hides it": (made(lambda s, x: (x - mean(x)) / guarded(std(x), 1e-9) + s.b, {"b": torch.linspace(0.5, 2, 8)}), guard(1e-9, bias="c")),
    "relu after": (made(lambda s, x: centred(lambda x: guarded(std(x), 1e-4))(s, x).relu(), **BOTH), guard(1e-4, **LAYER)),
    "gelu after": (made(lambda s, x: functional.gelu(centred(lambda x: guarded(std(x), 1e-2))(s, x)), **BOTH), guard(1e-2, **LAYER)),
    "residual": (made(lambda s, x: x + centred(lambda x: guarded(std(x), 1e-2))(s, x), **BOTH), guard(1e-2, **LAYER)),
    "float16": (made(centred(lambda x: guarded(std(x), 1e-2)), **BOTH).half(), guard(1e-2, **LAYER)),
    "bfloat16": (made(centred(lambda x: guarded(std(x), 1e-2)), **BOTH).bfloat16(), guard(1e-2, **LAYER)),
    "0 in float16": (made(centred(lambda x: guarded(std(x))), **BOTH).half(), guard(0, **LAYER)),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_guards_are_found(name: str) -> None:
    layer, expected = TORCH[name]
    found = identified_as(expected, layer, WORDS, "b t c")
    # found to 3e-6, in half precisions to one unit; of the decimals in there the shortest is taken
    close = 2e-3 if "float16" in name else 1e-6
    if expected.unit_below != 1:  # as a floor of 1, it is the same
        assert found.train.unit_below == pytest.approx(expected.unit_below, rel=close)
        assert any("the divisor is 1" in line for line in found.evidence)
    assert found.calls <= 120


def test_a_guard_with_groups() -> None:
    expected = guard(1e-4, "b (g [c]) [h w]", sizes={"g": 2}, scale="g c", bias="g c")
    identified_as(expected, made(in_groups, **BOTH), IMAGE, "b c h w")


def floored(s: nn.Module, x: Tensor) -> Tensor:
    return (x - mean(x)) / std(x).clamp(min=1e-3)


OTHERS: dict[str, tuple[nn.Module, NormSpec | None]] = {
    # what a guard would be told by is seen, and is something else
    "a floor": (made(floored), stated("b t [c]", eps=0, floor=1e-3)),
    "eps": (made(lambda s, x: plain(x)), stated("b t [c]")),
    "eps outside of 1": (made(lambda s, x: (x - mean(x)) / (std(x) + 1)), stated("b t [c]", eps=0, eps_outside=1)),
    "no guard, NaN": (made(lambda s, x: plain(x, eps=0.0)), stated("b t [c]", eps=0)),
    "NaN becomes 0": (made(lambda s, x: torch.nan_to_num(plain(x, eps=0.0))), stated("b t [c]", eps=0)),
    "a tolerance that becomes the divisor": (made(lambda s, x: (x - mean(x)) / torch.where(std(x) < 1e-3, 1e-3, std(x))), stated("b t [c]", eps=0, floor=1e-3)),
    # eps keeps the divisor above the tolerance, so nothing of a guard can show
    "a guard that never acts": (made(lambda s, x: (x - mean(x)) / guarded((var(x) + 1e-5).sqrt(), 1e-3)), stated("b t [c]")),
    # no spec says these
    "half where it is small": (made(lambda s, x: (x - mean(x)) / guarded(std(x), 1e-3, one=0.5)), None),
    "0 where it is small": (made(lambda s, x: torch.where(std(x) < 1e-3, 0.0, (x - mean(x)) / std(x))), None),
    "the range decides": (made(lambda s, x: (x - mean(x)) / torch.where(x.amax(-1, True) - x.amin(-1, True) < 1e-3, 1.0, std(x))), None),
    "the mean decides": (made(lambda s, x: (x - mean(x)) / torch.where(mean(x).abs() < 1e-3, 1.0, std(x))), None),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_a_guard(name: str) -> None:
    layer, expected = OTHERS[name]
    found = identify(layer, WORDS, "b t c")
    if expected is None:
        assert found.kind is Kind.UNKNOWN, found
        return
    assert found.train is not None, found
    assert found.train.unit_below is None
    assert not list(differences(expected, found.train, WORDS)), found


def test_what_no_spec_says_is_said() -> None:
    found = identify(OTHERS["half where it is small"][0], WORDS, "b t c")
    assert "where that divisor is below 0.001 it is 0.5, which no spec says" in str(found)
    at_zero = made(lambda s, x: (x - mean(x)) / torch.where(std(x) == 0, 1e-8, std(x)))
    said = str(identify(at_zero, WORDS, "b t c"))
    assert "where that divisor is 0 it is 1e-08, which no spec says" in said


SCALERS = {
    "StandardScaler": (preprocessing.StandardScaler, guard(0, "[n] c")),
    "StandardScaler, not centred": (lambda: preprocessing.StandardScaler(with_mean=False), guard(0, "[n] c", **UNCENTRED)),
    "StandardScaler, mean only": (lambda: preprocessing.StandardScaler(with_std=False), stated("[n] c", measure="none")),
    "MaxAbsScaler": (preprocessing.MaxAbsScaler, guard(10 * 2.0**-52, "[n] c", measure="max", **UNCENTRED)),
    "Normalizer": (preprocessing.Normalizer, guard(10 * 2.0**-52, "n [c]", measure="l2", **UNCENTRED)),
    "Normalizer, l1": (lambda: preprocessing.Normalizer("l1"), guard(10 * 2.0**-52, "n [c]", measure="l1", **UNCENTRED)),
    "Normalizer, max": (lambda: preprocessing.Normalizer("max"), guard(10 * 2.0**-52, "n [c]", measure="max", **UNCENTRED)),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALERS)
def test_the_scalers_of_scikit_learn(name: str) -> None:
    make, expected = SCALERS[name]
    found = identified_as(
        expected, lambda x: make().fit_transform(x), (12, 5), "n c", dtype=np.float64
    )
    if expected.unit_below is not None:
        assert found.train.unit_below == pytest.approx(expected.unit_below, rel=1e-6)


def batch_norm(tolerance: float, infer_tolerance: float | None = None) -> nn.Module:
    """Batch norm whose deviation is guarded, in training and at inference."""
    used = tolerance if infer_tolerance is None else infer_tolerance

    def forward(s: nn.Module, x: Tensor) -> Tensor:
        m, v, t = mean(x, (0, 2, 3)), var(x, (0, 2, 3)), tolerance
        if not s.training:
            m, v, t = column(s.m.clone()), column(s.v.clone()), used
        else:
            with torch.no_grad():
                s.m += 0.1 * (m.flatten() - s.m)
                s.v += 0.1 * (v.flatten() - s.v)
        return column(s.w) * (x - m) / guarded(v.sqrt(), t) + column(s.b)

    return made(forward, {"m": B, "v": W}, **BOTH)


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
def test_a_guard_of_stored_statistics(tolerance: float) -> None:
    expected = guard(tolerance, "[b] c [h w]", running=Running(0.9), **LAYER)
    found = identified_as(expected, batch_norm(tolerance), IMAGE, "b c h w")
    assert not list(differences(expected.inference(), found.infer, IMAGE)), found


def test_another_guard_at_inference() -> None:
    found = identify(batch_norm(1e-3, 1e-2), IMAGE, "b c h w")
    assert found.train.unit_below == pytest.approx(1e-3)
    assert found.infer.unit_below == pytest.approx(1e-2, rel=1e-4)
    assert "inference: inference uses other constants than training" in found.evidence


def test_the_precision_is_said() -> None:
    found = identify(TORCH["l2"][0], WORDS, "b t c")
    (line,) = [line for line in found.evidence if line.startswith("the divisor is 1 below")]
    assert line.startswith("the divisor is 1 below 0.0001: it is so up to ")
    words = line.replace(",", "").replace(";", "").split()
    low, high = float(words[words.index("to") + 1]), float(words[words.index("from") + 1])
    assert low < high < low * (1 + 3e-6)
    assert "an eps below 1e-13 would not show" in line


def test_a_tolerance_below_all_that_can_be_asked_is_said_to_look_like_0() -> None:
    tiny = torch.finfo(torch.float32).tiny
    layer = made(lambda s, x: x / guarded(x.abs().amax(-1, True), tiny))
    found = identify(layer, WORDS, "b t c")
    assert found.train == guard(0, measure="max", **UNCENTRED)
    assert "the divisor is 1 where it is 0; a tolerance up to 1e-36 looks the same" in str(found)


def test_guards_are_compared() -> None:
    none, zero = NormSpec("b [c]", eps=0), NormSpec("b [c]", eps=0, unit_below=0)
    some, one = NormSpec("b [c]", eps=0, unit_below=1e-3), NormSpec("b [c]", eps=0, unit_below=1)
    floor = NormSpec("b [c]", eps=0, floor=1)
    assert list(differences(none, zero, (3, 4))) == ["the divisor is 1 where it is 0"]
    assert list(differences(some, none, (3, 4))) == [
        "the divisor is not 1 where it is 0 or below 0.001"
    ]
    assert list(differences(zero, some, (3, 4))) == ["the divisor is 1 below 0.001 instead of 0"]
    assert not list(differences(one, floor, (3, 4)))
