"""Files as Keras 1.2.2 wrote them, against those that it wrote, and read again."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from normscope import keras1 as k
from normscope.errors import ModelFileError, SpecError
from normscope.keras1.files import read_weights
from normscope.keras1.live.conventions import LoadWarning

# Written with TensorFlow; nested, shared, branched, stateful and compiled ones.
NAMES = (
    *("mnist_cnn", "resnet_block", "nested_model", "shared_dense", "merge_concat_sequential"),
    *("embedding_mask_lstm", "gru_stateful", "bidirectional_lstm_sum", "timedistributed_dense"),
    *("multi_output", "mlp_adam", "lstm_gpu", "prelu_shared_axes", "convlstm2d"),
)


def entry_of(folder: Path, name: str) -> dict[str, Any]:
    entries = json.loads((folder / "models.json").read_text())["models"]
    return next(e for e in entries if e["name"] == name and e["backend"] == "tensorflow")


def contained(ours: Any, theirs: Any, where: str) -> None:
    """That everything in the file of Keras 1 which we write too is the same."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() & theirs.keys():
            if key == "input_dim" and theirs[key] is None:
                continue  # a layer that has weights knows the size that it was built with
            contained(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            contained(*pair, f"{where}/{index}")
    else:
        assert ours == theirs or (not ours and not theirs), where


@pytest.mark.parametrize("name", NAMES)
def test_written_again_as_keras_1_wrote_it(keras1_golden: Path, tmp_path: Path, name: str) -> None:
    source = keras1_golden / entry_of(keras1_golden, name)["files"]["h5"]
    target = tmp_path / "again.h5"
    model = k.load_model(source)
    model.save(target)
    with h5py.File(source) as old, h5py.File(target) as new:
        theirs = json.loads(old.attrs["model_config"])
        ours = json.loads(new.attrs["model_config"])
        assert ours["class_name"] == theirs["class_name"]
        contained(ours["config"], theirs["config"], name)
        assert "optimizer_weights" in new or "optimizer_weights" not in old
    before, after = read_weights(source), read_weights(target)
    assert [layer.name for layer in before] == [layer.name for layer in after]
    for one, other in zip(before, after, strict=True):
        for x, y in zip(one.arrays.values(), other.arrays.values(), strict=True):
            np.testing.assert_array_equal(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LoadWarning)
        again = k.load_model(target)
    for x, y in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_optimizer_goes_on_where_it_was(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 8, 3)).astype("float32")
    for optimizer in ("sgd", "rmsprop", "adam", "nadam"):
        model = k.Sequential([k.Dense(4, input_dim=3), k.Dense(3)])
        model.compile(optimizer, "mse")
        for _ in range(3):
            model.train_on_batch(x, y)
        model.save(tmp_path / "m.h5")
        again = k.load_model(tmp_path / "m.h5")
        for _ in range(2):
            assert model.train_on_batch(x, y) == pytest.approx(again.train_on_batch(x, y), rel=1e-5)


def doubled(x: Any) -> Any:
    return 2 * x


def test_a_named_function_is_found_again(tmp_path: Path) -> None:
    model = k.Sequential([k.Dense(1, input_dim=3), k.Lambda(doubled)])
    model.save(tmp_path / "m.h5")
    with pytest.raises(ModelFileError, match="custom_objects"):
        k.load_model(tmp_path / "m.h5")
    again = k.load_model(tmp_path / "m.h5", custom_objects={"doubled": doubled})
    x = np.ones((2, 3))
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-6)


def test_what_is_not_written(tmp_path: Path) -> None:
    model = k.Sequential([k.Dense(1, input_dim=3)])
    model.save(tmp_path / "m.hdf5")
    for save in (model.save, model.save_weights):
        with pytest.raises(SpecError, match="exists"):
            save(tmp_path / "m.hdf5", overwrite=False)
    with pytest.raises(SpecError, match="cannot be written"):
        model.save_weights(tmp_path / "none" / "m.h5")
    with pytest.raises(SpecError, match="to_json"):
        model.to_yaml()
    x = k.Input(shape=(3,))
    with pytest.raises(SpecError, match="which a file of Keras 1 cannot hold"):
        k.Model(x, keras.layers.Dense(2)(x)).to_json()
