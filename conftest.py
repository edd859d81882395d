"""For tests, doctests and documentation alike: the backend of Keras where none is asked for."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
