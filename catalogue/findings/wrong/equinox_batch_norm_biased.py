"""Equinox: BatchNorm stores the biased variance, not the unbiased one as documented.

On: equinox
Link: https://docs.kidger.site/equinox/api/nn/normalisation/
Documented: "For inference the exponential running mean and unbiased variance are used for
    normalization. This is in line with how other machine learning packages (e.g. PyTorch, flax,
    haiku) implement batch norm."
Found: The sum of squares is divided by N. PyTorch divides by N - 1; Flax and Haiku by N.
Hurts: Who ports weights from PyTorch, or has small batches: for two values the variance differs
    by a factor of 2.
"""

import equinox as eqx
import jax

bn, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(1, "b", mode="batch", momentum=0.0)
_, state = jax.vmap(bn, (0, None), (0, None), "b")(jax.numpy.array([[-1.0], [1.0]]), state)
assert bn(jax.numpy.ones(1), state, inference=True)[0] > 0.99  # unbiased: 0.71
