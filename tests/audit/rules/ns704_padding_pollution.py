"""NS704: a norm over padded positions; twins per position, with the mask, without any padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 10, 6)).astype("float32")
LENGTHS = np.array([10, 6, 8, 3])
VALID = np.arange(10) < LENGTHS[:, None]
PADDED_X = np.where(VALID[..., None], X, 0).astype("float32")


def _torch(norm: str, told: str = "key_padding_mask") -> Any:
    import torch
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(6, 8)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.norm = {
                "batch": lambda: nn.BatchNorm1d(8),
                "group": lambda: nn.GroupNorm(2, 8),
                "layer": lambda: nn.LayerNorm(8),
            }[norm]()

        def run(self, x: Any, padded: Any) -> Any:
            x = self.proj(x)
            x = x + self.attention(x, x, x, key_padding_mask=padded, need_weights=False)[0]
            if norm == "layer":
                return self.norm(x)
            return self.norm(x.transpose(1, 2)).transpose(1, 2)

    class ByMask(Encoder):
        def forward(self, x: Any, key_padding_mask: Any) -> Any:
            return self.run(x, key_padding_mask)

    class ByAttentionMask(Encoder):
        def forward(self, x: Any, attention_mask: Any) -> Any:
            return self.run(x, attention_mask == 0)

    class Alone(Encoder):
        def forward(self, x: Any) -> Any:
            return self.run(x, None)

    if told == "":
        return Alone(), torch.tensor(X)
    if told == "attention_mask":
        return ByAttentionMask(), (torch.tensor(X), torch.tensor(VALID.astype("int64")))
    return ByMask(), (torch.tensor(X), torch.tensor(~VALID))


@sick("torch", at="norm")
def batch_norm_torch() -> Any:
    return _torch("batch")


@sick("torch", at="norm")
def group_norm_torch() -> Any:
    return _torch("group", "attention_mask")


@sick("torch", at="convolutions.1")
def lengths_torch() -> Any:
    import torch
    from torch import nn

    class Acoustic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            parts = nn.Conv1d(6, 8, 3, padding=1), nn.InstanceNorm1d(8), nn.ReLU()
            self.convolutions, self.head = nn.Sequential(*parts), nn.Linear(8, 3)

        def forward(self, frames: Any, lengths: Any) -> Any:
            x = self.head(self.convolutions(frames.transpose(1, 2)).transpose(1, 2))
            valid = torch.arange(x.shape[1]) < lengths[:, None]
            return (x * valid[..., None]).sum(1) / lengths[:, None]

    return Acoustic(), (torch.tensor(PADDED_X), torch.tensor(LENGTHS))


@healthy("torch")
def layer_norm_torch() -> Any:
    return _torch("layer")


@healthy("torch")
def nothing_padded_torch() -> Any:
    return _torch("batch", told="")


@healthy("torch")
def masked_norm_torch() -> Any:
    import torch
    from torch import nn

    class MaskedNorm(nn.Module):
        def forward(self, x: Any, mask: Any) -> Any:
            valid = mask[..., None].to(x.dtype)
            count = valid.sum((0, 1))
            mean = (x * valid).sum((0, 1)) / count
            var = ((x - mean) ** 2 * valid).sum((0, 1)) / count
            return (x - mean) / torch.sqrt(var + 1e-5)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj, self.norm = nn.Linear(6, 8), MaskedNorm()

        def forward(self, x: Any, mask: Any) -> Any:
            return self.norm(self.proj(x), mask)

    return Net(), (torch.tensor(X), torch.tensor(VALID))


def _keras(norm: str) -> Any:
    import keras

    kinds = keras.layers
    layer = {
        "group": lambda: kinds.GroupNormalization(groups=2, name="norm"),
        "batch": lambda: kinds.BatchNormalization(name="norm"),
        "layer": lambda: kinds.LayerNormalization(name="norm"),
    }[norm]()
    parts = [kinds.Masking(name="masking"), kinds.Dense(8), layer, kinds.LSTM(4)]
    return keras.Sequential([keras.Input((10, 6)), *parts]), PADDED_X


@sick("keras", at="norm")
def group_norm_keras() -> Any:
    return _keras("group")


@healthy("keras")
def batch_norm_that_takes_the_mask_keras() -> Any:
    return _keras("batch")


@healthy("keras")
def layer_norm_keras() -> Any:
    return _keras("layer")


def _onnx(kind: str) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Cast", ["attention_mask"], ["valid"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["valid", "axes"], ["v"]),
    ]
    if kind == "instance":
        norm = "InstanceNormalization"
        nodes += [helper.make_node(norm, ["t", "g", "b"], ["n"], name="/norm/Op")]
    else:
        norm = "LayerNormalization"
        nodes += [
            helper.make_node(norm, ["x", "g", "b"], ["m"], name="/norm/Op", axis=-1),
            helper.make_node("Transpose", ["m"], ["n"], perm=[0, 2, 1]),
        ]
    nodes += [helper.make_node("Mul", ["n", "v"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 10, 6]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, [4, 10]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 6, 10])],
        [
            numpy_helper.from_array(np.ones(6, "float32"), "g"),
            numpy_helper.from_array(np.zeros(6, "float32"), "b"),
            numpy_helper.from_array(np.array([1]), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return model, {"x": X, "attention_mask": VALID.astype("int64")}


@sick("onnx", at="norm")
def instance_norm_onnx() -> Any:
    return _onnx("instance")


@healthy("onnx")
def layer_norm_onnx() -> Any:
    return _onnx("layer")


def _jax(masked: bool) -> Any:
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.proj, self.norm = nnx.Linear(6, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)

        def __call__(self, x: Any, mask: Any) -> Any:
            x = self.proj(x)
            x = self.norm(x, mask=mask[..., None]) if masked else self.norm(x)
            return (x * mask[..., None]).sum(1)

    return Net(), (X, VALID)


@sick("jax", at="norm")
def batch_norm_jax() -> Any:
    return _jax(False)


@healthy("jax")
def masked_batch_norm_jax() -> Any:
    return _jax(True)


def measured(finding: Finding, given: Given) -> None:
    """By the reference: noise as it is, and with zeros in the padded positions."""
    import normscope as ns

    (site,) = [one for one in given.audit(finding.code).layers if one.path == finding.path]
    shape, axis = tuple(site.input_shape or ()), finding.evidence["axis"]
    assert site.spec is not None
    x = np.random.default_rng(0).standard_normal(shape)
    padded = ~(VALID[..., None] if axis == 1 else VALID[:, None])
    assert finding.evidence["padded"] == pytest.approx((~VALID).mean())
    clean, polluted = (
        ns.reference(
            array,
            site.spec,
            scale=None if site.spec.scale is None else np.ones(shape[2 if axis == 1 else 1]),
            bias=None if site.spec.bias is None else np.zeros(shape[2 if axis == 1 else 1]),
        )
        for array in (x, np.where(padded, 0.0, x))
    )
    expected = np.where(padded, 0.0, np.abs(clean - polluted)).max()
    assert finding.evidence["moved"] == pytest.approx(expected, rel=1e-3)
