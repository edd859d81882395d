"""`Norm` where a model is not simply run: compiled, exported, transformed, without numbers."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint

from normscope import Running
from normscope.layers.torch import Norm

BATCH: dict[str, Any] = {"scale": "c", "bias": "c", "c": 6, "running": Running(0.9, ddof=1)}

IMAGES = (6, 3, 5)

# a layer, and the shape of a sample
CASES: dict[str, tuple[Callable[[], Norm], tuple[int, ...]]] = {
    "layer": (lambda: Norm("b t [c]", scale="c", bias="c", c=6), (3, 6)),
    "rms": (
        lambda: Norm("b t [c]", scale="c", c=6, center=False, measure="mean_square"),
        (3, 6),
    ),
    "layer over axis 1": (lambda: Norm("b [c] h w", scale="c", bias="c", c=6), IMAGES),
    "group": (lambda: Norm("b (g [c]) [h w]", scale="g c", bias="g c", g=2, c=3), IMAGES),
    "instance": (lambda: Norm("b c [h w]", scale="c", bias="c", c=6), IMAGES),
    "batch": (lambda: Norm("[b] c [h w]", **BATCH), IMAGES),
    "batch eval": (lambda: Norm("[b] c [h w]", **BATCH).eval(), IMAGES),
    "l1": (lambda: Norm("b [c]", measure="l1", center=False), (6,)),
}
each_case = pytest.mark.parametrize("name", CASES)


def layer_of(name: str) -> Norm:
    torch.manual_seed(0)
    layer = CASES[name][0]()
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.uniform_(0.5, 2)
        if layer.running_var is not None:
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
    return layer


def input_of(name: str, seed: int = 0, batch: int = 4) -> Tensor:
    shape = (batch, *CASES[name][1])
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def assert_same(found: Norm, wanted: Norm) -> None:
    for key, tensor in wanted.state_dict().items():
        torch.testing.assert_close(found.state_dict()[key], tensor)


# --- compiled -------------------------------------------------------------------------------------


def assert_compiled_is_eager(layer: Norm, backend: str, *inputs: Tensor, **options: Any) -> None:
    torch._dynamo.reset()
    twin = copy.deepcopy(layer)
    compiled = torch.compile(twin, fullgraph=True, backend=backend)
    for x in inputs:
        x, y = x.clone().requires_grad_(), x.clone().requires_grad_()
        found, wanted = compiled(x, **options), layer(y, **options)
        torch.testing.assert_close(found, wanted)
        found.pow(3).sum().backward()
        wanted.pow(3).sum().backward()
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-4)
    for one, other in zip(twin.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)
    assert_same(twin, layer)


# Each takes seconds: a plain one, one with groups, one with a memory.
@pytest.mark.parametrize("name", ["layer over axis 1", "group", "batch"])
def test_one_graph_serves_any_batch(name: str) -> None:
    torch._dynamo.utils.counters.clear()
    inputs = [input_of(name, batch=n) for n in (4, 5, 7)]
    assert_compiled_is_eager(layer_of(name), "aot_eager", *inputs)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs <= 2  # one for the first shape, one for all others


def test_mask_residual_and_activation_are_compiled() -> None:
    x = input_of("layer over axis 1")
    options = {"mask": x[:, :1] > -1, "residual": x.flip(0), "negative_slope": 0.1}
    assert_compiled_is_eager(layer_of("layer over axis 1"), "eager", x, **options)


def test_a_frozen_layer_is_compiled() -> None:
    layer = layer_of("batch")
    layer.frozen = True
    assert_compiled_is_eager(layer, "eager", input_of("batch"))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_inductor_fuses_the_formula() -> None:
    model = nn.Sequential(layer_of("batch"), nn.ReLU(), layer_of("layer over axis 1"))
    torch._dynamo.reset()
    x = input_of("batch")
    wanted = copy.deepcopy(model)(x)
    torch.testing.assert_close(torch.compile(model, fullgraph=True)(x), wanted)


def test_another_spec_is_another_graph() -> None:
    torch._dynamo.reset()
    layer = layer_of("layer over axis 1")
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    x = input_of("layer over axis 1")
    compiled(x)
    layer.spec = Norm("b c [h w]", scale="c", bias="c").spec
    torch.testing.assert_close(compiled(x), layer(x))


@pytest.mark.parametrize("fullgraph", [True, False])
def test_a_wrong_shape_is_told_by_the_compiler(fullgraph: bool) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(layer_of("layer over axis 1"), backend="eager", fullgraph=fullgraph)
    with pytest.raises(RuntimeError, match=r"ShapeError.*wants c = 6"):
        compiled(torch.ones(4, 7, 3, 5))


def test_a_checkpoint_in_a_compiled_model_moves_the_memory_once() -> None:
    torch._dynamo.reset()
    layer = layer_of("batch")
    twin, x = copy.deepcopy(layer), input_of("batch")

    def run(x: Tensor) -> Any:
        return checkpoint(lambda x: layer(x).relu(), x, use_reentrant=False)

    torch.compile(run, backend="aot_eager")(x.clone().requires_grad_()).sum().backward()
    twin(x)
    assert_same(layer, twin)


def test_gradients_of_each_sample_are_compiled() -> None:
    torch._dynamo.reset()
    layer, x = layer_of("group"), input_of("group")

    def loss(learned: dict[str, Tensor], sample: Tensor) -> Tensor:
        return functional_call(layer, (learned,), (sample[None],)).pow(3).sum()

    each, learned = vmap(grad(loss), (None, 0)), dict(layer.named_parameters())
    found = torch.compile(each, backend="eager")(learned, x)
    torch.testing.assert_close(found, each(learned, x))


def test_a_layer_without_shapes_is_called_once_before() -> None:
    layer, x = Norm("b [c]", scale="c"), torch.ones(2, 3)
    with pytest.raises(ValueError, match="uninitialized parameter"):  # as torch says it
        torch.export.export(layer, (x,))
    layer(x)
    torch._dynamo.reset()
    assert torch.compile(layer, backend="eager", fullgraph=True)(x).shape == (2, 3)


# --- exported -------------------------------------------------------------------------------------


@each_case
def test_an_exported_program_takes_any_batch(name: str) -> None:
    layer = layer_of(name).eval()
    open_batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(layer, (input_of(name),), dynamic_shapes=open_batch)
    x = input_of(name, batch=3)
    torch.testing.assert_close(program.module()(x), layer(x))


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_training_step_moves_its_own_memory(strict: bool) -> None:
    layer, x = layer_of("batch"), input_of("batch")
    before = copy.deepcopy(layer)
    module = torch.export.export(layer, (x,), strict=strict).module()
    assert_same(layer, before)
    torch.testing.assert_close(module(x), layer(x))
    torch.testing.assert_close(dict(module.named_buffers()), dict(layer.named_buffers()))


STANDARD = {
    "layer": "LayerNormalization",
    "instance": "InstanceNormalization",
    "batch eval": "BatchNormalization",
    "group": "InstanceNormalization",  # the older exporter knows no other
    "rms": None,
    "layer over axis 1": None,
    "l1": None,
}


def assert_onnx_is_eager(layer: Norm, name: str, operator: str | None, **options: Any) -> None:
    """The file computes what the layer does, also for another batch, by the operator if any."""
    file = io.BytesIO()
    torch.onnx.export(layer, (input_of(name),), file, input_names=["x"], **options)
    nodes = [node.op_type for node in onnx.load_from_string(file.getvalue()).graph.node]
    assert operator is None or operator in nodes
    x = input_of(name, batch=3)
    (y,) = onnxruntime.InferenceSession(file.getvalue()).run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), layer(x).detach())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:ONNX export mode:UserWarning")
@pytest.mark.parametrize("name", STANDARD)
def test_onnx_has_the_standard_operator(name: str) -> None:
    options = {"dynamo": False, "opset_version": 17, "dynamic_axes": {"x": {0: "batch"}}}
    assert_onnx_is_eager(layer_of(name).eval(), name, STANDARD[name], **options)


@pytest.mark.filterwarnings("ignore")  # torch warns of its own calls
@pytest.mark.parametrize("name", STANDARD)
def test_onnx_by_torch_export_has_the_standard_operator(name: str) -> None:
    better = {"group": "GroupNormalization", "rms": "RMSNormalization"}
    options = {
        "dynamo": True,
        "opset_version": 23,
        "dynamic_shapes": ({0: torch.export.Dim("batch")},),
        "verbose": False,
    }
    operator = better.get(name, STANDARD[name])
    assert_onnx_is_eager(layer_of(name).eval(), name, operator, **options)


# --- torch.func -----------------------------------------------------------------------------------


@each_case
def test_gradients_by_transform_are_those_of_autograd(name: str) -> None:
    layer, x = layer_of(name), input_of(name)
    twin = copy.deepcopy(layer)
    learned = dict(layer.named_parameters())

    def loss(learned: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(layer, (learned,), (x,)).pow(3).sum()

    found = grad(loss, argnums=(0, 1))(learned, x)
    x = x.clone().requires_grad_()
    twin(x).pow(3).sum().backward()
    wanted = {key: p.grad for key, p in twin.named_parameters()}, x.grad
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert_same(layer, twin)  # running statistics moved once


@each_case
def test_gradients_of_each_sample(name: str) -> None:
    layer, x = layer_of(name).eval(), input_of(name)
    learned = dict(layer.named_parameters())

    def loss(learned: dict[str, Tensor], sample: Tensor) -> Tensor:
        return functional_call(layer, (learned,), (sample[None],)).pow(3).sum()

    found = vmap(grad(loss), (None, 0))(learned, x)
    for i, sample in enumerate(x):
        one = grad(loss)(learned, sample)
        torch.testing.assert_close({k: v[i] for k, v in found.items()}, one, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@each_case
def test_jacobians_and_hessians(name: str) -> None:
    layer, x = layer_of(name).double(), input_of(name, batch=2).double()
    torch.testing.assert_close(jacrev(layer)(x), jacfwd(layer)(x))

    def loss(x: Tensor) -> Tensor:
        return layer(x).pow(3).sum()

    torch.testing.assert_close(hessian(loss)(x), torch.autograd.functional.hessian(loss, x))


def test_an_ensemble_has_running_statistics_for_each_model() -> None:
    layers = [layer_of("batch") for _ in range(3)]
    inputs = torch.stack([input_of("batch", seed) for seed in range(3)])
    learned, state = stack_module_state(layers)
    run = vmap(lambda p, b, x: functional_call(layers[0], (p, b), (x,)))
    found = run({k: v.detach() for k, v in learned.items()}, state, inputs)
    for i, layer in enumerate(layers):
        torch.testing.assert_close(found[i], layer(inputs[i]).detach())
        torch.testing.assert_close(state["running_var"][i], layer.running_var)
        assert state["num_batches_tracked"][i] == 1


def test_samples_that_share_running_statistics_enter_by_their_average() -> None:
    layer, x = layer_of("batch"), input_of("batch")
    before = layer.running_mean.clone()
    vmap(lambda sample: layer(sample[None]), out_dims=0)(x)
    wanted = 0.9 * before + 0.1 * x.mean((0, 2, 3))
    torch.testing.assert_close(layer.running_mean, wanted)
    assert layer.num_batches_tracked == 1


# --- without numbers, and traced ------------------------------------------------------------------


@each_case
def test_shapes_are_found_without_numbers(name: str) -> None:
    x = input_of(name)
    for mode in (True, False):
        layer = layer_of(name).to("meta").train(mode)
        assert layer(x.to("meta")).is_meta
    with FakeTensorMode() as fake:
        y = CASES[name][0]()(fake.from_tensor(x))
    assert (type(y).__name__, y.shape) == ("FakeTensor", x.shape)


def test_a_layer_is_made_on_meta_and_then_where_it_runs() -> None:
    layer = Norm("[b] c [h w]", device="meta", **BATCH).to_empty(device="cpu")
    layer.reset_parameters()
    assert_same(layer, Norm("[b] c [h w]", **BATCH))


@each_case
def test_a_traced_graph_takes_any_batch(name: str) -> None:
    layer = layer_of(name).eval()
    graph = make_fx(layer, tracing_mode="symbolic", _allow_non_fake_inputs=True)(input_of(name))
    x = input_of(name, batch=3)
    torch.testing.assert_close(graph(x), layer(x))


# --- autocast -------------------------------------------------------------------------------------


@each_case
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_no_statistic(name: str, dtype: torch.dtype) -> None:
    """What comes in narrow goes out narrow, rounded once; what comes in float32 is left alone."""
    layer, x = layer_of(name), input_of(name)
    wanted = copy.deepcopy(layer)(x.to(dtype).float())
    with torch.autocast("cpu", dtype):
        narrow, wide = layer(x.to(dtype)), copy.deepcopy(layer)(x)
    assert (narrow.dtype, wide.dtype) == (dtype, torch.float32)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(narrow.float(), wanted, rtol=eps, atol=eps)
    if layer.running_var is not None:
        assert layer.running_var.dtype == torch.float32
