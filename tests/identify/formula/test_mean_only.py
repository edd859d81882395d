# ruff: noqa: E501 (one layer is one line of a table)
"""Layers that subtract a mean and divide by nothing, and what only looks like them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

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
    stated,
)  # fmt: skip
from normscope import NormSpec, Running
from normscope.identify import Kind, identify
from normscope.identify.compare import differences


def only(pattern: str | None, **fields: object) -> NormSpec:
    return NormSpec(pattern, measure="none", **fields)  # type: ignore[arg-type]


def in_groups(x: Tensor) -> Tensor:
    apart = x.view(4, 2, 4, 6, 5)
    return (apart - mean(apart, (2, 3, 4))).view(x.shape)


def affine(s: nn.Module, x: Tensor) -> Tensor:
    return s.w * (x - mean(x)) + s.b


CENTRING: dict[str, tuple[nn.Module, tuple[int, ...], NormSpec]] = {
    "per sample": (made(lambda s, x: x - mean(x)), WORDS, only("b t [c]")),
    "of whole samples": (made(lambda s, x: x - mean(x, (1, 2, 3))), IMAGE, only("b [c h w]")),
    "per channel, over the batch": (made(lambda s, x: x - mean(x, (0, 2, 3))), IMAGE, only("[b] c [h w]")),
    "over the nodes of a graph": (made(lambda s, x: x - mean(x, 0)), NODES, only("[n] c")),
    "in groups": (made(lambda s, x: in_groups(x)), IMAGE, only("b (g [c]) [h w]", sizes={"g": 2})),
    "of parts of the batch": (made(lambda s, x: (x.view(2, 2, 8, 6, 5) - mean(x.view(2, 2, 8, 6, 5), (1, 3, 4))).view(x.shape)), IMAGE, only("(g [b]) c [h w]", sizes={"g": 2})),
    "scale and bias": (made(affine, **BOTH), WORDS, only("b t [c]", **LAYER)),
    "a bias alone": (made(lambda s, x: x - mean(x) + s.b, b=B), WORDS, only("b t [c]", bias="c")),
    "1 + scale": (made(lambda s, x: (1 + s.w) * (x - mean(x)) + s.b, w=B, b=B), WORDS, only("b t [c]", scale_shift=1, **LAYER)),
    "one learned number": (made(lambda s, x: s.w * (x - mean(x)), w=torch.ones(1)), WORDS, only("b t [c]", scale="")),
    "a fixed scale and bias": (made(lambda s, x: s.w * (x - mean(x)) + s.w, {"w": torch.linspace(0.5, 2, 8)}), WORDS, only("b t [c]", **LAYER)),
    "a constant factor": (made(lambda s, x: 2.5 * (x - mean(x))), WORDS, only("b t [c]")),
    "a matrix that centres": (made(lambda s, x: x @ s.u, {"u": torch.eye(8) - 1 / 8}), WORDS, only("b t [c]")),
    "in float64": (made(affine, **BOTH).double(), WORDS, only("b t [c]", **LAYER)),
    "in float16": (made(affine, **BOTH).half(), WORDS, only("b t [c]", **LAYER)),
    "in bfloat16": (made(affine, **BOTH).bfloat16(), WORDS, only("b t [c]", **LAYER)),
    "a mean in bfloat16": (made(lambda s, x: s.w * (x - mean(x.bfloat16()).float()) + s.b, **BOTH), WORDS, only("b t [c]", **LAYER)),
    "relu after": (made(lambda s, x: affine(s, x).relu(), **BOTH), WORDS, only("b t [c]", **LAYER)),
    "gelu after": (made(lambda s, x: functional.gelu(affine(s, x)), **BOTH), WORDS, only("b t [c]", **LAYER)),
    "tanh after": (made(lambda s, x: affine(s, x).tanh(), **BOTH), WORDS, only("b t [c]", **LAYER)),
}  # fmt: skip


@pytest.mark.parametrize("name", CENTRING)
def test_centring_is_found(name: str) -> None:
    layer, shape, expected = CENTRING[name]
    found = identified_as(expected, layer, shape, NAMES[shape])
    assert found.infer == found.train
    assert found.calls <= 110


def test_a_numpy_function() -> None:
    found = identify(lambda x: x - x.mean(1, keepdims=True), (3, 7, 8), "b t c")
    assert found.train == only("b [t] c")
    assert "formula    y = x - mean" in str(found)


def batch_centring(share: float = 0.1, dims: tuple[int, ...] = (0, 2, 3)) -> nn.Module:
    """The batch's mean is subtracted in training, the running one at inference."""

    def forward(s: nn.Module, x: Tensor) -> Tensor:
        m = mean(x, dims) if s.training else column(s.m.clone())
        if s.training:
            with torch.no_grad():
                s.m += share * (m.mean(0).flatten() - s.m)
        return column(s.w) * (x - m) + column(s.b)

    return made(forward, {"m": B}, **BOTH)


@pytest.mark.parametrize("share", [0.1, 0.003])
def test_a_running_mean_alone(share: float) -> None:
    expected = only("[b] c [h w]", running=Running(1 - share), **LAYER)
    found = identified_as(expected, batch_centring(share), IMAGE, "b c h w")
    assert found.infer == found.train.inference()
    assert "of the mean" in str(found)
    assert "with the running mean" in str(found)


def dino(share: float = 0.1, first: bool = False) -> nn.Module:
    """A centre that is subtracted in both modes; training moves it, before that or afterwards."""

    def forward(s: nn.Module, x: Tensor) -> Tensor:
        moved = s.center + share * (mean(x, 0) - s.center)
        y = x - (moved if first and s.training else s.center)
        if s.training:
            s.center.copy_(moved)
        return y

    return made(forward, {"center": torch.zeros(1, 8)})


def test_a_centre_as_of_dino() -> None:
    found = identify(dino(), NODES, "n c")
    assert found.train == found.infer == only(None, running=Running(0.9))
    assert found.sample_independent == {"train": True, "infer": True}
    assert "new = 0.9 * old + 0.1 * batch" in str(found)


def median_centred(s: nn.Module, x: Tensor) -> Tensor:
    return x - x.median(-1, True)[0]


def trimmed(x: Tensor) -> Tensor:
    return x - x.sort(-1)[0][..., 1:-1].mean(-1, True)


def two_paces(s: nn.Module, x: Tensor) -> Tensor:
    if s.training:
        with torch.no_grad():
            s.m += 0.1 * (x.amax(0) - s.m)
    return x - s.m.clone()


OTHERS: dict[str, tuple[nn.Module, tuple[int, ...], tuple[str, ...]]] = {
    "a median": (made(median_centred), WORDS, ("mixing", "unknown")),
    "a mean without the extremes": (made(lambda s, x: trimmed(x)), WORDS, ("mixing", "unknown")),
    "the middle of the range": (made(lambda s, x: x - (x.amax(-1, True) + x.amin(-1, True)) / 2), WORDS, ("mixing", "unknown")),
    "half the mean": (made(lambda s, x: x - mean(x) / 2), WORDS, ("mixing",)),
    "a learned share of the mean": (made(lambda s, x: x - s.alpha * mean(x), alpha=torch.ones(1)), WORDS, ("mixing", "unknown")),
    "a mean with weights": (made(lambda s, x: x - (x * s.u).sum(-1, True), {"u": torch.linspace(0, 0.25, 8)}), WORDS, ("mixing",)),
    "the mean of the neighbours": (made(lambda s, x: x - functional.avg_pool1d(x, 3, 1, 1)), WORDS, ("mixing",)),
    "a mean added": (made(lambda s, x: x + mean(x)), WORDS, ("mixing",)),
    "a matrix": (nn.Linear(8, 8), WORDS, ("mixing",)),
    "a fixed shift": (made(lambda s, x: x - s.m, {"m": B + 0.4}), NODES, ("pointwise",)),
    "a learned shift": (made(lambda s, x: x - s.m, m=B + 0.4), NODES, ("pointwise",)),
    "a shift that follows the largest": (made(two_paces, {"m": B}), NODES, ("unknown",)),
    "a dead layer": (made(lambda s, x: 0 * (x - mean(x))), WORDS, ("unknown",)),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_centring(name: str) -> None:
    layer, shape, kinds = OTHERS[name]
    found = identify(layer, shape, NAMES[shape])
    assert str(found.kind) in kinds, found
    assert found.train is None
    assert found.infer is None


def test_centring_and_dropout() -> None:
    found = identify(nn.Sequential(made(affine, **BOTH), nn.Dropout()), WORDS, "b t c")
    assert found.train is None
    assert found.infer == only("b t [c]", **LAYER)


def test_a_centre_that_is_updated_before_it_is_used_is_no_stored_one() -> None:
    """Then it also depends on the batch, by a share that no spec says."""
    found = identify(dino(first=True), NODES, "n c")
    assert found.train is None, found


def test_a_division_that_is_not_understood_is_not_called_centring() -> None:
    def forward(s: nn.Module, x: Tensor) -> Tensor:
        if not s.training:
            return (x - s.m.clone()) / s.v.clone().exp()
        with torch.no_grad():
            s.m += 0.1 * (mean(x, 0).flatten() - s.m)
            s.v += 0.1 * (x.std(0) - s.v)
        return plain(x, 0)

    found = identify(made(forward, {"m": B, "v": W}), NODES, "n c")
    assert found.infer is None, found


def test_measures_are_compared() -> None:
    (line,) = differences(stated("b [c]", eps=0), only("b [c]"), (3, 4))
    assert line == "it divides by nothing instead of sqrt(var)"


def test_a_function_of_all_elements() -> None:
    found = identify(lambda x: x - x.mean(), (3, 4))
    assert found.train == only("[b d1]")
    assert found.kind is Kind.NORMALIZATION
