"""scikit-learn 1.x: scalers of columns, which remember what they are fitted to, and of rows.

They divide by 1 where the divisor is next to 0. What that means differs: `MaxAbsScaler` and
`Normalizer` compare it with ten times the machine epsilon of its dtype, which a spec says. What
`StandardScaler` takes for constant depends on the data: a variance v of n samples with the mean m
and v <= n * e * v + (n * m * e)**2, with e = 2.2e-16, which rounding could have made. A spec says a
divisor of exactly 0; the two agree but for columns that vary by less than n * |m| * e.
"""

from __future__ import annotations

from normscope.errors import SpecError
from normscope.frameworks.preset_patterns import Preset
from normscope.notation.spec import Measure, NormSpec, Running, spec

_MACHINE_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10}


def standard_scaler(with_mean: bool = True, with_std: bool = True) -> NormSpec:
    """sklearn.preprocessing.StandardScaler: `fit` forgets what it has seen before.

    >>> print(standard_scaler(with_std=False))
    "[b] c", divided by nothing, running decay 0 (torch momentum 1)
    """
    if not with_std:
        if not with_mean:
            raise SpecError("StandardScaler(with_mean=False, with_std=False) returns its input")
        return spec("[b] c", measure=Measure.NONE, running=Running(0.0))
    return spec("[b] c", center=with_mean, eps=0, unit_below=0, running=Running(0.0))


def max_abs_scaler(dtype: str = "float64") -> NormSpec:
    """sklearn.preprocessing.MaxAbsScaler, as `fit_transform` computes it on data of this dtype.

    What it remembers is no mean and variance, so `running` does not say it. With the maxima that
    were found before: `normalize(x, this, mean=np.zeros(c), var=scaler.max_abs_**2)`.
    """
    return spec(
        "[b] c", center=False, measure=Measure.MAX, eps=0, unit_below=_smallest_divisor(dtype)
    )


def normalizer(norm: str = "l2", dtype: str = "float64") -> NormSpec:
    """sklearn.preprocessing.Normalizer on dense data of this dtype: each row by its norm."""
    if norm not in ("l1", "l2", "max"):
        raise SpecError(f"norm is l1, l2 or max, not {norm!r}")
    least = _smallest_divisor(dtype)
    return spec("b [c]", center=False, measure=Measure(norm), eps=0, unit_below=least)


def _smallest_divisor(dtype: str) -> float:
    if dtype not in _MACHINE_EPSILON:
        raise SpecError(f"dtype is one of {', '.join(_MACHINE_EPSILON)}, not {dtype!r}")
    return 10 * _MACHINE_EPSILON[dtype]


FITTED = frozenset({"sklearn.MaxAbsScaler"})
"""What takes its statistics from the data that it is fitted to, and remembers another measure."""

PRESETS: dict[str, Preset] = {
    "sklearn.StandardScaler": standard_scaler,
    "sklearn.MaxAbsScaler": max_abs_scaler,
    "sklearn.Normalizer": normalizer,
}
