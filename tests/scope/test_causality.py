"""Programs of torch that mask, shift and walk along time: the proof against what is measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from normscope.scope.causality import causality

T = 5
TRI = torch.ones(T, T).tril().bool()
INF = float("inf")
Tensors = Callable[[torch.Tensor], torch.Tensor]


def attention(weights: Tensors) -> Tensors:
    return lambda x: weights(x @ x.transpose(1, 2) / 2) @ x


def masked(low: float) -> Tensors:
    return lambda s: s.masked_fill(~TRI, low)


PROVED: dict[str, Tensors] = {
    "in one operator": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "a mask of booleans": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=TRI),
    "minus infinity": attention(lambda s: masked(-INF)(s).softmax(-1)),
    "a finite mask": attention(lambda s: masked(-1e9)(s).softmax(-1)),
    "added": attention(lambda s: (s + torch.full((T, T), -INF).triu(1)).softmax(-1)),
    "exponentials": attention(lambda s: (lambda e: e / e.sum(-1, keepdim=True))(s.exp() * TRI)),
    "linear attention": attention(lambda s: s.tril()),
    "convolution": lambda x: F.conv1d(
        F.pad(x.transpose(1, 2), (2, 0)), torch.ones(4, 4, 3)
    ).transpose(1, 2),
    "shift": lambda x: x + F.pad(x, (0, 0, 1, 0))[:, :-1],
    "running mean": lambda x: x.cumsum(1) / torch.arange(1, T + 1)[:, None],
    "a matrix": lambda x: torch.baddbmm(x, torch.ones(T, T).tril().expand(3, T, T).clone(), x),
    "one by one": lambda x: torch.stack([x[:, : t + 1].mean(1) for t in range(T)], 1),
}
WRONG: dict[str, Tensors] = {
    "the other way round": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=TRI.T),
    "another axis": attention(lambda s: masked(-INF)(s).softmax(-2)),
    "masked afterwards": attention(lambda s: s.softmax(-1) * TRI),
    "twice": attention(lambda s: masked(-INF)(s).softmax(-1).softmax(-1)),
    "a row that is masked wholly": attention(
        lambda s: s.masked_fill(~TRI.tril(-1), -1e38).softmax(-1)
    ),
    "padding that an input tells": attention(
        lambda s: masked(-1e30)(s.masked_fill(s > 0.3, -1e30)).softmax(-1)
    ),
    "scaled away": attention(lambda s: (masked(-1e30)(s) * 1e-31).softmax(-1)),
    "limited": attention(lambda s: masked(-1e30)(s).clamp(min=-2).softmax(-1)),
    "made positive": attention(lambda s: masked(-1e30)(s).abs().softmax(-1)),
    "the larger one": attention(lambda s: torch.maximum(masked(-1e30)(s), s).softmax(-1)),
    "sorted": attention(lambda s: masked(-1e30)(s).sort(-1).values.softmax(-1)),
    "the wrong side": lambda x: F.pad(x, (0, 0, 0, 1))[:, 1:],
    "instance norm": lambda x: F.instance_norm(x.transpose(1, 2)).transpose(1, 2),
}


class Model(nn.Module):
    def __init__(self, function: Tensors) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def numbers(seed: int) -> torch.Tensor:
    return torch.randn(3, T, 4, generator=torch.Generator().manual_seed(seed))


def sees_later(function: Tensors) -> bool:
    for seed in range(4):
        x = numbers(seed) * (seed + 1)
        before = function(x)
        for step in range(1, T):
            other = x.clone()
            other[:, step] = numbers(seed + 9)[:, step] * 3
            if not torch.allclose(function(other)[:, :step], before[:, :step], equal_nan=True):
                return True
    return False


@pytest.mark.parametrize("name", PROVED)
def test_what_is_proved_is_so(name: str) -> None:
    found = causality(Model(PROVED[name]), numbers(0), 1)["inference"]
    assert (found.causal, found.proved) == (True, True), found
    assert not sees_later(PROVED[name])


@pytest.mark.parametrize("name", WRONG)
def test_what_sees_later_steps_is_not_proved(name: str) -> None:
    assert sees_later(WRONG[name])
    found = causality(Model(WRONG[name]), numbers(0), 1)["inference"]
    assert not (found.causal and found.proved), found
