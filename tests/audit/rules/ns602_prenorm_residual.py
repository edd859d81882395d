"""NS602: a skip that carries norm(x); twins that carry x, or normalize last, an embedding norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5, 8)).astype("float32")


def _torch(kinds: str, before: str = "", after: bool = True) -> Any:
    """Blocks, each a letter: x carries x, n carries norm(x), p normalizes last."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, kind: str) -> None:
            super().__init__()
            self.kind = kind
            self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
            self.attention = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)
            self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), nn.Dropout(0.1))

        def attend(self, x: Any) -> Any:
            return self.attention(x, x, x, need_weights=False)[0]

        def forward(self, x: Any) -> Any:
            if self.kind == "p":
                x = self.norm1(x + self.attend(x))
                return self.norm2(x + self.mlp(x))
            if self.kind == "n":
                x = self.norm1(x)
                x = x + self.attend(x)
                x = self.norm2(x)
                return x + self.mlp(x)
            if self.kind == "m":
                h = self.norm1(x)
                x = h + self.attend(h)
                return x + self.mlp(self.norm2(x))
            x = x + self.attend(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(8, 8)
            self.embed_norm = nn.LayerNorm(8) if "e" in before else nn.Identity()
            self.position = nn.Linear(8, 8) if "c" in before else None
            self.blocks = nn.ModuleList(Block(kind) for kind in kinds)
            self.norm = nn.LayerNorm(8) if after else nn.Identity()
            self.head = nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            x = self.embed_norm(self.embed(x))
            if self.position is not None:
                x = x + self.position(x)
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x).mean(1))

    return Net(), X


@sick("torch", at="blocks.1.norm1")
def one_block_torch() -> Any:
    return _torch("xmx")


@sick("torch", at=tuple(f"blocks.{n}.norm{m}" for n in (0, 1) for m in (1, 2)))
def all_blocks_torch() -> Any:
    return _torch("nn")


@sick("torch", at="blocks.0.norm1")
def first_block_torch() -> Any:
    return _torch("mx")


@healthy("torch")
def prenorm_torch() -> Any:
    return _torch("xx")


@healthy("torch")
def postnorm_torch() -> Any:
    return _torch("ppp", after=False)


@healthy("torch")
def postnorm_with_embedding_norm_torch() -> Any:
    return _torch("pp", before="e", after=False)


@healthy("torch")
def embedding_norm_torch() -> Any:
    return _torch("xx", before="e")


@healthy("torch")
def embedding_norm_and_positions_torch() -> Any:
    """x + convolution(x) behind the norm of patches, as in vision transformers with positions."""
    return _torch("xx", before="ec")


@healthy("torch")
def encoder_layer_torch() -> Any:
    from torch import nn

    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), X


@healthy("torch")
def preactivation_torch() -> Any:
    """A shortcut with a projection takes what is normalized and rectified."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, cin: int, cout: int) -> None:
            super().__init__()
            self.bn, self.conv = nn.BatchNorm1d(cin), nn.Conv1d(cin, cout, 3, padding=1)
            self.shortcut = nn.Conv1d(cin, cout, 1) if cin != cout else None

        def forward(self, x: Any) -> Any:
            h = self.bn(x).relu()
            return self.conv(h) + (x if self.shortcut is None else self.shortcut(h))

    return nn.Sequential(Block(5, 6), Block(6, 6), Block(6, 8), nn.BatchNorm1d(8)), X


def _keras(cut: bool) -> Any:
    import keras

    kinds = keras.layers
    x = inputs = keras.Input((5, 8))
    x = kinds.Dense(8)(x)
    for number in range(3):
        h = kinds.LayerNormalization(name=f"norm{number}")(x)
        f = kinds.Dense(8)(kinds.Dense(16, activation="relu")(h))
        x = kinds.Add()([h if cut and number == 1 else x, kinds.Dropout(0.1)(f)])
    return keras.Model(inputs, kinds.Dense(3)(kinds.LayerNormalization(name="final")(x)))


@sick("keras", at="norm1")
def one_block_keras() -> Any:
    return _keras(True)


@healthy("keras")
def prenorm_keras() -> Any:
    return _keras(False)


def _onnx(skips: str) -> Any:
    nodes, x = "", "x"
    for number, skip in enumerate(skips):
        carried = f"h{number}" if skip == "n" else x
        nodes += f"""
            ["/norm{number}/Op"] h{number} = LayerNormalization <axis = -1> ({x}, g, b)
            ["/f{number}/Op"] f{number} = MatMul (h{number}, w)
            ["/add{number}/Op"] x{number} = Add ({carried}, f{number})
        """
        x = f"x{number}"
    nodes += f'["/final/Op"] y = LayerNormalization <axis = -1> ({x}, g, b)'
    return onnx_model(nodes, (4, 5, 8), g=np.ones(8), b=np.zeros(8), w=RNG.normal(size=(8, 8)))


@sick("onnx", at="norm1")
def one_block_onnx() -> Any:
    return _onnx("xnx")


@healthy("onnx")
def prenorm_onnx() -> Any:
    return _onnx("xxx")


@healthy("onnx")
def postnorm_onnx() -> Any:
    return _onnx("nnn")


def _jax(cut: bool) -> Any:
    from flax import nnx

    rngs = nnx.Rngs(0)

    class Mixer(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.RMSNorm(8, rngs=rngs)
            self.up, self.down = nnx.Linear(8, 16, rngs=rngs), nnx.Linear(16, 8, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            h = self.norm(x)
            return (h if cut else x) + self.down(nnx.silu(self.up(h)))

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.embed = nnx.Linear(8, 8, rngs=rngs)
            self.blocks = nnx.List([Mixer(), Mixer()])
            self.norm = nnx.RMSNorm(8, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = self.embed(x)
            for block in self.blocks:
                x = block(x)
            return self.norm(x)

    return Net(), X


@sick("jax", at=("blocks.0.norm", "blocks.1.norm"))
def all_blocks_jax() -> Any:
    return _jax(True)


@healthy("jax")
def prenorm_jax() -> Any:
    return _jax(False)


def measured(finding: Finding, given: Given) -> None:
    """Each sum has a norm of its own, and one more norm comes last; the others carry x."""
    audit = given.audit(finding.code)
    cut, norms = len(audit.findings), len(audit.layers)
    assert finding.evidence["carry_norm"] == cut
    assert finding.evidence["carry_x"] == norms - 1 - cut
