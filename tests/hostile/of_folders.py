"""Model folders: SavedModel and Hugging Face, whose files and links may lead anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import of_safetensors, payloads
from hostile.case import Expected, Family, Place
from hostile.of_hdf5 import model2

HUGGING_FACE = Family("Hugging Face")
SAVED_MODEL = Family("SavedModel")

# --- Hugging Face ---------------------------------------------------------------------------------

WEIGHTS = of_safetensors.file(of_safetensors.norm())


def folder(place: Place, config: Any = None, weights: bytes = WEIGHTS) -> Path:
    """A folder with settings and weights."""
    own = {"model_type": "x", "layer_norm_eps": 1e-6} if config is None else config
    place.file("hub/config.json", own if isinstance(own, bytes) else json.dumps(own))
    place.file("hub/model.safetensors", weights)
    return place.folder / "hub"


@HUGGING_FACE.good("as it is written", "norm")
def _plain(place: Place) -> Path:
    return folder(place)


@HUGGING_FACE.good("with code beside it", "norm")
def _code(place: Place) -> Path:
    own = folder(
        place,
        {
            "auto_map": {"AutoModel": "modeling_evil.Evil"},
            "trust_remote_code": True,
            "_name_or_path": "http://localhost:9/evil",
        },
    )
    place.file("hub/modeling_evil.py", payloads.source(place))
    place.file("hub/__init__.py", payloads.source(place))
    place.file("hub/training_args.bin", payloads.pickled(place))
    place.file("hub/optimizer.pt", payloads.pickled(place))
    place.file("hub/tokenizer.pkl", payloads.pickled(place))
    return own


def cache(place: Place, blobs: str = "blobs") -> Path:
    """The cache of Hugging Face: links to the files of another folder."""
    own = place.folder / "models--a--b"
    snapshot = own / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    place.file(f"models--a--b/{blobs}/1", WEIGHTS)
    place.file(f"models--a--b/{blobs}/2", b'{"layer_norm_eps": 1e-6}')
    (snapshot / "model.safetensors").symlink_to(f"../../{blobs}/1")
    (snapshot / "config.json").symlink_to(f"../../{blobs}/2")
    return snapshot


@HUGGING_FACE.good("in its cache", "norm")
def _cache(place: Place) -> Path:
    return cache(place)


@HUGGING_FACE.hostile("links as in its cache to another folder", "leads out")
def _other_blobs(place: Place) -> Path:
    return cache(place, "other")


@HUGGING_FACE.hostile("in its cache, with blobs that is a link itself", "leads out")
def _blobs_link(place: Place) -> Path:
    snapshot = cache(place, "other")
    (place.folder / "models--a--b" / "blobs").symlink_to(place.outside)
    for name, to in (("model.safetensors", "secret"), ("config.json", "secret")):
        (snapshot / name).unlink()
        (snapshot / name).symlink_to(f"../../blobs/{to}")
    return snapshot


@HUGGING_FACE.hostile("in its cache, a blob that is a link itself", "leads out")
def _blob_link(place: Place) -> Path:
    snapshot = cache(place)
    blob = place.folder / "models--a--b" / "blobs" / "1"
    blob.unlink()
    blob.symlink_to(place.outside / "secret")
    return snapshot


_LINKS: dict[str, Callable[[Place], str]] = {
    "upwards": lambda place: f"../{place.up}/secret",
    "absolute": lambda place: str(place.outside / "secret"),
    "to the memory of the process": lambda place: "/proc/self/mem",
    "to /dev/zero": lambda place: "/dev/zero",
    "to itself": lambda place: "model.safetensors",
    "to nothing": lambda place: "gone",
}


def _link_cases() -> None:
    for name, target in _LINKS.items():
        for file in ("model.safetensors", "config.json"):
            if name == "to itself" and file == "config.json":
                continue

            def write(
                place: Place, file: str = file, target: Callable[[Place], str] = target
            ) -> Path:
                own = folder(place)
                (own / file).unlink()
                (own / file).symlink_to(target(place))
                return own

            HUGGING_FACE.add(f"{file} is a link {name}", write)


_link_cases()


def _indices() -> dict[str, Any]:
    return {
        "upwards": {"weight_map": {"norm.weight": "../../../outside/secret"}},
        "absolute": {"weight_map": {"norm.weight": "/etc/passwd"}},
        "a URL": {"weight_map": {"norm.weight": "http://localhost:9/x.safetensors"}},
        "that is a list": [1, 2],
        "of NaN": b'{"weight_map": NaN}',
        "nested deep": b"[" * 100_000,
    }


def _index_cases() -> None:
    for name, index in _indices().items():

        def write(place: Place, index: Any = index) -> Path:
            text = index if isinstance(index, bytes) else json.dumps(index)
            place.file("hub/model.safetensors.index.json", text)
            return folder(place)

        HUGGING_FACE.add(f"an index {name}", write, Expected.EITHER)


_index_cases()

_CONFIGS: dict[str, tuple[Any, Expected]] = {
    "that is a list": ([1], Expected.EITHER),
    "cut off": (b'{"layer_norm_eps": ', Expected.REFUSED),
    "empty": (b"", Expected.REFUSED),
    "nested deep": (b'{"a":' * 100_000, Expected.REFUSED),
    "with a key twice": (b'{"a": 1, "a": 2}', Expected.REFUSED),
    "of 20 MB": (b'{"a": "' + b"x" * (20 * 2**20) + b'"}', Expected.REFUSED),
    "with an eps of NaN": (b'{"layer_norm_eps": NaN}', Expected.EITHER),
    "with an eps of infinity": (b'{"layer_norm_eps": Infinity}', Expected.EITHER),
    "with an eps of 400 digits": (b'{"layer_norm_eps": 1' + b"0" * 400 + b"}", Expected.EITHER),
    "with an eps that is a text": ({"layer_norm_eps": "\x1b[2J"}, Expected.EITHER),
    "of bytes that are not UTF-8": (b'{"\xff": 1}', Expected.REFUSED),
    "in UTF-16": ('{"a": 1}'.encode("utf-16"), Expected.REFUSED),
    "that is a pickle": (b"\x80\x02cos\nsystem\n.", Expected.REFUSED),
}


def _config_cases() -> None:
    for name, (config, expected) in _CONFIGS.items():
        HUGGING_FACE.add(f"settings {name}", lambda place, c=config: folder(place, c), expected)


_config_cases()


@HUGGING_FACE.hostile("a pickle as its weights")
def _pickle(place: Place) -> Path:
    place.file("hub/config.json", "{}")
    place.file("hub/pytorch_model.bin", payloads.pickled(place))
    return place.folder / "hub"


@HUGGING_FACE.hostile("weights that are a pipe")
def _pipe(place: Place) -> Path:
    own = folder(place)
    (own / "model.safetensors").unlink()
    os.mkfifo(own / "model.safetensors")
    return own


@HUGGING_FACE.hostile("weights that are a folder")
def _folder(place: Place) -> Path:
    own = folder(place)
    (own / "model.safetensors").unlink()
    (own / "model.safetensors").mkdir()
    return own


@HUGGING_FACE.hostile("weights of another kind by its name")
def _kind(place: Place) -> Path:
    return folder(place, weights=payloads.pickled(place))


@HUGGING_FACE.good("files whose names have escapes", "norm")
def _escapes(place: Place) -> Path:
    own = folder(place)
    (own / "model.safetensors").rename(own / "model-\x1b[2J\n[bold]\u202e.safetensors")
    return own


@HUGGING_FACE.good("a folder whose name has escapes", "norm")
def _escaped_folder(place: Place) -> Path:
    return folder(place).rename(place.folder / "hub\x1b[2J\n[bold]\u202e<script>")


@HUGGING_FACE.odd("files whose names are not UTF-8")
def _bytes(place: Place) -> Path:
    own = folder(place)
    os.rename(os.fsencode(own / "model.safetensors"), os.fsencode(own) + b"/model\xff.safetensors")
    return own


# --- SavedModel -----------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """A number of a protobuf message."""
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def field(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def metadata(settings: Any) -> bytes:
    """What Keras 2 writes of a model beside its SavedModel."""
    text = settings if isinstance(settings, bytes) else json.dumps(settings).encode()
    root = field(3, b"root") + field(4, b"_tf_keras_sequential") + field(5, text)
    return field(1, root)


def saved(place: Place, data: bytes | None = None, graph: bytes = b"\x08\x01\x12\x00") -> Path:
    """A SavedModel with the settings of a model."""
    place.file("saved/saved_model.pb", graph)
    if data is not None:
        place.file("saved/keras_metadata.pb", data)
    place.file("saved/variables/variables.index", b"x")
    return place.folder / "saved"


@SAVED_MODEL.good("of Keras 2", "bn")
def _saved(place: Place) -> Path:
    return saved(place, metadata({"model_config": model2()}))


@SAVED_MODEL.hostile("without the settings of a model")
def _graph_only(place: Place) -> Path:
    return saved(place)


@SAVED_MODEL.hostile("a Lambda as marshalled code")
def _lambda(place: Place) -> Path:
    layer = {
        "class_name": "Lambda",
        "config": {"name": "l", "function": [payloads.marshalled(place), None, None]},
    }
    return saved(place, metadata({"model_config": {"class_name": "Evil", "config": layer}}))


_METADATA: dict[str, tuple[Callable[[], bytes], Expected]] = {
    "empty": (lambda: b"", Expected.REFUSED),
    "a length of 2**62": (lambda: b"\x0a" + varint(2**62), Expected.REFUSED),
    "a number without end": (lambda: b"\xff" * 1000, Expected.REFUSED),
    "zeros": (lambda: bytes(100_000), Expected.REFUSED),
    "a million objects": (lambda: field(1, field(3, b"x")) * 200_000, Expected.REFUSED),
    "no JSON": (lambda: metadata(b"{"), Expected.REFUSED),
    "nested deep": (lambda: metadata(b'{"model_config":' * 50_000), Expected.REFUSED),
    "a model that is a text": (lambda: metadata({"model_config": "os.system"}), Expected.REFUSED),
    "a class of a module": (
        lambda: metadata({"model_config": {"class_name": "Fire", "module": "normscope_canary"}}),
        Expected.REFUSED,
    ),
    "text in the place of a number": (lambda: b"\x08\x01\x0d1234", Expected.REFUSED),
    "groups in groups": (lambda: b"\x0b" * 100_000, Expected.REFUSED),
    "a version with escapes": (
        lambda: metadata({"model_config": model2(), "keras_version": "2\x1b[2J"}),
        Expected.READ,
    ),
}


def _metadata_cases() -> None:
    for name, (data, expected) in _METADATA.items():
        SAVED_MODEL.add(f"metadata: {name}", lambda place, d=data: saved(place, d()), expected)


_metadata_cases()


@SAVED_MODEL.hostile("metadata behind a link that leads out", "leads out")
def _metadata_link(place: Place) -> Path:
    own = saved(place)
    (own / "keras_metadata.pb").symlink_to(place.outside / "secret")
    return own


@SAVED_MODEL.hostile("metadata in a pipe")
def _metadata_pipe(place: Place) -> Path:
    own = saved(place)
    os.mkfifo(own / "keras_metadata.pb")
    return own


@SAVED_MODEL.hostile("assets that lead out")
def _assets(place: Place) -> Path:
    own = saved(place)
    (own / "assets").symlink_to(place.outside)
    (own / "assets.extra").symlink_to("/")
    return own


@SAVED_MODEL.hostile("a graph that is the memory of the process")
def _graph_link(place: Place) -> Path:
    own = saved(place)
    (own / "saved_model.pb").unlink()
    (own / "saved_model.pb").symlink_to("/proc/self/mem")
    return own
