"""The files of Keras 1, read and written as data; no Keras is needed.

`read_model_file` gives the architecture and the names of the weights, `open_arrays` and
`read_weights` the arrays, `read_training` what a file says of the training.
"""

from normscope.keras1.files.architecture import KERAS_1, checked_release, decode_architecture
from normscope.keras1.files.arrays import StoredArrays, open_arrays
from normscope.keras1.files.model_file import (
    ModelFile,
    read_model_file,
    stated_release,
    weights_entry,
)
from normscope.keras1.files.training import StoredTraining, read_training
from normscope.keras1.files.weights import (
    Backend,
    StoredLayer,
    StrPath,
    backend_of,
    holds_weights,
    read_weights,
)

__all__ = [
    "KERAS_1",
    "Backend",
    "ModelFile",
    "StoredArrays",
    "StoredLayer",
    "StoredTraining",
    "StrPath",
    "backend_of",
    "checked_release",
    "decode_architecture",
    "holds_weights",
    "open_arrays",
    "read_model_file",
    "read_training",
    "read_weights",
    "stated_release",
    "weights_entry",
]
