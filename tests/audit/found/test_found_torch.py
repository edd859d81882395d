"""What is found in live models of PyTorch: the same as `identify` says of the layer alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from normscope.audit.found.found import found_sites
from normscope.audit.found.site import FoundSite, Kind
from normscope.frameworks.registry import live_of
from normscope.identify import identify


def _found(
    model: nn.Module,
    *shapes: tuple[int, ...],
    modes: Sequence[bool] = (True, False),
    dtype: torch.dtype = torch.float32,
):
    random = torch.Generator()
    arrays = [torch.randn(shape, generator=random.manual_seed(0)).to(dtype) for shape in shapes]
    live = live_of(model, lambda _: (tuple(arrays), {}), "")
    given = live.inputs(arrays[0] if len(arrays) == 1 else tuple(arrays))
    with live.kept():
        graphs = {}
        for mode in modes:
            live.put_back()
            graphs[mode] = live.trace(given, mode)
        return [site for site in found_sites(graphs) if not site.dismissed]


def _only(
    model: nn.Module, *shapes: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> FoundSite:
    (site,) = _found(model, *shapes, dtype=dtype)
    return site


class Around(nn.Module):
    """A layer between others."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.inner(1.5 * x))


class Root(nn.Module):
    """A root mean square norm as language models write it."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.variance_epsilon = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.to(torch.float32)
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * y.to(x.dtype)


class Pixels(nn.Module):
    """A layer norm of the channels of maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Active(nn.BatchNorm2d):
    """A batch norm with its activation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(super().forward(x))


MAPS, STEPS = (4, 16, 6, 5), (4, 7, 16)
LAYERS = [
    (nn.BatchNorm2d(16), MAPS),
    (nn.BatchNorm2d(16, momentum=0.3, affine=False), MAPS),
    (nn.BatchNorm2d(16, track_running_stats=False), MAPS),
    (nn.BatchNorm1d(16), (6, 16)),
    (nn.InstanceNorm2d(16), MAPS),
    (nn.InstanceNorm2d(16, affine=True, track_running_stats=True), MAPS),
    (nn.GroupNorm(4, 16), MAPS),
    (nn.GroupNorm(4, 16, affine=False), MAPS),
    (nn.LayerNorm(16), STEPS),
    (nn.LayerNorm((16, 6, 5)), MAPS),
    (nn.LayerNorm(16, elementwise_affine=False), STEPS),
    (nn.RMSNorm(16), STEPS),
    (Root(16, 1e-5), STEPS),
    (Active(16), MAPS),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda v: type(v).__name__)
def test_a_layer_in_a_model_is_what_it_is_alone(layer: nn.Module, shape: tuple[int, ...]) -> None:
    alone = identify(layer, shape)
    site = _only(Around(layer), shape)
    assert (site.train, site.infer) == (alone.train, alone.infer)
    assert (site.path, site.input_shape, site.kind) == ("inner", shape, Kind.NORMALIZATION)
    assert site.verified
    assert site.max_ulp is not None
    assert not site.differs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_arrays_are_told_by_role(dtype: torch.dtype) -> None:
    norm = nn.BatchNorm2d(16)
    nn.init.uniform_(norm.running_var, 1, 2)
    norm.to(dtype)
    site = _only(Around(norm), MAPS, dtype=dtype)
    assert dict(site.parameters) == {
        "scale": "inner.weight",
        "bias": "inner.bias",
        "running_mean": "inner.running_mean",
        "running_var": "inner.running_var",
    }
    np.testing.assert_array_equal(site.arrays["running_var"], norm.running_var.float().numpy())


class Functional(nn.Module):
    """One after another, without a layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(nn.functional.instance_norm(x))
        x = torch.relu(nn.functional.group_norm(x, 4))
        return nn.functional.normalize(torch.relu(nn.functional.layer_norm(x, x.shape[1:])))


def test_functional_calls_are_found_in_the_axes_of_the_caller() -> None:
    found = _found(Functional(), MAPS)
    assert [site.train and site.train.pattern for site in found] == [
        "b d1 [d2 d3]",
        "b (g [d1]) [d2 d3]",
        "b [d1 d2 d3]",
        "b [d1] d2 d3",
    ]
    assert all(site.input_shape == MAPS and site.verified for site in found)
    assert all("test_found_torch.py:" in site.source for site in found)


def test_a_layer_norm_of_channels_is_told_in_the_axes_of_the_layer_that_holds_it() -> None:
    site = _only(Around(Pixels(16)), MAPS)
    assert site.path == "inner.norm"
    assert site.train is not None
    assert site.train.pattern == "b d1 d2 [d3]"


class Deep(nn.Module):
    """Norms of the same class, of which one has another epsilon."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([Root(width, 1e-5) for width in (8, 8, 16)])
        self.norms[1].variance_epsilon = 1e-2
        self.linears = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 16), nn.Linear(16, 4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm, linear in zip(self.norms, self.linears, strict=True):
            x = linear(norm(x))
        return x


def test_alike_layers_are_checked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from normscope.audit.found import answers

    asked = []
    monkeypatch.setattr(answers, "identify", lambda *given: asked.append(given) or identify(*given))
    found = _found(Deep(), (4, 8))
    assert [site.train and site.train.eps for site in found] == [1e-5, 1e-2, 1e-5]
    assert all(site.verified for site in found)
    assert len(asked) == 2


class TwoConstants(nn.Module):
    """Hand-written norms of the same operators with different numbers in them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for eps in (1e-6, 1e-3):
            x = torch.tanh(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))
        return x


def test_equal_operators_with_other_constants_are_not_taken_for_alike() -> None:
    found = _found(TwoConstants(), STEPS)
    assert [site.train and site.train.eps for site in found] == [1e-6, 1e-3]


def test_what_is_declared_and_not_found_is_said() -> None:
    lying = nn.GroupNorm(4, 16)
    lying.forward = lambda x: nn.functional.layer_norm(x, x.shape[1:])  # type: ignore[method-assign]
    site = _only(Around(lying), MAPS)
    assert site.train is not None
    assert site.train.pattern == "b [d1 d2 d3]"
    assert site.declared is not None
    assert "not as its settings declare" in site.differs


class Response(nn.Module):
    """A global response norm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.norm(dim=(1, 2), keepdim=True)
        return x * (size / (size.mean(-1, keepdim=True) + 1e-6)) + x


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [(Response(), (4, 5, 5, 16), "statistics"), (nn.LocalResponseNorm(4), MAPS, "window")],
)
def test_what_no_spec_says_is_told_in_words(
    layer: nn.Module, shape: tuple[int, ...], words: str
) -> None:
    site = _only(Around(layer), shape)
    assert site.kind is Kind.MIXING
    assert site.train is None
    assert not site.verified
    assert words in site.words


class Frozen(nn.Module):
    """A batch norm that only ever uses what it holds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            numbers = torch.rand(width, generator=torch.Generator().manual_seed(1)) + 0.5
            self.register_buffer(name, numbers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        factor = self.weight * (self.running_var + 1e-5).rsqrt()
        shift = self.bias - self.running_mean * factor
        return x * factor[:, None, None] + shift[:, None, None]


def test_stored_statistics_are_found_where_none_are_taken() -> None:
    site = _only(Around(Frozen(16)), MAPS)
    assert site.kind is Kind.STORED
    assert site.infer is not None
    assert site.infer.pattern is None
    assert site.parameters["running_var"] == "inner.running_var"


class Weighted(nn.Module):
    """Weights that sum to one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = x.abs()
        return weights / weights.sum(-1, keepdim=True)


def test_weights_that_sum_to_one_are_dismissed() -> None:
    assert not _found(Around(Weighted()), STEPS)


class Recentred(nn.Module):
    """The mean is added, as a context is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x + x.mean(1, keepdim=True))


def test_a_mean_that_is_added_normalizes_nothing() -> None:
    assert not _found(Recentred(), STEPS)


def test_a_layer_that_is_called_twice_is_two_sites() -> None:
    norm = nn.BatchNorm1d(8)
    found = _found(nn.Sequential(norm, nn.Linear(8, 8), norm), (6, 8))
    assert [(site.path, site.call.number) for site in found] == [("0", 1), ("0", 2)]
    assert all(site.modes == (True, False) for site in found)


class Ghost(nn.Module):
    """The batch in two parts, in training."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self.norm(x)
        return torch.cat([self.norm(part) for part in x.chunk(2)])


def test_a_call_in_training_alone_says_nothing_of_inference() -> None:
    first, second = _found(Ghost(), (8, 6))
    assert first.train is not None
    assert first.infer is not None
    assert first.infer.pattern is None
    assert second.train is not None
    assert second.infer is None


class Renormalized(nn.Module):
    """Batch renormalization: in training, statistics of the batch and stored ones together."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("variance", torch.ones(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stored = (self.variance + 1e-5).sqrt()
        if not self.training:
            return (x - self.mean) / stored
        mean, deviation = x.mean(0), (x.var(0, unbiased=False) + 1e-5).sqrt()
        r = (deviation.detach() / stored).clamp(1 / 3, 3)
        d = ((mean.detach() - self.mean) / stored).clamp(-5, 5)
        return (x - mean) / deviation * r + d


def test_what_uses_stored_statistics_at_inference_alone_is_not_called_stored() -> None:
    site = _only(Renormalized(), (6, 8))
    assert site.kind is Kind.MIXING
    assert site.train is None
    assert site.infer is not None
    assert site.words.startswith("in training: ")


def test_one_mode_alone() -> None:
    (site,) = _found(Around(nn.BatchNorm2d(16)), MAPS, modes=(False,))
    assert site.modes == (False,)
    assert site.infer is not None
    assert site.infer.pattern is None


def test_the_model_is_left_as_it_was() -> None:
    model = Around(nn.BatchNorm2d(16))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _found(model, MAPS)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Large(nn.Module):
    """Operators that hold the shape of the model, on large maps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(nn.functional.group_norm(x, 8, eps=1e-3))
        return nn.functional.instance_norm(x)


def test_what_is_too_large_to_be_asked_is_guessed_and_checked() -> None:
    found = _found(Large(), (2, 32, 48, 48))
    assert [str(site.infer) for site in found] == [
        '"b (g [d1]) [d2 d3]" with g=8, eps=0.001',
        '"b d1 [d2 d3]", eps=1e-05',
    ]
    assert all(site.verified for site in found)
