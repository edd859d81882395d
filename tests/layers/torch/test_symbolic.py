"""`Norm` in models that `torch.fx` and `torch.jit` take apart."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import normscope as ns
from normscope import SpecError
from normscope.layers.torch import Norm

X = torch.randn(4, 6, 5, 5, generator=torch.Generator().manual_seed(0))


class Residual(nn.Module):
    """Called twice, with more than an input."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = Norm("torch.BatchNorm2d(6)")
        self.held = nn.Parameter(torch.ones(4, 6, 5, 5))

    def forward(self, x):  # torch.fx cannot save annotations that are postponed
        y = self.norm(x, residual=x * 2, negative_slope=0.1)
        z = self.norm(self.held, mask=x > 0, residual=x)
        return y + z


class Doubling(Norm):
    """Does more than its base."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x * 2)
        return y + 1


def hooked() -> nn.Module:
    norm = Norm("b [c] h w", scale="c")
    norm.register_forward_pre_hook(lambda _, given: (given[0] * 3,))
    norm.register_forward_hook(lambda _, given, y: y + 5)
    return nn.Sequential(norm)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "batch": lambda: nn.Sequential(nn.Conv2d(6, 6, 1), nn.Sequential(Norm("torch.BatchNorm2d(6)"))),
    "frozen": lambda: nn.Sequential(Norm("torch.BatchNorm2d(6)", frozen=True)),
    "without shapes": lambda: nn.Sequential(Norm("b (g [c]) [h w]", g=2, scale="g c")),
    "max": lambda: nn.Sequential(Norm("b [c] h w", measure="max", center=False)),
    "laid out": lambda: nn.Sequential(Norm("b [c] h w", memory_format=torch.channels_last)),
    "residual": Residual,
    "subclass": lambda: nn.Sequential(Doubling("b [c] h w", scale="c")),
    "hooks": hooked,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_traced_model_is_the_model(name: str) -> None:
    model = MODELS[name]()
    twin = copy.deepcopy(model)
    traced = torch.fx.symbolic_trace(model)
    traced.graph.lint()
    if name != "hooks":  # these have no names by which they could be saved
        traced = saved_and_loaded(traced)
    for training in (True, False, True):
        assert_same(traced.train(training)(X), twin.train(training)(X))
    assert_same(dict(traced.state_dict()), dict(twin.state_dict()))
    assert_same(copy.deepcopy(traced)(X), twin(X))


def saved_and_loaded(model: Any) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def assert_same(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted)


def test_a_traced_model_has_the_layer_and_trains() -> None:
    traced = torch.fx.symbolic_trace(MODELS["batch"]())
    assert isinstance(traced.get_submodule("1.0"), Norm)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["0", "1.0"]
    (site,) = ns.audit(traced, X).layers
    assert (site.path, site.title) == ("1.0", "normscope.layers.torch.Norm")


def test_a_layer_alone_is_no_model_to_trace() -> None:
    with pytest.raises(SpecError, match=r"write torch\.fx\.symbolic_trace\(torch\.nn\.Sequential"):
        torch.fx.symbolic_trace(Norm("b [c]"))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_records_the_layer_and_does_not_read_it() -> None:
    model = MODELS["batch"]().eval()
    recorded = torch.jit.trace(model, X)
    assert_same(recorded(X[:3] + 1), model(X[:3] + 1))
    with pytest.raises(SpecError, match=r"write torch\.jit\.trace\(model, x\)"):
        torch.jit.script(model)


def test_a_model_with_a_subclass_is_audited() -> None:
    """Its settings do not say what it computes, so its operators are asked."""
    (site,) = ns.audit(MODELS["subclass"](), X, axes="b c h w").layers
    assert site.train.pattern == "b [c] h w"
