"""The model files of Keras 1, read as data: architecture, weights, training. No Keras is needed."""

from normscope.keras1.files.model_file import (
    KERAS_1,
    Backend,
    ModelFile,
    StoredArrays,
    StrPath,
    checked_release,
    decode_architecture,
    open_arrays,
    read_arrays,
    read_model_file,
    stated_release,
    weights_entry,
)

__all__ = [
    "KERAS_1",
    "Backend",
    "ModelFile",
    "StoredArrays",
    "StrPath",
    "checked_release",
    "decode_architecture",
    "open_arrays",
    "read_arrays",
    "read_model_file",
    "stated_release",
    "weights_entry",
]
