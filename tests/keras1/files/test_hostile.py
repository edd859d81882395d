"""Files made to cost memory or time: each is read, or refused, with little of both."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from budget import budget
from keras1_models import conv, dense, norm, sequential, stored_arrays, write_h5, write_json
from normscope import ModelFileError, audit
from normscope.files.hdf5 import MAX_CHUNKS, MAX_INFLATED_BYTES, MAX_NAMES, MAX_STEPS
from normscope.keras1 import load_model
from normscope.keras1.convert import convert
from normscope.keras1.files import read_model_file, read_weights
from normscope.keras1.network import build_network
from normscope.keras1.network.layers import MAX_PATH_LENGTH

BN = "batchnormalization_1"
ROLES = ("gamma", "beta", "running_mean", "running_std")


def stored(tmp_path: Path, change: Callable[[h5py.Group], None]) -> Path:
    """A file with one batch normalization whose weights are changed."""
    model = sequential((None, 3, 8, 8), norm(axis=1))
    path = write_h5(tmp_path / "m.h5", model, {BN: [np.ones(3, "f4")] * 4}, suffix="")
    with h5py.File(path, "a") as file:
        change(file["model_weights"][BN])
    return path


def replace(group: h5py.Group, role: str, shape: tuple[int, ...], **how: Any) -> h5py.Dataset:
    del group[f"{BN}_{role}"]
    return group.create_dataset(f"{BN}_{role}", shape, "f4", **how)


def refused(path: Path, said: str, read: Callable[[Path], object] = audit) -> None:
    with budget(), pytest.raises(ModelFileError, match=said) as raised:
        read(path)
    assert str(raised.value).isprintable()


def read_everything(path: Path) -> None:
    read_model_file(path)
    read_weights(path)


# ------------------------------------------------------------------------------ HDF5: memory


@pytest.mark.parametrize("read", [audit, read_weights])
def test_many_names_of_one_compressed_array(tmp_path: Path, read: Callable[[Path], object]) -> None:
    """71 KB that claim 120 GB."""

    def change(group: h5py.Group) -> None:
        replace(group, "gamma", (15_000_000,), chunks=(1_500_000,), compression="gzip")
        names = [f"w{k}" for k in range(2000)]
        for name in names:
            group[name] = group[f"{BN}_gamma"]
        group.attrs["weight_names"] = np.array([name.encode() for name in names])

    refused(stored(tmp_path, change), "claim.? .* bytes", read)


def test_many_names_of_one_array_that_is_stored_whole(tmp_path: Path) -> None:
    def change(group: h5py.Group) -> None:
        replace(group, "gamma", (250_000,))[...] = 1
        names = [f"w{k}" for k in range(2000)]
        for name in names:
            group[name] = group[f"{BN}_gamma"]
        group.attrs["weight_names"] = np.array([name.encode() for name in names])

    path = stored(tmp_path, change)
    refused(path, "claim 2000000000 bytes together")
    refused(path, "more than the .* there can be", read_weights)


def test_layers_that_share_arrays_are_bounded_together(tmp_path: Path) -> None:
    names = [f"batchnormalization_{k}" for k in range(1, 201)]
    model = sequential((None, 3, 8, 8), *[norm(axis=1)] * len(names))
    path = write_h5(tmp_path / "m.h5", model, {})
    with h5py.File(path, "a") as file:
        whole = file.create_dataset("w", (2**22,), "f4", chunks=(2**20,), compression="gzip")
        for name in names:
            group = file["model_weights"][name]
            for role in ROLES:
                group[f"{name}_{role}"] = whole
            group.attrs["weight_names"] = np.array([f"{name}_{role}".encode() for role in ROLES])
    refused(path, "claim")


def test_a_piece_that_inflates_further_than_it_should(tmp_path: Path) -> None:
    """libhdf5 would inflate all 64 MiB of a piece that should have 256 KiB."""

    def change(group: h5py.Group) -> None:
        gamma = replace(group, "gamma", (2**16,), chunks=(2**16,), compression="gzip")
        gamma.id.write_direct_chunk((0,), zlib.compress(bytes(2**26)))

    refused(stored(tmp_path, change), "has not the size it should")


def test_pieces_that_are_larger_than_their_array(tmp_path: Path) -> None:
    def change(group: h5py.Group) -> None:
        replace(group, "gamma", (3,), maxshape=(None,), chunks=(2**27,), compression="gzip")

    refused(stored(tmp_path, change), "pieces of .* too large")


def test_more_pieces_than_can_be(tmp_path: Path) -> None:
    def change(group: h5py.Group) -> None:
        replace(group, "gamma", (MAX_CHUNKS + 1,), chunks=(1,))

    path = stored(tmp_path, change)
    refused(path, f"more than {MAX_CHUNKS} pieces", read_everything)


def test_a_filter_that_is_not_known(tmp_path: Path) -> None:
    def change(group: h5py.Group) -> None:
        replace(group, "gamma", (3,), chunks=(3,), compression="lzf")[...] = 1

    refused(stored(tmp_path, change), "compressed in a way not known here")


@pytest.mark.parametrize(
    "how",
    [
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (2, 3), "maxshape": (None, None)},
        {"shuffle": True},
        {"fillvalue": 7.0, "chunks": (2, 2)},
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "f2", "i4"])
def test_what_is_compressed_is_read_as_libhdf5_reads_it(
    tmp_path: Path, how: dict[str, Any], dtype: str
) -> None:
    values = np.arange(35).reshape(5, 7).astype(dtype)

    def change(group: h5py.Group) -> None:
        array = group.create_dataset("w", (5, 7), dtype, **how)
        array[1:4] = values[1:4]  # some pieces may be missing
        group.attrs["weight_names"] = np.array([b"w"])

    path = stored(tmp_path, change)
    with h5py.File(path) as file:
        wanted = file[f"model_weights/{BN}/w"][()]
    found = stored_arrays(path, BN)["w"]
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_the_sum_of_what_is_compressed_is_bounded(tmp_path: Path) -> None:
    size = MAX_INFLATED_BYTES // 4

    def change(group: h5py.Group) -> None:
        for name in ("a", "b"):
            group.create_dataset(name, (size // 2 + 1,), "f4", chunks=(2**16,), compression="gzip")
        group.attrs["weight_names"] = np.array([b"a", b"b"])

    refused(stored(tmp_path, change), f"have {MAX_INFLATED_BYTES} together", read_everything)


def test_lists_of_names_are_bounded_together(tmp_path: Path) -> None:
    def change(group: h5py.Group) -> None:
        del group.attrs["weight_names"]
        for part in range(3):
            group.attrs[f"weight_names{part}"] = np.array([b"w"] * (MAX_NAMES // 2))

    refused(stored(tmp_path, change), f"more than {MAX_NAMES} weight_names")


def test_names_that_lead_through_many_groups(tmp_path: Path) -> None:
    """A group that holds itself, so that a name of 1000 letters leads through 500 groups."""

    def change(group: h5py.Group) -> None:
        group["a"] = group
        names = [f"{'a/' * 480}w{k}" for k in range(400)]
        for k in range(400):
            group[f"w{k}"] = np.ones(3, "f4")
        group.attrs.create("weight_names", names, dtype=h5py.string_dtype())

    refused(stored(tmp_path, change), f"through more than {MAX_STEPS} groups")


def test_only_what_is_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from normscope.files.hdf5 import Hdf5

    model = sequential((None, 3, 8, 8), conv(), norm(axis=1), dense())
    path = write_h5(tmp_path / "m.h5", model, {"batchnormalization_2": [np.ones(4)] * 4})
    read: list[str] = []
    genuine = Hdf5.array

    def array(self: Hdf5, group: h5py.Group, name: str) -> Any:
        read.append(name)
        return genuine(self, group, name)

    monkeypatch.setattr(Hdf5, "array", array)
    assert set(audit(path).layers[0].arrays) == {"scale", "bias", "running_mean", "running_var"}
    assert len(read) == 4


# --------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize("key", ["config", "class_name", "keras_version"])
def test_a_key_twice_is_refused(tmp_path: Path, key: str) -> None:
    text = json.dumps(sequential((None, 5), norm()))
    path = tmp_path / "m.json"
    path.write_text('{"' + key + '": "x", ' + text[1:])
    refused(path, f"says '{key}' twice")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
@pytest.mark.parametrize("key", ["epsilon", "momentum", "mode", "axis"])
def test_numbers_that_are_none(tmp_path: Path, key: str, value: str) -> None:
    model = sequential((None, 5), norm(**{key: 77}))  # type: ignore[arg-type]
    path = tmp_path / "m.json"
    path.write_text(json.dumps(model).replace(f'"{key}": 77', f'"{key}": {value}'))
    refused(path, "m.json: ")


def test_names_nested_too_long(tmp_path: Path) -> None:
    kind, config = norm()
    layer: dict[str, Any] = {"class_name": kind, "config": {**config, "name": "x" * 200}}
    for _ in range(MAX_PATH_LENGTH // 200):
        inner = {"class_name": "Sequential", "config": [layer]}
        layer = {"class_name": "TimeDistributed", "config": {"name": "y" * 200, "layer": inner}}
    model = {"class_name": "Sequential", "config": [layer]}
    refused(write_json(tmp_path / "m.json", model), f"more than {MAX_PATH_LENGTH} letters")


def test_a_model_that_is_called_often_is_read_once() -> None:
    """5000 calls of a model with 5000 layers, of which it calls one."""
    spare = [
        {"name": f"s{k}", "class_name": "Dropout", "config": {}, "inbound_nodes": []}
        for k in range(5_000)
    ]
    first = {"name": "i", "class_name": "InputLayer", "config": {}, "inbound_nodes": []}
    inner = {
        "name": "inner",
        "layers": [first, *spare],
        "input_layers": [["i", 0, 0]],
        "output_layers": [["i", 0, 0]],
    }
    shape = {"batch_input_shape": [None, 5]}
    calls = [[["x", 0, 0]]] * 4_000
    layers = [
        {"name": "x", "class_name": "InputLayer", "config": shape, "inbound_nodes": []},
        {"name": "inner", "class_name": "Model", "config": inner, "inbound_nodes": calls},
    ]
    outer = {"layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["inner", 1, 0]]}
    with budget():
        build_network({"class_name": "Model", "config": outer}, "m.json")


# --------------------------------------------------------------------------- live models


def converted(path: Path) -> object:
    return convert(path, path.with_name("n.keras"))


@pytest.mark.parametrize("read", [load_model, converted])
def test_a_small_file_that_asks_for_many_weights(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    model = sequential((None, 50_000), dense(50_000))
    path = write_h5(tmp_path / "m.h5", model, {"dense_1": [np.ones(3)] * 4})
    refused(path, "more than the file holds", read)


def test_a_conversion_that_would_compute_too_much(tmp_path: Path) -> None:
    model = sequential((None, 3, 50_000, 50_000), norm(axis=1))
    path = write_h5(tmp_path / "m.h5", model, {BN: [np.ones(3)] * 4})
    target = tmp_path / "n.keras"
    refused(path, "more than are computed to check a conversion", lambda p: convert(p, target))
    assert not target.exists()


# ------------------------------------------------------------------------ .keras archives


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "m.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="d")]).save(path)
    return path


def rewritten(source: Path, target: Path, **members: bytes | None) -> Path:
    """The archive with other members; `_` in a keyword stands for `.`."""
    changed = {name.replace("_", "."): data for name, data in members.items()}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = changed.pop(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
        for name, data in changed.items():
            new.writestr(name, data or b"")
    return target


def config_with(source: Path, change: Callable[[dict[str, Any]], None]) -> bytes:
    with zipfile.ZipFile(source) as archive:
        config = json.loads(archive.read("config.json"))
    change(config["config"]["layers"][1])
    return json.dumps(config).encode()


def of_module(layer: dict[str, Any]) -> None:
    layer.update({"module": "os", "class_name": "system", "registered_name": None})


def of_function(layer: dict[str, Any]) -> None:
    layer["config"]["activation"] = {
        "module": "subprocess",
        "class_name": "function",
        "config": "run",
        "registered_name": "run",
    }


def as_lambda(layer: dict[str, Any]) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}
    layer.update({"class_name": "Lambda", "config": {"name": "l", "function": code}})


def misfit(layer: dict[str, Any]) -> None:
    layer["config"]["units"] = "\x1b[2J"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_module, "names 'system' of the module 'os', which is not imported"),
        (of_function, "of the module 'subprocess'"),
        (as_lambda, "stored as code, which is never run"),
        (misfit, "Keras cannot load it"),
    ],
)
def test_a_config_that_names_code_is_refused(
    tmp_path: Path, genuine: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    config = config_with(genuine, change)
    path = rewritten(genuine, tmp_path / "m.keras", config_json=config)
    refused(path, said, load_model)


def bomb(target: Path) -> None:
    with h5py.File(target, "w") as file:
        file.create_dataset("layers/d/vars/0", (2**34,), "f4", chunks=(2**20,), compression="gzip")


def link(target: Path) -> None:
    with h5py.File(target, "w") as file:
        file["layers"] = h5py.ExternalLink("other.h5", "/")


@pytest.mark.parametrize(("write", "said"), [(bomb, "weights claim"), (link, "have a link")])
def test_weights_that_lie_are_refused(
    tmp_path: Path, genuine: Path, write: Callable[[Path], None], said: str
) -> None:
    write(tmp_path / "w.h5")
    weights = {"model_weights_h5": (tmp_path / "w.h5").read_bytes()}
    refused(rewritten(genuine, tmp_path / "m.keras", **weights), said, load_model)


def test_archives_that_are_damaged_are_refused(tmp_path: Path, genuine: Path) -> None:
    whole = genuine.read_bytes()
    path = tmp_path / "m.keras"
    for part in range(1, 12):
        path.write_bytes(whole[: len(whole) * part // 12])
        refused(path, "zip archive|.keras archive", load_model)
    for missing in ("config_json", "model_weights_h5"):
        refused(rewritten(genuine, path, **{missing: None}), "archive without|Keras 3", load_model)
    refused(rewritten(genuine, path, config_json=b"[" * 100_000), "config.json", load_model)
    with zipfile.ZipFile(rewritten(genuine, path), "a") as archive:
        archive.writestr("../../evil", b"")
    refused(path, "a file outside it", load_model)
    with zipfile.ZipFile(rewritten(genuine, path), "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big", bytes(MAX_INFLATED_BYTES + 2**20))
    refused(path, "whose files claim", load_model)


def test_a_zip_is_what_begins_as_one(tmp_path: Path, genuine: Path, monkeypatch: Any) -> None:
    """An HDF5 file of Keras 1 with an archive behind it is what it begins as."""
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("an archive"))
    model = sequential((None, 3), norm())
    path = write_h5(tmp_path / "m.h5", model, {BN: [np.ones(3, "f4")] * 4})
    path.write_bytes(path.read_bytes() + genuine.read_bytes())
    assert load_model(path).layers[0].name == BN
    path.write_bytes(b"#!/bin/sh\n" + genuine.read_bytes())
    refused(path, "neither an HDF5 model file", load_model)


def test_what_is_no_file_of_keras_1_is_not_converted(tmp_path: Path, genuine: Path) -> None:
    target = tmp_path / "n.keras"
    refused(genuine, "a .keras archive of Keras 3", lambda path: convert(path, target))
    assert list(tmp_path.iterdir()) == []
    assert load_model(genuine).layers[0].name == "d"
