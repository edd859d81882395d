"""Normalization in JAX: the pure function `normalize`, and the Flax NNX layer `Norm`.

>>> import jax.numpy as jnp
>>> from normscope.layers.jax import normalize
>>> normalize(jnp.array([[1.0, 2, 3], [4, 5, 6]]), "b [c]", eps=0).round(3)
Array([[-1.225,  0.   ,  1.225],
       [-1.225,  0.   ,  1.225]], dtype=float32)
"""

from normscope.errors import missing_package

try:
    import flax as _flax  # noqa: F401  # which imports JAX
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise missing_package(error, "normscope.layers.jax") from error

from normscope.layers.jax.norm import Norm as Norm
from normscope.layers.jax.normalize import Stats as Stats, normalize as normalize
