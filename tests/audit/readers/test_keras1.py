"""Keras 1 files: those of the genuine Keras 1.2.2 are audited, and every spec found is right.

Right means: a model whose normalizations are computed by `reference` from the specs of the audit,
and its other layers by float64 NumPy, predicts what Keras recorded.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from keras1_models import norm, sequential, stored_arrays, write_h5, write_json
from normscope import Audit, audit, reference
from normscope.keras1.files import read_model_file, weights_entry
from normscope.keras1.network import Call, build_network


def entries(folder: Path) -> list[dict]:
    return json.loads((folder / "models.json").read_text())["models"]


def test_every_genuine_file_is_audited(keras1_golden: Path) -> None:
    files = normalized = 0
    for entry in entries(keras1_golden):
        wanted = entry["layers_used"].count("BatchNormalization")
        for kind in ("h5", "json"):
            report = audit(keras1_golden / entry["files"][kind])
            files += 1
            normalized += len(report.layers)
            assert bool(report.layers) == bool(wanted), entry["name"]
            for site in report.layers:
                assert site.input_shape is not None
                assert site.train.layout(site.input_shape)
            assert str(report)
            json.dumps(report.to_dict(), allow_nan=False)
    assert files == 600
    assert normalized > 100


def test_every_normalization_is_reported_with_the_right_spec(keras1_golden: Path) -> None:
    checked = 0
    for entry in entries(keras1_golden):
        if "BatchNormalization" not in entry["layers_used"]:
            continue
        path = keras1_golden / entry["files"]["h5"]
        with np.load(keras1_golden / entry["files"]["npz"]) as arrays:
            predicted = predict(path, audit(path), arrays["x0"])
            np.testing.assert_allclose(
                predicted, arrays["y0"], rtol=2e-4, atol=2e-5, err_msg=str(entry["files"]["h5"])
            )
        checked += 1
    assert checked == 40


@pytest.mark.parametrize("name", ["seed_network", "conv_batchnormalization_mode2"])
def test_a_wrong_spec_would_be_noticed(keras1_golden: Path, name: str) -> None:
    """The twin: the prediction with another normalization is not the recorded one."""
    entry = next(e for e in entries(keras1_golden) if e["name"] == name)
    path = keras1_golden / entry["files"]["h5"]
    with np.load(keras1_golden / entry["files"]["npz"]) as arrays:
        predicted = predict(path, audit(path), arrays["x0"], pretend="b [c h w]")
        assert np.abs(predicted - arrays["y0"]).max() > 1e-2


def predict(path: Path, report: Audit, x: np.ndarray, pretend: str | None = None) -> np.ndarray:
    file = read_model_file(path)
    network = build_network(file.architecture, str(path))
    values: dict[str, np.ndarray] = {}
    for call in network.calls:
        inputs = [values[source] for source in call.inputs]
        entry = weights_entry(file, call.path)
        weights = {
            name.removesuffix(":0").removeprefix(f"{call.name}_"): array.astype(np.float64)
            for name, array in (stored_arrays(path, entry) if entry else {}).items()
        }
        if call.layer_class == "BatchNormalization":
            values[call.id] = normalized(report, call, inputs[0], pretend)
        else:
            values[call.id] = LAYERS[call.layer_class](
                call, inputs or [x.astype(np.float64)], weights, file.backend
            )
    (output,) = network.outputs
    return values[output]


def normalized(report: Audit, call: Call, x: np.ndarray, pretend: str | None) -> np.ndarray:
    site = next(site for site in report.layers if site.path == call.path)
    if pretend is not None:
        from normscope import NormSpec

        return reference(x, NormSpec(pretend))
    statistics = {}
    if site.infer.pattern is None:
        statistics = {"mean": site.arrays["running_mean"], "var": site.arrays["running_var"]}
    learned = {"scale": site.arrays["scale"], "bias": site.arrays["bias"]}
    return reference(x, site.train, **learned, **statistics)


def convolution(call: Call, inputs, weights, backend) -> np.ndarray:  # type: ignore[no-untyped-def]
    first = call.config["dim_ordering"] == "th"
    (x,), kernel = inputs, weights["W"]
    if first:
        x, kernel = np.moveaxis(x, 1, -1), np.transpose(kernel, (2, 3, 1, 0))
    if backend == "theano":
        kernel = kernel[::-1, ::-1]
    stride = call.config["subsample"][0]
    if call.config["border_mode"] == "same":
        pads = [padding(x.shape[1 + i], kernel.shape[i], stride, backend) for i in (0, 1)]
        x = np.pad(x, [(0, 0), *pads, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    y = np.einsum("bhwcij,ijco->bhwo", windows[:, ::stride, ::stride], kernel) + weights["b"]
    return activated(call, np.moveaxis(y, -1, 1) if first else y)


def padding(size: int, kernel: int, stride: int, backend: str) -> tuple[int, int]:
    if backend == "theano":
        return kernel // 2, kernel // 2
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def dense(call: Call, inputs, weights, backend) -> np.ndarray:  # type: ignore[no-untyped-def]
    return activated(call, inputs[0] @ weights["W"] + weights["b"])


def activated(call: Call, x: np.ndarray) -> np.ndarray:
    match call.config["activation"]:
        case "linear":
            return x
        case "relu":
            return np.maximum(x, 0)
        case "tanh":
            return np.tanh(x)
        case "softmax":
            powers = np.exp(x - x.max(-1, keepdims=True))
            return powers / powers.sum(-1, keepdims=True)
    raise NotImplementedError(call.config["activation"])


def pooled(call: Call, inputs, weights, backend) -> np.ndarray:  # type: ignore[no-untyped-def]
    return inputs[0].mean((2, 3) if call.config["dim_ordering"] == "th" else (1, 2))


LAYERS = {
    "InputLayer": lambda call, inputs, weights, backend: inputs[0],
    "Convolution2D": convolution,
    "Dense": dense,
    "Activation": lambda call, inputs, weights, backend: activated(call, inputs[0]),
    "LeakyReLU": lambda call, inputs, weights, backend: np.where(
        inputs[0] > 0, inputs[0], inputs[0] * call.config["alpha"]
    ),
    "Merge": lambda call, inputs, weights, backend: sum(inputs),
    "GlobalAveragePooling2D": pooled,
}


def test_the_format_of_a_file_is_told(tmp_path: Path) -> None:
    model = sequential((None, 3, 8, 6), norm(mode=1))
    for path, form, words in (
        (write_json(tmp_path / "m.h5", model), "json", "JSON without weights"),
        (write_h5(tmp_path / "m.json", model, {}), "hdf5", "HDF5"),
    ):
        report = audit(path)
        assert report.to_dict()["model"]["format"] == form
        assert f"written by Keras 1.2.2, {words}" in str(report).replace("tensorflow, ", "")
        assert f", {words}" in report.to_html()
