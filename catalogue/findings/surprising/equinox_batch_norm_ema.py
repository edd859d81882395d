"""Equinox: BatchNorm normalizes by running statistics in training, by default.

On: equinox
Link: https://docs.kidger.site/equinox/api/nn/normalisation/
Documented: "With mode = "ema" exponential running means and variances are kept. During training
    the batch statistics are used to fill in the running statistics until they are populated." A
    warning recommends mode="batch".
Found: From the second call on, training normalizes by the running mean and variance, 99 % of
    which stem from earlier batches. Only the first call is a batch normalization.
Hurts: Who knows BatchNorm from elsewhere: a shift of the batch by 5 standard deviations comes out
    as 4.95.
"""

import equinox as eqx
import jax

bn, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(1, "b")
_, state = jax.vmap(bn, (0, None), (0, None), "b")(jax.numpy.array([[-1.0], [1.0]]), state)
assert jax.vmap(bn, (0, None), (0, None), "b")(jax.numpy.array([[4.0], [6.0]]), state)[0].mean() > 4
