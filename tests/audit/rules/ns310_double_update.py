"""NS310: activation checkpointing around batch normalization, and layers that are called twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {"onnx": "a file is not trained step by step, and holds no backward pass"}

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def _torch(norm: Any, reentrant: bool = False) -> Any:
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Linear(6, 6)
            self.block = nn.Sequential(nn.Linear(6, 6), norm, nn.ReLU())
            self.head = nn.Linear(6, 1)

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            return self.head(checkpoint(self.block, x, use_reentrant=reentrant))

    return Net(), X


@sick("torch", at="block.1")
def checkpointed_torch() -> Any:
    from torch import nn

    return _torch(nn.BatchNorm1d(6))


@sick("torch", at="block.1")
def checkpointed_reentrant_torch() -> Any:
    from torch import nn

    return _torch(nn.BatchNorm1d(6), reentrant=True)


def _blocks(training: bool) -> Any:
    import torch
    from torch import nn
    from torch.utils import checkpoint as cp

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Linear(6, 6)
            block = (nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU())
            self.blocks = nn.ModuleList([nn.Sequential(*block)])

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            for block in self.blocks:
                if self.training and torch.is_grad_enabled() and training:
                    x = cp.checkpoint(block, x, use_reentrant=False)
                else:
                    x = block(x)
            return x

    return Encoder(), X


@sick("torch", at="blocks.0.1")
def checkpointed_with_gradients_torch() -> Any:
    """Without gradients, as a model is followed, nothing shows it."""
    return _blocks(True)


@healthy("torch")
def checkpointed_if_asked_torch() -> Any:
    return _blocks(False)


@healthy("torch")
def checkpointed_layer_norm_torch() -> Any:
    from torch import nn

    return _torch(nn.LayerNorm(6))


@healthy("torch")
def knows_of_checkpointing_torch() -> Any:
    from torch import nn

    class Once(nn.BatchNorm1d):
        """Leaves out every other update."""

        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            if self.calls % 2 or not self.training:
                return super().forward(x)
            return nn.functional.batch_norm(x, None, None, self.weight, self.bias, True, 0.0)

    return _torch(Once(6))


def _twice(change: float) -> Any:
    from torch import nn

    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
            self.head = nn.Linear(6, 1)

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x)) - self.head(self.body(x + change))

    return Siamese(), X


@sick("torch", at="body.1")
def features_twice_torch() -> Any:
    return _twice(0.0)


@healthy("torch")
def siamese_torch() -> Any:
    return _twice(1.0)


def _keras(shared: bool) -> Any:
    import keras

    inputs = keras.Input((6,))
    x = keras.layers.Dense(6, name="dense")(inputs)
    norm = keras.layers.BatchNormalization(name="bn")
    first = norm(x)
    second = first if shared else norm(x)
    both = [keras.layers.Activation("relu")(first), keras.layers.Activation("tanh")(second)]
    return keras.Model(inputs, keras.layers.Add()(both))


@sick("keras", at="bn")
def called_twice_keras() -> Any:
    return _keras(shared=False), X


@healthy("keras")
def used_twice_keras() -> Any:
    return _keras(shared=True), X


def _nnx(shared: bool) -> Any:
    import jax.numpy as jnp
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.inner = nnx.Linear(6, 6, rngs=rngs)
            self.norm = nnx.BatchNorm(6, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = self.inner(x)
            first = self.norm(x)
            return jnp.maximum(first, 0) + jnp.tanh(first if shared else self.norm(x))

    return Net(), X


@sick("jax", at="norm")
def called_twice_jax() -> Any:
    return _nnx(shared=False)


@healthy("jax")
def used_twice_jax() -> Any:
    return _nnx(shared=True)


def measured(finding: Finding, given: Given) -> None:
    """A step of the model itself moves the counter by two; elsewhere the layer is called twice."""
    assert (finding.evidence["updates"], finding.evidence["inputs"]) == (2, 1)
    if hasattr(given.model, "get_submodule"):
        import torch

        counter = given.model.train().get_submodule(finding.path).num_batches_tracked
        before = int(counter)
        given.model(torch.from_numpy(X)).sum().backward()
        assert int(counter) - before == 2
        assert np.isclose(finding.evidence["share"], 1 - 0.9**2)
    else:
        assert np.isclose(finding.evidence["share"], 1 - 0.99**2)
