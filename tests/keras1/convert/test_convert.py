"""`normscope convert`: what it writes, what it checks, what it says, and what it never does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from normscope.cli import app
from normscope.errors import ModelFileError, SpecError
from normscope.keras1 import load_model
from normscope.keras1.convert import Conversion, convert, steps as module
from normscope.keras1.convert.inputs import random_inputs
from normscope.keras1.files import read_model_file
from normscope.keras1.network import build_network

pytestmark = pytest.mark.filterwarnings("ignore::normscope.errors.ContractWarning")

# Each with something of its own: kernels turned, branches, nested and shared layers, masks,
# states, several outputs, indices, a state of the optimizer.
SAMPLE = (
    *("seed_network_1block", "mnist_cnn", "resnet_block", "merge_concat_sequential"),
    *("nested_model", "shared_dense", "multi_output", "embedding_mask_lstm", "masking_lstm"),
    *("gru_stateful", "bidirectional_lstm_sum", "timedistributed_dense", "convlstm2d"),
    *("prelu_shared_axes", "mlp_adam", "convolution3d_same", "atrousconvolution2d", "lstm_gpu"),
    *("untrainable_layers", "conv_lstm_stack", "simplernn_backwards", "merge_dot_3d"),
)


def path_of(folder: Path, name: str, backend: str = "theano") -> Path:
    entries = json.loads((folder / "models.json").read_text())["models"]
    entry = next(e for e in entries if e["name"] == name and e["backend"] == backend)
    return folder / entry["files"]["h5"]


def run(*arguments: Any) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["convert", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("name", SAMPLE)
def test_genuine_models_are_converted_without_a_difference(
    keras1_golden: Path, tmp_path: Path, name: str
) -> None:
    source, target = path_of(keras1_golden, name), tmp_path / "new.keras"
    report = convert(source, target)
    assert not report.differs, str(report)
    assert report.layers
    assert all((layer.off_file or 0) < 2e-6 for layer in report.layers), str(report)
    assert load_model(target).count_params() == load_model(source).count_params()
    assert [path.name for path in tmp_path.iterdir()] == ["new.keras"]


def test_what_numpy_computes_anew(keras1_golden: Path, tmp_path: Path) -> None:
    """Not checked from the file: what has a mask or a layer inside, or is not in the table."""
    unchecked = set()
    for name in SAMPLE:
        report = convert(path_of(keras1_golden, name), tmp_path / f"{name}.keras")
        unchecked |= {
            (name, layer.layer_class) for layer in report.layers if layer.off_file is None
        }
    assert unchecked == {
        *(("embedding_mask_lstm", "LSTM"), ("masking_lstm", "LSTM"), ("masking_lstm", "Masking")),
        *(
            ("bidirectional_lstm_sum", "Bidirectional"),
            ("timedistributed_dense", "TimeDistributed"),
        ),
        *(("convlstm2d", "ConvLSTM2D"), ("merge_dot_3d", "Merge")),
    }


def test_the_report(keras1_golden: Path, tmp_path: Path) -> None:
    status, text = run(
        path_of(keras1_golden, "seed_network_1block"), target := tmp_path / "new.keras"
    )
    assert status == 0
    lines = text.splitlines()
    assert lines[0].endswith(f"-> {target}")
    assert lines[1] == "written by Keras 1.2.2 on theano; 8 calls of layers"
    (first,) = (line for line in lines if line.startswith("  convolution2d_1 "))
    assert first.split()[1:3] == ["normscope.keras1.Convolution2D", "4x6x5"]
    assert first.endswith("equal  kernels turned by 180 degrees")
    assert "8 of 8 layers computed anew in NumPy from the old file" in text
    assert "note: batchnormalization_1: BatchNormalization(mode=1) normalizes axis 3" in text
    assert lines[-1] == f"to load it: normscope.keras1.load_model({str(target)!r})"


def test_what_the_file_lacked_is_in_the_report(keras1_golden: Path, tmp_path: Path) -> None:
    report = convert(path_of(keras1_golden, "prelu_shared_axes"), tmp_path / "new.keras")
    assert report.layers[0].changes == ("shared_axes=[2, 3], which the file lacks",)


@pytest.mark.parametrize(
    ("name", "options", "status"),
    [
        ("maxpooling2d_same", [], 1),
        ("maxpooling2d_same", ["--backend", "theano"], 0),
        ("zeropadding3d", [], 1),
        ("zeropadding3d", ["--dim-ordering", "th"], 0),
    ],
)
def test_an_assumption_is_a_difference(
    keras1_golden: Path, tmp_path: Path, name: str, options: list[str], status: int
) -> None:
    found, text = run(path_of(keras1_golden, name), tmp_path / "new.keras", *options)
    assert found == status
    assert ("assumed: " in text) == bool(status)
    assert (tmp_path / "new.keras").exists()


def changed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions from now on have a wrong weight: in the live model, or in the new file."""
    if name == "load_model":
        genuine = module.load_model

        def load(*arguments: Any, **options: Any) -> keras.Model:
            model = genuine(*arguments, **options)
            disturb(model)
            return model

        monkeypatch.setattr(module, "load_model", load)
    else:
        genuine_load = keras.saving.load_model

        def load_again(*arguments: Any, **options: Any) -> keras.Model:
            model = genuine_load(*arguments, **options)
            disturb(model)
            return model

        monkeypatch.setattr(module.keras.saving, "load_model", load_again)


def disturb(model: keras.Model) -> None:
    weight = model.layers[0].weights[0]
    weight.assign(weight + 0.01)


@pytest.mark.parametrize("name", ["load_model", "saving"])
def test_a_wrong_weight_would_be_noticed(
    keras1_golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changed(name, monkeypatch)
    report: Conversion = convert(path_of(keras1_golden, "mlp_sgd"), tmp_path / "new.keras")
    assert report.differs
    first, second, third = report.layers
    if name == "load_model":
        assert first.off_file > 1e-3
        assert first.off_saved == 0
    else:
        assert first.off_file < 1e-6
        assert first.off_saved > 1e-3
    assert second.off_file < 1e-6
    assert third.off_file < 1e-6


def test_an_existing_file_stays_unless_forced(keras1_golden: Path, tmp_path: Path) -> None:
    source, target = path_of(keras1_golden, "lstm_gpu"), tmp_path / "new.keras"
    target.write_text("mine")
    with pytest.raises(SpecError, match="exists; write --force"):
        convert(source, target)
    assert target.read_text() == "mine"
    status, _ = run(source, target, "--force")
    assert status == 0
    assert load_model(target).output_shape == (None, 3)


def test_nothing_is_left_half_written(
    keras1_golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "checked", fail)
    with pytest.raises(KeyboardInterrupt):
        convert(path_of(keras1_golden, "lstm_gpu"), tmp_path / "new.keras")
    assert not list(tmp_path.iterdir())


def test_a_target_made_in_the_meantime_stays(
    keras1_golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, genuine = tmp_path / "new.keras", module.checked

    def slow(*arguments: Any) -> Conversion:
        target.write_text("of another program")
        return genuine(*arguments)

    monkeypatch.setattr(module, "checked", slow)
    with pytest.raises(SpecError, match="exists"):
        convert(path_of(keras1_golden, "lstm_gpu"), target)
    assert target.read_text() == "of another program"


def test_what_cannot_be_used(keras1_golden: Path, tmp_path: Path) -> None:
    source = path_of(keras1_golden, "lstm_gpu")
    for old, new, error, reason in (
        (tmp_path / "none.h5", tmp_path / "new.keras", ModelFileError, "cannot be opened"),
        (source.with_suffix(".json"), tmp_path / "new.keras", ModelFileError, "without weights"),
        (source, tmp_path / "new.h5", SpecError, r"must end in \.keras"),
        (source, tmp_path / "none" / "new.keras", SpecError, "there is no folder"),
    ):
        with pytest.raises(error, match=reason):
            convert(old, new)
    assert not list(tmp_path.iterdir())


def without_keras(*arguments: str | Path) -> str:
    """What `normscope convert` says where Keras is not installed."""
    given = ["convert", *map(str, arguments)]
    script = (
        f"import sys; sys.modules['keras'] = None; sys.argv[1:] = {given!r}; "
        "from normscope.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_missing_keras_is_named(keras1_golden: Path, tmp_path: Path) -> None:
    said = without_keras(path_of(keras1_golden, "mlp_sgd"), tmp_path / "new.keras")
    assert "pip install keras" in said


def test_files_are_looked_at_before_keras_is_imported(keras1_golden: Path, tmp_path: Path) -> None:
    good, none = path_of(keras1_golden, "mlp_sgd"), tmp_path / "none.h5"
    for files in ((none,), (good, none)):
        assert "none.h5: cannot be opened" in without_keras(*files, tmp_path / "new.keras")


def test_progress_is_told(keras1_golden: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    convert(
        path_of(keras1_golden, "mlp_sgd"),
        tmp_path / "new.keras",
        progress=lambda *step: told.append(step),
    )
    assert [what for what, _, _ in told[:3]] == ["reading", "writing", "loading again"]
    assert told[-1] == ("checking", 3, 4)


def test_random_inputs_fit(keras1_golden: Path) -> None:
    for name in ("embedding_mask_lstm", "merge_sum_functional", "gru_stateful"):
        file = read_model_file(path_of(keras1_golden, name))
        arrays = random_inputs(build_network(file.architecture, file.path))
        if name.startswith("embedding"):
            assert arrays[0].dtype == np.int32
            assert arrays[0].max() < 10
        shapes = {"embedding_mask_lstm": [(2, 6)], "merge_sum_functional": [(2, 4), (2, 5)]}
        assert [x.shape for x in arrays] == shapes.get(name, [(3, 5, 4)])


# --------------------------------------------------------------------------- two files


@pytest.mark.parametrize(
    "name", ["seed_network_1block", "nested_model", "merge_concat_sequential", "gru_stateful"]
)
def test_architecture_and_weights_apart(keras1_golden: Path, tmp_path: Path, name: str) -> None:
    whole = path_of(keras1_golden, name)
    architecture, target = whole.with_suffix(".json"), tmp_path / "new.keras"
    report = convert(architecture, target, weights=whole)
    assert not report.differs, str(report)
    assert any(layer.off_file is not None for layer in report.layers)
    assert report.source == f"{architecture} and {whole}"

    weights = tmp_path / "weights.hdf5"
    load_model(whole).save_weights(weights)
    status, said = run(architecture, weights, tmp_path / "again.keras")
    assert status == 0, said
    assert "weights.hdf5 -> " in said
    for old, new in zip(
        load_model(target).get_weights(),
        load_model(tmp_path / "again.keras").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(old, new)


def test_two_files_that_do_not_fit(keras1_golden: Path, tmp_path: Path) -> None:
    architecture = path_of(keras1_golden, "lstm_gpu").with_suffix(".json")
    other = path_of(keras1_golden, "mnist_cnn")
    for weights, reason in (
        (other, "layers with weights"),
        (architecture, "without weights"),
        (tmp_path / "none.h5", "none.h5"),
    ):
        with pytest.raises(ModelFileError, match=reason):
            convert(architecture, tmp_path / "new.keras", weights=weights)
    assert not list(tmp_path.iterdir())
    with pytest.raises(SpecError, match=r"these are 4 files"):
        CliRunner().invoke(app, ["convert", "a", "b", "c", "d"], catch_exceptions=False)
