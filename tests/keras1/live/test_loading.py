"""Files of Keras 1 become live models: all that the genuine Keras 1.2.2 wrote predict the same."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras1_models import activation, conv, dense, norm, sequential, write_h5
from normscope.errors import ContractWarning, ModelFileError, SpecError
from normscope.keras1 import Dense, Sequential, load_model, model_from_json
from normscope.keras1.files import read_weights
from normscope.keras1.live.conventions import LoadWarning
from normscope.keras1.live.weights import load_weights

RTOL = 1e-5  # of the largest value: float32, sums in another order
STEP = 2e-6  # of a weight after one step
EACH = 1 if keras.backend.backend() == "torch" else 25
"""Of so many files one predicts compiled, which takes a second; torch compiles nothing."""

# Nothing in these files tells the dim_ordering or the backend. What is assumed is said.
UNTOLD = {
    *("zeropadding3d", "cropping3d", "upsampling3d", "spatialdropout2d", "spatialdropout3d"),
    *("maxpooling2d_same", "averagepooling2d_same"),
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::normscope.errors.ContractWarning"),
    pytest.mark.usefixtures("quick_compiler"),
]


def entries(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "models.json").read_text())["models"]


def one(folder: Path, name: str, backend: str = "theano") -> dict[str, Any]:
    return next(e for e in entries(folder) if e["name"] == name and e["backend"] == backend)


def told(entry: dict[str, Any]) -> dict[str, str]:
    """What its user knows of a file that does not tell it."""
    if entry["name"] not in UNTOLD:
        return {}
    ordering = {} if entry["dim_ordering"] == "any" else {"dim_ordering": entry["dim_ordering"]}
    return {"backend": entry["backend"], **ordering}


def arrays(folder: Path, entry: dict[str, Any]) -> dict[str, np.ndarray]:
    with np.load(folder / entry["files"]["npz"]) as stored:
        return dict(stored)


def inputs_of(stored: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [stored[f"x{k}"] for k in range(len([key for key in stored if key[0] == "x"]))]


def called(model: Any, stored: dict[str, np.ndarray], training: bool = False) -> list[np.ndarray]:
    """The outputs of a model, without compiling anything."""
    tensors = [ops.convert_to_tensor(x) for x in inputs_of(stored)]
    y = model(tensors if len(tensors) > 1 else tensors[0], training=training)
    return [ops.convert_to_numpy(one) for one in (y if isinstance(y, list | tuple) else [y])]


def check(found: Sequence[np.ndarray], stored: dict[str, np.ndarray], what: str) -> None:
    for k, y in enumerate(found):
        wanted = stored[f"y{k}"]
        assert y.shape == wanted.shape, what
        assert np.abs(y - wanted).max() <= RTOL * np.abs(wanted).max(), what
    assert f"y{len(found)}" not in stored


# --------------------------------------------------------------------------- the genuine files


@pytest.mark.parametrize(("origin", "count"), [("theano", 149), ("tensorflow", 151)])
def test_every_genuine_file_predicts_as_recorded(
    keras1_golden: Path, origin: str, count: int
) -> None:
    checked = 0
    for entry in entries(keras1_golden):
        if entry["backend"] != origin:
            continue
        stored, what = arrays(keras1_golden, entry), entry["files"]["h5"]
        with warnings.catch_warnings():
            warnings.simplefilter("error", LoadWarning)
            model = load_model(keras1_golden / what, **told(entry))
        xs = inputs_of(stored)
        x = xs if len(xs) > 1 else xs[0]
        checked += 1
        if checked % EACH and "y0_second_call" not in stored:
            check(called(model, stored), stored, what)
            continue
        found = model.predict(x, batch_size=len(xs[0]))
        check(found if isinstance(found, list) else [found], stored, what)
        if "y0_second_call" in stored:
            second = model.predict(x, batch_size=len(xs[0]))
            check([second], {"y0": stored["y0_second_call"]}, what)
            model.reset_states()
            check([model.predict(x, batch_size=len(xs[0]))], stored, what)
    assert checked == count


def test_every_architecture_with_the_weights_of_a_file(keras1_golden: Path) -> None:
    """Each once, with origins and orderings in turn; what it does in training, with all."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for entry in entries(keras1_golden):
        kinds.setdefault(entry["name"], []).append(entry)
    assert len(kinds) == 114
    wanted = [kind[number % len(kind)] for number, kind in enumerate(kinds.values())]
    phases = 0
    for entry in entries(keras1_golden):
        stored, what = arrays(keras1_golden, entry), entry["files"]["json"]
        if entry not in wanted and "y0_train_phase" not in stored:
            continue
        text = (keras1_golden / what).read_text()
        model = model_from_json(text, **told(entry))
        with warnings.catch_warnings():
            shared = entry["name"] == "prelu_shared_axes"
            warnings.simplefilter("ignore" if shared else "error", LoadWarning)
            model.load_weights(keras1_golden / entry["files"]["h5"])
        check(called(model, stored), stored, what)
        if "y0_train_phase" in stored:
            train_phase = {"y0": stored["y0_train_phase"]}
            check(called(model, stored, training=True), train_phase, f"{what} in training")
            phases += 1
    assert phases > 10


def test_every_kind_of_model_is_saved_and_loaded_again(keras1_golden: Path, tmp_path: Path) -> None:
    path, seen = tmp_path / "model.keras", set()
    for entry in entries(keras1_golden):
        if (name := entry["name"]) in seen:
            continue
        seen.add(name)
        model = load_model(keras1_golden / entry["files"]["h5"], **told(entry))
        model.save(path)
        again = keras.saving.load_model(path)
        assert type(again) is type(model)
        check(called(again, stored := arrays(keras1_golden, entry)), stored, name)
    assert len(seen) == 114


def test_what_a_file_does_not_tell_is_said(keras1_golden: Path) -> None:
    for name in sorted(UNTOLD):
        with pytest.warns(LoadWarning, match=r"nothing in it tells .* is assumed"):
            load_model(keras1_golden / one(keras1_golden, name)["files"]["h5"])


def test_the_likely_ordering_is_that_of_fewer_channels(keras1_golden: Path) -> None:
    for entry in entries(keras1_golden):
        if entry["name"] in ("zeropadding3d", "cropping3d", "upsampling3d"):
            with pytest.warns(LoadWarning):
                model = load_model(keras1_golden / entry["files"]["h5"])
            check(called(model, stored := arrays(keras1_golden, entry)), stored, str(entry))


def test_a_wrong_origin_would_be_noticed(keras1_golden: Path) -> None:
    """The twin: kernels that are not turned, and poolings that pad as another backend does."""
    for name in ("convolution2d_same", "convlstm2d", "maxpooling2d_same"):
        entry = one(keras1_golden, name)
        model = load_model(keras1_golden / entry["files"]["h5"], backend="tensorflow")
        stored = arrays(keras1_golden, entry)
        (found,) = called(model, stored)
        assert np.abs(found - stored["y0"]).max() > 1e-2 * np.abs(stored["y0"]).max()


def test_the_older_theano_turns_its_kernels_too(keras1_golden: Path) -> None:
    for name in ("convolution2d_same", "conv_batchnormalization_mode2"):
        entry = one(keras1_golden, name)
        model = load_model(keras1_golden / entry["files"]["h5"], backend="theano<0.9")
        assert {layer.origin for layer in model.layers} == {"theano<0.9"}
        check(called(model, stored := arrays(keras1_golden, entry)), stored, name)


# ----------------------------------------------------------------------------------- training


def test_a_resumed_training_goes_on_as_it_would_have(keras1_golden: Path, tmp_path: Path) -> None:
    resumed = set()
    for entry in entries(keras1_golden):
        stored = arrays(keras1_golden, entry)
        if "next_step_loss" not in stored:
            continue
        model = load_model(keras1_golden / entry["files"]["h5"])
        model.save(tmp_path / "model.keras")
        for live in (model, load_model(tmp_path / "model.keras")):
            loss = live.train_on_batch(stored["x0"], stored["target0"])
            np.testing.assert_allclose(loss, stored["next_step_loss"], rtol=1e-5)
            weights = [array for layer in live.layers for array in layer.get_weights()]
            for k, array in enumerate(weights):
                wanted = stored[f"next_step_weight{k}"]
                np.testing.assert_allclose(array, wanted, rtol=0, atol=STEP, err_msg=entry["name"])
        resumed.add(entry["name"])
    assert resumed == {"mlp_sgd", "mlp_rmsprop", "mlp_adagrad", "mlp_adam"}


def test_a_training_without_its_state_would_be_noticed(keras1_golden: Path) -> None:
    """The twin: RMSprop from the start makes another step."""
    entry = one(keras1_golden, "mlp_rmsprop")
    stored = arrays(keras1_golden, entry)
    model = load_model(keras1_golden / entry["files"]["h5"])
    model.compile("rmsprop", "mse")
    model.train_on_batch(stored["x0"], stored["target0"])
    assert np.abs(model.get_weights()[0] - stored["next_step_weight0"]).max() > 100 * STEP


def test_compiled_for_several_outputs(keras1_golden: Path) -> None:
    entry = one(keras1_golden, "multi_output")
    model = load_model(keras1_golden / entry["files"]["h5"])
    (x,) = inputs_of(arrays(keras1_golden, entry))
    y = [np.full((len(x), width), 0.5, "float32") for width in (2, 1)]
    before = model.train_on_batch(x, y)
    assert np.all(np.isfinite(before))


def adam_state(count: int, shapes: Sequence[tuple[int, ...]]) -> Iterator[np.ndarray]:
    yield np.array(3.0, "float32")
    for number in range(2 * count):
        yield np.full(shapes[number % count], number, "float32")


def test_the_state_follows_the_weights_sorted_by_name(tmp_path: Path) -> None:
    """As Keras 1 sorted: dense_10_W before dense_2_W."""
    names = ("dense_2", "dense_10")
    path = trained_file(tmp_path, names, {"class_name": "Adam", "config": {"lr": 0.5}})
    with h5py.File(path, "a") as file:
        group = file.create_group("optimizer_weights")
        # sorted: dense_10_W (3, 2), dense_10_b (2,), dense_2_W (4, 3), dense_2_b (3,)
        state = list(adam_state(4, [(3, 2), (2,), (4, 3), (3,)]))
        group.attrs["weight_names"] = np.array([f"param_{k}".encode() for k in range(len(state))])
        for k, array in enumerate(state):
            group[f"param_{k}"] = array
    optimizer = load_model(path).optimizer
    assert int(optimizer.iterations) == 3
    m = [float(np.ravel(ops.convert_to_numpy(slot))[0]) for slot in optimizer.slot_variables[0]]
    assert m == [2, 3, 0, 1]  # of dense_2_W, dense_2_b, dense_10_W, dense_10_b


def trained_file(folder: Path, names: tuple[str, str], optimizer: Any, loss: Any = "mse") -> Path:
    layers = [dense(3), dense(2)]
    model = sequential((None, 4), *layers)
    for entry, name in zip(model["config"], names, strict=True):
        entry["config"]["name"] = name
    path = write_h5(folder / "trained.h5", model, {}, suffix="")
    with h5py.File(path, "a") as file:
        for name, shape in zip(names, ((4, 3), (3, 2)), strict=True):
            store(file["model_weights"][name], {f"{name}_W": shape, f"{name}_b": shape[1:]})
        file.attrs["training_config"] = json.dumps(
            {
                "optimizer_config": optimizer,
                "loss": loss,
                "metrics": ["accuracy"],
                "sample_weight_mode": None,
                "loss_weights": None,
            }
        )
    return path


def store(group: Any, shapes: dict[str, tuple[int, ...]], start: float = 0) -> None:
    group.attrs["weight_names"] = np.array([name.encode() for name in shapes])
    for number, (name, shape) in enumerate(shapes.items()):
        group[name] = np.full(shape, start + number, "float32")


def test_a_loss_of_ones_own_is_left_to_the_user(tmp_path: Path) -> None:
    optimizer = {"class_name": "SGD", "config": {"lr": 0.1}}
    path = trained_file(tmp_path, ("a", "b"), optimizer, loss="my_loss")
    with pytest.warns(LoadWarning, match="not compiled: Keras 1 has no loss 'my_loss'"):
        model = load_model(path)
    model.compile("sgd", "mse")
    assert model.train_on_batch(np.ones((2, 4)), np.ones((2, 2))) is not None


def test_a_damaged_training_is_an_error(tmp_path: Path) -> None:
    path = trained_file(tmp_path, ("a", "b"), {"class_name": "SGD", "config": {}})
    with h5py.File(path, "a") as file:
        file.attrs["training_config"] = "[1]"
    with pytest.raises(ModelFileError, match="training_config"):
        load_model(path)


# ------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("name", ["mnist_cnn", "seed_network", "lstm"])
def test_a_file_of_weights_alone(keras1_golden: Path, name: str) -> None:
    entry = one(keras1_golden, name)
    model = model_from_json((keras1_golden / entry["files"]["json"]).read_text())
    model.load_weights(keras1_golden / entry["files"]["weights_h5"])
    check(called(model, stored := arrays(keras1_golden, entry)), stored, name)


@pytest.mark.parametrize("name", ["mnist_cnn", "convolution1d_same", "lstm"])
def test_the_older_layout(keras1_golden: Path, tmp_path: Path, name: str) -> None:
    entry = one(keras1_golden, name)
    path = tmp_path / "older.h5"
    with h5py.File(keras1_golden / entry["files"]["h5"]) as new, h5py.File(path, "w") as old:
        groups = new["model_weights"]
        layers = [groups[layer] for layer in groups.attrs["layer_names"]]
        old.attrs["nb_layers"] = len(layers)
        for k, layer in enumerate(layers):
            keys = [key for key in layer.attrs["weight_names"] if key]
            group = old.create_group(f"layer_{k}")
            group.attrs["nb_params"] = len(keys)
            for p, key in enumerate(keys):
                array = layer[key][()]
                if name == "convolution1d_same" and array.ndim == 4:  # once (out, in, length, 1)
                    array = array.transpose(3, 2, 0, 1)
                group[f"param_{p}"] = array
    model = model_from_json((keras1_golden / entry["files"]["json"]).read_text())
    if name != "lstm":
        with pytest.raises(ModelFileError, match='write backend="theano"'):
            model.load_weights(path)
    model.load_weights(path, backend="theano")
    check(called(model, stored := arrays(keras1_golden, entry)), stored, name)


def test_a_nested_model_has_its_untrained_weights_last(tmp_path: Path) -> None:
    inner = [
        {"class_name": "InputLayer", "name": "x", "config": {"batch_input_shape": [None, 3]}},
        {"class_name": "BatchNormalization", "name": "bn", "config": norm()[1] | {"name": "bn"}},
        {"class_name": "Dense", "name": "d", "config": dense(3)[1] | {"name": "d"}},
    ]
    for layer, before in zip(inner, ([], [[["x", 0, 0]]], [[["bn", 0, 0]]]), strict=True):
        layer["inbound_nodes"] = before
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["d", 0, 0]]}
    nested = {"class_name": "Model", "config": {"name": "inner", "layers": inner, **ends}}
    model = {"class_name": "Sequential", "config": [nested], "keras_version": "1.2.2"}
    path = tmp_path / "nested.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"inner"])
        shapes = {"bn_gamma": (3,), "bn_beta": (3,), "d_W": (3, 3), "d_b": (3,)}
        shapes |= {"bn_running_mean": (3,), "bn_running_std": (3,)}
        store(weights.create_group("inner"), shapes)
    inner_model = load_model(path).layers[0]
    found = {
        f"{layer.name}_{weight.name}": float(np.ravel(ops.convert_to_numpy(weight))[0])
        for layer in inner_model.layers
        for weight in layer.weights
    }
    assert found == {name: float(number) for number, name in enumerate(shapes)}


def test_weights_by_position_and_by_name(keras1_golden: Path) -> None:
    path = keras1_golden / one(keras1_golden, "mlp_sgd")["files"]["h5"]
    first, _, last = read_weights(path)
    by_position = Sequential([Dense(6, input_dim=5, name="a"), Dense(2, name="dense_2")])
    with pytest.raises(ModelFileError, match=r"the file has 3 layers with weights .* model has 2"):
        by_position.load_weights(path)
    by_position.load_weights(path, by_name=True)
    np.testing.assert_array_equal(by_position.layers[1].get_weights()[0], last.arrays["dense_2_W"])
    assert not np.array_equal(by_position.layers[0].get_weights()[0], first.arrays["dense_1_W"])


def test_shapes_that_do_not_fit_change_nothing(keras1_golden: Path) -> None:
    path = keras1_golden / one(keras1_golden, "dense_nobias")["files"]["h5"]
    model = Sequential([Dense(3, input_dim=5, bias=False)])
    before = model.get_weights()[0]
    with pytest.raises(ModelFileError, match=r"'W' has the shape \(5, 3\), in the file \(5, 4\)"):
        load_weights(model, path)
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_weights_bring_the_origin_with_them(keras1_golden: Path) -> None:
    entry = one(keras1_golden, "mlp_sgd")
    model = model_from_json((keras1_golden / entry["files"]["json"]).read_text())
    assert model.layers[1].origin == "tensorflow"
    model.load_weights(keras1_golden / entry["files"]["h5"])
    assert model.layers[1].origin == "theano"
    assert model.layers[1].spec.running.plus_eps


def test_slopes_shared_along_axes_are_copied_with_a_warning(keras1_golden: Path) -> None:
    entry = one(keras1_golden, "prelu_shared_axes")
    path = keras1_golden / entry["files"]["h5"]
    assert load_model(path).layers[0].shared_axes == (2, 3)
    model = model_from_json((keras1_golden / entry["files"]["json"]).read_text())
    with pytest.warns(LoadWarning, match="slopes are shared"):
        model.load_weights(path)


# ------------------------------------------------------------------------------------- refusals


def lambda_model() -> dict[str, Any]:
    code = {"function": ["4wEAAAA=", None, None], "function_type": "lambda", "arguments": {}}
    return sequential((None, 4), dense(3), ("Lambda", code))


def test_code_is_never_run() -> None:
    with pytest.raises(ModelFileError, match=r"'lambda_2' \(Lambda\): its function .* never run"):
        model_from_json(json.dumps(lambda_model()))
    merge = {"class_name": "Merge", "config": {"name": "m", "mode": "code", "mode_type": "lambda"}}
    branches = [sequential((None, 3), dense(2)), sequential((None, 3), dense(2))]
    branches[1]["config"][0]["config"]["name"] = "other"
    merge["config"]["layers"] = branches
    with pytest.raises(ModelFileError, match=r"'m' \(Merge\): its function"):
        model_from_json(json.dumps({"class_name": "Sequential", "config": [merge]}))


def test_a_class_of_ones_own_is_given() -> None:
    class Twice(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Twice:
            return cls(name=config["name"])

    text = json.dumps(sequential((None, 4), activation("relu"), ("Twice", {})))
    with pytest.raises(ModelFileError, match=r"custom_objects=\{'Twice': Twice\}"):
        model_from_json(text)
    model = model_from_json(text, custom_objects={"Twice": Twice})
    assert ops.convert_to_numpy(model(np.ones((1, 4), "float32"))).tolist() == [[2.0] * 4]


def test_settings_that_do_not_fit_name_the_layer() -> None:
    for layer, reason in (
        (dense(3, init="magic"), "Keras 1 has no init 'magic'"),
        (dense(3, colour="red"), "no argument 'colour'"),
        (dense(3, W_regularizer={"name": "L3"}), "no regularizer 'L3'"),
    ):
        with pytest.raises(ModelFileError, match=rf"'dense_1' \(Dense\): .*{reason}"):
            model_from_json(json.dumps(sequential((None, 4), layer)))


def test_files_that_are_none(tmp_path: Path, keras1_golden: Path) -> None:
    entry = one(keras1_golden, "lstm")
    for path, reason in (
        (tmp_path / "missing.h5", "cannot be opened"),
        (keras1_golden / entry["files"]["json"], "as in normscope.keras1.live.loading.load_parts"),
        (keras1_golden / entry["files"]["weights_h5"], "weights only"),
    ):
        with pytest.raises(ModelFileError, match=reason):
            load_model(path)
    with pytest.raises(SpecError, match="backend is one of"):
        load_model(keras1_golden / entry["files"]["h5"], backend="caffe")
    cut = tmp_path / "cut.h5"
    shutil.copy(keras1_golden / entry["files"]["h5"], cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(cut)


def test_the_contract_of_mode_1_is_told_when_it_is_loaded() -> None:
    text = json.dumps(sequential((None, 3, 6, 5), conv(), norm(mode=1)))
    with pytest.warns(ContractWarning, match="normalizes axis 3 alone"):
        model_from_json(text)
