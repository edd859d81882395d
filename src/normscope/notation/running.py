"""Running statistics, the memory that inference uses: what is stored, and how a batch moves it.

The two functions are written with operators only, for the arrays of any library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from normscope.errors import SpecError
from normscope.notation.values import flag, integer, number, told_fields
from normscope.notebook import html_of


@dataclass(frozen=True, repr=False)
class Running:
    """Running statistics: new = decay * old + (1 - decay) * batch.

    Attributes:
        decay: the share of the old value that is kept, from 0 to 1. PyTorch's `momentum` is
            1 - decay; Keras calls the decay itself `momentum`.
        ddof: the batch variance that enters is divided by N - ddof.
        plus_eps: what is stored is the variance plus eps, as by Keras 1 on Theano 0.9 and later.
        deviation: what is stored is the square root of that: sqrt(variance), or with `plus_eps`
            sqrt(variance + eps), which at inference stands in the place of sqrt(v + eps), as by
            Keras 1.0.0 to 1.0.5.
    """

    decay: float
    ddof: int = 0
    plus_eps: bool = False
    deviation: bool = False

    def __post_init__(self) -> None:
        decay = number("decay", self.decay)
        if not 0 <= decay <= 1:
            raise SpecError(f"decay is the share kept of the old value, 0 to 1; it is {decay}")
        object.__setattr__(self, "decay", decay)
        object.__setattr__(self, "ddof", integer("running ddof", self.ddof))
        flag("plus_eps", self.plus_eps)
        flag("deviation", self.deviation)

    def __str__(self) -> str:
        stored = "variance"
        if self.ddof:
            stored += f" with ddof={self.ddof}"
        if self.plus_eps:
            stored += " plus eps"
        if self.deviation:
            stored = "deviation" if stored == "variance" else f"root of the {stored}"
        words = f"running decay {self.decay:g} (torch momentum {1 - self.decay:g})"
        return words if stored == "variance" else f"{words} of the {stored}"

    def __repr__(self) -> str:
        return f"Running({', '.join(f'{name}={value!r}' for name, value in told_fields(self))})"

    def _repr_html_(self) -> str:
        return html_of("Running", [("statistics", str(self)), ("as code", repr(self))])


def updated(decay: float, old: Any, batch: Any) -> Any:
    """The running statistics after a batch.

    >>> updated(0.75, 8.0, 4.0)
    7.0
    """
    return decay * old + (1 - decay) * batch


def stored_variance(
    running: Running,
    variance: Any,
    eps: float,
    sqrt: Callable[[Any], Any],
    *,
    count: Any = None,
    ddof: int | None = None,
) -> Any:
    """The value that is stored for the variance of a batch.

    Args:
        running: what is stored.
        variance: of the batch.
        eps: of the spec.
        sqrt: the square root in the library of the arrays.
        count: how many values a statistics set holds; needed with `ddof` only.
        ddof: that of `variance`, where it may differ from the one that is stored.

    Example:
        >>> import math
        >>> stored_variance(Running(0.9, ddof=1), 6.0, 1e-3, math.sqrt, count=4, ddof=0)
        8.0
        >>> stored_variance(Running(0.9, plus_eps=True, deviation=True), 3.0, 1.0, math.sqrt)
        2.0
    """
    if ddof is not None and ddof != running.ddof:
        variance = variance * ((count - ddof) / (count - running.ddof))
    if running.plus_eps:
        variance = variance + eps
    return sqrt(variance) if running.deviation else variance
