"""Native layers of the frameworks as oracles: what each preset must compute.

One entry per preset: the arguments, a shape, and a function that runs the framework's own layer in
training mode with given parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Run = Callable[[np.ndarray, Arrays], np.ndarray]


@dataclass(frozen=True)
class Oracle:
    preset: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]
    run: Run
    parameters: tuple[str, ...] = field(default=("scale", "bias"))

    def __str__(self) -> str:
        return f"{self.preset}{self.arguments}{self.shape}"


def torch_layer(make: Callable[[Any], Any]) -> Run:
    def run(x: np.ndarray, parameters: Arrays) -> np.ndarray:
        import torch

        layer = make(torch.nn)
        for name, key in (("weight", "scale"), ("bias", "bias")):
            if key in parameters:
                own = getattr(layer, name)
                own.data = torch.from_numpy(parameters[key]).reshape(own.shape)
        return layer.train()(torch.from_numpy(x)).detach().numpy()

    return run


def keras_layer(make: Callable[[Any], Any]) -> Run:
    def run(x: np.ndarray, parameters: Arrays) -> np.ndarray:
        import keras

        layer = make(keras.layers)
        layer.build(x.shape)
        for name, key in (("gamma", "scale"), ("scale", "scale"), ("beta", "bias")):
            own = getattr(layer, name, None)
            if key in parameters and hasattr(own, "assign"):
                own.assign(parameters[key].reshape(own.shape))
        arguments = {"training": True} if "Batch" in type(layer).__name__ else {}
        return np.asarray(keras.ops.convert_to_numpy(layer(x, **arguments)))

    return run


def flax_layer(make: Callable[[Any, Any], Any]) -> Run:
    def run(x: np.ndarray, parameters: Arrays) -> np.ndarray:
        import jax.numpy as jnp
        from flax import nnx

        layer = make(nnx, nnx.Rngs(0))
        for key in ("scale", "bias"):
            if key in parameters:
                own = getattr(layer, key)
                own[...] = jnp.asarray(parameters[key]).reshape(own.shape)
        return np.asarray(layer(jnp.asarray(x)))

    return run


def onnx_operator(name: str, opset: int, **attributes: Any) -> Run:
    def run(x: np.ndarray, parameters: Arrays) -> np.ndarray:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        inputs = {key: parameters[key].ravel() for key in parameters}
        if name == "BatchNormalization":
            channels = x.shape[1]
            inputs["mean"] = np.zeros(channels, np.float32)
            inputs["var"] = np.ones(channels, np.float32)
            attributes["training_mode"] = 1
        outputs = ["y", "running_mean", "running_var"] if len(inputs) == 4 else ["y"]
        graph = helper.make_graph(
            [helper.make_node(name, ["x", *inputs], outputs, **attributes)],
            "one",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)],
            [numpy_helper.from_array(array, key) for key, array in inputs.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 10
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(["y"], {"x": x})[0]

    return run


def scaler(make: Callable[[Any], Any]) -> Run:
    def run(x: np.ndarray, parameters: Arrays) -> np.ndarray:
        from sklearn import preprocessing

        return make(preprocessing).fit_transform(x)

    return run


def subtracted_by_torch(x: np.ndarray, parameters: Arrays) -> np.ndarray:
    """What MeanSubtractionNorm documents; PyTorch Geometric is not among the test packages."""
    import torch

    return torch.sub(torch.from_numpy(x), torch.from_numpy(x).mean(0)).numpy()


NCHW, NHWC, NC = (4, 6, 5, 3), (4, 5, 3, 6), (7, 6)
ONE = ("scale",)

ORACLES = [
    Oracle("torch.BatchNorm1d", {}, NC, torch_layer(lambda nn: nn.BatchNorm1d(6))),
    Oracle("torch.BatchNorm2d", {}, NCHW, torch_layer(lambda nn: nn.BatchNorm2d(6))),
    Oracle("torch.BatchNorm3d", {}, (2, 6, 2, 3, 2), torch_layer(lambda nn: nn.BatchNorm3d(6))),
    Oracle("torch.LayerNorm", {}, NHWC, torch_layer(lambda nn: nn.LayerNorm(6))),
    Oracle(
        "torch.LayerNorm",
        {"normalized_shape": (5, 3)},
        NCHW,
        torch_layer(lambda nn: nn.LayerNorm((5, 3))),
    ),
    Oracle("torch.GroupNorm", {"num_groups": 3}, NCHW, torch_layer(lambda nn: nn.GroupNorm(3, 6))),
    Oracle("torch.InstanceNorm2d", {}, NCHW, torch_layer(lambda nn: nn.InstanceNorm2d(6)), ()),
    Oracle(
        "torch.InstanceNorm2d",
        {"affine": True},
        NCHW,
        torch_layer(lambda nn: nn.InstanceNorm2d(6, affine=True)),
    ),
    Oracle("torch.RMSNorm", {}, NHWC, torch_layer(lambda nn: nn.RMSNorm(6)), ONE),
    Oracle("keras.BatchNormalization", {}, NHWC, keras_layer(lambda k: k.BatchNormalization())),
    Oracle(
        "keras.BatchNormalization",
        {"axis": 1},
        NCHW,
        keras_layer(lambda k: k.BatchNormalization(axis=1)),
    ),
    Oracle("keras.LayerNormalization", {}, NHWC, keras_layer(lambda k: k.LayerNormalization())),
    Oracle(
        "keras.GroupNormalization",
        {"groups": 3},
        NHWC,
        keras_layer(lambda k: k.GroupNormalization(3)),
    ),
    Oracle(
        "keras.GroupNormalization",
        {"groups": -1, "axis": 1},
        NCHW,
        keras_layer(lambda k: k.GroupNormalization(-1, axis=1)),
    ),
    Oracle("keras.RMSNormalization", {}, NHWC, keras_layer(lambda k: k.RMSNormalization()), ONE),
    Oracle("keras.UnitNormalization", {}, NHWC, keras_layer(lambda k: k.UnitNormalization()), ()),
    Oracle("flax.BatchNorm", {}, NHWC, flax_layer(lambda f, r: f.BatchNorm(6, rngs=r))),
    Oracle("flax.LayerNorm", {}, NHWC, flax_layer(lambda f, r: f.LayerNorm(6, rngs=r))),
    Oracle("flax.RMSNorm", {}, NHWC, flax_layer(lambda f, r: f.RMSNorm(6, rngs=r)), ONE),
    Oracle(
        "flax.GroupNorm",
        {"num_groups": 3},
        NHWC,
        flax_layer(lambda f, r: f.GroupNorm(6, 3, rngs=r)),
    ),
    Oracle("flax.InstanceNorm", {}, NHWC, flax_layer(lambda f, r: f.InstanceNorm(6, rngs=r))),
    Oracle("onnx.BatchNormalization", {}, NCHW, onnx_operator("BatchNormalization", 15)),
    Oracle("onnx.InstanceNormalization", {}, NCHW, onnx_operator("InstanceNormalization", 6)),
    Oracle("onnx.LayerNormalization", {}, NHWC, onnx_operator("LayerNormalization", 17)),
    Oracle(
        "onnx.GroupNormalization",
        {"num_groups": 3},
        NCHW,
        onnx_operator("GroupNormalization", 21, num_groups=3),
    ),
    Oracle("onnx.RMSNormalization", {}, NHWC, onnx_operator("RMSNormalization", 23), ONE),
    Oracle("sklearn.StandardScaler", {}, NC, scaler(lambda p: p.StandardScaler()), ()),
    *(
        Oracle(
            "sklearn.StandardScaler",
            {without: False},
            NC,
            scaler(lambda p, without=without: p.StandardScaler(**{without: False})),
            (),
        )
        for without in ("with_mean", "with_std")
    ),
    Oracle(
        "sklearn.MaxAbsScaler",
        {"dtype": "float32"},
        NC,
        scaler(lambda p: p.MaxAbsScaler()),
        (),
    ),
    *(
        Oracle(
            "sklearn.Normalizer",
            {"norm": norm, "dtype": "float32"},
            NC,
            scaler(lambda p, norm=norm: p.Normalizer(norm)),
            (),
        )
        for norm in ("l1", "l2", "max")
    ),
    Oracle("torch_geometric.MeanSubtractionNorm", {}, NC, subtracted_by_torch, ()),
]
