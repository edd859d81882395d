"""Assertions for test runners: what they say of models that are wrong."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import normscope as ns
from normscope.testing import (
    assert_causal,
    assert_identified,
    assert_normalizes,
    assert_samples_independent,
)

X = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0))


def attention(causal: bool) -> nn.Module:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return self.blocks(x, mask if causal else None, is_causal=causal)

    torch.manual_seed(0)
    return Model()


class Centred(nn.Module):
    """Over the samples, by mistake."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


class Numbers(nn.Module):
    """A program that reads numbers of each sample alone: nothing is proved."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([s if float(s.sum()) > 0 else -s for s in x])


def test_samples() -> None:
    assert_samples_independent(attention(causal=True), X, proved=True)
    model = nn.Sequential(nn.Linear(8, 8), Centred())
    with pytest.raises(AssertionError) as caught:
        assert_samples_independent(model, X)
    said = str(caught.value)
    assert said.startswith("in training and in inference, sample 0 sees sample 1, first through 1")
    assert re.search(r"mean.*test_testing\.py:\d+\.", said)


def test_samples_in_one_mode() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48))
    assert_samples_independent(model, X, mode="inference")
    with pytest.raises(AssertionError, match=r"in training, sample 0 sees sample 1.*BatchNorm1d"):
        assert_samples_independent(model, X)
    with pytest.raises(ns.SpecError, match='mode="both" is none of'):
        assert_samples_independent(model, X, mode="both")


def test_what_only_probing_shows_is_no_proof() -> None:
    assert_samples_independent(Numbers(), X)
    with pytest.raises(AssertionError, match=r"it is not proved: .*read"):
        assert_samples_independent(Numbers(), X, proved=True)


def test_causality() -> None:
    assert_causal(attention(causal=True), X, proved=True)
    assert_causal(nn.LSTM(8, 8, batch_first=True), X, "t", axes="b t c", proved=True)
    with pytest.raises(AssertionError) as caught:
        assert_causal(attention(causal=False), X)
    said = str(caught.value)
    assert "blocks.layers.0.self_attn (MultiheadAttention)" in said
    assert f"step 0 of output changes with step {X.shape[1] - 1} of input" in said
    with pytest.raises(ns.SpecError, match="no input has an axis 't'"):
        assert_causal(attention(causal=True), X, "t")


def test_normalizes() -> None:
    assert_normalizes(nn.LayerNorm(8), "b t [c]", (3, 6, 8))
    assert_normalizes(nn.GroupNorm(2, 6), "b (g [c]) [t]", (3, 6, 8), g=2, eps=1e-5)
    declared = ns.spec("b t [c]", scale="c", bias="c")
    assert_normalizes(nn.LayerNorm(8), declared, (3, 6, 8), axes="b t c")
    with pytest.raises(AssertionError, match="there is no bias"):
        assert_normalizes(nn.LayerNorm(8, bias=False), declared, (3, 6, 8), axes="b t c")
    with pytest.raises(AssertionError, match=r'statistics over ".*" instead of "\[b\] t c"'):
        assert_normalizes(nn.LayerNorm(8), "[b] t c", (3, 6, 8))
    with pytest.raises(AssertionError, match=r"eps is 1e-05 instead of 0.001"):
        assert_normalizes(nn.LayerNorm(8), "b t [c]", (3, 6, 8), eps=1e-3)
    with pytest.raises(AssertionError, match="is no normalization that was found"):
        assert_normalizes(nn.Linear(8, 8), "b t [c]", (3, 6, 8))


def test_identified() -> None:
    assert_identified(nn.LayerNorm(8), (3, 6, 8))
    with pytest.raises(AssertionError, match="no normalization that was found"):
        assert_identified(nn.ReLU(), (4, 8))
    named = nn.LayerNorm(8)
    named.eps = 1e-3
    assert_identified(named, (3, 6, 8))
    named.forward = lambda x: nn.functional.layer_norm(x, (8,), named.weight, named.bias, 1e-2)
    with pytest.raises(AssertionError, match=r"eps is 0.01 instead of 0.001"):
        assert_identified(named, (3, 6, 8))
