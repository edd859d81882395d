"""Equinox: BatchNorm(mode="batch") adds 99 to the variance after the first step.

On: equinox
Link: https://docs.kidger.site/equinox/api/nn/normalisation/
Documented: "For inference the exponential running mean and unbiased variance are used for
    normalization."
Found: The running variance starts at 1 and is divided by 1 - momentum**steps, the correction for
    a start at 0. With the default momentum 0.99, inference divides by the variance plus 99 after
    1 step, plus 9.5 after 10, plus 0.58 after 100, plus 0.00006 after 1000.
Hurts: Evaluation early in training, and fine-tuning for few steps: where the variance is 1,
    outputs are up to ten times too small.
"""

import equinox as eqx
import jax

bn, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(1, "b", mode="batch")
_, state = jax.vmap(bn, (0, None), (0, None), "b")(jax.numpy.array([[-1.0], [1.0]]), state)
assert bn(jax.numpy.ones(1), state, inference=True)[0] < 0.11  # right: 1
