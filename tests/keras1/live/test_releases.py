"""Files of releases before 1.0.8: read by their formula, and what they do not tell is said."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from normscope import ModelFileError, SpecError, audit, to_keras
from normscope.cli import app
from normscope.keras1 import (
    BatchNormalization,
    Dense,
    Sequential,
    compare_running_std,
    load_model,
    model_from_json,
)
from normscope.keras1.convert import convert
from normscope.keras1.live.conventions import LoadWarning

EPSILON = 1e-6
ARRAYS = {
    "gamma": np.array([1.5, 0.7, 1.1]),
    "beta": np.array([0.2, -0.3, 0.1]),
    "running_mean": np.array([0.5, -1.0, 2.0]),
    "running_std": np.array([0.1, 2.0, 12.0]),
}
X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")

# Which formula a release and a backend had: what the root of inference is made of.
DIVISORS = {
    "deviation": lambda stored, e: stored + e,
    "outside": lambda stored, e: np.sqrt(stored) + e,
    "inside": lambda stored, e: np.sqrt(stored + e),
}
FORMULAS = {
    ("1.0.0", "tensorflow"): "deviation",
    ("1.0.4", "theano"): "deviation",
    ("1.0.5", "tensorflow"): "deviation",
    ("1.0.5", "theano"): "deviation",
    ("1.0.6", "tensorflow"): "inside",
    ("1.0.6", "theano"): "deviation",
    ("1.0.7", "tensorflow"): "inside",
    ("1.0.7", "theano"): "outside",
    ("1.0.8", "theano"): "inside",
    ("1.1.2", "tensorflow"): "inside",
    ("1.2.2", "theano"): "inside",
}


def predicted(formula: str, epsilon: float = EPSILON, **changed: Any) -> np.ndarray:
    gamma, beta, mean, stored = {**ARRAYS, **changed}.values()
    return gamma * (X - mean) / DIVISORS[formula](stored, epsilon) + beta


def architecture(release: str | None, epsilon: float = EPSILON, **config: Any) -> str:
    settings = {
        "name": "batchnormalization_1",
        "batch_input_shape": [None, 3],
        "input_dtype": "float32",
        "mode": 0,
        "axis": -1,
        "epsilon": epsilon,
        "momentum": 0.9,
        "trainable": True,
        **config,
    }
    layers = [{"class_name": "BatchNormalization", "config": settings}]
    model: dict[str, Any] = {"class_name": "Sequential", "config": layers}
    return json.dumps(model if release is None else {**model, "keras_version": release})


def weights_file(path: Path, backend: str | None = "theano", **changed: Any) -> Path:
    """As model.save_weights() wrote it; without a backend in the older layout, without names."""
    with h5py.File(path, "w") as file:
        write_weights(file, backend, **changed)
    return path


def write_weights(root: Any, backend: str | None, **changed: Any) -> None:
    arrays = {**ARRAYS, **changed}
    if backend is None:
        root.attrs["nb_layers"] = 1
        group = root.create_group("layer_0")
        group.attrs["nb_params"] = len(arrays)
        named = {f"param_{k}": array for k, array in enumerate(arrays.values())}
    else:
        end = ":0" if backend == "tensorflow" else ""
        named = {f"batchnormalization_1_{key}{end}": array for key, array in arrays.items()}
        root.attrs["layer_names"] = [b"batchnormalization_1"]
        group = root.create_group("batchnormalization_1")
        group.attrs["weight_names"] = [name.encode() for name in named]
    for name, array in named.items():
        group.create_dataset(name, data=np.asarray(array, "float32"))


def model_file(
    path: Path, release: str | None, backend: str = "theano", text: str = "", **changed: Any
) -> Path:
    """As model.save() wrote it."""
    with h5py.File(path, "w") as file:
        if release is not None:
            file.attrs["keras_version"] = release
        file.attrs["model_config"] = text or architecture(release)
        write_weights(file.create_group("model_weights"), backend, **changed)
    return path


def outputs(model: keras.Model) -> np.ndarray:
    return np.asarray(model.predict(X, verbose=0))


def check(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)  # float32, outputs up to 90


# ----------------------------------------------------------------------------- told by the file


@pytest.mark.parametrize(("release", "backend"), FORMULAS)
def test_a_file_is_read_by_the_formula_of_its_release(
    tmp_path: Path, release: str, backend: str
) -> None:
    wanted = predicted(FORMULAS[release, backend])
    path = model_file(tmp_path / "old.h5", release, backend)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LoadWarning)  # the file tells all that there is to tell
        check(outputs(load_model(path)), wanted)
    model = model_from_json(architecture(release), backend=backend)
    model.load_weights(weights_file(tmp_path / "weights.h5", backend))
    check(outputs(model), wanted)
    (site,) = audit(path).layers
    assert site.train.running is not None
    assert site.train.running.deviation == (FORMULAS[release, backend] == "deviation")
    report = convert(path, tmp_path / "new.keras")
    assert not report.differs, str(report)
    assert report.layers[0].off_file is not None
    check(outputs(load_model(tmp_path / "new.keras")), wanted)


@pytest.mark.parametrize("formula", ["deviation", "outside", "inside"])
def test_an_epsilon_that_matters(tmp_path: Path, formula: str) -> None:
    release = {"deviation": "1.0.6", "outside": "1.0.7", "inside": "1.0.8"}[formula]
    model = model_from_json(architecture(release, epsilon=0.5), backend="theano")
    model.load_weights(weights_file(tmp_path / "weights.h5"))
    check(outputs(model), predicted(formula, epsilon=0.5))


def test_the_check_of_a_conversion_knows_the_releases_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: were the live layer to read a deviation as a variance, convert would notice."""
    from normscope.keras1.convert import steps as module

    def as_variances(path: Any, **options: Any) -> keras.Model:
        model = load_model(path, **options)
        layer = model.layers[0]
        layer.be_of("1.0.8", told=True)
        layer.release = "1.0.5"
        return model

    monkeypatch.setattr(module, "load_model", as_variances)
    report = convert(model_file(tmp_path / "old.h5", "1.0.5"), tmp_path / "new.keras")
    assert report.layers[0].off_file > 0.1
    assert report.differs


def test_mode_2_came_with_1_0_4() -> None:
    with pytest.raises(ModelFileError, match=r"mode 2 came with Keras 1\.0\.4"):
        model_from_json(architecture("1.0.3", mode=2))
    BatchNormalization(mode=2, release="1.0.4")


@pytest.mark.parametrize("origin", ["theano", "theano<0.9"])
def test_both_conventions_of_theano(origin: str) -> None:
    for release, deviation in (("1.0.6", True), ("1.0.7", False)):
        running = BatchNormalization(release=release, origin=origin).spec.running
        assert running.deviation == deviation
        assert running.plus_eps == deviation
    assert BatchNormalization(release="1.2.0", origin=origin).spec.running.plus_eps == (
        origin == "theano"
    )


def test_the_way_that_to_keras_names_is_right(tmp_path: Path) -> None:
    """The layer of Keras 3 has another formula; at inference other stored values make up for it."""
    stated = BatchNormalization(release="1.0.5").spec
    with pytest.raises(SpecError, match=r"with epsilon 0 and the variance \(stored value \+ 1e-06"):
        to_keras(stated, (None, 3))
    small = {"running_std": np.array([1e-3, 0.5, 1e4])}  # 1e-3 is the least there can be
    gamma, beta, mean, stored = {**ARRAYS, **small}.values()
    layer = keras.layers.BatchNormalization(epsilon=0)
    layer.build((None, 3))
    layer.set_weights([gamma, beta, mean, (stored + EPSILON) ** 2])
    found = np.asarray(keras.Sequential([layer]).predict(X, verbose=0))
    np.testing.assert_allclose(found, predicted("deviation", **small), rtol=3e-6)


# ------------------------------------------------------------------------- told by nothing


def test_a_release_that_nothing_tells_is_assumed_aloud(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "weights.h5")
    model = Sequential([BatchNormalization(input_shape=(3,), epsilon=EPSILON)])
    with pytest.warns(LoadWarning, match=r"1\.2\.2 is assumed.* is read as a variance") as caught:
        model.load_weights(path)
    (message,) = (str(one.message) for one in caught if one.category is LoadWarning)
    assert "should be 0.29 to 3.2 times as large" in message
    check(outputs(model), predicted("inside"))
    model.load_weights(path, release="1.0.5")
    check(outputs(model), predicted("deviation"))


def test_the_factors_of_the_warning_are_those_of_the_outputs(tmp_path: Path) -> None:
    inside, deviation = predicted("inside", beta=0), predicted("deviation", beta=0)
    factors = deviation / inside
    assert f"{factors.min():.2g} to {factors.max():.2g}" == "0.29 to 3.2"


@pytest.mark.parametrize("told", ["layer", "argument", "file"])
def test_a_release_that_is_told_is_not_warned_of(tmp_path: Path, told: str) -> None:
    release = "1.0.5" if told == "layer" else None
    model = Sequential([BatchNormalization(input_shape=(3,), release=release)])
    path = weights_file(tmp_path / "weights.h5")
    if told == "file":
        path = model_file(tmp_path / "old.h5", "1.0.5")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LoadWarning)
        model.load_weights(path, **({"release": "1.0.5"} if told == "argument" else {}))
    check(outputs(model), predicted("deviation"))
    assert (model.layers[0].epsilon, model.layers[0].momentum) == (1e-6, 0.9)


def test_nothing_is_said_where_nothing_differs(tmp_path: Path) -> None:
    model = Sequential([BatchNormalization(input_shape=(3,)), Dense(3)])
    initial = weights_file(tmp_path / "initial.h5", running_std=np.ones(3))
    refuting = weights_file(tmp_path / "small.h5", running_std=np.array([1e-4, 2, 12]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LoadWarning)
        for path in (initial, refuting):  # no deviation is less than sqrt(epsilon)
            model.load_weights(path, by_name=True)


def test_a_file_of_another_release_than_the_layer(tmp_path: Path) -> None:
    model = Sequential([BatchNormalization(input_shape=(3,), release="1.0.5", epsilon=EPSILON)])
    path = model_file(tmp_path / "new.h5", "1.0.8")
    with pytest.warns(LoadWarning, match=r"it is of Keras 1\.0\.8, the layer .* of 1\.0\.5"):
        model.load_weights(path)
    check(outputs(model), predicted("inside"))


def test_a_stored_value_that_is_no_deviation(tmp_path: Path) -> None:
    path = model_file(tmp_path / "old.h5", "1.0.5", running_std=np.array([1e-4, 2.0, 12.0]))
    with pytest.warns(LoadWarning, match="less than sqrt"):
        load_model(path)
    assert "less than sqrt(epsilon)" in audit(path).graph.assumed[0]


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_an_architecture_that_names_no_release(mode: int) -> None:
    with pytest.warns(LoadWarning, match=r"nothing tells which release.* 1\.2\.2 is assumed"):
        model_from_json(architecture(None, epsilon=1e-3, momentum=0.99, mode=mode))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LoadWarning)
        model_from_json(architecture(None, epsilon=1e-3, mode=mode), release="1.2.2")
        # these settings came with 1.1.0, and from there on nothing changed
        newer = {"gamma_regularizer": None, "beta_regularizer": None}
        model_from_json(architecture(None, epsilon=1e-3, mode=mode, **newer))


def test_an_architecture_as_only_1_0_0_to_1_0_3_wrote_it(tmp_path: Path) -> None:
    with pytest.warns(LoadWarning, match=r"1\.0\.3 is assumed \(epsilon 1e-06 and momentum 0\.9"):
        model = model_from_json(architecture(None))
    with pytest.warns(LoadWarning, match="is read as a deviation"):
        model.load_weights(weights_file(tmp_path / "weights.h5"))
    check(outputs(model), predicted("deviation"))


def test_the_backend_given_for_an_architecture_counts_before_the_names_of_the_weights(
    tmp_path: Path,
) -> None:
    """As in `load_model`: what the user says is not overruled by a guess from names."""
    model = model_from_json(architecture("1.0.6"), backend="tensorflow")
    model.load_weights(weights_file(tmp_path / "weights.h5", "theano"))
    check(outputs(model), predicted("inside"))
    model.load_weights(tmp_path / "weights.h5", backend="theano")
    check(outputs(model), predicted("deviation"))


def test_1_0_6_without_a_backend(tmp_path: Path) -> None:
    with pytest.warns(LoadWarning, match="nothing tells which backend wrote it"):
        model = model_from_json(architecture("1.0.6"))
    path = weights_file(tmp_path / "weights.h5", backend=None)
    with pytest.warns(LoadWarning, match=r"'tensorflow' is assumed.* 0\.29 to 3\.2 times"):
        model.load_weights(path)
    check(outputs(model), predicted("inside"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LoadWarning)
        model.load_weights(path, backend="theano")
        check(outputs(model), predicted("deviation"))
        model.load_weights(weights_file(tmp_path / "named.h5", "tensorflow"))
        check(outputs(model), predicted("inside"))


@pytest.mark.parametrize("release", ["1.3.0", "2", "", "1.0"])
def test_a_release_that_there_is_not(tmp_path: Path, release: str) -> None:
    path = model_file(tmp_path / "old.h5", "1.0.5")
    model = load_model(path)
    for call in (
        lambda: load_model(path, release=release),
        lambda: model_from_json(architecture(None), release=release),
        lambda: model.load_weights(path, release=release),
        lambda: convert(path, tmp_path / "new.keras", release=release),
        lambda: audit(path, release=release),
    ):
        with pytest.raises(SpecError, match=r"go from 1\.0\.0 to 1\.2\.2; this is"):
            call()
    with pytest.raises(SpecError, match="backend is one of"):
        audit(path, backend="mxnet")


def test_a_keras_3_file_tells_its_releases_itself(tmp_path: Path) -> None:
    convert(model_file(tmp_path / "old.h5", "1.0.5"), tmp_path / "new.keras")
    with pytest.raises(SpecError, match="leave release out"):
        load_model(tmp_path / "new.keras", release="1.0.5")


# ------------------------------------------------------------------------- told by data


def trained(deviations: bool, spread: float = 20.0, count: int = 256) -> tuple[Any, np.ndarray]:
    """A model of two normalizations that was trained to the end, and data for it."""
    generator = np.random.default_rng(0)
    x = generator.normal(3, spread, (count, 4)).astype("float32")
    x *= np.array([0.02, 0.3, 1, 5], "float32")
    release = "1.0.5" if deviations else "1.0.8"
    layers = [
        BatchNormalization(input_shape=(4,), release=release, momentum=0.0),
        Dense(5),
        BatchNormalization(release=release, momentum=0.0),
    ]
    model = Sequential(layers)
    model(x, training=True)
    return model, x


@pytest.mark.parametrize("deviations", [True, False])
def test_data_tell_what_is_stored(deviations: bool) -> None:
    model, x = trained(deviations)
    before = [np.array(array) for array in model.get_weights()]
    right = np.asarray(model.predict(x, verbose=0))
    for release in ("1.0.5", "1.0.8"):  # however the stored values are read now
        for layer in model.layers[::2]:
            layer.be_of(release, told=False)
        found = compare_running_std(model, x)
        assert found.holds == ("deviation" if deviations else "variance"), str(found)
        assert str(found).startswith(f"running_std holds a {found.holds}")
        assert len(found.layers) == 2
        fits, other = found.off_deviation, found.off_variance
        fits, other = (fits, other) if deviations else (other, fits)
        assert fits < 1.3  # a batch of 32 against all 256 samples
        assert other > 2
    for one, other_one in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other_one)
    for layer in model.layers[::2]:
        layer.be_of("1.0.5" if deviations else "1.0.8", told=True)
    np.testing.assert_array_equal(np.asarray(model.predict(x, verbose=0)), right)


@pytest.mark.parametrize("case", ["near 1", "other data", "untrained", "one sample"])
def test_data_that_do_not_tell(case: str) -> None:
    model, x = trained(deviations=True)
    if case == "near 1":
        x = np.random.default_rng(1).normal(0, 1, (256, 4)).astype("float32")
        model = Sequential([BatchNormalization(input_shape=(4,), release="1.0.5", momentum=0.0)])
        model(x, training=True)
    elif case == "other data":
        x = x * 1e4
    elif case == "untrained":
        model = Sequential([BatchNormalization(input_shape=(4,))])
    else:
        x = x[:1]
    found = compare_running_std(model, x)
    assert found.holds is None
    assert "data do not tell" in str(found)


def test_data_that_do_not_fit() -> None:
    model, x = trained(deviations=True)
    for wrong in (x[:, :2], x[:0], np.float32(3), [x, x], [x[:, :2]], np.full((3, 4), "a"), [[1]]):
        with pytest.raises(SpecError, match=r"takes numbers of the shapes \(any, 4\)"):
            compare_running_std(model, wrong)
    assert all(layer.watcher is None for layer in model.layers[::2])


def data_for(tmp_path: Path) -> Path:
    generator = np.random.default_rng(2)
    spread = ARRAYS["running_std"]
    path = tmp_path / "inputs.npy"
    np.save(path, generator.normal(ARRAYS["running_mean"], spread, (200, 3)).astype("float32"))
    return path


def run(*arguments: Any) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_convert_asks_for_the_release_or_for_data(tmp_path: Path) -> None:
    text = architecture(None, epsilon=EPSILON, momentum=0.99)
    source = model_file(tmp_path / "old.h5", None, text=text)
    target = tmp_path / "new.keras"
    status, told = run("convert", source, target)
    assert status == 1
    assert "assumed: " in told
    assert "1.2.2 is assumed" in told
    check(outputs(load_model(target)), predicted("inside"))
    status, told = run("convert", source, target, "--force", "--release", "1.0.5")
    assert (status, "assumed: " in told) == (0, False)
    assert "written by Keras 1.0.5 on theano" in told
    check(outputs(load_model(target)), predicted("deviation"))
    status, told = run("convert", source, target, "--force", "--data", data_for(tmp_path))
    assert (status, "assumed: " in told) == (0, False), told
    assert "data: running_std holds a deviation" in told
    check(outputs(load_model(target)), predicted("deviation"))


def test_convert_says_where_data_contradict_the_release(tmp_path: Path) -> None:
    source = model_file(tmp_path / "old.h5", "1.0.8")
    data = np.load(data_for(tmp_path))
    report = convert(source, tmp_path / "new.keras", data=data)
    assert report.differs
    assert any("the data say that running_std holds a deviation" in one for one in report.assumed)
    check(outputs(load_model(tmp_path / "new.keras")), predicted("inside"))
    broken = tmp_path / "broken.npy"
    broken.write_bytes(b"no array")
    with pytest.raises(SpecError, match="--data"):
        run("convert", source, tmp_path / "other.keras", "--data", broken)


# ------------------------------------------------------------------------- audit


def test_audit_says_what_it_assumes(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(architecture("1.0.6"))
    report = audit(path)
    (message,) = report.graph.assumed
    assert "'tensorflow' is assumed" in message
    assert report.to_dict()["model"]["details"]["assumed"] == [message]
    assert "assumed: the file: nothing tells which backend" in str(report)
    assert "nothing tells which backend" in report.to_html()
    told = report.to_sarif()["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert "nothing tells which backend" in told[0]["message"]["text"]
    status, text = run("audit", path, "--backend", "theano")
    assert (status, "assumed" in text) == (0, False)
    assert "written by Keras 1.0.6, theano" in text
    path.write_text(architecture(None, momentum=0.99))
    assert "1.2.2 is assumed" in audit(path).graph.assumed[0]
    status, text = run("audit", path, "--release", "1.0.5")
    assert (status, "assumed" in text) == (0, False)
    assert "what is stored is no variance" in text
