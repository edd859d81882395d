"""Running statistics: the memory of batch statistics that inference uses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine.partial_statistics import partial_statistics_of
from normscope.engine.validation import check_array, check_set_size, laid_along
from normscope.errors import SpecError
from normscope.frameworks.statement import stated
from normscope.kernels.contract import PARTIAL_COUNT, PARTIAL_MEAN, PARTIAL_ROOT
from normscope.notation.spec import Measure, NormSpec

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
        mask: only elements where it is True enter; sets with no more of them than the `ddof` of
            `running` keep their statistics.

    Returns:
        mean and variance after the step, in the shapes that came, in float64. With
        `Running.plus_eps` the second array holds variance + eps, with `Running.deviation` the
        square root of what it would hold; where nothing is divided (the measure `none`) it stays as
        it was.

    Raises:
        SpecError: the spec has no running statistics.
        ShapeError: x does not meet the pattern, a set holds too few values, or the statistics have
            another shape than the axes outside brackets.
        DtypeError: x is not an array of real numbers.

    Example:
        >>> from normscope import Running, spec
        >>> batch = spec("[b] c", running=Running(decay=0.9))
        >>> updated(np.array([[0.0], [2.0]]), batch, [0.0], [1.0])
        (array([0.1]), array([1.]))
    """
    running = stated(spec, {}, False, False).running
    if running is None:
        raise SpecError(f"{spec} has no running statistics: give it running=Running(decay=0.9)")
    mean_only = spec.measure is Measure.NONE
    ddof = 0 if mean_only else running.ddof
    measured = NormSpec(spec.pattern, spec.sizes, ddof=ddof)
    check_array("x", x)
    layout = measured.layout(x.shape)
    check_set_size(measured, layout)
    partials = partial_statistics_of(x, measured, mask)
    count, mean, root = partials[PARTIAL_COUNT], partials[PARTIAL_MEAN], partials[PARTIAL_ROOT]
    enough = count > ddof
    variance = root * root * (count / np.where(enough, count - ddof, 1))
    if running.plus_eps:
        variance = variance + spec.eps
    if running.deviation:
        variance = np.sqrt(variance)
    decay, both = running.decay, []
    for name, old, batch in (
        ("running_mean", running_mean, mean), ("running_var", running_var, variance),
    ):  # fmt: skip
        if name == "running_var" and mean_only:
            both.append(np.array(old, np.float64))
            continue
        before = laid_along(layout, name, layout.kept, old).astype(np.float64)
        mixed = decay * before + (1 - decay) * batch.reshape(before.shape)
        after = np.where(enough.reshape(before.shape), mixed, before)
        both.append(after.reshape(np.shape(old)))
    return both[0], both[1]
