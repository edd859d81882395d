"""The graph of a model of PyTorch: calls, names, lines, constants; the model stays as it was."""

from __future__ import annotations

import copy
import random
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from normscope.frameworks.registry import live_of
from normscope.graph.operators import CannotTraceError, Graph, Node, Role
from normscope.graph.proof import samples_apart
from normscope.graph.replay import known_numbers, replay
from normscope.graph.rules import Host, Opaque


def graph_of(model: nn.Module, given: Any, training: bool = False) -> Graph:
    live = live_of(model, lambda live: live.inputs(given).arguments(live.leaf), "")
    inputs = live.inputs(given)
    with live.kept():
        live.put_back()
        return live.trace(inputs, training)


def nodes(graph: Graph, operator: str) -> list[Node]:
    return [node for node in graph.nodes if node.operator.split(".")[0] == operator]


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return x + self.linear(self.norm(x)) * scale


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.head = nn.Linear(6, 3, bias=False)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        y = self.block(self.block(x), scale=2.0)
        return {"y": self.head(y), "rest": (y, None)}


# --- calls, names, lines --------------------------------------------------------------------------


def test_each_call_of_a_layer_is_told() -> None:
    graph = graph_of(Net(), torch.randn(4, 6))
    assert [(call.path, call.type, call.number) for call in graph.calls] == [
        ("", "Net", 1),
        ("block", "Block", 1),
        ("block.norm", "LayerNorm", 1),
        ("block.linear", "Linear", 1),
        ("block", "Block", 2),
        ("block.norm", "LayerNorm", 2),
        ("block.linear", "Linear", 2),
        ("head", "Linear", 1),
    ]
    root, first, norm = graph.calls[:3]
    assert norm.parent is first
    assert first.parent is root
    assert isinstance(norm.layer, nn.LayerNorm)
    assert isinstance(root.layer, Net)
    assert root.inputs == first.inputs == norm.inputs == (graph.inputs[0],)
    (node,) = [n for n in graph.nodes if n.call is norm]
    assert node.role is Role.NORMALIZATION
    assert node.operands[0] is graph.inputs[0]
    assert norm.outputs == node.results[:1]
    assert root.outputs == tuple(graph.outputs)


def test_inputs_and_outputs_have_the_names_that_scope_gives_them() -> None:
    graph = graph_of(Net(), torch.randn(4, 6))
    assert [value.name for value in graph.inputs] == ["input"]
    assert graph.output_names == ["output.y", "output.rest[0]"]
    assert [value.shape for value in graph.outputs] == [(4, 3), (4, 6)]


def test_several_inputs_keep_their_order() -> None:
    class Two(nn.Module):
        def forward(self, b: torch.Tensor, a: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            return b + a[1] + a[0].sum()

    graph = graph_of(Two(), {"a": (torch.zeros(2), torch.zeros(4, 6)), "b": torch.zeros(4, 6)})
    assert [(v.name, v.shape) for v in graph.inputs] == [
        ("a[0]", (2,)),
        ("a[1]", (4, 6)),
        ("b", (4, 6)),
    ]
    assert nodes(graph, "add")[0].operands == (graph.inputs[2], graph.inputs[1])


def test_parameters_have_their_paths() -> None:
    graph = graph_of(Net(), torch.randn(4, 6))
    assert [v.name for v in nodes(graph, "native_layer_norm")[0].operands] == [
        "input",
        "block.norm.weight",
        "block.norm.bias",
    ]
    assert all(v.is_parameter for v in nodes(graph, "native_layer_norm")[0].operands[1:])


def test_a_node_knows_the_line_of_the_program() -> None:
    graph = graph_of(Net(), torch.randn(4, 6))
    (line,) = {node.source for node in nodes(graph, "mul")}
    file, number = line.rsplit(":", 1)
    assert Path(file).name == Path(__file__).name
    assert "* scale" in Path(__file__).read_text().splitlines()[int(number) - 1]
    assert all(n.source.startswith(file) for n in graph.nodes)
    of_torch_alone = graph_of(nn.Sequential(nn.Linear(6, 6), nn.ReLU()), torch.randn(4, 6))
    assert {node.source for node in of_torch_alone.nodes} == {""}


def test_channels_and_biases_of_products() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1, bias=False), nn.Flatten(), nn.Linear(64, 5)
    )
    graph = graph_of(model, torch.randn(2, 3, 6, 6))
    products = [n for n in graph.nodes if n.role is Role.PRODUCT]
    assert [(n.channel_axis, n.adds_bias) for n in products] == [(1, True), (1, False), (1, True)]
    embedded = graph_of(nn.Embedding(5, 4), torch.zeros(2, 3, dtype=torch.long))
    assert [(n.role, n.channel_axis) for n in embedded.nodes] == [(Role.PRODUCT, 2)]


def test_roles_of_a_normalization_written_by_hand() -> None:
    class ByHand(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            centred = x - x.mean(1, keepdim=True)
            return centred / (centred.pow(2).mean(1, keepdim=True) + 1e-5).sqrt() * 2 + 1

    roles = [node.role for node in graph_of(ByHand(), torch.randn(4, 6)).nodes]
    assert roles == [
        Role.STATISTIC,
        Role.SHIFT,
        Role.POWER,
        Role.STATISTIC,
        Role.SHIFT,
        Role.ROOT,
        Role.DIVIDE,
        Role.MULTIPLY,
        Role.SHIFT,
    ]


# --- what is computed while tracing ---------------------------------------------------------------


def test_what_depends_on_no_input_is_computed() -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = torch.ones_like(x[0]).tril().bool()
            if not mask[0, 0]:  # it is read, and that is no harm
                return x
            return x.masked_fill(~mask, -1.0)

    graph = graph_of(Masked(), torch.randn(2, 4, 4))
    assert not graph.blind
    (select,) = nodes(graph, "masked_fill")
    assert not select.operands[0].live
    np.testing.assert_array_equal(known_numbers(graph, select.operands[0]), ~np.tri(4, dtype=bool))
    assert known_numbers(graph, select.operands[1]) == -1


def test_a_constant_is_as_it_was_when_it_was_used() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("buf", torch.ones(6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * self.buf
            self.buf += 1
            z = y * self.buf
            self.buf.numpy()[...] = 7
            return z * self.buf

    graph = graph_of(Writes(), torch.randn(4, 6))
    factors = [known_numbers(graph, n.operands[1]).item(0) for n in nodes(graph, "mul")]
    assert factors[:2] == [1, 2]


def test_a_graph_runs_again_without_writing_into_its_operands() -> None:
    class InPlace(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.clone()
            y[:, 0].mul_(2)
            return y.relu_().add_(1)

    x = torch.randn(4, 6)
    graph = graph_of(InPlace(), x)
    given = x.clone()
    (y,) = replay(graph, graph.outputs, {graph.inputs[0]: given})
    torch.testing.assert_close(y, InPlace()(x))
    torch.testing.assert_close(given, x)


def test_what_was_drawn_is_drawn_again() -> None:
    class Drawn(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.dropout(x * torch.rand(6), 0.5)

    graph = graph_of(Drawn(), torch.ones(4, 6))
    one, two = (replay(graph, graph.outputs, {graph.inputs[0]: torch.ones(4, 6)}) for _ in range(2))
    torch.testing.assert_close(one, two)


def test_numbers_that_are_read_leave_the_graph_blind() -> None:
    class Reads(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.layer_norm(x * 2 if x.sum() > 0 else x, (6,))

    graph = graph_of(Reads(), torch.ones(4, 6))
    assert "reads numbers that depend on its input" in graph.blind
    assert "test_trace.py" in graph.blind
    assert any(isinstance(node.rule, Host) for node in graph.nodes)
    assert nodes(graph, "native_layer_norm")


def test_an_operator_of_somebody_else_is_opaque() -> None:
    @torch.library.custom_op("normscope_tests::strange", mutates_args=())
    def strange(x: torch.Tensor) -> torch.Tensor:
        return x.flip(0)

    @strange.register_fake
    def _(x: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(x)

    class Strange(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return strange(x) * 2

    graph = graph_of(Strange(), torch.randn(4, 6))
    assert isinstance(graph.nodes[0].rule, Opaque)
    assert graph.unknown_operators == {"normscope_tests::strange": 1}
    assert samples_apart(graph, [0]).verdict == "unknown"


def test_what_was_compiled_is_followed_as_it_is_written() -> None:
    class Compiled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with warnings.catch_warnings():  # loading the compiler warns of what it uses itself
                warnings.simplefilter("ignore")
                self.inner = torch.compile(nn.LayerNorm(6))
                self.function = torch.compile(lambda x: x - x.mean(0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.function(self.inner(x))

    graph = graph_of(Compiled(), torch.randn(4, 6))
    assert not graph.blind
    assert nodes(graph, "native_layer_norm")
    assert samples_apart(graph, [0]).verdict == "meet"


def test_a_model_that_cannot_be_called_says_why() -> None:
    with pytest.raises(CannotTraceError, match=r"torch\.nn\.Linear cannot be called: RuntimeError"):
        graph_of(nn.Linear(5, 5), torch.randn(4, 6))


def test_nested_tensors_are_refused_with_what_to_do_instead() -> None:
    class Nests(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nested.nested_tensor([x[:1], x[1:]]) * 2

    with pytest.raises(CannotTraceError, match="give it padded tensors and a mask"):
        graph_of(Nests(), torch.randn(4, 6))


def test_what_a_script_does_is_seen() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and used
        model = nn.Sequential(torch.jit.script(nn.LayerNorm(6)), nn.Linear(6, 6))
    graph = graph_of(model, torch.randn(4, 6))
    assert [n.operands[1].name for n in nodes(graph, "native_layer_norm")] == ["0.weight"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes(dtype: torch.dtype) -> None:
    graph = graph_of(Net().to(dtype), torch.randn(4, 6).to(dtype))
    assert {v.dtype for v in graph.outputs} == {str(dtype).removeprefix("torch.")}
    assert not graph.blind


def test_a_lazy_module() -> None:
    graph = graph_of(nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d()), torch.randn(4, 6))
    assert [c.type for c in graph.calls] == ["Sequential", "Linear", "BatchNorm1d"]


def test_large_models_are_traced_without_their_activations() -> None:
    model = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(64))
    import resource

    x = torch.zeros(4, 1, 512, 512)  # 256 MiB after the first layer
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    graph = graph_of(model, x)
    assert not graph.blind
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_inputs_that_a_model_tells() -> None:
    class Tells(Net):
        pretrained_cfg: Any = None
        example_input_array: Any = None

    model = Tells()

    def told() -> Any:
        return live_of(model, lambda live: ((), {}), "").example()

    assert told() is None
    model.pretrained_cfg = {"input_size": (3, 8, 8)}
    assert tuple(told().shape) == (4, 3, 8, 8)
    model.pretrained_cfg = {"input_size": (3, 10**9, 8)}
    assert told() is None
    model.example_input_array = torch.zeros(2, 6)
    assert told() is model.example_input_array


# --- the model stays as it was --------------------------------------------------------------------


class Restless(nn.Module):
    """Changes whatever a module can change."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.weight = nn.Parameter(torch.randn(6, 6))
        self.register_buffer("seen", torch.zeros(6))
        self.plain = torch.ones(4, 6)
        self.list = [torch.zeros(4, 6)]
        self.calls = 0
        self.cache: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen += x.mean(0)
        self.plain.mul_(2)
        self.list.append(x)
        self.cache = x
        with torch.no_grad():
            self.weight.add_(1)
        random.random()
        np.random.rand()
        return F.dropout(self.norm(x @ self.weight), 0.5, True) + torch.rand(6)


def test_the_model_is_left_bit_for_bit() -> None:
    model = Restless().train()
    model.norm.eval()
    x = torch.randn(4, 6, requires_grad=True)
    loss = (x @ model.weight).sum()
    (model.weight**2).sum().backward()
    heard: list[int] = []
    model.register_forward_hook(lambda *_: heard.append(1))
    objects = {name: id(t) for name, t in [*model.named_parameters(), *model.named_buffers()]}
    state = copy.deepcopy(model.state_dict())
    gradient = model.weight.grad.clone()
    hooks = OrderedDict(model._forward_hooks), OrderedDict(model.norm._forward_hooks)
    versions = [p._version for p in model.parameters()]
    drawn = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    settings = torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()
    for training in (True, False):
        graph_of(model, x, training)
    assert {n: id(t) for n, t in [*model.named_parameters(), *model.named_buffers()]} == objects
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert [p._version for p in model.parameters()] == versions
    assert torch.equal(model.weight.grad, gradient)
    assert (model._forward_hooks, model.norm._forward_hooks) == hooks
    assert (model.training, model.norm.training) == (True, False)
    assert (model.calls, model.cache, len(model.list)) == (0, None, 1)
    assert torch.equal(model.plain, torch.ones(4, 6))
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert random.getstate() == drawn[1]
    assert np.array_equal(np.random.get_state()[1], drawn[2])
    assert (torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()) == settings
    assert x.grad is None
    loss.backward()  # what was pending goes on
    assert x.grad is not None


def test_a_failure_leaves_the_model_as_it_was_too() -> None:
    class Fails(Restless):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            super().forward(x)
            raise ValueError("no")

    model = Fails()
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(CannotTraceError, match="ValueError: no"):
        graph_of(model, torch.randn(4, 6), True)
    assert all(torch.equal(t, state[name]) for name, t in model.state_dict().items())
    assert (model.calls, model.cache, len(model.list)) == (0, None, 1)
    assert not model.norm._forward_hooks
