"""Reading model files of Keras 1: the genuine ones are read, damaged ones are refused at once."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from budget import budget
from keras1_models import stored_arrays
from normscope.errors import ModelFileError
from normscope.files.hdf5 import MAX_TEXT_BYTES
from normscope.keras1.files import ModelFile, read_model_file, read_weights, weights_entry
from normscope.keras1.network import build_network

DENSE = {"class_name": "Dense", "config": {"name": "d", "output_dim": 3, "input_dim": 2}}
MODEL = {"class_name": "Sequential", "config": [DENSE], "keras_version": "1.2.2"}
GENUINE = ["theano_th/seed_network_1block", "tensorflow_any/mlp_adam", "theano_any/nested_model"]


def read_all(path: Path) -> str:
    """Read whatever an audit reads: "good", or why not. Another exception fails the test."""
    result = "good"
    with budget():
        try:
            model = read_model_file(path)
            build_network(model.architecture, model.path)
            if model.weights:
                read_weights(path)
        except ModelFileError as error:
            result = str(error)
    assert result == "good" or result.startswith(f"{path}: ")
    assert result.isprintable()
    return result


def write_h5(path: Path, change: Callable[[h5py.File], None] | None = None, **options: Any) -> Path:
    """A small file of the layout of model.save(), then changed."""
    with h5py.File(path, "w", **options) as file:
        file.attrs["keras_version"] = "1.2.2"
        file.attrs["model_config"] = json.dumps(MODEL)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([b"d"])
        layer = group.create_group("d")
        layer.attrs["weight_names"] = np.array([b"d_W", b"d_b"])
        layer["d_W"] = np.ones((2, 3), "float32")
        layer["d_b"] = np.zeros(3, "float32")
        if change is not None:
            change(file)
    return path


# ---------------------------------------------------------------------------------- genuine files


def test_every_genuine_file_is_read(keras1_golden: Path) -> None:
    entries = json.loads((keras1_golden / "models.json").read_text())["models"]
    assert len(entries) == 300
    for entry in entries:
        saved = read_model_file(keras1_golden / entry["files"]["h5"])
        assert (saved.release, saved.architecture["class_name"]) == ("1.2.2", entry["class_name"])
        stored = [
            [name, list(array.shape)]
            for layer in saved.weights
            for name, array in stored_arrays(saved.path, layer).items()
        ]
        assert stored == entry["weights"], entry["name"]
        assert saved.backend == (entry["backend"] if stored else None)
        text = read_model_file(keras1_golden / entry["files"]["json"])
        assert (text.release, text.backend, text.weights) == ("1.2.2", None, {})
        assert text.architecture["config"] == saved.architecture["config"]


def test_arrays_are_those_of_the_file(keras1_golden: Path) -> None:
    path = keras1_golden / "models/theano_th/seed_network_1block.h5"
    arrays = stored_arrays(path, "batchnormalization_1")
    assert [name.removeprefix("batchnormalization_1_") for name in arrays] == [
        "gamma",
        "beta",
        "running_mean",
        "running_std",
    ]
    with h5py.File(path) as file:
        for name, array in arrays.items():
            np.testing.assert_array_equal(
                array, file[f"model_weights/batchnormalization_1/{name}"][()]
            )


def test_files_of_weights_only_are_refused_with_advice(keras1_golden: Path) -> None:
    paths = list(keras1_golden.glob("models/*/*_weights.h5"))
    assert paths
    for path in paths:
        with pytest.raises(ModelFileError, match=r"weights only.*model\.to_json\(\)"):
            read_model_file(path)


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    saved = write_h5(tmp_path / "model.json")
    assert set(stored_arrays(saved, "d")) == {"d_W", "d_b"}
    text = tmp_path / "model.h5"
    text.write_text(json.dumps(MODEL))
    assert read_model_file(text).weights == {}


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("track_order", [False, True])
@pytest.mark.parametrize("kind", ["bytes", "variable", "split"])
def test_every_way_to_store_names(
    tmp_path: Path, libver: str, track_order: bool, kind: str
) -> None:
    def change(file: h5py.File) -> None:
        group = file["model_weights"]
        del group.attrs["layer_names"]
        layer = group.create_group("in/1x1")
        if kind == "bytes":
            file.attrs["model_config"] = np.bytes_(json.dumps(MODEL))
            file.attrs["keras_version"] = np.bytes_(b"1.2.2")
            group.attrs["layer_names"] = np.array([b"in/1x1", b"d"])
            layer.attrs["weight_names"] = np.array([b"in/1x1_W:0"])
        elif kind == "variable":
            group.attrs["layer_names"] = ["in/1x1", "d"]
            layer.attrs["weight_names"] = ["in/1x1_W:0"]
        else:
            group.attrs["layer_names0"] = ["in/1x1"]
            group.attrs["layer_names1"] = ["d"]
            layer.attrs["weight_names0"] = ["in/1x1_W:0"]
        layer.create_dataset("in/1x1_W:0", data=np.arange(4.0), compression="gzip")

    path = write_h5(tmp_path / "model.h5", change, libver=libver, track_order=track_order)
    model = read_model_file(path)
    assert model.weights == {"in/1x1": ("in/1x1_W:0",), "d": ("d_W", "d_b")}
    assert model.release == "1.2.2"
    np.testing.assert_array_equal(stored_arrays(path, "in/1x1")["in/1x1_W:0"], np.arange(4.0))


def test_a_layer_without_weights_has_an_empty_list(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["model_weights/d"].attrs["weight_names"] = np.array([])

    assert read_model_file(write_h5(tmp_path / "m.h5", change)).weights == {"d": ()}


def test_the_backend_is_told_by_the_names_of_weights(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        layer = file["model_weights/d"]
        layer.attrs["weight_names"] = np.array([b"d_W:0", b"d_b:0"])
        layer.move("d_W", "d_W:0")
        layer.move("d_b", "d_b:0")

    assert read_model_file(write_h5(tmp_path / "a.h5", change)).backend == "tensorflow"
    assert read_model_file(write_h5(tmp_path / "b.h5")).backend == "theano"


@pytest.mark.parametrize(
    ("layer_path", "entry"),
    [
        ("conv", "conv"),
        ("block/1x1", "block/1x1"),
        ("inner/bn", "inner"),
        ("sequential_1/bn_2", "sequential_7"),
        ("missing", None),
    ],
)
def test_where_the_weights_of_a_layer_are(layer_path: str, entry: str | None) -> None:
    weights = {
        "conv": ("conv_W",),
        "block/1x1": ("block/1x1_W",),
        "inner": ("bn_gamma",),
        "sequential_7": ("bn_2_gamma",),
    }
    assert weights_entry(ModelFile("m.h5", {}, None, None, weights), layer_path) == entry


# ---------------------------------------------------------------------------------- other files


@pytest.mark.parametrize("version", ["2.0.0", "2.2.4-tf", "3.5.0", "0.3.3"])
def test_other_releases_are_named(tmp_path: Path, version: str) -> None:
    def change(file: h5py.File) -> None:
        file.attrs["keras_version"] = version

    text = tmp_path / "m.json"
    text.write_text(json.dumps(MODEL | {"keras_version": version}))
    for path in (text, write_h5(tmp_path / "m.h5", change)):
        with pytest.raises(ModelFileError, match=f"written by Keras {version}$"):
            read_model_file(path)


def test_an_archive_of_keras_3_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(ModelFileError, match="archive of Keras 3"):
        read_model_file(path)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.h5", Path("/dev/zero"), "a\0b"):
        with pytest.raises(ModelFileError, match=r"cannot be opened|not a regular file"):
            read_model_file(path)
    for path in (tmp_path, tmp_path / "missing.h5"):
        with pytest.raises(ModelFileError):
            stored_arrays(path, "d")


def test_it_is_said_what_a_model_file_is(tmp_path: Path) -> None:
    wanted = r"an HDF5 model file, as model.save\(\) .*JSON, as model.to_json\(\) writes it"
    with pytest.raises(ModelFileError, match=f"a folder, not a regular file; give .*{wanted}"):
        read_model_file(tmp_path)
    for data in (b"", b"not a model", bytes(range(256)), b" " * (MAX_TEXT_BYTES + 1)):
        path = tmp_path / "m.h5"
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=r"neither an HDF5 model file, .*no HDF5"):
            read_model_file(path)


# -------------------------------------------------------------------------------- damaged JSON

TEXTS = {
    "empty": b"",
    "blank": b" \n",
    "binary": bytes(range(256)),
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "number": b"1",
    "huge number": b"1" * 5_000,
    "infinity": b"Infinity",
    "text": b'"Sequential"',
    "text in text": json.dumps(json.dumps(MODEL)).encode(),
    "list": b"[]",
    "object": b"{}",
    "no config": b'{"class_name": "Sequential"}',
    "no class": b'{"config": []}',
    "deep lists": b"[" * 5_000 + b"]" * 5_000,
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "101 deep": b'{"class_name": "Model", "config": ' + b"[" * 100 + b"]" * 100 + b"}",
    "unclosed": b"[" * 100_000,
    "too long": b" " * (MAX_TEXT_BYTES + 1),
    "a million layers": b'{"class_name":"Sequential","config":[' + b"{}," * 999_999 + b"{}]}",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00",
}
VERSIONS = [2, 1.2, True, [], {}, "", "x", "1.\x1b[2J", "1" * 5_000, "1." + "2" * 500, "-1", "1e9"]


@pytest.mark.parametrize("name", TEXTS)
def test_texts_that_are_no_model(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(TEXTS[name])
    assert read_all(path) != "good"


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_that_are_none(tmp_path: Path, version: object) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(MODEL | {"keras_version": version}))
    assert "keras_version is" in read_all(path)


@pytest.mark.parametrize("part", range(25))
def test_truncated_json(keras1_golden: Path, tmp_path: Path, part: int) -> None:
    whole = (keras1_golden / "models/theano_th/resnet_block.json").read_bytes()
    path = tmp_path / "m.json"
    path.write_bytes(whole[: len(whole) * part // 25])
    assert "JSON" in read_all(path)


def flipped(whole: bytes, seed: int, head: int) -> bytes:
    """`whole` with one to eight bits of its first `head` bytes turned."""
    chance = random.Random(seed)
    data = bytearray(whole)
    for _ in range(chance.choice((1, 2, 8))):
        bit = chance.randrange(8 * head)
        data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


@pytest.mark.parametrize("name", ["theano_th/resnet_block", "theano_any/shared_dense"])
def test_flipped_json_is_read_or_refused(keras1_golden: Path, tmp_path: Path, name: str) -> None:
    whole = (keras1_golden / f"models/{name}.json").read_bytes()
    path = tmp_path / "m.json"
    results = []
    for seed in range(200):
        path.write_bytes(flipped(whole, seed, len(whole)))
        results.append(read_all(path))
    assert 100 < len(results) - results.count("good") < 200  # many are refused, some are harmless


# -------------------------------------------------------------------------------- damaged HDF5


@pytest.mark.parametrize("part", range(25))
@pytest.mark.parametrize("name", GENUINE[:2])
def test_truncated_hdf5(keras1_golden: Path, tmp_path: Path, name: str, part: int) -> None:
    whole = (keras1_golden / f"models/{name}.h5").read_bytes()
    path = tmp_path / "m.h5"
    path.write_bytes(whole[: len(whole) * part // 25])
    assert read_all(path) != "good"


@pytest.mark.parametrize("name", GENUINE)
def test_flipped_hdf5_is_read_or_refused(keras1_golden: Path, tmp_path: Path, name: str) -> None:
    whole = (keras1_golden / f"models/{name}.h5").read_bytes()
    path = tmp_path / "m.h5"
    results = []
    for seed in range(300):
        path.write_bytes(flipped(whole, seed, min(len(whole), 6_000)))
        results.append(read_all(path))
    assert 100 < len(results) - results.count("good") < 300


def edited(whole: bytes, position: int, form: str, *values: int) -> bytes:
    data = bytearray(whole)
    np.frombuffer(data, form, len(values), position)[:] = values
    return bytes(data)


def test_texts_on_which_libhdf5_hangs_crashes_or_takes_4_gib(
    keras1_golden: Path, tmp_path: Path
) -> None:
    whole = (keras1_golden / "models/tensorflow_any/mlp_adam.h5").read_bytes()
    heap = whole.index(b"GCOL\x01")
    config = whole.index(b"model_config\0")
    length = whole.index(heap.to_bytes(8, "little"), config) - 4
    free = heap + 16
    while whole[free : free + 2] != b"\0\0":  # index 0 is the free space
        free += 16 + -(-int.from_bytes(whole[free + 8 : free + 16], "little") // 8) * 8
    damaged = {
        "length": edited(whole, length, "<u4", 2**32 - 1),
        "heap": edited(whole, length + 4, "<u8", 2**63),
        "index": edited(whole, length + 12, "<u4", 77),
        "heap size": edited(whole, heap + 8, "<u8", 16),
        "object size": edited(whole, heap + 16 + 8, "<u8", 2**64 - 8),
        "no signature": edited(whole, heap, "u1", 0),
        "type": edited(whole, config + 16 + 1, "u1", 0),
    }
    path = tmp_path / "m.h5"
    for name, data in damaged.items():
        path.write_bytes(data)
        assert read_all(path) != "good", name
    path.write_bytes(edited(whole, free + 8, "<u8", 816))  # libhdf5 2.0.0 would never come back
    assert read_all(path) == "good"


def no_weights(file: h5py.File) -> None:
    del file["model_weights"]


def no_names(file: h5py.File) -> None:
    del file["model_weights"].attrs["layer_names"]


def weights_are_an_array(file: h5py.File) -> None:
    no_weights(file)
    file["model_weights"] = 1.0


def layer_is_an_array(file: h5py.File) -> None:
    del file["model_weights/d"]
    file["model_weights/d"] = 1.0


def weight_is_a_group(file: h5py.File) -> None:
    del file["model_weights/d/d_W"]
    file.create_group("model_weights/d/d_W")


def weight_is_missing(file: h5py.File) -> None:
    del file["model_weights/d/d_W"]


def weight_is_text(file: h5py.File) -> None:
    weight_is_missing(file)
    file["model_weights/d/d_W"] = "text"


def weight_is_empty(file: h5py.File) -> None:
    weight_is_missing(file)
    file["model_weights/d/d_W"] = h5py.Empty("S4")


def layer_twice(file: h5py.File) -> None:
    file["model_weights"].attrs["layer_names"] = np.array([b"d", b"d"])


def layer_is_missing(file: h5py.File) -> None:
    file["model_weights"].attrs["layer_names"] = np.array([b"d", b"e"])


def names_are_numbers(file: h5py.File) -> None:
    file["model_weights"].attrs["layer_names"] = np.arange(3.0)


def name_is_empty(file: h5py.File) -> None:
    file["model_weights"].attrs["layer_names"] = ["d", ""]


def name_is_a_control_sequence(file: h5py.File) -> None:
    file["model_weights"].attrs["layer_names"] = ["d", "\x1b[2J"]


def name_is_no_utf8(file: h5py.File) -> None:
    file["model_weights"].attrs["layer_names"] = np.array([b"d", b"\xff\xfe"])


def name_is_too_long(file: h5py.File) -> None:
    file["model_weights"].attrs["layer_names"] = ["d", "x" * 5_000]


def name_leads_out_of_the_layer(file: h5py.File) -> None:
    file["model_weights/d"].attrs["weight_names"] = np.array([b"../../d_W"])


def config_is_a_number(file: h5py.File) -> None:
    file.attrs["model_config"] = 5


def config_is_two_texts(file: h5py.File) -> None:
    file.attrs["model_config"] = ["{}", "{}"]


def config_is_empty(file: h5py.File) -> None:
    file.attrs["model_config"] = h5py.Empty("S1")


def config_is_too_long(file: h5py.File) -> None:
    file.attrs["model_config"] = " " * (MAX_TEXT_BYTES + 1)


def external_link(file: h5py.File) -> None:
    write_h5(Path(file.filename).with_name("other.h5"))
    del file["model_weights/d"]
    file["model_weights/d"] = h5py.ExternalLink("other.h5", "/model_weights/d")


def soft_link(file: h5py.File) -> None:
    file["model_weights"].move("d", "hidden")
    file["model_weights/d"] = h5py.SoftLink("/model_weights/hidden")


def link_to_itself(file: h5py.File) -> None:
    del file["model_weights/d"]
    file["model_weights/d"] = h5py.SoftLink("/model_weights/d")


def external_data(file: h5py.File) -> None:
    weight_is_missing(file)
    Path(file.filename).with_name("secret").write_bytes(b"\0" * 24)
    file["model_weights/d"].create_dataset(
        "d_W", (2, 3), "float32", external=[("secret", 0, h5py.h5f.UNLIMITED)]
    )


def virtual_data(file: h5py.File) -> None:
    weight_is_missing(file)
    write_h5(Path(file.filename).with_name("other.h5"))
    layout = h5py.VirtualLayout((2, 3), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "model_weights/d/d_W", (2, 3))
    file["model_weights/d"].create_virtual_dataset("d_W", layout)


def absurd_array(file: h5py.File) -> None:
    weight_is_missing(file)
    file["model_weights/d"].create_dataset("d_W", (2**40,), "float32")


def absurd_chunks(file: h5py.File) -> None:
    weight_is_missing(file)
    file["model_weights/d"].create_dataset("d_W", (2**40,), "float32", chunks=(1_000,))


def inflating_array(file: h5py.File) -> None:
    weight_is_missing(file)
    file["model_weights/d"].create_dataset(
        "d_W", (2**30,), "float32", chunks=(2**20,), compression="gzip"
    )


STRUCTURES = [
    *(no_weights, no_names, weights_are_an_array, layer_is_an_array, layer_twice, layer_is_missing),
    *(weight_is_a_group, weight_is_missing, weight_is_text, weight_is_empty, names_are_numbers),
    *(name_is_empty, name_is_a_control_sequence, name_is_no_utf8, name_is_too_long),
    *(name_leads_out_of_the_layer, config_is_a_number, config_is_two_texts, config_is_empty),
    *(config_is_too_long, external_link, soft_link, link_to_itself, external_data, virtual_data),
    *(absurd_array, absurd_chunks, inflating_array),
]


@pytest.mark.parametrize("change", STRUCTURES, ids=lambda change: change.__name__)
def test_wrong_structures_are_refused(tmp_path: Path, change: Callable[[h5py.File], None]) -> None:
    assert read_all(write_h5(tmp_path / "good.h5")) == "good"
    assert read_all(write_h5(tmp_path / "m.h5", change)) != "good"


def test_an_hdf5_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)
    assert "not of a Keras model" in read_all(path)


def test_many_layers_are_read_in_time(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        names = [f"layer_{i}" for i in range(1_000)]
        file["model_weights"].attrs["layer_names"] = names
        for name in names:
            file["model_weights"].create_group(name).attrs["weight_names"] = np.array([])

    assert read_all(write_h5(tmp_path / "m.h5", change)) == "good"
