"""The architecture in a model file of Keras 1: JSON of one model, and the release that wrote it."""

from __future__ import annotations

import re

from normscope.errors import ModelFileError
from normscope.files.json import decode_json
from normscope.files.readable import Readable, only
from normscope.files.recognition import KERAS_TODAY, KERAS_TODAY_JSON

KERAS_1 = Readable(
    "files of Keras 1",
    (".h5 of model.save()", ".json of model.to_json()"),
    {
        "an HDF5 model file, as model.save() of Keras 1 writes it": "it has no HDF5 signature",
        "JSON, as model.to_json() writes it": "",
    },
)
READS = only(KERAS_1)

KERAS_3_KEYS = {"module", "registered_name", "build_config"}
"""What Keras 3 writes beside class_name and config, and Keras 1 does not."""


def decode_architecture(path: str, text: str, what: str) -> dict[str, object]:
    """The model in a JSON text; `path` and `what` name the text in the messages.

    Raises:
        ModelFileError: the text is not JSON, is nested too deep, or is not a model of Keras 1.
    """
    return checked_architecture(path, decode_json(path, text, what), what)


def checked_architecture(path: str, value: object, what: str) -> dict[str, object]:
    """A value of JSON, seen to be a model of Keras 1; `path` and `what` name it in the messages.

    Raises:
        ModelFileError: the value is something else, or a model of another Keras.
    """
    if isinstance(value, dict) and "class_name" in value and value.keys() & KERAS_3_KEYS:
        raise _newer(path, f"{what} is JSON of a model of Keras 3")
    if not isinstance(value, dict) or not {"class_name", "config"} <= value.keys():
        raise ModelFileError(
            path, f'{what} is JSON, but not a model: expected an object with "class_name", "config"'
        )
    if value["class_name"] == "Functional" or (
        value["class_name"] == "Sequential" and isinstance(value["config"], dict)
    ):
        checked_release(path, value.get("keras_version"), KERAS_TODAY_JSON)
        raise _newer(path, f"{what} is JSON of a model of Keras 2 or 3")
    return value


def _newer(path: str, what: str) -> ModelFileError:
    return ModelFileError(path, f"{what}; {READS}. What to do: {KERAS_TODAY_JSON}")


def checked_release(path: str, version: object, advice: str = KERAS_TODAY) -> str | None:
    """The release that wrote a model, None if it does not say.

    `advice` says what to do with what another Keras wrote.

    Raises:
        ModelFileError: the version is not a release, or not one of Keras 1.
    """
    if version is None:
        return None
    if not isinstance(version, str) or not re.fullmatch(r"\d{1,3}(\.[\w.+-]{1,40})?", version):
        raise ModelFileError(path, f"keras_version is {version!r:.60}, expected such as '1.2.2'")
    if version.split(".")[0] != "1":
        raise ModelFileError(
            path, f"{READS}. What to do: {advice}. This one was written by Keras {version}"
        )
    return version
