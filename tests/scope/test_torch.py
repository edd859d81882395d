"""Models of torch: who sees whom, through which submodule first, and that nothing is touched."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import normscope as ns
from normscope.frameworks.live import Live
from normscope.frameworks.torch.live import TorchLive
from normscope.frameworks.torch.state import TorchState
from normscope.scope import scope


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


IMAGE = (4, 3, 12, 12)


def image() -> torch.Tensor:
    return torch.randn(IMAGE, generator=torch.Generator().manual_seed(0))


def tokens(high: int = 20) -> torch.Tensor:
    return torch.randint(0, high, (3, 8), generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self, channels: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn1 = norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(torch.relu(self.bn1(self.conv1(x))))


class ResNet(nn.Module):
    def __init__(self, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.Sequential(Block(8, nn.Identity), Block(8, norm), Block(8, norm))
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.stem(x)).mean((2, 3)))


def test_batch_norm_couples_samples_in_training_only() -> None:
    found = scope(ResNet(), image(), axes="b c h w", all_axes=True)
    assert found.samples_independent == {"training": False, "inference": True}
    first = found.first["training"]
    assert first is not None
    assert (first.path, first.type, first.call, first.where) == (
        "layers.1.bn1",
        "BatchNorm2d",
        1,
        "",
    )
    assert found.first["inference"] is None
    assert found.axes["inference"]["input"]["output"] == {
        "b": "independent",
        "c": "shared",
        "h": "shared",
        "w": "shared",
    }
    training, inference = str(found).splitlines()[1:3]
    said = "In training, sample 0 sees sample 1, first through layers.1.bn1 (BatchNorm2d): "
    assert training.startswith(f"  {said}")
    assert "batch_norm" in training
    assert "test_torch.py:" in training
    assert inference == "  In inference, no sample sees another: proved."
    assert found.calls < 80


def test_group_norm_does_not() -> None:
    found = scope(ResNet(lambda channels: nn.GroupNorm(2, channels)), image())
    assert found.samples_independent == {"training": True, "inference": True}
    assert "In training and in inference, no sample sees another: proved." in str(found)


def test_samples_need_not_come_first() -> None:
    def centred(x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)  # over time, if time comes first

    x = torch.randn(6, 3, 4)
    assert scope(centred, x, axes="t b c").samples_independent["inference"] is True
    assert scope(centred, x, axes="b t c").samples_independent["inference"] is False


class Language(nn.Module):
    def __init__(self, causal: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.causal = causal
        self.embed = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=dropout, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 20)

    def forward(self, ids: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        x = self.embed(ids) if bias is None else self.embed(ids) + bias
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.head(self.blocks(x, mask if self.causal else None, is_causal=self.causal))


@pytest.mark.parametrize(("causal", "word"), [(True, "causal"), (False, "shared")])
def test_positions_of_a_transformer(causal: bool, word: str) -> None:
    found = scope(Language(causal), tokens(), axes="b t", all_axes=True)
    for mode in ("training", "inference"):
        assert found.axes[mode]["input"]["output"] == {"b": "independent", "t": word}


def test_dropout_is_recognised_and_hides_nothing() -> None:
    found = scope(Language(True, dropout=0.3), tokens(), axes="b t", all_axes=True)
    assert found.stochastic == {"training": True, "inference": False}
    assert found.axes["training"]["input"]["output"] == {"b": "independent", "t": "causal"}
    assert any("random numbers" in line for line in found.evidence)


def test_what_one_dropout_hides_another_shows() -> None:
    """Half of these samples lose their only feature in any one call."""
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(1))
    found = scope(model, torch.randn(4, 1))
    assert found.axes["training"]["input"]["output"]["b"] in ("shared", "mixed")
    assert found.samples_independent == {"training": False, "inference": True}


def test_several_inputs_and_outputs() -> None:
    @dataclass
    class Result:
        logits: torch.Tensor
        hidden: tuple[torch.Tensor, ...]
        note: str = "no array"

    class Two(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor, scale: float = 1.0) -> Result:
            return Result(left * scale, (right - right.mean(0), left.sum(1)))

    arrays = (torch.randn(4, 5), torch.randn(4, 5))
    for inputs in (arrays, [*arrays, 2.0], dict(zip(("left", "right"), arrays, strict=True))):
        found = scope(Two(), inputs, all_axes=True).axes["inference"]
        assert found["left"]["output.logits"] == {"b": "independent", "d1": "independent"}
        assert found["left"]["output.hidden[0]"] == {"b": "none", "d1": "none"}
        assert found["left"]["output.hidden[1]"] == {"b": "independent", "d1": "shared"}
        assert found["right"]["output.logits"] == {"b": "none", "d1": "none"}
        assert found["right"]["output.hidden[0]"] == {"b": "shared", "d1": "independent"}
    result = scope(Two(), arrays)
    assert result.samples_independent["inference"] is False
    assert result.inputs == {"left": (4, 5), "right": (4, 5)}


def test_inputs_as_one_argument() -> None:
    class Pair(nn.Module):
        def forward(self, pair: list[torch.Tensor]) -> torch.Tensor:
            return pair[0] + pair[1].flip(1)

    found = scope(Pair(), [torch.randn(3, 4), torch.randn(3, 4)], all_axes=True)
    assert found.axes["inference"]["input[0]"]["output"]["d1"] == "independent"
    assert found.axes["inference"]["input[1]"]["output"]["d1"] == "mixed"


class Step(nn.Module):
    """A model whose own code does something between two layers."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(5, 5), nn.Linear(5, 5)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.between(self.before(x)))


def test_a_bug_in_the_code_between_two_layers() -> None:
    model = nn.Sequential(nn.Linear(5, 5), Step(lambda x: x - x.mean()))
    found = scope(model, torch.randn(4, 5))
    assert found.samples_independent == {"training": False, "inference": False}
    first = found.first["inference"]
    assert first is not None
    assert (first.path, first.type, first.where) == (
        "1",
        "Step",
        "before it calls 1.after (Linear)",
    )
    assert "first in the code of 1 (Step), before it calls 1.after (Linear): mean" in str(found)
    # the twin: the same over the features of a sample
    model[1].between = lambda x: x - x.mean(1, keepdim=True)
    assert scope(model, torch.randn(4, 5)).samples_independent["inference"] is True


def test_samples_that_change_places() -> None:
    found = scope(Step(lambda x: x.roll(1, 0)), torch.randn(4, 5))
    assert found.inference.pair == (0, 3)
    assert found.first["inference"].where == "before it calls after (Linear)"


def test_a_batch_that_is_folded_and_unfolded_inside() -> None:
    """Windows, as of a Swin transformer: no axis of the samples is left inside the model."""

    def folded(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(2, 10).softmax(0).reshape(4, 5)

    found = scope(Step(folded), torch.randn(4, 5))
    assert found.inference.pair == (0, 2)  # every second one is the other of its pair
    assert found.first["inference"].where == "before it calls after (Linear)"


def test_a_submodule_that_is_used_again() -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(5)
            self.mix = nn.MultiheadAttention(5, 1)  # which has the batch on the second axis

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            one = self.mix(*(self.norm(x)[None],) * 3)[0][0]
            return self.mix(*(self.norm(one)[:, None],) * 3)[0][:, 0]

    first = scope(Again(), torch.randn(4, 5)).first["inference"]
    assert first is not None
    assert (first.path, first.call) == ("mix", 2)
    assert "mix (MultiheadAttention) in call 2" in str(first)


class Branch(nn.Module):
    """Takes one way or the other, by the values of the whole batch or of each sample."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.whole = whole
        self.high, self.low = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.whole:
            return self.high(x) if x.sum() > 0 else self.low(x)
        return torch.stack([self.high(s) if s.sum() > 0 else self.low(s) for s in x])


def test_control_flow_that_depends_on_the_data() -> None:
    found = scope(Branch(whole=True), torch.randn(4, 5))
    assert found.samples_independent["inference"] is False
    assert found.first["inference"].where == "which decides by the values what it calls"
    assert scope(Branch(whole=False), torch.randn(4, 5)).samples_independent["inference"] is True


def test_one_sample_says_what_is_needed() -> None:
    found = scope(nn.BatchNorm1d(4), torch.randn(1, 4))
    assert found.samples_independent == {"training": None, "inference": None}
    assert "input holds one sample only: give at least two" in str(found)
    assert "the model raised ValueError: Expected more than 1 value" in str(found)


def test_an_output_without_samples() -> None:
    found = scope(lambda x: x.square().mean(), torch.randn(4, 5))
    assert found.samples_independent["inference"] is None
    assert "output has no axis of the 4 samples of input" in str(found)


def test_a_weight_that_is_zero_proves_nothing() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    nn.init.zeros_(model[1].weight)
    found = scope(model, torch.randn(5, 4))
    assert found.samples_independent["training"] is None
    assert "output does not change with input" in str(found)


def test_half_precision() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).bfloat16()
    found = scope(model, torch.randn(8, 4, dtype=torch.bfloat16))
    assert found.samples_independent == {"training": False, "inference": True}


def test_an_array_of_numpy_is_cast_to_the_dtype_of_the_model() -> None:
    found = scope(ResNet(), np.random.default_rng(0).normal(size=IMAGE))
    assert found.samples_independent == {"training": False, "inference": True}


def test_a_function_that_holds_a_module() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    x = torch.randn(5, 4)
    before = everything(net)
    found = scope(lambda x: net(x)[:, :2], x)
    assert everything(net) == before
    assert (found.one_mode, found.first["inference"].path) == (True, "net.1")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_a_scripted_module_is_answered_too() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))).eval()
    found = scope(scripted, torch.randn(5, 4))
    assert found.samples_independent == {"training": False, "inference": True}
    assert any("out of sight" in line for line in found.evidence)
    assert not any(part.training for part in scripted.modules())


def test_a_lazy_module_stays_lazy() -> None:
    made = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    assert scope(made, torch.randn(5, 4)).first["training"].path == "1"
    assert isinstance(made[0].weight, nn.parameter.UninitializedParameter)


# --- the model is left as it was found ------------------------------------------------------------


class Restless(nn.Module):
    """Changes all that a call can change."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.2))
        self.body[1].eval()
        self.register_buffer("mean", torch.zeros(4))
        self.generator = torch.Generator().manual_seed(3)
        self.cache: list[torch.Tensor] = []
        self.calls = 0
        self.fails_at = fails_at
        self.body.register_forward_hook(lambda module, args, output: None)
        self.body(torch.randn(3, 4)).sum().backward()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        np.random.rand(), random.random(), torch.rand(1, generator=self.generator)
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        self.cache.append(x)
        COUNT[0] += 1
        if COUNT[0] == self.fails_at:
            raise KeyboardInterrupt
        y = self.body(x)
        with torch.no_grad():
            self.body[0].bias += 1
            self.body[0].weight.grad += 1
        return y


COUNT = [0]


def everything(module: nn.Module) -> dict[str, object]:
    """All that could be disturbed, as values that compare bit for bit."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found: dict[str, object] = {name: t.detach().numpy().tobytes() for name, t in tensors.items()}
    found["identity"] = {name: id(t) for name, t in tensors.items()}
    found["grad"] = {
        name: None if t.grad is None else (id(t.grad), t.grad.numpy().tobytes())
        for name, t in tensors.items()
    }
    found["mode"] = [part.training for part in module.modules()]
    found["hooks"] = [
        (list(part._forward_hooks), list(part._forward_pre_hooks)) for part in module.modules()
    ]
    found["hooks with keywords"] = [
        (list(part._forward_hooks_with_kwargs), list(part._forward_pre_hooks_with_kwargs))
        for part in module.modules()
    ]
    found["attributes"] = [sorted(vars(part)) for part in module.modules()]
    found["cache"] = len(getattr(module, "cache", []))
    found["generator"] = (
        module.generator.get_state().numpy().tobytes() if hasattr(module, "generator") else None
    )
    found["torch"] = torch.get_rng_state().numpy().tobytes()
    found["numpy"] = str(np.random.get_state())
    found["python"] = random.getstate()
    return found


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


def test_everything_is_put_back() -> None:
    made = Restless()
    before = everything(made)
    found = scope(made, X)
    assert everything(made) == before
    assert found.samples_independent == {"training": False, "inference": True}
    assert found.stochastic["training"] is True
    assert found.first["training"].path == "body.1"


def test_also_when_it_is_interrupted() -> None:
    made = Restless()
    calls = scope(made, X).calls
    before = everything(made)
    for fails_at in (1, 2, 5, calls // 2, calls):
        COUNT[0], made.fails_at = 0, fails_at
        with pytest.raises(KeyboardInterrupt):
            scope(made, X)
        assert everything(made) == before


def test_interrupted_while_hooks_are_set() -> None:
    class Stop(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(self._forward_pre_hooks):
                raise KeyboardInterrupt
            return x - x.mean()

    made = nn.Sequential(Stop())
    before = everything(made)
    with pytest.raises(KeyboardInterrupt):
        scope(made, X)
    assert everything(made) == before


def test_the_check_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: without what puts it back, the same calls do change the model."""
    made = Restless()
    before = everything(made)
    monkeypatch.setattr(TorchState, "put_back", lambda self, stream=0: None)
    monkeypatch.setattr(TorchLive, "trace", Live.trace)  # after which nothing could be read
    scope(made, X)
    assert everything(made) != before


def test_what_the_model_raises_is_a_result() -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                raise RuntimeError("needs targets")
            return x

    found = scope(Broken(), torch.randn(3, 4))
    assert found.samples_independent == {"training": None, "inference": True}
    assert "In training, whether samples see each other is not known" in str(found)
    assert "needs targets" in str(found)


def test_public_names() -> None:
    assert ns.scope is scope
    assert isinstance(ns.scope(nn.Identity(), torch.randn(2, 3)), ns.Scope)
