"""What layers of torch declare is what they compute: each one is run in both modes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from frameworks.native_contract import TOLERANCE, check, made_up_weights, statistics
from frameworks.native_layers import call, set_weights, weights
from normscope import Running, SpecError, reference, spec_of
from normscope.frameworks.settings import declare
from normscope.layers.torch import Norm

NC, NCT, NCHW, NCDHW = (6, 4), (3, 4, 5), (3, 4, 5, 2), (2, 4, 2, 3, 2)

LAYERS = [
    (nn.BatchNorm1d(4), NC),
    (nn.BatchNorm1d(4), NCT),
    (nn.BatchNorm2d(4), NCHW),
    (nn.BatchNorm2d(4, eps=0.1, momentum=0.3), NCHW),
    (nn.BatchNorm2d(4, affine=False), NCHW),
    (nn.BatchNorm2d(4, bias=False), NCHW),
    (nn.BatchNorm2d(4, track_running_stats=False), NCHW),
    (nn.BatchNorm2d(4, track_running_stats=False, momentum=None), NCHW),
    (nn.BatchNorm3d(4), NCDHW),
    (nn.InstanceNorm1d(4), NCT),
    (nn.InstanceNorm2d(4), NCHW),
    (nn.InstanceNorm2d(4, affine=True), NCHW),
    (nn.InstanceNorm2d(4, affine=True, bias=False), NCHW),
    (nn.InstanceNorm2d(4, track_running_stats=True), NCHW),
    (nn.InstanceNorm2d(4, affine=True, track_running_stats=True, momentum=0.4), NCHW),
    (nn.InstanceNorm2d(4, track_running_stats=True, momentum=None), NCHW),
    (nn.InstanceNorm3d(4, affine=True), NCDHW),
    (nn.LayerNorm(5), NCT),
    (nn.LayerNorm((4, 5)), NCT),
    (nn.LayerNorm([5, 2], eps=1e-3), NCHW),
    (nn.LayerNorm(5, elementwise_affine=False), NCT),
    (nn.LayerNorm(5, bias=False), NCT),
    (nn.GroupNorm(2, 4), NCHW),
    (nn.GroupNorm(1, 4), NCT),
    (nn.GroupNorm(4, 4, affine=False), NCHW),
    (nn.GroupNorm(2, 4, eps=0.5), NC),
    (nn.RMSNorm(5), NCT),
    (nn.RMSNorm((4, 5), eps=1e-3), NCT),
    (nn.RMSNorm(5, elementwise_affine=False), NCT),
    (Norm("[b] c [h w]", c=4, scale="c", bias="c", running=Running(0.8)), NCHW),
    (Norm("b [c] h w", c=4, scale="c", bias="c", eps_outside=0.1), NCHW),
    (Norm("b (g [c]) t", g=2, c=2, measure="l2", scale="g c"), NCT),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value))
def test_the_layer_computes_what_it_declares(layer: nn.Module, shape: tuple[int, ...]) -> None:
    declaration = declare(layer)
    set_weights(layer, made_up_weights(declaration.train, shape))
    check(layer, declaration.train, declaration.infer, shape)


@pytest.mark.parametrize(
    ("layer", "axes", "text"),
    [
        (nn.InstanceNorm1d(8), "c t", '"c [t]", eps=1e-05'),
        (nn.InstanceNorm2d(8), "c h w", '"c [h w]", eps=1e-05'),
        (
            nn.InstanceNorm2d(8, affine=True),
            "c h w",
            '"c [h w]" with c=8, eps=1e-05, scale and bias along c',
        ),
        (nn.InstanceNorm2d(8), "b c h w", '"b c [h w]" with c=8, eps=1e-05'),
    ],
)
def test_an_instance_norm_takes_one_sample_without_a_batch_axis(
    layer: nn.Module, axes: str, text: str
) -> None:
    assert str(spec_of(layer, axes=axes)) == text


def test_a_wrong_declaration_would_be_noticed() -> None:
    layer = nn.InstanceNorm2d(4)
    other = spec_of(nn.GroupNorm(2, 4, affine=False))
    with pytest.raises(AssertionError):
        check(layer, other, other, NCHW)
    layer = nn.BatchNorm2d(4)
    train = spec_of(layer)
    assert train.running is not None
    biased = replace(train, running=replace(train.running, ddof=0))
    with pytest.raises(AssertionError):
        check(layer, biased, biased.inference(), NCHW)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (
            nn.BatchNorm2d(64),
            '"[b] c [h w]" with c=64, eps=1e-05, scale and bias along c, running decay 0.9 '
            "(torch momentum 0.1) of the variance with ddof=1",
        ),
        (nn.LazyBatchNorm2d(affine=False, track_running_stats=False), '"[b] c [h w]", eps=1e-05'),
        (nn.SyncBatchNorm(8, track_running_stats=False, affine=False), '"[b] c [s...]" with c=8, '
         "eps=1e-05"),
        # its documentation promises the defaults of InstanceNorm1d: neither of both
        (nn.LazyInstanceNorm1d(), '"b c [s...]", eps=1e-05, scale and bias along c, running decay '
         "0.9 (torch momentum 0.1) of the variance with ddof=1"),
        (nn.LayerNorm((4, 5)), '"... [d0 d1]" with d0=4, d1=5, eps=1e-05, scale and bias along '
         "d0 d1"),
        (nn.RMSNorm(5, dtype=torch.float64), '"... [c]" with c=5, not centred, measure '
         "mean_square, eps=2.22045e-16, scale along c"),
    ],
)  # fmt: skip
def test_in_words(layer: nn.Module, text: str) -> None:
    assert str(spec_of(layer)) == text


def test_axes_are_named() -> None:
    assert spec_of(nn.GroupNorm(2, 8), axes="n k h w").pattern == "n (g [k]) [h w]"
    assert spec_of(nn.LayerNorm((3, 5)), axes="n h g w").scale == "g w"
    instance = declare(nn.InstanceNorm2d(8, affine=True, track_running_stats=True), axes="n k h w")
    assert (instance.infer.pattern, instance.infer.scale) == (None, "k")


@pytest.mark.parametrize("layer", [nn.LazyBatchNorm2d(), nn.LazyInstanceNorm2d(affine=True)])
def test_a_lazy_layer_declares_the_same_after_its_first_call(layer: nn.Module) -> None:
    before = spec_of(layer)
    layer(torch.ones(2, 4, 3, 3))
    after = spec_of(layer)
    assert before.sizes == {}
    assert after.sizes == {"c": 4}
    assert (before.pattern, before.running, before.scale) == (
        after.pattern,
        after.running,
        after.scale,
    )


def test_running_statistics_that_no_batch_enters_any_more() -> None:
    layer = nn.BatchNorm2d(4)
    set_weights(layer, made_up_weights(spec_of(layer), NCHW))
    layer.track_running_stats = False
    declaration = declare(layer)
    assert declaration.train.running is not None
    assert declaration.train.running.decay == 1
    check(layer, declaration.train, declaration.infer, NCHW)


def test_synchronized_batch_norm_at_inference() -> None:
    layer = nn.SyncBatchNorm(4)  # in training it runs on accelerators only
    train = spec_of(layer)
    set_weights(layer, made_up_weights(train, NCHW))
    own = weights(layer)
    x = np.random.default_rng(0).normal(1, 2, NCHW).astype(np.float32)
    given = {key: statistics(train, NCHW, own[key]) for key in ("mean", "var")}
    wanted = reference(x, train, scale=own["scale"], bias=own["bias"], **given)
    np.testing.assert_allclose(call(layer, x, training=False), wanted, **TOLERANCE)


class Inherited(nn.LayerNorm):
    """Changes nothing that matters."""

    def extra_repr(self) -> str:
        return "mine"


class Permuted(nn.LayerNorm):
    """The LayerNorm over channels of many image models."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def test_a_subclass_is_read_unless_it_computes_otherwise() -> None:
    assert spec_of(Inherited(5)) == spec_of(nn.LayerNorm(5))
    with pytest.raises(SpecError, match=r"Permuted computes by its own forward\(\)"):
        spec_of(Permuted(5))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.LocalResponseNorm(3), "a window of 3 neighbouring channels"),
        (nn.CrossMapLRN2d(5), "a window of 5 neighbouring channels"),
        (nn.BatchNorm2d(4, momentum=None), "it has no decay"),
        (nn.Linear(3, 4), "torch.nn.modules.linear.Linear cannot be read"),
        (nn.Sequential(nn.LayerNorm(3)), "cannot be read"),
    ],
)
def test_what_has_no_spec(layer: nn.Module, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_of(layer)
