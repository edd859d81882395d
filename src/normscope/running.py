"""Running statistics: the memory of batch statistics that inference uses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.errors import SpecError
from normscope.spec import Measure, NormSpec
from normscope.streaming import states_of

Floats = NDArray[np.float64]


def updated(
    x: NDArray[Any],
    spec: NormSpec,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    *,
    mask: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """The running statistics after one training step on `x`.

        new = decay * old + (1 - decay) * batch

    Args:
        x: the batch, as for `normalize`.
        spec: a spec with `running`.
        running_mean, running_var: the values before the step, one per statistics set.
        mask: only elements where it is True enter.

    Returns:
        mean and variance after the step, in the shapes that came, in float64. With
        `Running.plus_eps` the second array holds variance + eps.

    Raises:
        SpecError: the spec has no running statistics.

    Example:
        >>> from normscope import Running, spec
        >>> batch = spec("[b] c", running=Running(decay=0.9))
        >>> updated(np.array([[0.0], [2.0]]), batch, [0.0], [1.0])
        (array([0.1]), array([1.]))
    """
    running = spec.running
    if running is None:
        raise SpecError(f"{spec} has no running statistics: give it running=Running(decay=0.9)")
    measured = replace(spec, center=True, measure=Measure.VARIANCE, ddof=running.ddof, running=None)
    count, mean, root = states_of(x, measured, mask)[:3]
    variance = root * root * (count / np.maximum(count - running.ddof, 0))
    if running.plus_eps:
        variance = variance + spec.eps
    return (
        _mix(running.decay, running_mean, mean),
        _mix(running.decay, running_var, variance),
    )


def _mix(decay: float, old: ArrayLike, batch: Floats) -> Floats:
    old = np.asarray(old, np.float64)
    mixed: Floats = decay * old + (1 - decay) * batch.reshape(old.shape)
    return mixed
