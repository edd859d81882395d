"""HDF5 files of Keras 1 and 2: links, what lies outside, sizes, texts, and attributes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hostile.case import Expected, Family, Place
from keras1_models import norm, sequential, write_h5

FAMILY = Family("HDF5")
BN = "batchnormalization_1"
ARRAY = f"model_weights/{BN}/{BN}_gamma:0"


def keras1(path: Path) -> Path:
    """A file of Keras 1 with one batch normalization."""
    model = sequential((None, 3, 8, 8), norm(axis=1))
    return write_h5(path, model, {BN: [np.ones(3, "f4")] * 4})


def keras2(path: Path, config: Any = None, version: str = "2.13.1") -> Path:
    """A file of Keras 2 with one batch normalization."""
    own = model2() if config is None else config
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = own if isinstance(own, str) else json.dumps(own)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"bn"]
        group = weights.create_group("bn")
        names = [f"bn/{role}:0" for role in ("gamma", "beta", "moving_mean", "moving_variance")]
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name in names:
            group[name] = np.ones(3, "f4")
    return path


def model2(**settings: Any) -> dict[str, Any]:
    """The settings of a model of Keras 2."""
    layers = [
        {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 8, 8, 3], "name": "i"}},
        {"class_name": "BatchNormalization", "config": {"name": "bn", "axis": [3], **settings}},
    ]
    return {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}


# --- good ones ------------------------------------------------------------------------------------


@FAMILY.good("of Keras 1", "batchnormalization_1")
def _keras1(place: Place) -> Path:
    return keras1(place.folder / "m.h5")


@FAMILY.good("of Keras 2", "bn")
def _keras2(place: Place) -> Path:
    return keras2(place.folder / "m.h5")


@FAMILY.good("another ending", "bn")
def _ending(place: Place) -> Path:
    return keras2(place.folder / "m.keras")


def _with_block(make: Callable[[Path], Path]) -> Callable[[Place], Path]:
    def write(place: Place) -> Path:
        path = make(place.folder / "plain.h5")
        with (
            h5py.File(path) as old,
            h5py.File(place.folder / "m.h5", "w", userblock_size=1024) as new,
        ):
            for key, value in old.attrs.items():
                new.attrs[key] = value
            old.copy("model_weights", new)
        return place.folder / "m.h5"

    return write


FAMILY.add("a block of the user's before it, Keras 1", _with_block(keras1), Expected.READ, "batchn")
FAMILY.add("a block of the user's before it, Keras 2", _with_block(keras2), Expected.READ, "bn")


@FAMILY.good("hard links between its arrays", "batchnormalization_1")
def _hard(place: Place) -> Path:
    path = keras1(place.folder / "m.h5")
    with h5py.File(path, "a") as file:
        for role in ("beta", "running_mean"):
            name = f"model_weights/{BN}/{BN}_{role}:0"
            del file[name]
            file[name] = file[ARRAY]
    return path


@FAMILY.good("compressed, in pieces", "batchnormalization_1")
def _packed(place: Place) -> Path:
    path = keras1(place.folder / "m.h5")
    with h5py.File(path, "a") as file:
        del file[ARRAY]
        file.create_dataset(
            ARRAY,
            data=np.ones(3, "f4"),
            chunks=(2,),
            compression="gzip",
            shuffle=True,
            fletcher32=True,
        )
    return path


@FAMILY.good("texts of variable length", "batchnormalization_1")
def _variable(place: Place) -> Path:
    path = keras1(place.folder / "m.h5")
    with h5py.File(path, "a") as file:
        text = file.attrs["model_config"]
        file.attrs.create("model_config", text, dtype=h5py.string_dtype())
    return path


@FAMILY.good("of the newest form of the format", "batchnormalization_1")
def _newest(place: Place) -> Path:
    path = keras1(place.folder / "plain.h5")
    with h5py.File(path) as old, h5py.File(place.folder / "m.h5", "w", libver="latest") as new:
        for key, value in old.attrs.items():
            new.attrs[key] = value
        old.copy("model_weights", new)
    return place.folder / "m.h5"


@FAMILY.good("with other things beside the model", "batchnormalization_1")
def _beside(place: Place) -> Path:
    path = keras1(place.folder / "m.h5")
    with h5py.File(path, "a") as file:
        file["optimizer_weights/far"] = h5py.ExternalLink(f"{place.up}/secret", "/x")
        file["loop"] = h5py.SoftLink("/loop")
        file["self"] = file["/"]
        file["evil"] = np.void(b"x" * 1000)
        file["reference"] = file.ref
    return path


# --- links, and what lies outside -----------------------------------------------------------------


def _outside_h5(place: Place) -> str:
    """A file outside that would be opened."""
    path = place.outside / f"far-{place.folder.name}.h5"
    if not path.exists():
        keras1(path)
    return f"{place.up}/{path.name}"


def _instead(
    name: str, link: Callable[[Place, h5py.File], Any]
) -> Callable[[h5py.File, Place], None]:
    def change(file: h5py.File, place: Place) -> None:
        made = link(place, file)
        del file[name]
        file[name] = made

    return change


def _external_storage(file: h5py.File, place: Place) -> None:
    del file[ARRAY]
    file.create_dataset(ARRAY, (3,), "f4", external=[(f"{place.up}/secret", 0, 12)])


def _virtual(
    target: Callable[[Place], str], maxshape: Any = None
) -> Callable[[h5py.File, Place], None]:
    def change(file: h5py.File, place: Place) -> None:
        del file[ARRAY]
        layout = h5py.VirtualLayout((3,), "f4", maxshape=maxshape)
        source = h5py.VirtualSource(target(place), "x", (3,), maxshape=maxshape)
        whole = slice(None) if maxshape is None else slice(h5py.h5s.UNLIMITED)
        layout[whole] = source[whole]
        file.create_virtual_dataset(ARRAY, layout)

    return change


def _changes() -> dict[str, tuple[Callable[[h5py.File, Place], None], Expected]]:
    refused, either = Expected.REFUSED, Expected.EITHER

    def outside(name: str) -> Callable[[Place, h5py.File], Any]:
        return lambda place, file: h5py.ExternalLink(_outside_h5(place), name)

    def soft(name: str) -> Callable[[Place, h5py.File], Any]:
        return lambda place, file: h5py.SoftLink(name)

    def dataset(shape: Any, **how: Any) -> Callable[[h5py.File, Place], None]:
        def change(file: h5py.File, place: Place) -> None:
            del file[ARRAY]
            file.create_dataset(ARRAY, shape, **{"dtype": "f4", **how})

        return change

    def attribute(where: str, key: str, value: Any) -> Callable[[h5py.File, Place], None]:
        def change(file: h5py.File, place: Place) -> None:
            file[where].attrs[key] = value(file) if callable(value) else value

        return change

    root, weights, layer = "/", "model_weights", f"model_weights/{BN}"
    return {
        "weights behind a link to another file": (
            _instead(weights, outside("/model_weights")),
            refused,
        ),
        "a layer behind a link to another file": (_instead(layer, outside(f"/{layer}")), refused),
        "an array behind a link to another file": (_instead(ARRAY, outside(f"/{ARRAY}")), refused),
        "an array behind a link to an absolute path": (
            _instead(
                ARRAY, lambda place, file: h5py.ExternalLink(str(place.outside / "secret"), "/x")
            ),
            refused,
        ),
        "an array behind a link to a pipe": (
            _instead(ARRAY, lambda place, file: h5py.ExternalLink(_pipe(place), "/x")),
            refused,
        ),
        "an array behind a link to itself": (_instead(ARRAY, soft(f"/{ARRAY}")), refused),
        "an array behind a soft link": (_instead(ARRAY, soft(f"/{layer}/{BN}_beta:0")), refused),
        "a layer behind a soft link in a circle": (_instead(layer, soft("/loop")), refused),
        "weights that hold themselves": (
            _instead(layer, lambda place, file: file[weights]),
            refused,
        ),
        "an array that is a group": (_instead(ARRAY, lambda place, file: file[weights]), refused),
        "an array stored in another file": (_external_storage, refused),
        "an array made of another file": (_virtual(_outside_h5), refused),
        "an array made of another file, without end": (_virtual(_outside_h5, (None,)), refused),
        "an array made of itself": (_virtual(lambda place: "."), refused),
        "an array of 2**40 numbers": (dataset((2**20, 2**20)), refused),
        "an array of 2**62 numbers in pieces": (
            dataset((2**31, 2**29), chunks=(1024, 1024)),
            refused,
        ),
        "an array of 2**32 numbers, deflated": (
            dataset((2**32,), chunks=(2**20,), compression="gzip"),
            refused,
        ),
        "an array of 500 MB filled with one number": (
            dataset((2**27,), chunks=(2**20,), fillvalue=1.0),
            refused,
        ),
        "an array of 32 axes": (dataset((1,) * 31 + (3,)), either),
        "an array of no axes": (dataset(()), either),
        "an array of nothing": (lambda file, place: _put(file, h5py.Empty("f4")), refused),
        "an array of 0 numbers": (dataset((0,)), either),
        "an array of texts": (dataset((3,), dtype=h5py.string_dtype()), refused),
        "an array of references": (dataset((3,), dtype=h5py.ref_dtype), refused),
        "an array of regions": (dataset((3,), dtype=h5py.regionref_dtype), refused),
        "an array of rows of any length": (dataset((3,), dtype=h5py.vlen_dtype("f4")), refused),
        "an array of fields": (dataset((3,), dtype=[("a", "f4"), ("b", h5py.ref_dtype)]), refused),
        "an array of arrays": (dataset((3,), dtype=np.dtype(("f4", (1000,)))), refused),
        "an array of raw bytes of 1 GB": (dataset((3,), dtype="V1000000000"), refused),
        "an array of an enumeration": (dataset((3,), dtype=h5py.enum_dtype({"a": 1})), either),
        "an array of complex numbers": (dataset((3,), dtype="c8"), refused),
        "an array of 16-byte numbers": (dataset((3,), dtype="f16"), either),
        "an array packed by LZF": (dataset((3,), chunks=(3,), compression="lzf"), refused),
        "no layers": (attribute(weights, "layer_names", np.zeros(0)), either),
        "layers that are not there": (attribute(weights, "layer_names", [b"gone"]), either),
        "layers with ../": (attribute(weights, "layer_names", [b"../../evil"]), refused),
        "layers with an absolute name": (attribute(weights, "layer_names", [b"/etc"]), refused),
        "layers with escapes": (attribute(weights, "layer_names", [b"\x1b[2J"]), refused),
        "layers without a name": (attribute(weights, "layer_names", [b""]), refused),
        "layers that are numbers": (attribute(weights, "layer_names", np.arange(3)), refused),
        "layers that are references": (
            attribute(weights, "layer_names", lambda file: file.ref),
            refused,
        ),
        "a hundred thousand names": (
            attribute(layer, "weight_names", np.array([b"w"] * 5000)),
            either,
        ),
        "names that are no UTF-8": (attribute(layer, "weight_names", [b"\xff\xfe"] * 4), refused),
        "an array twice": (
            attribute(layer, "weight_names", [f"{BN}_gamma:0".encode()] * 4),
            either,
        ),
        "names in parts without end": (_parts_of_names, either),
        "settings that are empty": (attribute(root, "model_config", ""), refused),
        "settings that are a number": (attribute(root, "model_config", 5), refused),
        "settings that are an array": (attribute(root, "model_config", np.arange(10)), refused),
        "settings that are a reference": (
            attribute(root, "model_config", lambda file: file.ref),
            refused,
        ),
        "settings that are empty (H5S_NULL)": (
            attribute(root, "model_config", h5py.Empty("S1")),
            refused,
        ),
        "settings that are no JSON": (attribute(root, "model_config", "{"), refused),
        "settings that are code": (
            attribute(root, "model_config", "__import__('os').system('x')"),
            refused,
        ),
        "settings of 64 KiB and more": (_large_attribute, refused),
        "settings of 100 MB": (_huge_attribute, refused),
        "settings of two texts": (attribute(root, "model_config", [b"{}", b"{}"]), refused),
        "a version with escapes": (attribute(root, "keras_version", "1.2.2\x1b[2J"), either),
        "a version of 1 MB": (attribute(root, "keras_version", b"9" * 60_000), either),
        "a version that is an array": (attribute(root, "keras_version", np.arange(3)), either),
        "a backend with markup": (attribute(root, "backend", "[bold]<script>"), either),
    }


def _put(file: h5py.File, value: Any) -> None:
    del file[ARRAY]
    file[ARRAY] = value


def _pipe(place: Place) -> str:
    path = place.outside / f"pipe-{place.folder.name}"
    if not path.exists():
        os.mkfifo(path)
    return f"{place.up}/{path.name}"


def _parts_of_names(file: h5py.File, place: Place) -> None:
    group = file[f"model_weights/{BN}"]
    del group.attrs["weight_names"]
    for number in range(2000):
        group.attrs[f"weight_names{number}"] = [b"w"]


def _large_attribute(file: h5py.File, place: Place) -> None:
    text = json.dumps({"class_name": "Lambda", "x": "y" * 100_000})
    del file.attrs["model_config"]
    file.attrs.create("model_config", text, dtype=h5py.string_dtype())


def _huge_attribute(file: h5py.File, place: Place) -> None:
    del file.attrs["model_config"]
    file.attrs.create("model_config", "x" * 10**8, dtype=h5py.string_dtype())


def _changed(
    make: Callable[[Path], Path], change: Callable[[h5py.File, Place], None]
) -> Callable[[Place], Path]:
    def write(place: Place) -> Path:
        path = make(place.folder / "m.h5")
        with h5py.File(path, "a") as file:
            change(file, place)
        return path

    return write


for _name, (_change, _expected) in _changes().items():
    FAMILY.add(f"Keras 1, {_name}", _changed(keras1, _change), _expected)


GAMMA_2 = "model_weights/bn/bn/gamma:0"


def _changes_2() -> dict[str, tuple[Callable[[h5py.File, Place], None], Expected]]:
    refused, either = Expected.REFUSED, Expected.EITHER

    def replaced(name: str, link: Callable[[Place], Any]) -> Callable[[h5py.File, Place], None]:
        def change(file: h5py.File, place: Place) -> None:
            del file[name]
            file[name] = link(place)

        return change

    def virtual(file: h5py.File, place: Place) -> None:
        del file[GAMMA_2]
        layout = h5py.VirtualLayout((3,), "f4", maxshape=(None,))
        source = h5py.VirtualSource(_outside_h5(place), "x", (3,), maxshape=(None,))
        layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
        file.create_virtual_dataset(GAMMA_2, layout)

    def bomb(file: h5py.File, place: Place) -> None:
        del file[GAMMA_2]
        file.create_dataset(GAMMA_2, (2**31,), "f4", chunks=(2**20,), compression="gzip")

    def far(name: str) -> Callable[[Place], Any]:
        return lambda place: h5py.ExternalLink(_outside_h5(place), name)

    return {
        "weights behind a link to another file": (
            replaced("model_weights", far("/model_weights")),
            refused,
        ),
        "a layer behind a link to another file": (replaced("model_weights/bn", far("/x")), refused),
        "an array behind a link to another file": (replaced(GAMMA_2, far("/x")), refused),
        "an array behind a soft link": (
            replaced(GAMMA_2, lambda place: h5py.SoftLink("/x")),
            refused,
        ),
        "an array made of another file": (virtual, refused),
        "an array of 2**31 numbers, deflated": (bomb, refused),
        "an array of another shape": (
            replaced(GAMMA_2, lambda place: np.ones((7, 7), "f4")),
            either,
        ),
        "no weights": (lambda file, place: file.__delitem__("model_weights"), either),
    }


for _name, (_change, _expected) in _changes_2().items():
    FAMILY.add(f"Keras 2, {_name}", _changed(keras2, _change), _expected)


@FAMILY.hostile("only its first bytes")
def _magic(place: Place) -> Path:
    return place.file("m.h5", b"\x89HDF\r\n\x1a\n")


@FAMILY.hostile("zeros behind its first bytes")
def _zeros(place: Place) -> Path:
    return place.file("m.h5", b"\x89HDF\r\n\x1a\n" + bytes(5000))


@FAMILY.hostile("weights and no settings")
def _weights_only(place: Place) -> Path:
    path = keras1(place.folder / "m.h5")
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
    return path


@FAMILY.hostile("an HDF5 file of something else")
def _other(place: Place) -> Path:
    with h5py.File(place.folder / "m.h5", "w") as file:
        file["x"] = np.arange(10)
    return place.folder / "m.h5"
