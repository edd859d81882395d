"""NS604: a norm that is not called, a stream without a last norm; twins that call it."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5, 8)).astype("float32")


def _torch(norm: str = "called", layer_drop: bool = False, aux: bool = False) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
            self.mix = nn.Conv1d(5, 5, 1)
            self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), nn.Dropout(0.1))
            self.scale = nn.Parameter(0.1 * nn.init.ones_(self.norm1.weight.detach().clone()))

        def forward(self, x: Any) -> Any:
            x = x + self.scale * self.mix(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(8, 8)
            self.blocks = nn.ModuleList([Block(), Block(), Block()])
            if norm != "missing":
                self.post_norm = nn.LayerNorm(8)
            self.aux = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 2)) if aux else None
            self.head = nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            x = self.embed(x)
            for number, block in enumerate(self.blocks):
                x = x if layer_drop and number == 1 else block(x)
            hidden = x
            x = self.post_norm(x) if norm == "called" else x
            if norm == "functional":
                x = nn.functional.layer_norm(x, (8,), self.post_norm.weight, self.post_norm.bias)
            logits = self.head(x.mean(1))
            return (logits, hidden) if aux else logits

    return Net(), X


@sick("torch", at="post_norm")
def never_called_torch() -> Any:
    return _torch("unused")


@sick("torch", at="blocks.2")
def missing_torch() -> Any:
    return _torch("missing")


@sick("torch", at="encoder.blocks.0.norm2")
def deep_torch() -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)
            self.norm1, self.norm2 = nn.LayerNorm(8), nn.BatchNorm1d(5)

        def forward(self, x: Any) -> Any:
            return self.fc(self.norm1(x)).relu()

    encoder = nn.ModuleDict({"blocks": nn.Sequential(Block())})

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, x: Any) -> Any:
            return self.encoder["blocks"](x)

    return Net(), X


@healthy("torch")
def called_torch() -> Any:
    return _torch()


@healthy("torch")
def arrays_used_torch() -> Any:
    return _torch("functional")


@healthy("torch")
def optional_parts_torch() -> Any:
    """A block that is skipped, and a head that is not called."""
    return _torch(layer_drop=True, aux=True)


@healthy("torch")
def one_norm_for_each_domain_torch() -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleDict({"real": nn.BatchNorm1d(5), "fake": nn.BatchNorm1d(5)})

        def forward(self, x: Any) -> Any:
            return self.norms["real"](x).relu().sum(2)

    return Net(), X


@healthy("torch")
def a_block_alone_torch() -> Any:
    from torch import nn

    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), X


@healthy("torch")
def postnorm_torch() -> Any:
    from torch import nn

    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)), X


def _keras(call: bool) -> Any:
    import keras

    kinds = keras.layers

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = kinds.Dense(8)
            self.norm = kinds.LayerNormalization(name="final_norm")
            self.head = kinds.Dense(2)

        def call(self, x: Any) -> Any:
            x = self.dense(x)
            return self.head(self.norm(x) if call else x)

    return Net(), X


@sick("keras", at="final_norm")
def never_called_keras() -> Any:
    return _keras(False)


@healthy("keras")
def called_keras() -> Any:
    return _keras(True)


def _onnx(final: str) -> Any:
    nodes = f"""
        ["/norm0/Op"] a = LayerNormalization <axis = -1> (x, g, b)
        ["/fc0/Op"] c = MatMul (a, w)
        ["/add0/Op"] d = Add (x, c)
        ["/norm1/Op"] e = LayerNormalization <axis = -1> (d, g, b)
        ["/fc1/Op"] f = MatMul (e, w)
        ["/add1/Op"] i = Add (d, f)
        ["/final/Op"] j = {final}
        ["/head/Op"] y = MatMul (j, w)
    """
    return onnx_model(nodes, (4, 5, 8), g=np.ones(8), b=np.zeros(8), w=RNG.normal(size=(8, 8)))


@sick("onnx", at="add1")
def missing_onnx() -> Any:
    return _onnx("Identity (i)")


@healthy("onnx")
def there_onnx() -> Any:
    return _onnx("LayerNormalization <axis = -1> (i, g, b)")


def _jax(call: bool) -> Any:
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.dense = nnx.Linear(8, 8, rngs=rngs)
            self.norm = nnx.RMSNorm(8, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = nnx.gelu(self.dense(x))
            return self.norm(x) if call else x

    return Net(), X


@sick("jax", at="norm")
def never_called_jax() -> Any:
    return _jax(False)


@healthy("jax")
def called_jax() -> Any:
    return _jax(True)


def measured(finding: Finding, given: Given) -> None:
    """A layer that is not called has what its settings give it; streams are as they are written."""
    if "additions" in finding.evidence:
        assert finding.evidence["additions"] == {"blocks.2": 6, "add1": 2}[finding.path]
    else:
        assert finding.evidence["learned"]
