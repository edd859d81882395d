"""NS305: an encoder that is frozen but in training mode, and ones that are frozen whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding
from rule_fixtures import Given, healthy, sick

NOT_IN = {
    "jax": "what is learned is said by the optimizer, not by the module or its variables",
    "onnx": "a file says neither what is learned nor in which mode its layers are trained",
}

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def _encoder() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6, momentum=0.25), nn.ReLU())


def _classifier(encoder: Any) -> Any:
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = encoder, nn.Linear(6, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.encoder(x))

    return Net()


@sick("torch", at="encoder.1")
def encoder_in_training_torch() -> Any:
    return _classifier(_encoder().requires_grad_(False)).train(), X


@sick("torch", at="encoder.1")
def parameters_alone_torch() -> Any:
    encoder = _encoder()
    encoder[1].requires_grad_(False)
    return _classifier(encoder), X


@sick("torch", at="encoder.1")
def without_parameters_torch() -> Any:
    from torch import nn

    encoder = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, affine=False, momentum=0.25))
    return _classifier(encoder.requires_grad_(False)), X


@healthy("torch")
def encoder_at_inference_torch() -> Any:
    model = _classifier(_encoder().requires_grad_(False)).train()
    model.encoder.eval()
    return model, X


@healthy("torch")
def overridden_train_torch() -> Any:
    from torch import nn

    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> Any:
            return super().train(False)

    return _classifier(Frozen(*_encoder()).requires_grad_(False)).train(), X


@healthy("torch")
def teacher_in_training_torch() -> Any:
    from torch import nn

    class Byol(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.online_encoder = _encoder()
            self.target_encoder = _encoder().requires_grad_(False)

        def forward(self, x: Any) -> Any:
            return self.online_encoder(x) - self.target_encoder(x)

    return Byol(), X


@healthy("torch")
def learned_torch() -> Any:
    return _classifier(_encoder()), X


@healthy("torch")
def layer_norm_torch() -> Any:
    from torch import nn

    encoder = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)).requires_grad_(False)
    return _classifier(encoder), X


@healthy("torch")
def untracked_torch() -> Any:
    from torch import nn

    encoder = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, track_running_stats=False))
    return _classifier(encoder.requires_grad_(False)), X


def _keras(how: str) -> Any:
    import keras

    norm = keras.layers.BatchNormalization(momentum=0.75, name="bn")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(6), norm])
    if how == "variables":
        norm.gamma.trainable = norm.beta.trainable = False
    if how == "layer":
        norm.trainable = False
    return model


@sick("keras", at="bn")
def variables_alone_keras() -> Any:
    return _keras("variables"), X


@healthy("keras")
def layer_keras() -> Any:
    return _keras("layer"), X


@healthy("keras")
def learned_keras() -> Any:
    return _keras("nothing"), X


def measured(finding: Finding, given: Given) -> None:
    """A call in training mode moves the running mean of zeros by that share of the batch mean."""
    model, share = given.model, finding.evidence["share_per_step"]
    assert share == 0.25
    if hasattr(model, "get_submodule"):
        import torch

        layer = model.get_submodule(finding.path)
        before = layer.running_var.clone()
        model(torch.from_numpy(X))
        assert not torch.equal(before, layer.running_var)
    else:
        layer = model.get_layer(finding.path)
        before = np.array(layer.moving_variance)
        model(X, training=True)
        assert not np.array_equal(before, np.array(layer.moving_variance))
