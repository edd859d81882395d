"""Which of the measures that differ by a constant factor it is, and its constants as written.

A standard deviation with ddof 1 is one with ddof 0 times a number, and an L2 norm is a root mean
square times a number: what tells them apart is the size of the scale, else which constants are
round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from normscope.identify.formula.divisor import Divisor, Guard, digits_needed, plain_number
from normscope.identify.formula.scale_and_bias import Scale
from normscope.identify.formula.unsolved import Unsolved
from normscope.notation.spec import Measure
from normscope.sight.changes import is_half


@dataclass(frozen=True)
class Constants:
    """The measure, the constants of the divisor in its units, and the factor that is left over."""

    kind: MeasureKind
    divisor: Divisor
    factor: float
    notes: tuple[str, ...] = ()


def constants_for(
    size: int,
    measure: Measure,
    scale: Scale | None,
    found: Divisor,
    unit: float,
    holds_arrays: bool,
    as_found: float | None,
) -> Constants | Unsolved:
    """The measure and its constants, if something tells which of two measures it is.

    Args:
        size: of a statistics set.
        measure: the fitted measure.
        scale: with a factor where it is known how large the scale itself is.
        found: the divisor in units of the fitted measure.
        unit: the relative error of the fits.
        holds_arrays: whether the layer holds arrays that may be the scale; else only the product of
            scale and measure is there to be found, and either way to write it is right.
        as_found: the scale before any parameter was moved, where it is one number.
    """
    kinds = _with_unit_guard(kinds_of(measure, size), found.guard, unit)
    factor = scale.factor if scale is not None else 1.0
    unscaled = [kind for kind in kinds if _is_one(as_found, kind, unit)]
    if not kinds or (factor is None and not unscaled and holds_arrays and _tie(kinds, found)):
        return _undecided(found.guard, unit)
    if factor is not None:
        kind, left = _kind_for(kinds, factor, unit)
        notes = (
            (f"the result is multiplied by {left:.4g}{_root_of(left, size)}",) if left != 1 else ()
        )
    else:
        kind, left = min(unscaled or kinds, key=lambda kind: _unlikely(kind, found)), 1.0
        notes = (_ROUNDEST,) if len(kinds) > 1 and not unscaled else ()
    return Constants(kind, _as_written(found.times(1 / kind.factor), size, unit), left, notes)


_ROUNDEST = (
    "the size of the scale itself is not known: of equal formulas the one with the roundest "
    "constants was taken"
)


def _with_unit_guard(
    kinds: list[MeasureKind], guard: Guard | None, unit: float
) -> list[MeasureKind]:
    """The measures in whose units a guard, if there is one, puts 1 in the divisor's place."""
    if guard is None or guard.unit is None:
        return kinds
    close = max(_ONE, unit, 5 * guard.uncertain)
    return [kind for kind in kinds if abs(guard.unit / kind.factor - 1) < close]


def _undecided(guard: Guard | None, unit: float) -> Unsolved:
    """Why no measure was chosen."""
    if guard is not None and guard.unit is not None:
        below = tolerance_of(guard, unit)
        small = f"below {below:.6g}" if below else "0"
        words = f"where that divisor is {small} it is {guard.unit:.4g}, which no spec says"
        return Unsolved(words, False)
    return Unsolved(
        "nothing tells whether ddof is 0 or 1: the size of the scale is not known, and no constant "
        "is rounder with either",
        False,
    )


def _as_written(divisor: Divisor, size: int, unit: float) -> Divisor:
    """A divisor with its constants as their author wrote them, for sets of this size."""
    root = math.sqrt(size)
    values = zip(
        (divisor.eps, divisor.eps_outside, divisor.floor),
        (size, root, root),
        divisor.uncertain,
        strict=True,
    )
    eps, eps_outside, floor = (
        constant_of(value, times, max(unit, uncertain)) for value, times, uncertain in values
    )
    return Divisor(eps, eps_outside, floor, divisor.guard)


def tolerance_of(guard: Guard, unit: float = 3e-5) -> float:
    """The tolerance of a guard as its author wrote it: the shortest number that it may be.

    Args:
        guard: in the units of the measure.
        unit: the relative error of the fits.

    >>> tolerance_of(Guard(0.99999995e-4, 1.0000001e-4, 1.0))
    0.0001
    >>> tolerance_of(Guard(3.1622775e-3, 3.1622779e-3, 1.0)) == 1e-5**0.5  # of the variance
    True
    >>> tolerance_of(Guard(1.19209e-6, 1.192094e-6, 1.0)) == 10 * 2.0**-23
    True
    """
    if guard.middle == 0:
        return 0.0

    rounding = 2 * unit if is_half(unit) else unit / 10

    def possible(value: float) -> bool:
        return guard.low * (1 - rounding) <= value <= guard.high * (1 + rounding)

    for digits in range(6):
        short = float(f"{guard.middle:.{digits}e}")
        of_square = math.sqrt(float(f"{guard.middle**2:.{digits}e}"))
        machine = _MACHINE_TOLERANCES if digits == 2 else ()
        for value in (short, of_square, *machine):
            if possible(value):
                return value
    return guard.middle


_MACHINE_TOLERANCES = tuple(times * 2.0**-n for n in (10, 7, 23, 52) for times in (1, 10))
"""Machine epsilons, and the ten of them that scikit-learn takes."""


_ONE = 1e-3
"""How closely what replaces a small divisor must be 1; measures differ by more in small sets."""


def constant_of(value: float, size: float, unit: float) -> float:
    """A constant as its author wrote it: round itself, or round before it was divided by `size`.

    >>> constant_of(1.0000001e-5, 8, 3e-5)
    1e-05
    >>> constant_of(3.535534e-13, 8**0.5, 3e-5) * 8**0.5
    1e-12
    """
    if digits_needed(value) > 2 >= digits_needed(value * size):
        return plain_number(value * size, unit) / size
    return plain_number(value, unit)


@dataclass(frozen=True)
class MeasureKind:
    """A measure whose root is the fitted root divided by `factor`."""

    measure: Measure
    ddof: int
    factor: float


def kinds_of(measure: Measure, size: int) -> list[MeasureKind]:
    """The measures whose roots differ from a fitted one by a constant factor."""
    plain = MeasureKind(measure, 0, 1.0)
    corrected = MeasureKind(measure, 1, math.sqrt((size - 1) / size))
    if measure is Measure.VARIANCE:
        return [plain, corrected]
    if measure is Measure.MEAN_SQUARE:
        return [plain, MeasureKind(Measure.L2, 0, 1 / math.sqrt(size)), corrected]
    return [plain]


def _kind_for(kinds: list[MeasureKind], factor: float, unit: float) -> tuple[MeasureKind, float]:
    """The measure that explains the factor, and the constant that is left over."""
    for kind in kinds:
        if abs(factor / kind.factor - 1) < max(1e-5, unit / 4):
            return kind, 1.0
    loose = min(kinds, key=lambda kind: abs(factor / kind.factor - 1))
    if abs(factor / loose.factor - 1) < max(3e-4, unit) and loose is kinds[0]:
        return loose, 1.0
    kind = min(kinds, key=lambda kind: _digits_of_factor(factor / kind.factor))
    return kind, plain_number(factor / kind.factor, max(1e-5, unit / 4))


def _is_one(scale: float | None, kind: MeasureKind, unit: float) -> bool:
    """Whether a scale is 1 with this measure."""
    return scale is not None and abs(scale / kind.factor - 1) < max(1e-5, unit / 4)


def _tie(kinds: list[MeasureKind], found: Divisor) -> bool:
    """Whether the constants are as round with another ddof."""
    digits = [_unlikely(kind, found) for kind in kinds if kind.measure is Measure.VARIANCE]
    return len(digits) > 1 and abs(digits[0] - digits[1]) < 0.5


def _digits_of_factor(left: float) -> int:
    """How round a constant factor is, or its inverse, or its square."""
    return min(digits_needed(abs(value)) for value in (left, 1 / left, left**2))


def _root_of(constant: float, size: int) -> str:
    for name, value in (
        (f"sqrt({size})", math.sqrt(size)),
        (f"1 / sqrt({size})", 1 / math.sqrt(size)),
        (f"{size}", float(size)),
        (f"1 / {size}", 1 / size),
    ):
        if abs(constant / value - 1) < 1e-4:
            return f" = {name}, of the set size {size}"
    return ""


def _unlikely(kind: MeasureKind, found: Divisor) -> float:
    """How many digits the constants need with this measure; 1e-5 is rounder than 5e-5."""
    divisor = found.times(1 / kind.factor)
    values = [v for v in (divisor.eps, divisor.eps_outside, divisor.floor) if v]
    if divisor.guard is not None and divisor.guard.middle > 0:
        values.append(tolerance_of(divisor.guard))
    digits = sum(digits_needed(v) + 0.5 * (not f"{v:.2e}".startswith("1.00")) for v in values)
    # nobody divides a mean square by N - 1
    return digits + (kind.ddof == 1 and kind.measure is not Measure.VARIANCE)
