# ruff: noqa: E501 (one layer is one line of a table)
from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from identified import identified_as
from normscope import NormSpec, Running
from normscope.identify import Kind, identify

IMAGE, WORDS, NODES = (4, 8, 6, 5), (3, 7, 8), (12, 8)
SIGNAL, VOLUME = (4, 8, 10), (3, 8, 3, 4, 2)
NAMES = {5: "b c d h w", 4: "b c h w", 3: "b t c", 2: "n c"}

BATCH = NormSpec("[b] c [h w]", scale="c", bias="c", running=Running(0.9, ddof=1))
LAYER = NormSpec("b t [c]", scale="c", bias="c")


def norm(pattern: str, **fields: object) -> NormSpec:
    return NormSpec(pattern, **fields)


NATIVE = [
    (nn.BatchNorm1d(8, momentum=0.03), NODES, norm("[n] c", scale="c", bias="c", running=Running(0.97, 1))),
    (nn.BatchNorm2d(8), IMAGE, BATCH),
    (nn.BatchNorm2d(8, affine=False), IMAGE, norm("[b] c [h w]", running=Running(0.9, 1))),
    (nn.BatchNorm2d(8, momentum=1.0), IMAGE, norm("[b] c [h w]", scale="c", bias="c", running=Running(0.0, 1))),
    (nn.BatchNorm2d(8, track_running_stats=False), IMAGE, norm("[b] c [h w]", scale="c", bias="c")),
    (nn.InstanceNorm2d(8), IMAGE, norm("b c [h w]")),
    (nn.InstanceNorm2d(8, affine=True), IMAGE, norm("b c [h w]", scale="c", bias="c")),
    (nn.InstanceNorm2d(8, track_running_stats=True), IMAGE, norm("b c [h w]", running=Running(0.9, 1))),
    (nn.LayerNorm(8), WORDS, LAYER),
    (nn.LayerNorm(8, eps=1e-12), WORDS, norm("b t [c]", eps=1e-12, scale="c", bias="c")),
    (nn.LayerNorm(8, bias=False), WORDS, norm("b t [c]", scale="c")),
    (nn.LayerNorm((6, 5)), IMAGE, norm("b c [h w]", scale="h w", bias="h w")),
    (nn.GroupNorm(4, 8), IMAGE, norm("b (g [c]) [h w]", sizes={"g": 4}, scale="g c", bias="g c")),
    (nn.GroupNorm(8, 8), IMAGE, norm("b c [h w]", scale="c", bias="c")),
    (nn.GroupNorm(1, 8, affine=False), IMAGE, norm("b [c h w]")),
    (nn.RMSNorm(8), WORDS, norm("b t [c]", center=False, measure="mean_square", eps=2.0**-23, scale="c")),
    (nn.LayerNorm(8).double(), WORDS, LAYER),
    (nn.BatchNorm2d(8).double(), IMAGE, BATCH),
    (nn.SyncBatchNorm(8), IMAGE, BATCH),
    (nn.BatchNorm3d(8, momentum=0.2), VOLUME, norm("[b] c [d h w]", scale="c", bias="c", running=Running(0.8, 1))),
    (nn.InstanceNorm3d(8, affine=True, eps=1e-3), VOLUME, norm("b c [d h w]", eps=1e-3, scale="c", bias="c")),
    (nn.GroupNorm(4, 8, eps=1e-3), VOLUME, norm("b (g [c]) [d h w]", sizes={"g": 4}, eps=1e-3, scale="g c", bias="g c")),
    (nn.BatchNorm1d(8), SIGNAL, norm("[b] t [c]", scale="t", bias="t", running=Running(0.9, 1))),
    (nn.InstanceNorm1d(8), SIGNAL, norm("b t [c]")),
    (nn.InstanceNorm1d(8, affine=True, track_running_stats=True), SIGNAL, norm("b t [c]", scale="t", bias="t", running=Running(0.9, 1))),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shape", "expected"), NATIVE, ids=lambda x: str(x)[:40])
def test_native_layers(layer: nn.Module, shape: tuple[int, ...], expected: NormSpec) -> None:
    found = identified_as(expected, layer, shape, NAMES[len(shape)])
    assert found.infer == expected.inference()
    assert found.headline == ""
    assert found.calls <= 200
    assert max(found.to_dict()["max_ulp"].values()) < 150


def layer(forward, buffers: dict[str, torch.Tensor] | None = None, **parameters: torch.Tensor):
    """A module with this forward function of (self, x), parameters and buffers."""

    class Layer(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return forward(self, x)

    made = Layer()
    for name, value in parameters.items():
        made.register_parameter(name, nn.Parameter(value.clone()))
    for name, value in (buffers or {}).items():
        made.register_buffer(name, value.clone())
    return made


ONES, ZEROS = torch.ones(8), torch.zeros(8)


def rms(x: torch.Tensor, eps: float = 1e-6) -> torch.Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def column(parameter: torch.Tensor) -> torch.Tensor:
    return parameter.view(1, -1, 1, 1)


def plain_layer_norm(x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, (8,))


HAND_WRITTEN = {
    "gemma": (
        layer(lambda s, x: (1 + s.w) * rms(x), w=ZEROS), WORDS,
        norm("b t [c]", center=False, measure="mean_square", eps=1e-6, scale="c", scale_shift=1), (),
    ),
    "unbiased, eps outside": (
        layer(lambda s, x: s.a * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + s.b, a=ONES, b=ZEROS),
        WORDS, norm("b t [c]", ddof=1, eps=0, eps_outside=1e-6, scale="c", bias="c"), (),
    ),
    "l2 times sqrt(d)": (
        layer(lambda s, x: functional.normalize(x, dim=-1) * 8**0.5 * (s.g + 1), g=ZEROS), WORDS,
        norm("b t [c]", center=False, measure="mean_square", eps=0, floor=1e-12 / 8**0.5, scale="c", scale_shift=1), (),
    ),
    "l2 with one learned length": (
        layer(lambda s, x: x / x.norm(dim=-1, keepdim=True).clamp(min=1e-5) * s.g, g=torch.full((1,), 8**0.5)), WORDS,
        norm("b t [c]", center=False, measure="l2", eps=0, floor=1e-5, scale=""), (),
    ),
    "clamped variance": (
        layer(lambda s, x: (x - x.mean(-1, keepdim=True)) / x.var(-1, keepdim=True, unbiased=False).clamp(min=1e-6).sqrt()),
        WORDS, norm("b t [c]", eps=0, floor=1e-3), (),
    ),
    "both epsilons": (
        layer(lambda s, x: (x - x.mean(-1, keepdim=True)) / (torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-3) + 1e-3)),
        WORDS, norm("b t [c]", eps=1e-3, eps_outside=1e-3), (),
    ),
    "learned epsilon": (
        layer(lambda s, x: x * torch.rsqrt(x.pow(2).mean((2, 3), keepdim=True) + s.eps.abs()) * column(s.g), g=ONES, eps=torch.tensor([1e-6])),
        IMAGE, norm("b c [h w]", center=False, measure="mean_square", eps=1e-6, scale="c"), ("eps is learned",),
    ),
    "filter response with a learned cut": (
        layer(lambda s, x: torch.max(x * torch.rsqrt(x.pow(2).mean((2, 3), keepdim=True) + 1e-6) * column(s.g) + column(s.b), column(s.tau)), g=ONES, b=ZEROS, tau=-ONES),
        IMAGE, norm("b c [h w]", center=False, measure="mean_square", eps=1e-6, scale="c", bias="c"), ("cut off below -1",),
    ),
    "interleaved groups": (
        layer(lambda s, x: functional.group_norm(x.view(4, 4, 2, 6, 5).transpose(1, 2).reshape(4, 8, 6, 5), 2).view(4, 2, 4, 6, 5).transpose(1, 2).reshape(4, 8, 6, 5)),
        IMAGE, norm("b ([c] g) [h w]", sizes={"g": 2}), (),
    ),
    "exp of the scale": (
        layer(lambda s, x: plain_layer_norm(x) * s.log_scale.exp(), log_scale=ZEROS), WORDS,
        norm("b t [c]", scale="c"), ("the scale is exp(log_scale)",),
    ),
    "constant factor": (
        layer(lambda s, x: plain_layer_norm(x) / math.sqrt(8)), WORDS, norm("b t [c]"),
        ("the result is multiplied by 0.3535 = 1 / sqrt(8), of the set size 8",),
    ),
    "residual": (layer(lambda s, x: x + plain_layer_norm(x)), WORDS, norm("b t [c]"), ("residual",)),
    "half inside": (
        layer(lambda s, x: functional.layer_norm(x.half(), (8,)).float()), WORDS, norm("b t [c]"),
        ("it computes in float16 inside",),
    ),
    **{
        name: (nn.Sequential(nn.LayerNorm(8), activation), WORDS, LAYER, (f"{name} after",))
        for name, activation in {
            "relu": nn.ReLU(), "leaky relu (0.1)": nn.LeakyReLU(0.1), "gelu": nn.GELU(),
            "gelu (tanh approximation)": nn.GELU(approximate="tanh"), "silu": nn.SiLU(),
            "mish": nn.Mish(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(), "elu (1)": nn.ELU(),
            "softplus": nn.Softplus(), "hardswish": nn.Hardswish(), "selu": nn.SELU(),
        }.items()
    },
    "batch norm and relu6": (
        nn.Sequential(nn.BatchNorm2d(8), nn.ReLU6()), IMAGE, BATCH, ("relu6 after",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_hand_written_layers(name: str) -> None:
    made, shape, expected, words = HAND_WRITTEN[name]
    found = identified_as(expected, made, shape, NAMES[len(shape)])
    for word in words:
        assert word in " ".join(found.evidence)
    assert found.calls <= 200


def cumulative(s: nn.Module, x: torch.Tensor) -> torch.Tensor:
    count = 8 * torch.arange(1, x.shape[-1] + 1)
    mean = x.sum(1).cumsum(-1) / count
    variance = x.pow(2).sum(1).cumsum(-1) / count - mean**2
    return (x - mean[:, None]) / (variance + 1e-8).sqrt()[:, None]


def graph_norm(s: nn.Module, x: torch.Tensor) -> torch.Tensor:
    off = x - x.mean(0, keepdim=True) * s.mean_scale
    return off / (off.pow(2).mean(0, keepdim=True) + 1e-5).sqrt()


def global_response(s: nn.Module, x: torch.Tensor) -> torch.Tensor:
    energy = x.norm(dim=(2, 3), keepdim=True)
    return column(s.g) * x * energy / (energy.mean(1, keepdim=True) + 1e-6) + x


def pair_norm(s: nn.Module, x: torch.Tensor) -> torch.Tensor:
    x = x - x.mean(0, keepdim=True)
    return x / (1e-5 + x.pow(2).sum(-1).mean()).sqrt()


DECOYS = {
    "linear": (nn.Linear(8, 8), WORDS, "mixing"),
    "convolution": (nn.Conv2d(8, 8, 3, padding=1), IMAGE, "mixing"),
    "weight standardization": (nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), WORDS, "mixing"),
    "attention": (nn.TransformerEncoderLayer(8, 2, 16, dropout=0, batch_first=True), WORDS, "mixing"),
    "softmax": (nn.Softmax(-1), WORDS, "mixing"),
    "log softmax": (nn.LogSoftmax(-1), WORDS, "mixing"),
    "dropout": (nn.Dropout(), WORDS, "pointwise"),
    "relu": (nn.ReLU(), WORDS, "pointwise"),
    "gelu": (nn.GELU(), WORDS, "pointwise"),
    "identity": (nn.Identity(), WORDS, "pointwise"),
    "layer scale": (layer(lambda s, x: x * s.g, g=1e-5 * ONES), WORDS, "pointwise"),
    "pooling": (nn.AvgPool2d(3, 1, 1), IMAGE, "mixing"),
    "global pooling": (nn.AdaptiveAvgPool2d(1), IMAGE, "mixing"),
    "recurrent": (nn.GRU(8, 8, batch_first=True), WORDS, "mixing"),
    "mean absolute deviation": (
        layer(lambda s, x: (x - x.mean(-1, keepdim=True)) / (x - x.mean(-1, keepdim=True)).abs().mean(-1, keepdim=True)),
        WORDS, "mixing",
    ),
    "squeeze and excite": (
        layer(lambda s, x: x * torch.sigmoid(x.mean((2, 3)) @ s.w).view(4, 8, 1, 1), w=torch.randn(8, 8)),
        IMAGE, "mixing",
    ),
    "local response": (nn.LocalResponseNorm(3), IMAGE, "mixing"),
    "cumulative layer norm": (layer(cumulative), (3, 8, 10), "mixing"),
    "graph norm": (layer(graph_norm, mean_scale=ONES), NODES, "mixing"),
    "global response norm": (layer(global_response, g=ZEROS), IMAGE, "mixing"),
    "pair norm": (layer(pair_norm), NODES, "mixing"),
    "two layer norms": (nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.LayerNorm(8)), WORDS, "mixing"),
}  # fmt: skip


@pytest.mark.parametrize("name", DECOYS)
def test_decoys_are_no_normalizations(name: str) -> None:
    made, shape, kind = DECOYS[name]
    found = identify(made, shape)
    assert str(found.kind) == kind, found
    assert found.train is None
    assert found.infer is None
    assert found.calls <= 200


def test_words_of_axes_without_sets() -> None:
    names = "b c t"
    window = identify(nn.LocalResponseNorm(3), (3, 8, 10), names)
    assert window.train_axes == {"b": "independent", "c": "window 3", "t": "independent"}
    causal = identify(layer(cumulative), (3, 8, 10), names)
    assert causal.train_axes == {"b": "independent", "c": "shared", "t": "causal"}
    backwards = identify(layer(lambda s, x: x.flip(-1).cumsum(-1).flip(-1)), (3, 8, 10), names)
    assert backwards.train_axes["t"] == "anticausal"


def test_stochastic_layers_are_said_to_be_so() -> None:
    found = identify(nn.Sequential(nn.LayerNorm(8), nn.Dropout()), WORDS, "b t c")
    assert found.train is None
    assert found.infer == LAYER
    assert "training: two equal calls give different outputs" in found.evidence


def test_frozen_statistics() -> None:
    def forward(s: nn.Module, x: torch.Tensor) -> torch.Tensor:
        scale = s.weight * (s.running_var + 1e-5).rsqrt()
        return x * column(scale) + column(s.bias - s.running_mean * scale)

    buffers = {"weight": ONES, "bias": ZEROS, "running_mean": ZEROS, "running_var": ONES}
    found = identify(layer(forward, buffers), IMAGE, "b c h w")
    assert found.kind is Kind.NORMALIZATION
    expected = norm(None, scale="c", bias="c", running=Running(1.0))  # type: ignore[arg-type]
    assert found.train == found.infer == expected
    assert found.sample_independent == {"train": True, "infer": True}


def test_a_cumulative_average_has_no_decay() -> None:
    found = identify(nn.BatchNorm2d(8, momentum=None), IMAGE, "b c h w")
    assert found.train == norm("[b] c [h w]", scale="c", bias="c")
    assert any("no fixed decay" in line for line in found.evidence)


@pytest.mark.parametrize("settings", [{}, {"affine": True}, {"track_running_stats": True}])
def test_one_sample_without_a_batch_axis_is_no_surprise(settings: dict[str, bool]) -> None:
    found = identify(nn.InstanceNorm2d(8, **settings), (8, 6, 5), "c h w")
    assert found.train is not None
    assert found.train.pattern == "c [h w]"
    assert found.headline == ""


def test_the_surprise_is_the_headline() -> None:
    class Normalization(nn.LayerNorm):
        """Says that it is a layer norm."""

    made = Normalization(8)
    made.eps = 1e-3
    made.normalized_shape = (7, 8)
    made.weight = nn.Parameter(torch.ones(7, 8))
    made.bias = nn.Parameter(torch.zeros(7, 8))
    made.__dict__["spec"] = None
    assert identify(made, WORDS, "b t c").headline == ""

    made.register_forward_hook(lambda module, args, y: functional.layer_norm(args[0], (8,)))
    found = identify(made, WORDS, "b t c")
    assert found.headline.startswith("not as its settings declare (torch.nn.LayerNorm)")
    assert 'statistics over "b t [c]" instead of' in found.headline
    assert found.headline in str(found)
    assert found.to_dict()["evidence"][0] == found.headline


def test_further_inputs_are_held_fixed() -> None:
    class Adaptive(nn.Module):
        def forward(self, x: torch.Tensor, style: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
            return functional.instance_norm(x) * style.std() * gain

    style = torch.from_numpy(np.array([1.0, 2.0, 3.0], np.float32))
    found = identify(Adaptive(), IMAGE, "b c h w", others=(style,), inputs={"gain": 2.0})
    assert found.train == norm("b c [h w]")
    assert "the result is multiplied by 2" in found.evidence


def test_what_is_compiled_is_called_as_it_is_written() -> None:
    with warnings.catch_warnings(action="ignore"):  # torch warns of its own code as it is loaded
        compiled = torch.compile(nn.LayerNorm(8))
    found = identify(compiled, WORDS, axes="b t c")
    assert found.train == LAYER
    assert found.title == "torch.nn.LayerNorm"
    assert "what torch.compile has compiled was called as it is written" in found.evidence
