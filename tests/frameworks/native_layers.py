"""Layers of three frameworks behind one face: run them, read and set their weights."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

NAMES = {
    "torch": ("weight", "bias", "running_mean", "running_var"),
    "keras": ("gamma", "beta", "moving_mean", "moving_variance"),
    "flax": ("scale", "bias", "mean", "var"),
}
KEYS = ("scale", "bias", "mean", "var")


def framework(layer: Any) -> str:
    modules = " ".join(cls.__module__ for cls in type(layer).__mro__)
    return next(name for name in ("keras", "torch", "flax") if name in modules)


def call(layer: Any, x: np.ndarray, *, training: bool) -> np.ndarray:
    match framework(layer):
        case "torch":
            import torch

            with torch.no_grad():
                return layer.train(training)(torch.from_numpy(x)).numpy()
        case "keras":
            import keras

            given = {"training": training} if "Batch" in type(layer).__name__ else {}
            return np.asarray(keras.ops.convert_to_numpy(layer(x, **given)))
        case _:
            layer.train() if training else layer.eval()
            return np.asarray(layer(x))


def weights(layer: Any) -> Arrays:
    """The weights that the layer holds, by the names of normscope."""
    found = {}
    for name, key in zip(NAMES[framework(layer)], KEYS, strict=True):
        value = getattr(layer, name, None)
        if key == "scale" and framework(layer) == "keras" and value is None:
            value = getattr(layer, "scale", None)  # of RMSNormalization
        if value is not None and hasattr(value, "shape"):
            found[key] = as_numpy(value)
    return found


def set_weights(layer: Any, values: Arrays) -> None:
    for name, key in zip(NAMES[framework(layer)], KEYS, strict=True):
        if key not in values:
            continue
        match framework(layer):
            case "torch":
                import torch

                own = getattr(layer, name)
                own.data = torch.from_numpy(values[key].astype(np.float32)).reshape(own.shape)
            case "keras":
                own = getattr(layer, name, None)
                own = layer.scale if own is None else own
                own.assign(values[key].reshape(own.shape))
            case _:
                own = getattr(layer, name)
                own[...] = values[key].astype(np.float32).reshape(own.shape)


def as_numpy(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        return value.detach().numpy().copy()
    if type(value).__module__.startswith("keras"):
        import keras

        return np.asarray(keras.ops.convert_to_numpy(value))
    return np.asarray(value[...])
