"""Models of Keras by their settings, in JSON, .h5 and .keras: code, classes, sizes, circles."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hostile import payloads, zips
from hostile.case import Expected, Family, Place
from hostile.of_hdf5 import keras2
from hostile.zips import DEFLATED, Member
from keras1_models import conv, norm, sequential

FAMILY = Family("Keras")
ARCHIVE = Family(".keras")
JSON = Family("JSON")
Layer = dict[str, Any]


def layer3(kind: str, name: str, module: str = "keras.layers", **config: Any) -> Layer:
    """A layer as Keras 3 writes it."""
    return {
        "module": module,
        "class_name": kind,
        "config": {"name": name, **config},
        "registered_name": None,
    }


def model3(*layers: Layer, shape: tuple[int | None, ...] = (None, 8, 8, 3)) -> Layer:
    """A Sequential model as Keras 3 writes it."""
    first = layer3("InputLayer", "i", batch_shape=list(shape), dtype="float32")
    return {
        **layer3("Sequential", "net", module="keras", layers=[first, *layers]),
        "build_config": {"input_shape": list(shape)},
    }


def norm3(**config: Any) -> Layer:
    """A batch normalization."""
    return layer3("BatchNormalization", "bn", **{"axis": -1, "epsilon": 1e-3, **config})


def weights3(change: Callable[[h5py.File], None] = lambda file: None) -> bytes:
    """Weights as Keras 3 stores them."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for number in range(4):
            file[f"layers/batch_normalization/vars/{number}"] = np.full(3, 1.0 + number, "f4")
        change(file)
    return stream.getvalue()


def archive3(
    model: Any = None, weights: bytes | None = None, *, method: int = zips.STORED, **how: Any
) -> bytes:
    """A .keras archive."""
    return zips.archive(members3(model, weights, method=method), **how)


def members3(
    model: Any = None, weights: bytes | None = None, *, method: int = zips.STORED
) -> list[Member]:
    """What is in a .keras archive."""
    config = model3(norm3()) if model is None else model
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    return [
        Member("metadata.json", b'{"keras_version": "3.9.0", "date_saved": "x"}', method),
        Member("config.json", text, method),
        Member("model.weights.h5", weights3() if weights is None else weights, method),
    ]


# --- good ones ------------------------------------------------------------------------------------


@ARCHIVE.good("as it is written", "bn")
def _plain(place: Place) -> Path:
    return place.file("m.keras", archive3())


@ARCHIVE.good("deflated", "bn")
def _deflated(place: Place) -> Path:
    return place.file("m.keras", archive3(method=DEFLATED))


@ARCHIVE.good("with sizes after the bytes", "bn")
def _after(place: Place) -> Path:
    own = members3(method=DEFLATED)
    for one in own:
        one.flags = zips.DESCRIBED_AFTER
    return place.file("m.keras", zips.archive(own))


@ARCHIVE.good("with a comment and other files", "bn")
def _comment(place: Place) -> Path:
    own = [*members3(), Member("assets/x.txt", b"x"), Member("assets/", attributes=zips.FOLDER)]
    return place.file("m.zip", zips.archive(own, comment=b"hello"))


@JSON.good("of Keras 1", "batchnormalization_1")
def _json_1(place: Place) -> Path:
    return place.file("m.json", json.dumps(sequential((None, 3, 8, 8), norm(axis=1))))


@JSON.good("of Keras 3", "bn")
def _json_3(place: Place) -> Path:
    return place.file("m.json", json.dumps(model3(norm3())))


@JSON.good("with a BOM", "batchnormalization_1")
def _bom(place: Place) -> Path:
    text = json.dumps(sequential((None, 3, 8, 8), norm(axis=1)))
    return place.file("m.json", b"\xef\xbb\xbf" + text.encode())


@JSON.good("with white space around it", "batchnormalization_1")
def _space(place: Place) -> Path:
    text = json.dumps(sequential((None, 3, 8, 8), norm(axis=1)), indent=4)
    return place.file("m.txt", "\r\n\t " + text + "\n\n")


# --- code and names -------------------------------------------------------------------------------


def _lambda(place: Place) -> Layer:
    code = {
        "class_name": "__lambda__",
        "config": {"code": payloads.marshalled(place), "defaults": None, "closure": None},
    }
    return layer3("Lambda", "l", function=code)


def _entry(module: str | None, kind: str, **rest: Any) -> Layer:
    return {"module": module, "class_name": kind, "config": {"name": "evil"}, **rest}


def _layers() -> dict[str, Callable[[Place], Layer]]:
    canary = "normscope_canary"

    def in_setting(value: Any) -> Callable[[Place], Layer]:
        return lambda place: layer3("Dense", "d", **{"units": 3, **value})

    function = {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "system",
    }
    evil = {"module": canary, "class_name": "Fire", "config": {}, "registered_name": None}
    return {
        "a Lambda as marshalled code": _lambda,
        "a Lambda in a TimeDistributed": lambda place: layer3(
            "TimeDistributed", "t", layer=_lambda(place)
        ),
        "a Lambda in a Bidirectional": lambda place: layer3(
            "Bidirectional", "t", layer=_lambda(place)
        ),
        "a Lambda by the name of a function": lambda place: layer3(
            "Lambda", "l", function="os.system"
        ),
        "a Lambda of a function of a module": lambda place: layer3(
            "Lambda", "l", function=function
        ),
        "a Lambda of Keras 2": lambda place: {
            "class_name": "Lambda",
            "config": {
                "name": "l",
                "function": [payloads.marshalled(place), None, None],
                "function_type": "lambda",
                "module": canary,
            },
        },
        "a class of a module of the file": lambda place: _entry(
            canary, "Fire", registered_name="Fire"
        ),
        "a class of a package": lambda place: _entry(f"{canary}.deep", "Fire"),
        "a registered name": lambda place: _entry(None, "Fire", registered_name=f"{canary}>Fire"),
        "a class by its whole name": lambda place: _entry("keras.layers", f"{canary}.Fire"),
        "os.system as a layer": lambda place: _entry("os", "system"),
        "subprocess as a layer": lambda place: _entry(
            "subprocess", "Popen", config={"args": ["touch", "x"]}
        ),
        "a module inside of Keras": lambda place: _entry(
            "keras.src.saving.serialization_lib", "deserialize_keras_object"
        ),
        "keras.utils as a layer": lambda place: _entry(
            "keras.utils", "get_file", config={"fname": "x", "origin": "http://localhost:9"}
        ),
        "keras.saving.load_model as a layer": lambda place: _entry("keras.saving", "load_model"),
        "keras.config.enable_unsafe_deserialization": lambda place: _entry(
            "keras.config", "enable_unsafe_deserialization"
        ),
        "a dunder as a class": lambda place: _entry("keras.layers", "__builtins__"),
        "a module that is a URL": lambda place: _entry("http://localhost:9/evil", "Fire"),
        "a module that is a path": lambda place: _entry("../../outside/normscope_canary", "Fire"),
        "a module that is a number": lambda place: {**_entry(None, "Dense"), "module": 5},
        "a TorchModuleWrapper": lambda place: layer3(
            "TorchModuleWrapper", "w", module=payloads.marshalled(place)
        ),
        "a JaxLayer": lambda place: layer3("JaxLayer", "w", call_fn=function),
        "a FlaxLayer": lambda place: layer3("FlaxLayer", "w", module=evil),
        "a TFSMLayer": lambda place: layer3(
            "TFSMLayer", "w", filepath=str(place.outside), call_endpoint="serve"
        ),
        "a StringLookup of a file": lambda place: layer3(
            "StringLookup", "w", vocabulary=str(place.outside / "secret")
        ),
        "a TextVectorization of a file": lambda place: layer3(
            "TextVectorization", "w", vocabulary=str(place.outside / "secret")
        ),
        "a HashedCrossing": lambda place: layer3("HashedCrossing", "w", num_bins=2**39),
        "an activation of a module": in_setting({"activation": function}),
        "an activation that is a Lambda": in_setting(
            {"activation": {"class_name": "__lambda__", "config": {"code": "4wEA"}}}
        ),
        "an activation by a path": in_setting({"activation": "os.system"}),
        "an activation that is a dunder": in_setting({"activation": "__import__"}),
        "an initializer of a module": in_setting({"kernel_initializer": evil}),
        "an initializer by a path": in_setting({"kernel_initializer": f"{canary}.Fire"}),
        "a regularizer of a module": in_setting({"kernel_regularizer": evil}),
        "a constraint of a module": in_setting({"kernel_constraint": evil}),
        "a dtype of a module": in_setting({"dtype": evil}),
        "a dtype that is not known": in_setting({"dtype": "float99"}),
        "a dtype of texts": in_setting({"dtype": "string"}),
        "a quantization of a module": in_setting({"quantization_config": evil}),
        "a LoRA of rank 2**40": in_setting({"lora_rank": 2**40}),
        "units that are code": in_setting({"units": "__import__('os').system('x')"}),
        "units of -1": lambda place: layer3("Dense", "d", units=-1),
        "units of 10**12": lambda place: layer3("Dense", "d", units=10**12),
        "units of 10**9": lambda place: layer3("Dense", "d", units=10**9),
        "units of NaN": lambda place: layer3("Dense", "d", units=float("nan")),
        "units of a fraction": lambda place: layer3("Dense", "d", units=2.5),
        "an Embedding of 10**10 rows": lambda place: layer3(
            "Embedding", "e", input_dim=10**10, output_dim=8
        ),
        "a repetition of 10**9": lambda place: layer3("RepeatVector", "r", n=10**9),
        "padding of 10**9": lambda place: layer3(
            "ZeroPadding2D", "z", padding=[[10**9, 10**9]] * 2
        ),
        "padding of 20,000": lambda place: layer3(
            "ZeroPadding2D", "z", padding=[[20_000, 20_000]] * 2
        ),
        "padding of -5": lambda place: layer3("ZeroPadding2D", "z", padding=[[-5, -5]] * 2),
        "upsampling of 10**6": lambda place: layer3("UpSampling2D", "u", size=[10**6, 10**6]),
        "upsampling of 3,000": lambda place: layer3("UpSampling2D", "u", size=[3000, 3000]),
        "resizing to 10**9": lambda place: layer3("Resizing", "r", height=10**9, width=10**9),
        "a reshape to 2**60": lambda place: layer3("Reshape", "r", target_shape=[2**60]),
        "a reshape to -1, -1": lambda place: layer3("Reshape", "r", target_shape=[-1, -1]),
        "a permutation of axis 99": lambda place: layer3("Permute", "p", dims=[99, 1, 2]),
        "a window of 0": lambda place: layer3("MaxPooling2D", "p", pool_size=[0, 0]),
        "a stride of 0": lambda place: layer3(
            "Conv2D", "c", filters=2, kernel_size=[1, 1], strides=[0, 0]
        ),
        "a window of 10**9": lambda place: layer3(
            "Conv2D", "c", filters=2, kernel_size=[10**9, 10**9]
        ),
        "groups of 0": lambda place: layer3("GroupNormalization", "g", groups=0),
        "groups of -7": lambda place: layer3("GroupNormalization", "g", groups=-7),
        "an axis of 99": lambda place: layer3("BatchNormalization", "b", axis=99),
        "an axis that is a text": lambda place: layer3("BatchNormalization", "b", axis="x"),
        "an axis that is a list in lists": lambda place: layer3(
            "LayerNormalization", "b", axis=[[[1]]]
        ),
        "an epsilon of NaN": lambda place: layer3("BatchNormalization", "b", epsilon=float("nan")),
        "an epsilon of infinity": lambda place: layer3(
            "BatchNormalization", "b", epsilon=float("inf")
        ),
        "an epsilon of -1": lambda place: layer3("LayerNormalization", "b", epsilon=-1.0),
        "an epsilon that is a text": lambda place: layer3(
            "LayerNormalization", "b", epsilon="small"
        ),
        "a momentum of 10**30": lambda place: layer3("BatchNormalization", "b", momentum=1e30),
        "a mean of 10 million numbers": lambda place: layer3(
            "Normalization", "n", mean=[0.0] * 10**5, variance=[1.0] * 10**5
        ),
        "a tensor of 2 GB": lambda place: layer3(
            "Rescaling",
            "r",
            scale={
                "class_name": "__tensor__",
                "config": {"value": ["x"] * 4, "dtype": "S500000000"},
            },
        ),
        "a tensor of objects": lambda place: layer3(
            "Rescaling",
            "r",
            scale={"class_name": "__numpy__", "config": {"value": [[1], [2, 3]], "dtype": "O"}},
        ),
        "a slice of objects": lambda place: layer3(
            "Rescaling",
            "r",
            scale={
                "class_name": "__slice__",
                "config": {"start": evil, "stop": None, "step": None},
            },
        ),
        "a spectrogram of 10**9 points": lambda place: layer3(
            "STFTSpectrogram", "s", fft_length=2**30, frame_length=2**30
        ),
        "an EinsumDense of a long equation": lambda place: layer3(
            "EinsumDense", "e", equation="a" * 10_000 + "->b", output_shape=3
        ),
        "a layer that holds itself": lambda place: layer3(
            "TimeDistributed", "t", layer=layer3("TimeDistributed", "t", layer=norm3())
        ),
        "settings that are a list": lambda place: {"class_name": "Dense", "config": [1, 2]},
        "settings that are null": lambda place: {
            "class_name": "Dense",
            "config": None,
            "module": "keras.layers",
        },
        "a class that is a number": lambda place: {"class_name": 7, "config": {}},
        "a class of 1 MB": lambda place: layer3("X" * 10**6, "x"),
        "a name of 1 MB": lambda place: layer3("ReLU", "x" * 10**6),
        "a name that is a list": lambda place: {
            "class_name": "ReLU",
            "module": "keras.layers",
            "config": {"name": ["a"]},
        },
        "a name with slashes": lambda place: layer3("ReLU", "../../outside/x"),
        "a name with escapes": lambda place: layer3("ReLU", "\x1b[2J\n[bold]<script>"),
        "a layer that is a text": lambda place: "Dense",  # type: ignore[return-value, dict-item]
        "a layer that is null": lambda place: None,  # type: ignore[return-value, dict-item]
    }


def _layer_cases() -> None:
    for number, (name, make) in enumerate(_layers().items()):

        def write(
            place: Place, make: Callable[[Place], Layer] = make, number: int = number
        ) -> Path:
            model = model3(norm3(), make(place))
            if number % 3 == 0:
                return place.file("m.keras", archive3(model))
            if number % 3 == 1:
                return place.file("m.json", json.dumps(model))
            return keras2(place.folder / "m.h5", model, "3.9.0")

        FAMILY.add(name, write, Expected.EITHER)


_layer_cases()


# --- models ---------------------------------------------------------------------------------------


def _functional(layers: list[Layer], outputs: Any = None, inputs: Any = None) -> Layer:
    return {
        "module": "keras",
        "class_name": "Functional",
        "config": {
            "name": "net",
            "layers": layers,
            "input_layers": inputs or [["i", 0, 0]],
            "output_layers": outputs or [["bn", 0, 0]],
        },
        "registered_name": "Functional",
    }


def _tensor(name: str, node: int = 0, output: int = 0) -> Layer:
    return {
        "class_name": "__keras_tensor__",
        "config": {
            "shape": [None, 8, 8, 3],
            "dtype": "float32",
            "keras_history": [name, node, output],
        },
    }


def _called(layer: Layer, *arguments: Any, **named: Any) -> Layer:
    own = {"args": list(arguments), "kwargs": named}
    return {**layer, "name": layer["config"]["name"], "inbound_nodes": [own]}


def _first() -> Layer:
    own = layer3("InputLayer", "i", batch_shape=[None, 8, 8, 3], dtype="float32")
    return {**own, "name": "i", "inbound_nodes": []}


def _deep(depth: int) -> Layer:
    found = model3(norm3())
    for number in range(depth):
        found = {**layer3("Sequential", f"s{number}", module="keras", layers=[found])}
    return found


def _models() -> dict[str, tuple[Callable[[], Any], Expected]]:
    refused, either = Expected.REFUSED, Expected.EITHER
    bn = norm3()
    return {
        "layers that wait for each other": (
            lambda: _functional(
                [_first(), _called(bn, _tensor("r")), _called(layer3("ReLU", "r"), _tensor("bn"))]
            ),
            refused,
        ),
        "a layer that takes its own output": (
            lambda: _functional([_first(), _called(bn, _tensor("bn"))]),
            refused,
        ),
        "a layer that is not there": (
            lambda: _functional([_first(), _called(bn, _tensor("gone"))]),
            refused,
        ),
        "an output that is not there": (
            lambda: _functional([_first(), _called(bn, _tensor("i"))], [["gone", 0, 0]]),
            refused,
        ),
        "a call of number 10**9": (
            lambda: _functional([_first(), _called(bn, _tensor("i", 10**9))]),
            refused,
        ),
        "a call of number -1": (
            lambda: _functional([_first(), _called(bn, _tensor("i", -1))]),
            either,
        ),
        "an output of number 10**9": (
            lambda: _functional([_first(), _called(bn, _tensor("i", 0, 10**9))]),
            refused,
        ),
        "two layers of one name": (
            lambda: _functional([_first(), _called(bn, _tensor("i")), _called(bn, _tensor("i"))]),
            refused,
        ),
        "arguments that are code": (
            lambda: _functional(
                [
                    _first(),
                    _called(
                        bn,
                        _tensor("i"),
                        training={"class_name": "function", "module": "os", "config": "system"},
                    ),
                ]
            ),
            refused,
        ),
        "an argument of 2 GB": (
            lambda: _functional(
                [
                    _first(),
                    _called(
                        bn,
                        _tensor("i"),
                        mask={
                            "class_name": "__tensor__",
                            "config": {"value": ["x"] * 4, "dtype": "S500000000"},
                        },
                    ),
                ]
            ),
            either,
        ),
        "an argument of a dtype that is code": (
            lambda: _functional(
                [
                    _first(),
                    _called(
                        bn,
                        _tensor("i"),
                        mask={
                            "class_name": "__numpy__",
                            "config": {"value": [1], "dtype": "O,O,O"},
                        },
                    ),
                ]
            ),
            either,
        ),
        "no layers": (lambda: _functional([]), refused),
        "layers that are a text": (lambda: _functional("layers"), refused),  # type: ignore[arg-type]
        "no outputs": (lambda: _functional([_first(), _called(bn, _tensor("i"))], [[]]), refused),
        "inputs that are a number": (
            lambda: _functional([_first(), _called(bn, _tensor("i"))], inputs=5),
            refused,
        ),
        "an input of 10**12 numbers": (lambda: model3(bn, shape=(None, 10**6, 10**6, 3)), refused),
        "an input of a negative length": (lambda: model3(bn, shape=(None, -8, 8, 3)), either),
        "nothing wrong": (lambda: model3(bn), Expected.READ),
        "an input of no axes": (lambda: model3(bn, shape=()), either),
        "an input of 100 axes": (lambda: model3(bn, shape=(None, *[1] * 98, 3)), either),
        "an input of a text": (lambda: model3(bn, shape=("x", 8, 8, 3)), refused),  # type: ignore[arg-type]
        "an input of 0 samples": (lambda: model3(bn, shape=(0, 8, 8, 3)), either),
        "models in models, twenty deep": (lambda: _deep(20), either),
        "3,000 layers": (lambda: model3(*(layer3("ReLU", f"r{n}") for n in range(3000))), either),
        "20,000 layers": (
            lambda: model3(*(layer3("ReLU", f"r{n}") for n in range(20_000))),
            refused,
        ),
        "many layers of 10 million numbers each": (
            lambda: model3(*(layer3("Dense", f"d{n}", units=30_000) for n in range(30))),
            refused,
        ),
        "a model of another class": (
            lambda: {**model3(bn), "class_name": "Fire", "module": "normscope_canary"},
            refused,
        ),
        "a model of a registered name": (
            lambda: {**model3(bn), "registered_name": "evil>Net"},
            refused,
        ),
        "a compile_config that is code": (
            lambda: {
                **model3(bn),
                "compile_config": {
                    "loss": {"module": "os", "class_name": "function", "config": "system"}
                },
            },
            either,
        ),
        "a build_config that is code": (
            lambda: {
                **model3(bn),
                "build_config": {"input_shape": "__import__('os')", "module": "os"},
            },
            either,
        ),
        "an empty object": (lambda: {}, refused),
        "a list": (lambda: [], refused),
        "a layer in the place of a model": (lambda: bn, refused),
    }


def _model_cases() -> None:
    for number, (name, (make, expected)) in enumerate(_models().items()):

        def write(place: Place, make: Callable[[], Any] = make, number: int = number) -> Path:
            if number % 2:
                return place.file("m.keras", archive3(make()))
            return keras2(place.folder / "m.h5", make(), "3.9.0")

        FAMILY.add(f"a model with {name}", write, expected)


_model_cases()


# --- archives -------------------------------------------------------------------------------------


def _archives() -> dict[str, tuple[Callable[[Place], bytes], Expected]]:
    refused, either, read = Expected.REFUSED, Expected.EITHER, Expected.READ

    def weights(change: Callable[[h5py.File], None]) -> Callable[[Place], bytes]:
        return lambda place: archive3(weights=weights3(change))

    def changed(name: str, **changes: Any) -> Callable[[Place], bytes]:
        def make(place: Place) -> bytes:
            own = members3(method=changes.get("method", zips.STORED))
            for one in own:
                if one.name == name:
                    for key, value in changes.items():
                        setattr(one, key, value)
            return zips.archive(own)

        return make

    def extra(*members: Member) -> Callable[[Place], bytes]:
        return lambda place: zips.archive([*members3(), *members])

    array = "layers/batch_normalization/vars/0"

    def far(place: Place) -> bytes:
        def change(file: h5py.File) -> None:
            del file[array]
            file[array] = h5py.ExternalLink(str(place.outside / "secret"), "/x")

        return archive3(weights=weights3(change))

    def far_group(place: Place) -> bytes:
        def change(file: h5py.File) -> None:
            del file["layers/batch_normalization"]
            file["layers/batch_normalization"] = h5py.ExternalLink(
                str(place.outside / "secret"), "/x"
            )

        return archive3(weights=weights3(change))

    def far_layers(place: Place) -> bytes:
        def change(file: h5py.File) -> None:
            del file["layers"]
            file["layers"] = h5py.ExternalLink(str(place.outside / "secret"), "/x")

        return archive3(weights=weights3(change))

    def stored_outside(place: Place) -> bytes:
        def change(file: h5py.File) -> None:
            del file[array]
            file.create_dataset(
                array, (3,), "f4", external=[(str(place.outside / "secret"), 0, 12)]
            )

        return archive3(weights=weights3(change))

    def bomb(file: h5py.File) -> None:
        del file[array]
        file.create_dataset(array, (2**31,), "f4", chunks=(2**20,), compression="gzip")

    def loop(file: h5py.File) -> None:
        file["layers/batch_normalization/vars/0/x".rpartition("/0")[0] + "/loop"] = file["layers"]

    return {
        "a config of a bomb": (
            lambda place: zips.archive(
                [Member("config.json", bytes(2**27), DEFLATED), *members3()[2:]]
            ),
            refused,
        ),
        "weights of a bomb": (
            lambda place: zips.archive(
                [*members3()[:2], Member("model.weights.h5", bytes(2**29), DEFLATED)]
            ),
            refused,
        ),
        "weights that are said to have 3 GiB": (
            changed("model.weights.h5", size=3 * 2**30, method=DEFLATED),
            either,
        ),
        "weights behind a link to another file": (far, either),
        "a layer behind a link to another file": (far_group, either),
        "all layers behind a link to another file": (far_layers, either),
        "weights stored in another file": (stored_outside, either),
        "weights of 2**31 numbers, deflated": (weights(bomb), either),
        "weights that hold themselves": (weights(loop), either),
        "weights that are no HDF5": (lambda place: archive3(weights=b"x" * 100), either),
        "weights that are empty": (lambda place: archive3(weights=b""), either),
        "weights that are a pickle": (
            lambda place: archive3(weights=payloads.pickled(place)),
            either,
        ),
        "no config": (lambda place: zips.archive(members3()[2:]), refused),
        "no weights": (lambda place: zips.archive(members3()[:2]), read),
        "no metadata": (lambda place: zips.archive(members3()[1:]), read),
        "a config twice": (extra(Member("config.json", b"{}")), refused),
        "weights twice": (extra(Member("model.weights.h5", b"x")), either),
        "a config that is encrypted": (changed("config.json", flags=zips.ENCRYPTED), refused),
        "weights that are encrypted": (changed("model.weights.h5", flags=zips.ENCRYPTED), refused),
        "a config of a bad CRC": (changed("config.json", crc=5), refused),
        "weights of a bad CRC": (changed("model.weights.h5", crc=5), refused),
        "a config packed in an unknown way": (changed("config.json", method=77), refused),
        "a config that lies behind the end": (changed("config.json", offset=2**31), refused),
        "a config and weights in the same bytes": (changed("model.weights.h5", offset=0), refused),
        "a config under another name": (changed("config.json", local_name="other.json"), refused),
        "a config that is a link": (changed("config.json", attributes=zips.SYMLINK), either),
        "a file at ../": (extra(Member("../../outside/made", b"x")), read),
        "a file at an absolute path": (extra(Member("/tmp/made", b"x")), read),
        "assets that are links": (
            extra(Member("assets/a", b"/etc/passwd", attributes=zips.SYMLINK)),
            read,
        ),
        "metadata that are no JSON": (changed("metadata.json", data=b"{"), refused),
        "metadata with escapes": (
            changed("metadata.json", data=b'{"keras_version": "\\u001b[2J"}'),
            read,
        ),
        "bytes before it": (lambda place: archive3(before=b"MZ" + b"x" * 100), refused),
        "bytes behind it": (lambda place: archive3(after=b"x" * 100), either),
        "a config of UTF-16": (
            lambda place: archive3(json.dumps(model3(norm3())).encode("utf-16")),
            refused,
        ),
        "a config nested 5,000 deep": (
            lambda place: archive3(b'{"a":' * 5000 + b"1" + b"}" * 5000),
            refused,
        ),
        "code beside it": (
            extra(Member("__init__.py", b"import os"), Member("x.pkl", b"cos\nsystem\n")),
            read,
        ),
    }


for _name, (_data, _expected) in _archives().items():

    def _write(place: Place, data: Callable[[Place], bytes] = _data) -> Path:
        return place.file("m.keras", data(place))

    ARCHIVE.add(_name, _write, _expected)


# --- JSON -----------------------------------------------------------------------------------------


def _texts() -> dict[str, tuple[Callable[[], bytes], Expected]]:
    refused, either = Expected.REFUSED, Expected.EITHER
    model = sequential((None, 3, 8, 8), norm(axis=1))
    whole = json.dumps(model)

    def with_config(**config: Any) -> Callable[[], bytes]:
        own = sequential((None, 3, 8, 8), norm(**{"axis": 1, **config}))
        return lambda: json.dumps(own).encode()

    def with_layer(kind: Any, **config: Any) -> Callable[[], bytes]:
        own = sequential(
            (None, 3, 8, 8), norm(axis=1), (kind if isinstance(kind, str) else "X", config)
        )
        own["config"][1]["class_name"] = kind
        return lambda: json.dumps(own).encode()

    return {
        "cut off": (lambda: whole[: len(whole) // 2].encode(), refused),
        "only a brace": (lambda: b"{", refused),
        "an empty object": (lambda: b"{}", refused),
        "an empty list": (lambda: b"[]", refused),
        "lists nested 100,000 deep": (lambda: b"[" * 100_000, refused),
        "lists nested 100,000 deep, closed": (lambda: b"[" * 100_000 + b"]" * 100_000, refused),
        "objects nested 50,000 deep": (lambda: b'{"a":' * 50_000 + b"1" + b"}" * 50_000, refused),
        "lists nested 500 deep in a model": (
            lambda: whole.replace('"mode": 0', '"mode": 0, "x": ' + "[" * 500 + "]" * 500).encode(),
            refused,
        ),
        "two million empty lists": (lambda: b"[" + b"[]," * 2_500_000 + b"[]]", refused),
        "a text of 100 MB": (lambda: b'{"a": "' + b"x" * 10**8 + b'"}', refused),
        "a number of 10,000 digits": (
            lambda: whole.replace('"mode": 0', '"mode": ' + "9" * 10_000).encode(),
            refused,
        ),
        "a number of 1e99999": (lambda: whole.replace("0.001", "1e99999").encode(), refused),
        "NaN": (lambda: whole.replace("0.001", "NaN").encode(), refused),
        "Infinity": (lambda: whole.replace("0.001", "Infinity").encode(), refused),
        "-Infinity": (lambda: whole.replace("0.001", "-Infinity").encode(), refused),
        "a key twice": (
            lambda: whole.replace('"mode": 0', '"mode": 0, "mode": 1').encode(),
            refused,
        ),
        "comments": (lambda: b"// a comment\n" + whole.encode(), refused),
        "single quotes": (lambda: whole.replace('"', "'").encode(), refused),
        "a comma too many": (lambda: (whole[:-1] + ",}").encode(), refused),
        "two texts": (lambda: (whole + whole).encode(), refused),
        "bytes behind": (lambda: whole.encode() + b"\0\0", refused),
        "UTF-16": (lambda: whole.encode("utf-16"), refused),
        "UTF-32": (lambda: whole.encode("utf-32"), refused),
        "Latin 1": (lambda: whole.replace("batchnormalization_1", "é").encode("latin1"), refused),
        "half of a letter as a name": (
            lambda: whole.replace('"batchnormalization_1"', '"\\ud800"').encode(),
            either,
        ),
        "NUL in a name": (
            lambda: whole.replace('"batchnormalization_1"', '"a\\u0000b"').encode(),
            either,
        ),
        "code of YAML": (lambda: b"!!python/object/apply:os.system ['touch x']", refused),
        "settings of Hugging Face": (
            lambda: json.dumps(
                {"architectures": ["X"], "auto_map": {"AutoModel": "evil.Model"}}
            ).encode(),
            refused,
        ),
        "a model that is a text": (lambda: json.dumps(whole).encode(), refused),
        "a class that is a list": (with_layer(["Dense"]), refused),
        "a class that is null": (with_layer(None), refused),
        "a class that is not known": (with_layer("Fire", name="f"), either),
        "a Lambda": (
            with_layer("Lambda", name="l", function="4wEAAAA=", function_type="lambda"),
            either,
        ),
        "a Lambda of a module": (
            with_layer("Lambda", name="l", function="system", module="os"),
            either,
        ),
        "a custom activation": (with_layer("Activation", name="a", activation="os.system"), either),
        "a mode of 9": (with_config(mode=9), refused),
        "a mode that is a list": (with_config(mode=[0]), refused),
        "a momentum of 10": (with_config(momentum=10), either),
        "an axis of 10**30": (with_config(axis=10**30), refused),
        "an axis of true": (with_config(axis=True), either),
        "an axis that is null": (with_config(axis=None), refused),
        "an epsilon that is a text": (with_config(epsilon="1e-3"), refused),
        "an epsilon that is an object": (with_config(epsilon={"class_name": "Fire"}), refused),
        "a name that is a number": (with_config(name=5), refused),
        "a name that is missing": (lambda: json.dumps(_without_name(model)).encode(), either),
        "a shape of 10**12": (
            lambda: json.dumps(sequential((None, 10**12, 10**12), norm(axis=1))).encode(),
            either,
        ),
        "a shape of negative lengths": (
            lambda: json.dumps(sequential((None, -3, -8, -8), norm(axis=1))).encode(),
            refused,
        ),
        "a shape that is a text": (
            lambda: json.dumps(sequential(("x", "y"), norm(axis=1))).encode(),
            refused,
        ),  # type: ignore[arg-type]
        "a shape of 10,000 axes": (
            lambda: json.dumps(sequential((None,) * 10_000, norm(axis=1))).encode(),
            either,
        ),
        "a stride of 0": (
            lambda: json.dumps(
                sequential((None, 3, 8, 8), conv(subsample=[0, 0]), norm(axis=1))
            ).encode(),
            refused,
        ),
        "filters of -4": (
            lambda: json.dumps(sequential((None, 3, 8, 8), conv(-4), norm(axis=1))).encode(),
            refused,
        ),
        "a version that is a list": (
            lambda: json.dumps({**model, "keras_version": [1]}).encode(),
            either,
        ),
        "a version of the future": (
            lambda: json.dumps({**model, "keras_version": "9.9"}).encode(),
            either,
        ),
        "layers that are an object": (
            lambda: json.dumps({**model, "config": {"0": model}}).encode(),
            refused,
        ),
        "layers in themselves by name": (
            lambda: json.dumps(_graph_in_a_circle()).encode(),
            refused,
        ),
    }


def _without_name(model: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(model))
    del found["config"][0]["config"]["name"]
    return found


def _graph_in_a_circle() -> dict[str, Any]:
    """A graph of Keras 1 whose layers wait for each other."""
    first = {
        "class_name": "InputLayer",
        "name": "i",
        "inbound_nodes": [],
        "config": {"name": "i", "batch_input_shape": [None, 3, 8, 8]},
    }
    layers = [first]
    for name, before in (("a", "b"), ("b", "a")):
        kind, config = norm(axis=1)
        layers.append(
            {
                "class_name": kind,
                "name": name,
                "config": {"name": name, **config},
                "inbound_nodes": [[[before, 0, 0]]],
            }
        )
    config = {
        "name": "net",
        "layers": layers,
        "input_layers": [["i", 0, 0]],
        "output_layers": [["b", 0, 0]],
    }
    return {"class_name": "Model", "config": config, "keras_version": "1.2.2"}


for _name, (_text, _expected) in _texts().items():

    def _write_text(place: Place, text: Callable[[], bytes] = _text) -> Path:
        return place.file("m.json", text())

    JSON.add(_name, _write_text, _expected)
