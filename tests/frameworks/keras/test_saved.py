"""Files of Keras 2 and 3: rebuilt as they were, and never run."""

from __future__ import annotations

import base64
import json
import marshal
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers, ops

from frameworks.keras.traced import called, sequential
from normscope import ModelFileError, scope
from normscope.files.keras_release import keras_release
from normscope.files.recognition import recognise
from normscope.frameworks.keras.saved.file import keras_file
from normscope.frameworks.keras.saved.live import KerasFileLive
from normscope.frameworks.layer_expression import layer_from_expression
from normscope.graph.operators import CannotTraceError
from normscope.graph.proof import Verdict, samples_apart
from normscope.graph.rules import Opaque
from normscope.graph.sites import find_sites

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


def functional() -> Any:
    x = keras.Input((8,), name="x")
    block = sequential((8,), layers.Dense(8, activation="gelu"), layers.LayerNormalization())
    y = layers.Dropout(0.1)(block(x) + x * 2.0)
    z = block(y)
    return keras.Model(x, [layers.Dense(2, kernel_regularizer="l2")(z), z[:, :3]])


MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "cnn": (
        lambda: sequential(
            (8, 8, 3),
            layers.Conv2D(4, 3, kernel_initializer="he_normal"),
            layers.BatchNormalization(name="bn"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ),
        floats(4, 8, 8, 3),
    ),
    "functional": (functional, floats(4, 8)),
    "recurrent": (
        lambda: sequential(
            (5, 3),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(2)),
            layers.GRU(3),
        ),
        floats(4, 5, 3),
    ),
    "norms": (
        lambda: sequential(
            (8, 8, 4),
            layers.GroupNormalization(2),
            layers.UnitNormalization(),
            layers.SpectralNormalization(layers.Conv2D(4, 3)),
            layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 1.0, 2.0, 2.0]),
        ),
        floats(4, 8, 8, 4),
    ),
    "attention": (
        lambda: keras.Sequential(
            [keras.Input((6,), dtype="int32"), layers.Embedding(9, 8), layers.LayerNormalization()]
        ),
        RNG.integers(0, 9, (4, 6)).astype("int32"),
    ),
    "mixed precision": (
        lambda: sequential((8,), layers.Dense(4, dtype="mixed_bfloat16")),
        floats(4, 8),
    ),
}


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_is_the_live_one(tmp_path: Path, name: str, ending: str) -> None:
    make, inputs = MODELS[name]
    model = make()
    for variable in model.variables:
        if "float" in variable.dtype:
            variable.assign(np.abs(RNG.standard_normal(variable.shape)) + 0.5)
    path = tmp_path / f"model.{ending}"
    model.save(path)
    found = keras_file(path)
    assert not found.unknown
    assert found.version == keras.__version__
    for one, other in zip(
        called(model, inputs, False), called(found.model, inputs, False), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_text_has_fresh_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(MODELS["functional"][0]().to_json())
    found = keras_file(path)
    assert any("no weights" in note for note in found.notes)
    assert keras_release(str(path), recognise(str(path))) == 3


def traced(path: Path, training: bool) -> Any:
    live = KerasFileLive(keras_file(path), _nothing)
    with live.kept():
        live.put_back()
        return live.trace(live.inputs(live.example()), training)


def found_paths(graph: Any) -> set[str]:
    return {site.path for site in find_sites(graph) if not site.dismissed}


def _nothing(live: Any) -> Any:
    raise AssertionError("the model is built")


def with_lambda() -> Any:
    x = keras.Input((8,))
    y = layers.Dense(6, name="dense")(x)
    y = layers.Lambda(lambda y: ops.concatenate([y, y], 1), output_shape=(12,), name="mine")(y)
    return keras.Model(x, layers.BatchNormalization(name="bn")(y))


@pytest.mark.parametrize("ending", ["keras", "json"])
def test_a_lambda_is_opaque_and_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model.{ending}"
    model = with_lambda()
    if ending == "json":
        path.write_text(model.to_json())
    else:
        model.save(path)
    found = keras_file(path)
    assert list(found.unknown) == ["mine"]
    assert any("mine (Lambda)" in note for note in found.notes)
    graph = traced(path, True)
    assert graph.unknown_operators == {"Lambda": 1}
    (node,) = (n for n in graph.nodes if isinstance(n.rule, Opaque) and n.live)
    assert node.path == "mine"
    assert node.run is None
    assert node.results[0].shape == (4, 12)  # what takes it tells its shape
    assert samples_apart(graph, [0]).verdict is not Verdict.APART
    assert "bn" in found_paths(graph)
    live = KerasFileLive(found, _nothing)
    with pytest.raises(CannotTraceError, match="Lambda cannot be run"):
        live.call((floats(4, 8),), {}, False)


@keras.saving.register_keras_serializable("mine")
class Custom(layers.Layer):
    """Registered in this process, which a file must not make use of."""

    def call(self, x: Any) -> Any:
        return x


def test_a_class_of_others_is_not_made_though_it_is_registered(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    sequential((8,), Custom(name="custom"), layers.LayerNormalization(name="norm")).save(path)
    found = keras_file(path)
    assert {layer.kind for layer in found.unknown.values()} == {"Custom"}
    assert found_paths(traced(path, False)) == {"norm"}


# --- Keras 2 --------------------------------------------------------------------------------------


def older_layer(name: str, **config: Any) -> dict[str, Any]:
    title = config.pop("title", name.lower())
    return {"class_name": name, "config": {"name": title, "trainable": True, **config}}


def older_model() -> dict[str, Any]:
    """As tf.keras 2.13 writes it."""
    entries = [
        older_layer(
            "InputLayer", batch_input_shape=[None, 8, 8, 3], dtype="float32", sparse=False,
            ragged=False, title="input_1",
        ),
        older_layer(
            "Conv2D", filters=4, kernel_size=[3, 3], padding="same", activation="linear",
            dtype={"class_name": "Policy", "config": {"name": "float32"}},
            kernel_initializer={"class_name": "GlorotUniformV2", "config": {"seed": None}},
        ),
        older_layer("BatchNormalization", axis=[3], momentum=0.9, epsilon=1e-3, title="bn",
                    renorm=False, fused=None, virtual_batch_size=None),
        older_layer("GlobalAveragePooling2D", data_format="channels_last", title="gap"),
        older_layer("Dense", units=2, activation="softmax", title="dense"),
    ]  # fmt: skip
    before = None
    for entry in entries:
        entry["name"] = entry["config"]["name"]
        entry["inbound_nodes"] = [[[before, 0, 0, {}]]] if before else []
        before = entry["name"]
    config = {
        "name": "older",
        "layers": entries,
        "input_layers": [["input_1", 0, 0]],
        "output_layers": [["dense", 0, 0]],
    }
    return {"class_name": "Functional", "config": config, "keras_version": "2.13.1"}


def older_weights() -> dict[str, dict[str, np.ndarray]]:
    return {
        "conv2d": {"kernel": floats(3, 3, 3, 4), "bias": floats(4)},
        "bn": {
            "gamma": floats(4),
            "beta": floats(4),
            "moving_mean": floats(4),
            "moving_variance": np.abs(floats(4)),
        },
        "dense": {"kernel": floats(4, 2), "bias": floats(2)},
    }


def write_older(path: Path, model: dict[str, Any], weights: dict[str, dict[str, Any]]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.13.1"
        file.attrs["model_config"] = json.dumps(model)
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [entry["name"].encode() for entry in model["config"]["layers"]]
        for entry in model["config"]["layers"]:
            group = root.create_group(entry["name"])
            own = weights.get(entry["name"], {})
            group.attrs["weight_names"] = [f"{entry['name']}/{k}:0".encode() for k in own]
            for key, array in own.items():
                group[f"{entry['name']}/{key}:0"] = array


def test_a_model_of_keras_2_with_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    weights = older_weights()
    write_older(path, older_model(), weights)
    found = keras_file(path)
    assert (found.version, found.notes, found.unknown) == ("2.13.1", (), {})
    assert keras_release(str(path), recognise(str(path))) == 2
    norm = found.model.get_layer("bn")
    assert norm.axis == 3
    np.testing.assert_array_equal(norm.moving_variance, weights["bn"]["moving_variance"])
    np.testing.assert_array_equal(norm.gamma, weights["bn"]["gamma"])
    graph = traced(path, True)
    assert found_paths(graph) == {"bn"}
    assert samples_apart(graph, [0]).verdict is Verdict.MEET
    assert samples_apart(traced(path, False), [0]).verdict is Verdict.APART


def test_a_text_of_keras_2(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(older_model()))
    assert keras_file(path).model.get_layer("conv2d").kernel.shape == (3, 3, 3, 4)


def test_what_keras_3_does_not_have_is_opaque(tmp_path: Path) -> None:
    model = older_model()
    model["config"]["layers"][2]["config"]["virtual_batch_size"] = 2
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model))
    assert list(keras_file(path).unknown) == ["bn"]


def test_a_saved_model_with_its_settings(tmp_path: Path) -> None:
    def field(number: int, data: bytes) -> bytes:
        size, length = b"", len(data)
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + data

    settings = {
        "class_name": "Functional",
        "keras_version": "2.13.1",
        "model_config": older_model(),
    }
    node = (
        field(3, b"root") + field(4, b"_tf_keras_network") + field(5, json.dumps(settings).encode())
    )
    (tmp_path / "saved_model.pb").write_bytes(b"")
    (tmp_path / "keras_metadata.pb").write_bytes(field(1, node))
    found = keras_file(tmp_path)
    assert found.version == "2.13.1"
    assert found.model.get_layer("bn").axis == 3
    (tmp_path / "keras_metadata.pb").write_bytes(field(1, node)[:-30])
    with pytest.raises(ModelFileError):
        keras_file(tmp_path)


# --- hostile files --------------------------------------------------------------------------------


def of_layer(**entry: Any) -> dict[str, Any]:
    """A model of Keras 3 with one layer from a stranger."""
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "x"},
        "registered_name": None,
    }
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "model", "layers": [first, entry]},
        "registered_name": None,
    }


def dense(**config: Any) -> dict[str, Any]:
    return of_layer(
        module="keras.layers",
        class_name="Dense",
        config={"units": 4, "name": "dense", **config},
        registered_name=None,
    )


def marshalled(mark: Path) -> str:
    code = compile(f"open({str(mark)!r}, 'w').close()", "x", "exec")
    return base64.b64encode(marshal.dumps(code)).decode()


HOSTILE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "a module of the system": lambda mark: of_layer(
        module="os", class_name="system", config=f"touch {mark}", registered_name=None
    ),
    "a function of the system": lambda mark: of_layer(
        module="builtins", class_name="function", config="eval", registered_name="function"
    ),
    "code in a lambda": lambda mark: of_layer(
        module="keras.layers",
        class_name="Lambda",
        config={
            "name": "l",
            "function": {
                "class_name": "__lambda__",
                "config": {"code": marshalled(mark), "defaults": None, "closure": None},
            },
        },
        registered_name=None,
    ),
    "a class inside an initializer": lambda mark: dense(
        kernel_initializer={
            "module": "subprocess", "class_name": "Popen", "config": {"args": f"touch {mark}"},
            "registered_name": None,
        }
    ),
    "code as an activation": lambda mark: dense(
        activation={
            "class_name": "__lambda__",
            "config": {"value": [marshalled(mark), None, None]},
        }
    ),
    "a function as an activation": lambda mark: dense(
        activation={
            "module": "os", "class_name": "function", "config": "system",
            "registered_name": "system",
        }
    ),
    "a layer that loads a file": lambda mark: of_layer(
        module="keras.layers",
        class_name="TFSMLayer",
        config={"filepath": str(mark), "name": "t"},
        registered_name=None,
    ),
    "a vocabulary from a path": lambda mark: of_layer(
        module="keras.layers",
        class_name="StringLookup",
        config={"vocabulary": "/etc/passwd", "name": "t"},
        registered_name=None,
    ),
    "a module of torch": lambda mark: of_layer(
        module="keras.layers",
        class_name="TorchModuleWrapper",
        config={"module": marshalled(mark), "name": "t"},
        registered_name=None,
    ),
    "a type specification": lambda mark: dense(
        kernel_initializer={
            "class_name": "__typespec__", "spec_name": "Popen", "module": "subprocess",
            "registered_name": None, "config": [f"touch {mark}"],
        }
    ),
    "an endless size": lambda mark: dense(units=10**30),
    "a wrong type": lambda mark: dense(units={"a": 1}),
    "a name with a path": lambda mark: dense(name="../../x"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_of_a_file_is_run(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "was_here"
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(HOSTILE[name](mark)))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.3.3"}))
    imported: list[str] = []
    monkeypatch.setattr("importlib.import_module", lambda name, *rest: imported.append(name))
    with suppress(ModelFileError):
        found = keras_file(path)
        assert len(found.unknown) == 1 or name == "a name with a path"
    assert not mark.exists()
    assert not {"os", "subprocess", "builtins"} & set(imported)


def test_sizes_are_bounded_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(dense(units=2**30)))
    with pytest.raises(ModelFileError, match="would hold"):
        keras_file(path)


def test_layers_that_wait_for_each_other(tmp_path: Path) -> None:
    model = older_model()
    model["config"]["layers"][1]["inbound_nodes"] = [[["dense", 0, 0, {}]]]
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model))
    with pytest.raises(ModelFileError, match="wait for each other"):
        keras_file(path)


def test_a_class_of_the_user_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    model = {"module": "mine", "class_name": "Net", "config": {}, "registered_name": "mine>Net"}
    path.write_text(json.dumps(model))
    with pytest.raises(ModelFileError, match="of the class Net, none of Keras itself"):
        keras_file(path)


@pytest.mark.parametrize("cut", [10, 200, 1000, 4000])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_damaged_file_gets_one_line(tmp_path: Path, ending: str, cut: int) -> None:
    path = tmp_path / f"model.{ending}"
    MODELS["cnn"][0]().save(path)
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    with pytest.raises(ModelFileError) as raised:
        keras_file(path)
    assert str(raised.value).isprintable()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_bits_that_flip_do_no_harm(tmp_path: Path, ending: str, seed: int) -> None:
    path = tmp_path / f"model.{ending}"
    sequential((8,), layers.Dense(4), layers.BatchNormalization()).save(path)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(data), 8):
        data[place] ^= 1 << int(rng.integers(0, 8))
    path.write_bytes(data)
    with suppress(ModelFileError):
        keras_file(path)


def test_links_in_the_weights_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    write_older(path, older_model(), older_weights())
    with h5py.File(path, "a") as file:
        group = file["model_weights/bn/bn"]
        del group["gamma:0"]
        group["gamma:0"] = h5py.ExternalLink(os.fspath(tmp_path / "other.h5"), "gamma")
    with pytest.raises(ModelFileError, match="link"):
        keras_file(path)


def test_layers_of_the_models_of_keras_are_known_where_the_file_names_their_module(
    tmp_path: Path,
) -> None:
    scale = keras.src.applications.convnext.LayerScale
    model = sequential((8,), scale(0.5, 8), layers.LayerNormalization())
    path = tmp_path / "model.json"
    path.write_text(model.to_json())
    assert keras_file(path).unknown == {}
    assert scope(path, floats(4, 8)).samples["inference"].verdict == "proved apart"
    path.write_text(model.to_json().replace("keras.src.applications.convnext", "keras.layers"))
    assert [layer.kind for layer in keras_file(path).unknown.values()] == ["LayerScale"]


@pytest.mark.parametrize("ending", ["keras", "h5", "json"])
def test_scope_opens_what_audit_opens(tmp_path: Path, ending: str) -> None:
    model = sequential((8,), layers.Dense(8), layers.BatchNormalization())
    path = tmp_path / f"model.{ending}"
    if ending == "json":
        path.write_text(model.to_json())
    else:
        model.save(path)
    told = scope(str(path), floats(4, 8)).samples_independent
    assert told == {"training": False, "inference": True}
    assert layer_from_expression(str(path)).path == str(path)
