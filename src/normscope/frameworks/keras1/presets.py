"""Keras 1 `BatchNormalization`: three modes in one layer, and formulas that changed by release.

Source: layer and backends of the Keras releases 1.0.0 to 1.2.2; for 1.0.5, 1.0.8 and 1.2.2 every
line here is compared with recorded outputs of the genuine packages. Not covered: releases 1.1.1 and
later with cuDNN under Theano, where `running_std` of images with the channels first is v + e.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from normscope.errors import SpecError
from normscope.frameworks.preset_patterns import Preset, bracketed, kept_axis
from normscope.notation.spec import NormSpec, Running, spec
from normscope.wording import counted

LATEST = "1.2.2"

BACKENDS = ("tensorflow", "theano", "theano<0.9")


class Divisor(StrEnum):
    """What modes 0 and 2 divide by in training; v is the variance of the batch, e is epsilon."""

    DEVIATION = "sqrt(v + e) + e"  # running_std holds sqrt(v + e); inference: running_std + e
    OUTSIDE = "sqrt(v) + e"  # running_std holds v; inference: sqrt(running_std) + e
    INSIDE = "sqrt(v + e)"  # running_std holds v, or v + e; inference: sqrt(running_std + e)


@dataclass(frozen=True)
class Release:
    """What a range of releases has in common; `last` is the last release of the range.

    `tensorflow` and `theano` are the divisors of modes 0 and 2 by backend; `theano_stores_eps`
    says whether `running_std` is v + e with Theano 0.9 and later.
    """

    last: tuple[int, int, int]
    epsilon: float
    momentum: float
    tensorflow: Divisor
    theano: Divisor
    theano_stores_eps: bool = False
    eps_inside_mode_1: bool = True
    has_mode_2: bool = True

    def divisor(self, backend: str) -> Divisor:
        """The divisor of modes 0 and 2 on a backend."""
        return self.tensorflow if backend == "tensorflow" else self.theano


# fmt: off
_RELEASES = (
    Release((1, 0, 3), 1e-6, 0.9, Divisor.DEVIATION, Divisor.DEVIATION,
            eps_inside_mode_1=False, has_mode_2=False),
    Release((1, 0, 4), 1e-6, 0.9, Divisor.DEVIATION, Divisor.DEVIATION, eps_inside_mode_1=False),
    Release((1, 0, 5), 1e-6, 0.9, Divisor.DEVIATION, Divisor.DEVIATION),
    Release((1, 0, 6), 1e-6, 0.9, Divisor.INSIDE, Divisor.DEVIATION),
    Release((1, 0, 7), 1e-6, 0.99, Divisor.INSIDE, Divisor.OUTSIDE),
    Release((1, 1, 99), 1e-5, 0.99, Divisor.INSIDE, Divisor.INSIDE),
    Release((1, 2, 2), 1e-3, 0.99, Divisor.INSIDE, Divisor.INSIDE, theano_stores_eps=True),
)
# fmt: on


def facts_of(release: str) -> Release:
    """The defaults and the formulas of one release.

    Raises:
        SpecError: it is no release of Keras 1.

    >>> facts_of("1.0.4").eps_inside_mode_1, facts_of("1.0.5").eps_inside_mode_1
    (False, True)
    >>> print(facts_of("1.0.6").divisor("theano"), "|", facts_of("1.0.6").divisor("tensorflow"))
    sqrt(v + e) + e | sqrt(v + e)
    """
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})", str(release))
    version = tuple(int(part) for part in match.groups()) if match else ()
    if version >= (1, 0, 0):
        for facts in _RELEASES:
            if version <= facts.last:
                return facts
    raise SpecError(f"Keras 1 releases go from 1.0.0 to {LATEST}; this is {release!r}")


def batch_normalization(
    mode: int = 0,
    axis: int = -1,
    epsilon: float | None = None,
    momentum: float | None = None,
    release: str = LATEST,
    backend: str = "tensorflow",
    axes: str | None = None,
) -> NormSpec:
    """keras.layers.BatchNormalization of Keras 1.

        mode 0   scale * (x - m) / sqrt(v + e) + bias, per index of `axis`, over all else;
                 at inference with running statistics
        mode 1   scale * (x - m) / (sqrt(v + e) + e) + bias, over the last axis, whatever `axis`;
                 up to release 1.0.4 the divisor is sqrt(v) + e
        mode 2   as mode 0 in training, at inference too; from release 1.0.4 on

    Before release 1.0.7 modes 0 and 2 were others, and with Theano in it too:

        1.0.0 to 1.0.5, 1.0.6 on Theano   the divisor is sqrt(v + e) + e; `running_std` holds the
                                          deviation sqrt(v + e), at inference one divides by
                                          running_std + e
        1.0.7 on Theano                   the divisor is sqrt(v) + e; `running_std` holds v

    Args:
        mode, axis, epsilon, momentum: as in Keras 1; None is the default of the release.
        release: the Keras release, "1.0.0" to "1.2.2".
        backend: "tensorflow", "theano" (0.9 and later: from release 1.2.0 on `running_std` is
            variance + epsilon) or "theano<0.9".
        axes: names for the axes of the input, such as "b c h w"; without them the pattern fits
            any rank.

    Raises:
        SpecError: a value that Keras 1 could not have run with.

    Example:
        >>> print(batch_normalization(mode=1, axes="b c h w"))
        "b c h [w]", eps=0.001, eps_outside=0.001, scale and bias along w
        >>> batch_normalization(release="1.0.5").running.deviation
        True
    """
    facts = facts_of(release)
    epsilon = facts.epsilon if epsilon is None else epsilon
    if backend not in BACKENDS:
        raise SpecError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")
    if mode == 1:
        features = "c" if axes is None else axes.split()[-1]
        return spec(
            "... [c]" if axes is None else bracketed(axes.split(), shared=[features]),
            eps=epsilon if facts.eps_inside_mode_1 else 0,
            eps_outside=epsilon,
            scale=features,
            bias=features,
        )
    if mode not in (0, 2):
        raise SpecError(f"mode is 0, 1 or 2, not {mode!r}")
    if mode == 2 and not facts.has_mode_2:
        raise SpecError(f"mode 2 came with Keras 1.0.4; release {release} has modes 0 and 1")
    kept = "c" if axes is None else _axis_name(axes, axis)
    divisor = facts.divisor(backend)
    deviation = divisor is Divisor.DEVIATION
    running = None
    if mode == 0:
        decay = facts.momentum if momentum is None else momentum
        stores_eps = deviation or (backend == "theano" and facts.theano_stores_eps)
        running = Running(decay, plus_eps=stores_eps, deviation=deviation)
    return spec(
        kept_axis(axis)
        if axes is None
        else bracketed(axes.split(), shared=[name for name in axes.split() if name != kept]),
        eps=0 if divisor is Divisor.OUTSIDE else epsilon,
        eps_outside=0 if divisor is Divisor.INSIDE else epsilon,
        scale=kept,
        bias=kept,
        running=running,
    )


def _axis_name(axes: str, axis: int) -> str:
    names = axes.split()
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise SpecError(f"axis is an integer, not {axis!r}")
    if not -len(names) <= axis < len(names):
        raise SpecError(
            f'axis is {axis}, but the input has {counted(len(names), "axis")}: "{axes}"'
        )
    if axis % len(names) == 0:
        raise SpecError("axis is 0, the batch; Keras 1 cannot make its parameters")
    return names[axis]


PRESETS: dict[str, Preset] = {
    "keras1.BatchNormalization": batch_normalization,
}
