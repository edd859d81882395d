"""`NormSpec`: everything that says what a normalization computes, in one frozen value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from normscope.errors import SpecError
from normscope.notation.layout import Layout, lay_out
from normscope.notation.pattern import ANONYMOUS, Pattern, parse
from normscope.notation.running import Running as Running
from normscope.notation.shape import Size, SizeGiven
from normscope.notation.values import Sizes, flag, integer, non_negative, shown, told_fields
from normscope.notebook import html_of


class Measure(StrEnum):
    """The measure that a statistics set is divided by; `v` in the formula is its square.

    Every measure but the variance is taken around zero, whether or not the mean is subtracted.
    With the measure `none` only the mean is subtracted: the divisor is 1.
    """

    VARIANCE = "variance"  # the variance around the mean: sum((x - mean)**2) / (N - ddof)
    MEAN_SQUARE = "mean_square"  # sum(x**2) / (N - ddof)
    L2 = "l2"  # sqrt(sum(x**2))
    L1 = "l1"  # sum(|x|)
    MAX = "max"  # max(|x|)
    NONE = "none"  # nothing: the mean is subtracted, and that is all


@dataclass(frozen=True, repr=False)
class NormSpec:
    """A normalization, said completely: which elements share statistics, and the formula.

    With m the mean of a statistics set and v its measure (the variance, or the square of another
    measure),

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    where `x - m` is just `x` if `center` is false, the divisor is 1 where it would be 0 or less
    than `unit_below`, and `scale` is `1 + scale` with `scale_shift=1`.

    Attributes:
        pattern: the bracket notation; brackets mark the axes inside one statistics set. It is also
            the contract: it fixes rank and divisibility. None: no statistic is taken from this
            input, as at inference with running statistics.
        sizes: sizes of axes that the shape alone does not tell, such as `{"g": 32}`.
        center: whether the mean is subtracted.
        measure: a `Measure`, or its name.
        ddof: variance and mean square are divided by N - ddof.
        eps: added to v, inside the root, in units of x**2.
        eps_outside: added to the root, in units of x.
        floor: the least value of the divisor, in units of x.
        unit_below: where the divisor is 0, or less than this, it is 1, in units of x; 0 guards
            against the 0 alone (`where(std == 0, 1, std)`), None is no such guard.
        scale, bias: the axes along which each learned parameter varies, such as `"g c"` or
            `"s... c"`; `""` is a single number, None is no such parameter.
        scale_shift: 0 multiplies by scale, 1 by 1 + scale (as in Gemma).
        running: the memory of batch statistics that inference uses, or None.

    Raises:
        PatternError: the pattern is not in the bracket notation.
        SpecError: a field has a wrong type or value, or fields contradict each other.

    Example:
        >>> print(NormSpec("b [s...] (g [c])", sizes={"g": 4}, scale="g c", bias="g c"))
        "b [s...] (g [c])" with g=4, eps=1e-05, scale and bias along g c
        >>> NormSpec.from_dict(NormSpec("b [c]").to_dict()) == NormSpec("b [c]")
        True
    """

    pattern: str | None
    sizes: Mapping[str, SizeGiven] = Sizes()
    center: bool = True
    measure: Measure = Measure.VARIANCE
    ddof: int = 0
    eps: float = 1e-5
    eps_outside: float = 0.0
    floor: float = 0.0
    unit_below: float | None = None
    scale: str | None = None
    bias: str | None = None
    scale_shift: int = 0
    running: Running | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the fields are normalized once, before anyone sees them
        if not isinstance(self.pattern, str | None):
            raise SpecError(f'a pattern is a text such as "b [c]", not {shown(self.pattern)}')
        flag("center", self.center)
        set_field(self, "sizes", Sizes(self.sizes))
        set_field(self, "measure", _checked_measure(self.measure))
        set_field(self, "ddof", integer("ddof", self.ddof))
        for name in ("eps", "eps_outside", "floor"):
            set_field(self, name, non_negative(name, getattr(self, name)))
        if self.unit_below is not None:
            set_field(self, "unit_below", non_negative("unit_below", self.unit_below))
        for name in ("scale", "bias"):
            set_field(self, name, _checked_names(name, getattr(self, name)))
        if self.scale_shift not in (0, 1) or isinstance(self.scale_shift, bool):
            raise SpecError(f"scale_shift is 0 or 1, not {shown(self.scale_shift)}")
        if self.scale_shift and self.scale is None:
            raise SpecError('scale_shift=1 needs a scale: name its axes, for example scale="c"')
        if self.running is not None and not isinstance(self.running, Running):
            raise SpecError(f"running is a Running or None, not {shown(self.running)}")
        if self.ddof and self.measure not in (Measure.VARIANCE, Measure.MEAN_SQUARE):
            raise SpecError(f"ddof={self.ddof} has no meaning for the measure {self.measure}")
        if self.measure is Measure.NONE:
            _check_without_divisor(self)
            set_field(self, "eps", 0.0)
        if self.unit_below is not None:
            _check_guard(self, self.unit_below)
        if self.pattern is not None:
            _check_against_pattern(self, parse(self.pattern))

    @property
    def parsed(self) -> Pattern:
        """The parsed pattern.

        Raises:
            SpecError: the spec has no pattern.
        """
        if self.pattern is None:
            raise SpecError(
                "this spec has no pattern: it takes no statistic from its input; use the spec of "
                "the training mode, and give mean= and var="
            )
        return parse(self.pattern)

    def layout(self, shape: Sequence[Size]) -> Layout:
        """The pattern fitted to a shape.

        Raises:
            ShapeError: the shape does not meet the contract.
            SpecError: the spec has no pattern.
        """
        return lay_out(self.parsed, shape, self.sizes)

    def inference(self) -> NormSpec:
        """The spec of the inference mode: with running statistics none comes from the input.

        >>> print(NormSpec("[b] c", running=Running(0.9)).inference())
        no statistic from the input, eps=1e-05, running decay 0.9 (torch momentum 0.1)
        """
        if self.running is None:
            return self
        holds_eps = self.running.deviation and self.running.plus_eps
        return replace(self, pattern=None, sizes=Sizes(), eps=0.0 if holds_eps else self.eps)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types; `from_dict` reads them back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["sizes"] = {
            name: list(size) if isinstance(size, tuple) else size
            for name, size in self.sizes.items()
        }
        values["measure"] = str(self.measure)
        values["running"] = asdict(self.running) if self.running else None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NormSpec:
        """Read what `to_dict` wrote; fields left out have their defaults.

        Raises:
            PatternError: the pattern is not in the bracket notation.
            SpecError: an unknown field, or a wrong type or value.
        """
        _check_fields("spec", values, cls)
        values = dict(values)
        if isinstance(values.get("running"), Mapping):
            _check_fields("running", values["running"], Running)
            if "decay" not in values["running"]:
                raise SpecError("running statistics need a decay")
            values["running"] = Running(**values["running"])
        sizes = values.get("sizes")
        if isinstance(sizes, Mapping):
            values["sizes"] = {
                name: tuple(size) if isinstance(size, list) else size
                for name, size in sizes.items()
            }
        if "pattern" not in values:
            raise SpecError("a spec needs the field pattern (null: no statistic from the input)")
        return cls(**values)

    def __str__(self) -> str:
        parts = [f'"{self.pattern}"' if self.pattern is not None else "no statistic from the input"]
        if self.sizes:
            parts[0] += " with " + ", ".join(f"{name}={size}" for name, size in self.sizes.items())
        if not self.center:
            parts.append("not centred")
        if self.measure is Measure.NONE:
            parts.append("divided by nothing")
        elif self.measure is not Measure.VARIANCE:
            parts.append(f"measure {self.measure}")
        if self.ddof:
            parts.append(f"ddof={self.ddof}")
        if self.measure is not Measure.NONE:
            parts.append(f"eps={self.eps:g}")
        parts += [
            f"{name}={getattr(self, name):g}"
            for name in ("eps_outside", "floor")
            if getattr(self, name)
        ]
        if self.unit_below is not None:
            below = f"below {self.unit_below:g}" if self.unit_below else "where it is 0"
            parts.append(f"divisor 1 {below}")
        parts += self._parameters_in_words()
        if self.running:
            parts.append(str(self.running))
        return ", ".join(parts)

    def _parameters_in_words(self) -> list[str]:
        def along(names: str) -> str:
            return f"along {names}" if names else "(one number)"

        scale = "1 + scale" if self.scale_shift else "scale"
        if self.scale is not None and self.scale == self.bias:
            return [f"{scale} and bias {along(self.scale)}"]
        return [
            f"{word} {along(names)}"
            for word, names in ((scale, self.scale), ("bias", self.bias))
            if names is not None
        ]

    def __repr__(self) -> str:
        given = [repr(self.pattern)]
        for name, value in told_fields(self)[1:]:
            given.append(f"{name}=" + (f"'{value}'" if isinstance(value, Measure) else repr(value)))
        return f"NormSpec({', '.join(given)})"

    def _repr_html_(self) -> str:
        told = {
            "eps": f"{self.eps:g}",
            **{name: f"{value}" for name, value in told_fields(self)[1:]},
        }
        rows = [*told.items(), ("as code", repr(self))]
        return html_of(str(self), rows)


_FIELDS = frozenset(f.name for f in fields(NormSpec)) - {"pattern", "sizes"}


def spec(pattern: str | None, **fields_and_sizes: Any) -> NormSpec:
    """State a normalization.

    Args:
        pattern: the bracket notation, such as `"b [s...] (g [c])"`.
        **fields_and_sizes: fields of `NormSpec` by name (`eps=`, `scale=`, ...); every other
            keyword is the size of the axis of that name (`g=32`). An axis that is called like a
            field has its size in `sizes={...}`.

    Returns:
        The `NormSpec`.

    Raises:
        PatternError: the pattern is not in the bracket notation.
        SpecError: a wrong value, or a keyword that is neither a field nor an axis.

    Example:
        >>> print(spec("b [s...] (g [c])", g=4, scale="g c", bias="g c", eps=1e-3))
        "b [s...] (g [c])" with g=4, eps=0.001, scale and bias along g c
    """
    given = {name: value for name, value in fields_and_sizes.items() if name in _FIELDS}
    sizes = {name: value for name, value in fields_and_sizes.items() if name not in _FIELDS}
    explicit = sizes.pop("sizes", {})
    if isinstance(pattern, str):
        for name in sizes:
            _check_is_axis(parse(pattern), name)
    if not isinstance(explicit, Mapping):
        raise SpecError(f"sizes is a mapping such as {{'g': 32}}, not {shown(explicit)}")
    return NormSpec(pattern, sizes={**sizes, **explicit}, **given)


def _checked_measure(value: object) -> Measure:
    try:
        return Measure(value)  # type: ignore[arg-type]  # what is no measure ends in ValueError
    except ValueError:
        names = ", ".join(Measure)
        raise SpecError(f"measure is one of {names}, not {shown(value)}") from None


def _checked_names(field: str, names: object) -> str | None:
    if names is None:
        return None
    if not isinstance(names, str):
        raise SpecError(
            f"{field} names the axes along which the parameter varies, for example "
            f'{field}="c", or is None; it is {shown(names)}. Its values go to normalize({field}=)'
        )
    words = names.split()
    for word in words:
        base = word.removesuffix(ANONYMOUS)
        if base and not (base.isascii() and base.isidentifier()):
            raise SpecError(f"{field}={names!r}: {word!r} is not the name of an axis")
    if len(set(words)) < len(words):
        raise SpecError(f"{field}={names!r} names an axis twice")
    return " ".join(words)


def _check_without_divisor(spec: NormSpec) -> None:
    """Refuse what acts on the divisor where there is none; the default eps becomes 0."""
    if not spec.center:
        raise SpecError(
            'measure="none" without centring would normalize nothing: write center=True'
        )
    default = next(field.default for field in fields(NormSpec) if field.name == "eps")
    acting = {
        "eps": spec.eps if spec.eps != default else 0.0,
        "eps_outside": spec.eps_outside,
        "floor": spec.floor,
        "unit_below": spec.unit_below is not None,
    }
    for name, acts in acting.items():
        if acts:
            raise SpecError(
                f'{name}={getattr(spec, name):g} acts on the divisor, and with measure="none" '
                f"nothing is divided; leave {name} out"
            )


def _check_guard(spec: NormSpec, unit_below: float) -> None:
    """A guard that could never act would promise what does not happen."""
    if spec.floor:
        raise SpecError(
            f"floor={spec.floor:g} and unit_below={unit_below:g} both say what a small divisor "
            "becomes: the floor, or 1; give one of them"
        )
    least = math.sqrt(spec.eps) + spec.eps_outside
    if least >= unit_below and least > 0:
        raise SpecError(
            f"unit_below={unit_below:g} would never act: the divisor is at least sqrt(eps) + "
            f"eps_outside = {least:g}; write eps=0 or a larger unit_below"
        )


def _check_against_pattern(spec: NormSpec, pattern: Pattern) -> None:
    """Brackets are there, sizes and parameters name axes of the pattern."""
    if not any(axis.shared for axis in pattern.axes):
        raise SpecError(
            f'no axis of "{pattern}" is in brackets, so nothing would be normalized; put brackets '
            f'around the axes that share statistics, for example "{_bracketed(pattern)}"'
        )
    known = ", ".join(pattern.names)
    for name, size in spec.sizes.items():
        _check_is_axis(pattern, name)
        if isinstance(size, tuple) and name not in pattern.repeated:
            raise SpecError(f'axis {name} of "{pattern}" is one axis: its size is one integer')
    for field, names in (("scale", spec.scale), ("bias", spec.bias)):
        for word in names.split() if names else ():
            _check_parameter_axis(pattern, field, word, known)


def _check_is_axis(pattern: Pattern, name: str) -> None:
    if name in pattern.names:
        return
    close = get_close_matches(name, _FIELDS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise SpecError(
        f'"{name}" is neither a field nor an axis of "{pattern}", whose axes are '
        f"{', '.join(pattern.names)}{hint}"
    )


def _check_parameter_axis(pattern: Pattern, field: str, word: str, known: str) -> None:
    base = word if word == ANONYMOUS else word.removesuffix(ANONYMOUS)
    if base not in pattern.names:
        raise SpecError(f'{field} varies along "{word}", but the axes of "{pattern}" are {known}')
    if (base in pattern.repeated) != word.endswith(ANONYMOUS):
        right = f"{base}..." if base in pattern.repeated else base
        raise SpecError(f'{field} names axis "{word}"; in "{pattern}" it is called "{right}"')
    if base != ANONYMOUS and sum(axis.name == base for axis in pattern.axes) > 1:
        raise SpecError(
            f'{field} varies along "{word}", which stands for several axes of "{pattern}"; '
            "give them different names"
        )


def _bracketed(pattern: Pattern) -> str:
    last = pattern.items[-1]
    return f"{pattern.text[: last.start]}[{pattern.text[last.start : last.stop]}]"


def _check_fields(what: str, values: object, cls: type[NormSpec] | type[Running]) -> None:
    if not isinstance(values, Mapping):
        raise SpecError(f"a {what} is a mapping of its fields, not {shown(values)}")
    known = [f.name for f in fields(cls)]
    for name in values:
        if name not in known:
            raise SpecError(f"a {what} has no field {shown(name)}; it has {', '.join(known)}")
