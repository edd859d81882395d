"""NS507: a layer in the place of another, with its numbers and without."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 8, 8)).astype("float32")
LAST = X.transpose(0, 2, 3, 1)
SCALE = np.linspace(0.5, 5, 6, dtype="float32")


def _torch(make: Any, scale: Any = SCALE) -> Any:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 6, 3), make()
            if scale is not None:
                self.norm.weight.data = torch.from_numpy(scale)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.norm(self.conv(x)))

    return nn.Sequential(Block(), nn.Conv2d(6, 6, 1))


def _batch() -> Any:
    from torch import nn

    return _torch(lambda: nn.BatchNorm2d(6, eps=1e-3))


@sick("torch", at="0.norm")
def groups_with_defaults_torch() -> Any:
    from torch import nn

    return _torch(lambda: nn.GroupNorm(2, 6), None), X, {"against": _batch()}


@sick("torch", at="0.norm")
def instances_that_learn_nothing_torch() -> Any:
    from torch import nn

    return _torch(lambda: nn.InstanceNorm2d(6, eps=1e-3), None), X, {"against": _batch()}


@sick("torch", at="0.norm")
def without_running_statistics_torch() -> Any:
    from torch import nn

    made = _torch(lambda: nn.BatchNorm2d(6, eps=1e-3, track_running_stats=False))
    return made, X, {"against": _batch()}


@healthy("torch")
def groups_that_keep_all_torch() -> Any:
    from torch import nn

    return _torch(lambda: nn.GroupNorm(2, 6, eps=1e-3)), X, {"against": _batch()}


@healthy("torch")
def synchronized_torch() -> Any:
    from torch import nn

    return nn.SyncBatchNorm.convert_sync_batchnorm(_batch()).eval(), X, {"against": _batch()}


@healthy("torch")
def from_scratch_torch() -> Any:
    from torch import nn

    fresh = _torch(lambda: nn.BatchNorm2d(6), None)
    return _torch(lambda: nn.GroupNorm(2, 6), None), X, {"against": fresh}


def _keras(kind: str, scale: Any, eps: float = 1e-3) -> Any:
    import keras

    settings = {"groups": 2} if kind == "GroupNormalization" else {}
    norm = getattr(keras.layers, kind)(name="norm", epsilon=eps, **settings)
    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3), norm])
    norm.gamma.assign(scale)
    return net


@sick("keras", at="norm")
def groups_with_defaults_keras() -> Any:
    against = _keras("BatchNormalization", SCALE)
    return _keras("GroupNormalization", np.ones(6), 1e-5), LAST, {"against": against}


@healthy("keras")
def groups_that_keep_all_keras() -> Any:
    against = _keras("BatchNormalization", SCALE)
    return _keras("GroupNormalization", SCALE), LAST, {"against": against}


def _onnx(operator: str, scale: Any) -> Any:
    return onnx_model(
        f"[norm] y = {operator}", (4, 6, 8, 8), s=scale, b=np.zeros(6), m=np.zeros(6), v=np.ones(6)
    )


_STORED = "BatchNormalization <epsilon = 0.001> (x, s, b, m, v)"


@sick("onnx", at="norm")
def instances_with_defaults_onnx() -> Any:
    model = _onnx("InstanceNormalization (x, s, b)", np.ones(6))
    return model, None, {"against": _onnx(_STORED, SCALE)}


@healthy("onnx")
def instances_that_keep_all_onnx() -> Any:
    model = _onnx("InstanceNormalization <epsilon = 0.001> (x, s, b)", SCALE)
    return model, None, {"against": _onnx(_STORED, SCALE)}


def _jax(kind: str, scale: Any, **settings: Any) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs)
            self.norm = getattr(nnx, kind)(6, epsilon=1e-3, rngs=rngs, **settings)
            self.norm.scale[...] = jnp.asarray(scale)

        def __call__(self, x: Any) -> Any:
            return nnx.relu(self.norm(self.conv(x)))

    return Net()


@sick("jax", at="norm")
def groups_with_defaults_jax() -> Any:
    against = _jax("BatchNorm", SCALE)
    return _jax("GroupNorm", np.ones(6), num_groups=2), LAST, {"against": against}


@healthy("jax")
def groups_that_keep_all_jax() -> Any:
    against = _jax("BatchNorm", SCALE)
    return _jax("GroupNorm", SCALE, num_groups=2), LAST, {"against": against}


def measured(finding: Finding, given: Given) -> None:
    """Six trained scales that are gone, an eps of 1e-3, or the memory of the batch."""
    lost = finding.evidence["lost"]
    assert lost
    if "trained values" in lost:
        assert f"{SCALE.size} trained numbers of its scale are gone" in finding.message
    if "eps" in lost:
        assert "eps is 1e-05 instead of 0.001" in finding.message
