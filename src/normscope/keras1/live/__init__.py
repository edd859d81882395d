"""The layers of Keras 1.2.2 as Keras 3 layers; `normscope.keras1` gives their public names."""

from normscope.errors import missing_package

try:
    import keras as _keras  # noqa: F401  # with a backend, which may be what is missing
except ImportError as error:
    raise missing_package(error, "the code of Keras 1 runs on Keras 3, and") from error
