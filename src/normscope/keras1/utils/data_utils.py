"""`keras.utils.data_utils` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "utils.data_utils",
    {
        "get_file": "write keras.utils.get_file(fname, origin) of Keras 3",
        "validate_file": "write keras.utils.get_file(..., file_hash=...) of Keras 3",
    },
)
