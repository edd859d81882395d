"""The settings of a model of Keras 2 in a SavedModel: `keras_metadata.pb`, a protobuf message.

It is a list of objects; the first is the model, and its metadata are a JSON text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from normscope.errors import ModelFileError
from normscope.files.folder import inside
from normscope.files.json import MAX_BYTES, decode_json
from normscope.files.protobuf import DamagedError, fields
from normscope.files.regular import open_regular

NAME = "keras_metadata.pb"
MOST_BYTES = 2**26
MOST_OBJECTS = 100_000

_NODES, _PATH, _IDENTIFIER, _METADATA = 1, 3, 4, 5


def root_model(folder: Path) -> tuple[Mapping[str, Any], str]:
    """The settings of the model in a SavedModel folder, and the version of the Keras that wrote it.

    Raises:
        ModelFileError: it holds none, or is damaged.
    """
    path = folder / NAME
    if inside(folder, NAME) is None:
        raise ModelFileError(
            str(path), "a link that leads out of the folder, and only what lies in it is read"
        )
    try:
        with open_regular(path) as stream:
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise ModelFileError(
            str(folder),
            f"a SavedModel without {NAME}, which holds the settings of a model of Keras 2. What to "
            "do: load it in TensorFlow and ask what it computes: ns.scope(function, inputs)",
        ) from error
    except OSError as error:
        raise ModelFileError(str(path), f"cannot be opened: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise ModelFileError(str(path), f"more than {MOST_BYTES} bytes")
    try:
        for number, node in _contents(data):
            if number != _NODES:
                continue
            found = dict(_contents(node))
            if found.get(_PATH) == b"root" or found.get(_IDENTIFIER, b"").startswith(b"_tf_keras_"):
                return _model(str(path), found.get(_METADATA, b""))
    except DamagedError as error:
        raise ModelFileError(str(path), "a damaged protobuf message") from error
    raise ModelFileError(str(path), "it holds no model of Keras")


def _model(path: str, metadata: object) -> tuple[Mapping[str, Any], str]:
    if not isinstance(metadata, bytes) or len(metadata) > MAX_BYTES:
        raise ModelFileError(path, "the settings of its model are too large")
    settings = decode_json(path, metadata, "the metadata of the model")
    if not isinstance(settings, dict):
        raise ModelFileError(path, "the metadata of the model are no JSON object")
    model = settings.get("model_config", settings)
    version = settings.get("keras_version", "")
    if not isinstance(model, dict) or "class_name" not in model:
        raise ModelFileError(path, "it holds a model, but not the settings of one that Keras knows")
    return model, version if isinstance(version, str) else ""


def _contents(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each field of a message that is not a number."""
    found = islice(fields(data, 0, len(data)), MOST_OBJECTS)
    return ((number, data[inside:end]) for number, _, inside, end in found if inside >= 0)
