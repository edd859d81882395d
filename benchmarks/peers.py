"""The peers: the same normalization by hand in NumPy and by each framework's own operation.

A maker gets (case, x, parameters) and returns a call that computes the whole output from the
array x, or None where the framework has no such operation. Where a framework wants another axis
order, the call includes the permutes that a user would write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cases import Case
from benchmarks.timing import Call
from normscope.notation.layout import Layout

Maker = Callable[[Case, np.ndarray, dict[str, np.ndarray]], "Call | None"]


def numpy_by_hand(case: Case, x: np.ndarray, learned: dict[str, np.ndarray]) -> Call | None:
    layout = case.spec().layout(x.shape)
    apart, axes = layout.known_sizes, layout.shared
    shape = _broadcast(case, layout)

    def call() -> np.ndarray:
        z = (x + learned["residual"] if case.fused else x).reshape(apart)
        if case.fields.get("center", True):
            z = z - z.mean(axes, keepdims=True)
        average = np.sum if case.fields.get("measure") == "l2" else np.mean
        y = z / np.sqrt(average(z * z, axes, keepdims=True) + np.float32(1e-5))
        for name in ("scale", "bias"):
            if name in learned:
                part = learned[name].reshape(shape)
                y = y * part if name == "scale" else y + part
        y = np.where(y > 0, y, y * np.float32(0.1)) if case.fused else y
        return y.reshape(x.shape)

    return call


def tensor(array: np.ndarray) -> Any:
    """The memory of an array as a tensor; bfloat16, too, which PyTorch does not take from NumPy."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def torch_eager(case: Case, x: np.ndarray, learned: dict[str, np.ndarray]) -> Call | None:
    import torch

    t = {name: tensor(value) for name, value in {"x": x, **learned}.items()}
    function = _torch_function(case, x, t)
    if function is None:
        return None

    def call() -> object:
        with torch.no_grad():
            return function(t["x"])

    return call


def torch_compiled(case: Case, x: np.ndarray, learned: dict[str, np.ndarray]) -> Call | None:
    import torch

    t = {name: tensor(value) for name, value in {"x": x, **learned}.items()}
    function = _torch_function(case, x, t)
    if function is None:
        return None
    compiled = torch.compile(function)

    def call() -> object:
        with torch.no_grad():
            return compiled(t["x"])

    return call


def torch_forward_backward(
    case: Case, x: np.ndarray, learned: dict[str, np.ndarray], gradient: np.ndarray
) -> Call | None:
    import torch

    t = {name: tensor(value) for name, value in {"x": x, **learned}.items()}
    for name in ("x", "scale", "bias"):
        if name in t:
            t[name].requires_grad_()
    function = _torch_function(case, x, t)
    if function is None:
        return None
    dy = tensor(gradient)
    wanted = [t[name] for name in ("x", "scale", "bias") if name in t]
    return lambda: torch.autograd.grad(function(t["x"]), wanted, dy)


def jax_jit(case: Case, x: np.ndarray, learned: dict[str, np.ndarray]) -> Call | None:
    import jax
    import jax.numpy as jnp

    layout = case.spec().layout(x.shape)
    apart, axes = layout.known_sizes, layout.shared
    shape = _broadcast(case, layout)
    given = {name: jnp.asarray(value) for name, value in learned.items()}

    @jax.jit
    def function(z: Any) -> Any:
        if case.fused:
            z = z + given["residual"]
        z = z.reshape(apart)
        if case.fields.get("center", True):
            z = z - z.mean(axes, keepdims=True)
        average = jnp.sum if case.fields.get("measure") == "l2" else jnp.mean
        y = z * jax.lax.rsqrt(average(z * z, axes, keepdims=True) + 1e-5)
        if "scale" in given:
            y = y * given["scale"].reshape(shape)
        if "bias" in given:
            y = y + given["bias"].reshape(shape)
        return (jnp.where(y > 0, y, y * 0.1) if case.fused else y).reshape(x.shape)

    a = jnp.asarray(x)
    return lambda: function(a).block_until_ready()


def keras_name() -> str:
    """Keras with its backend in this process."""
    import keras

    return f"keras on {keras.backend.backend()}"


def keras_layer(case: Case, x: np.ndarray, learned: dict[str, np.ndarray]) -> Call | None:
    import keras

    kinds = keras.layers
    makers: dict[str, Callable[[], Any]] = {
        "batch NCHW": lambda: kinds.BatchNormalization(axis=1),
        "batch NHWC": kinds.BatchNormalization,
        "layer, last axis of 128": kinds.LayerNormalization,
        "layer, last axis of 784": kinds.LayerNormalization,
        "layer, last axis of 4096": kinds.LayerNormalization,
        "layer over axis 1 of NCHW": lambda: kinds.LayerNormalization(axis=1),
        "layer over CHW, affine": lambda: kinds.LayerNormalization(axis=(1, 2, 3)),
        "instance NHWC": lambda: kinds.GroupNormalization(-1),
        "instance NCHW": lambda: kinds.GroupNormalization(-1, axis=1),
        "group-32 NHWC": lambda: kinds.GroupNormalization(32),
        "group-32 NCHW": lambda: kinds.GroupNormalization(32, axis=1),
        "RMS 784": kinds.RMSNormalization,
        "L2 784": kinds.UnitNormalization,
    }
    if case.name not in makers:
        return None
    layer = makers[case.name]()
    tensor = keras.ops.convert_to_tensor(x)
    arguments = {"training": True} if case.name.startswith("batch") else {}
    ready = getattr(keras.ops, "block_until_ready", None)

    def call() -> object:
        y = layer(tensor, **arguments)
        wait = getattr(y, "block_until_ready", ready)
        return wait() if wait else y

    return call


def scikit_learn(case: Case, x: np.ndarray, learned: dict[str, np.ndarray]) -> Call | None:
    from sklearn.preprocessing import StandardScaler, normalize

    if case.name == "L2 784":
        flat = x.reshape(-1, x.shape[-1])
        return lambda: normalize(flat)
    if case.name == "batch NHWC":
        flat = x.reshape(-1, x.shape[-1])
        return lambda: StandardScaler().fit_transform(flat)
    return None


MAKERS: dict[str, Maker] = {
    "numpy": numpy_by_hand,
    "torch": torch_eager,
    "torch.compile": torch_compiled,
    "jax": jax_jit,
    "keras": keras_layer,
    "scikit-learn": scikit_learn,
}


SLOW_TO_START = {"torch.compile"}
"""Those that are asked only by name: they compile for a minute."""


def _broadcast(case: Case, layout: Layout) -> tuple[int, ...]:
    """The shape in which scale and bias broadcast against the array with its groups taken apart."""
    return layout.place(layout.named(case.along or "")).broadcast


def _torch_function(case: Case, x: np.ndarray, t: dict[str, Any]) -> Callable[[Any], Any] | None:
    from torch.nn import functional

    w, b = t.get("scale"), t.get("bias")
    last = case.name.endswith("NHWC")

    def turned(native: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda a: native(a.permute(0, 3, 1, 2)).permute(0, 2, 3, 1) if last else native(a)

    if case.fused:
        return lambda a: functional.leaky_relu(
            functional.batch_norm(a + t["residual"], None, None, w, b, True), 0.1
        )
    if case.name.startswith("batch"):
        return turned(lambda a: functional.batch_norm(a, None, None, w, b, True))
    if case.name.startswith("instance"):
        return turned(lambda a: functional.instance_norm(a, None, None, w, b))
    if case.name.startswith("group"):
        return turned(lambda a: functional.group_norm(a, 32, w.ravel(), b.ravel()))
    if case.name == "layer over axis 1 of NCHW":
        return lambda a: functional.layer_norm(a.permute(0, 2, 3, 1), w.shape, w, b).permute(
            0, 3, 1, 2
        )
    if case.name.startswith("layer"):
        return lambda a: functional.layer_norm(a, w.shape, w, b)
    if case.name.startswith("RMS"):
        return lambda a: functional.rms_norm(a, (x.shape[-1],), w, 1e-5)
    if case.name.startswith("L2"):
        return lambda a: functional.normalize(a, dim=-1)
    return None
