"""NS301: a trained scale and bias beside statistics that never moved, and models just made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 6)).astype("float32")
IMAGES = RANDOM.normal(size=(2, 3, 6, 6)).astype("float32")
SCALE = RANDOM.uniform(0.5, 1.5, 6).astype("float32")
BIAS = RANDOM.normal(0, 0.3, 6).astype("float32")
MEAN = RANDOM.normal(0, 0.3, 6).astype("float32")
VAR = RANDOM.uniform(0.5, 2, 6).astype("float32")


def _torch_trained(statistics: bool) -> Any:
    import torch
    from torch import nn

    model = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
    with torch.no_grad():
        model[1].weight.copy_(torch.from_numpy(SCALE))
        model[1].bias.copy_(torch.from_numpy(BIAS))
        if statistics:
            model[1].running_mean.copy_(torch.from_numpy(MEAN))
            model[1].running_var.copy_(torch.from_numpy(VAR))
    return nn.Sequential(model, nn.Flatten(), nn.Linear(96, 2)), IMAGES


@sick("torch", at="0.1")
def functional_copy_torch() -> Any:
    return _torch_trained(statistics=False)


@healthy("torch")
def updated_torch() -> Any:
    return _torch_trained(statistics=True)


@healthy("torch")
def drawn_scale_torch() -> Any:
    """As the generator of a DCGAN is made."""
    from torch import nn

    model = nn.Sequential(nn.ConvTranspose2d(3, 6, 4, bias=False), nn.BatchNorm2d(6), nn.ReLU())
    nn.init.normal_(model[1].weight, 1.0, 0.02)
    nn.init.zeros_(model[1].bias)
    return model, IMAGES


@healthy("torch")
def drawn_scales_and_biases_torch() -> Any:
    """As a RepVGG is made: scale and bias of each branch are drawn."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
            self.identity = nn.BatchNorm2d(3)
            for bn, mean in ((self.bn, 0.1), (self.identity, 0.0)):
                nn.init.normal_(bn.weight, mean, 0.1)
                nn.init.normal_(bn.bias, mean, 0.1)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.bn(self.conv(x)) + self.identity(x))

    torch.manual_seed(0)
    return nn.Sequential(Block(), Block(), Block()), IMAGES


@healthy("torch")
def zero_init_residual_torch() -> Any:
    from torch import nn

    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6))
    nn.init.zeros_(model[1].weight)
    return model, IMAGES


def _keras(statistics: bool) -> Any:
    import keras

    norm = keras.layers.BatchNormalization(name="bn")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6), norm])
    values = (MEAN, VAR) if statistics else (0 * MEAN, 0 * VAR + 1)
    norm.set_weights([SCALE, BIAS, *values])
    return model


@sick("keras", at="bn")
def loop_without_training_keras() -> Any:
    return _keras(statistics=False), X


@healthy("keras")
def updated_keras() -> Any:
    return _keras(statistics=True), X


@healthy("keras")
def fresh_keras() -> Any:
    import keras

    return keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])


def _onnx(scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    arrays = {"scale": scale, "bias": bias, "mean": mean, "var": var}
    held = [numpy_helper.from_array(np.float32(a), name) for name, a in arrays.items()]
    norm = helper.make_node("BatchNormalization", ["x", *arrays], ["y"], name="/bn/BatchNorm")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, 6]) for n in "xy"]
    graph = helper.make_graph([norm], "net", ends[:1], ends[1:], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@sick("onnx", at="bn")
def never_updated_onnx() -> Any:
    return _onnx(SCALE, BIAS, np.zeros(6), np.ones(6))


@healthy("onnx")
def updated_onnx() -> Any:
    return _onnx(SCALE, BIAS, MEAN, VAR)


def _linen(statistics: bool) -> Any:
    import jax
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            x = linen.Dense(6)(x)
            return linen.BatchNorm(use_running_average=not train, name="bn")(x)

    variables = Net().init(jax.random.key(0), X)
    params = {**variables["params"], "bn": {"scale": SCALE, "bias": BIAS}}
    stats = {"bn": {"mean": MEAN, "var": VAR}} if statistics else variables["batch_stats"]
    return (Net(), {"params": params, "batch_stats": stats}), X


@sick("jax", at="bn")
def dropped_updates_jax() -> Any:
    return _linen(statistics=False)


@healthy("jax")
def kept_updates_jax() -> Any:
    return _linen(statistics=True)


@sick("weights", at="encoder.bn")
def never_updated_checkpoint(tmp_path: Path) -> Any:
    import torch

    arrays = {"weight": SCALE, "bias": BIAS, "running_mean": 0 * MEAN, "running_var": 0 * VAR + 1}
    state = {f"encoder.bn.{name}": torch.from_numpy(array) for name, array in arrays.items()}
    torch.save(state, tmp_path / "net.pt")
    return tmp_path / "net.pt"


def measured(finding: Finding, given: Given) -> None:
    """All 6 channels are 0 and 1, and inference is scale * x + bias."""
    assert finding.evidence == {"values": 6, "moved": ["scale", "bias"]}
