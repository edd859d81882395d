"""For tests, doctests and documentation alike: the surroundings of the frameworks.

Keras runs on JAX where no backend is asked for. What JAX compiles is kept for all processes of the
tests, and for the next run: most of it is the same few operations on small arrays.
"""

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent / "build" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

pytest_plugins = ["framework_free"]
