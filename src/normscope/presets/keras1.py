"""Keras 1 `BatchNormalization`: three modes in one layer, and formulas that changed by release.

Source: the Keras releases 1.0.0 to 1.2.2; for 1.2.2 every line here is compared with recorded
outputs of the genuine package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from normscope.errors import SpecError
from normscope.presets.patterns import Preset, bracketed, kept_axis
from normscope.spec import NormSpec, Running, spec
from normscope.wording import counted

LATEST = "1.2.2"

BACKENDS = ("tensorflow", "theano", "theano<0.9")


@dataclass(frozen=True)
class Release:
    """What a range of releases has in common; `last` is the last release of the range."""

    last: tuple[int, int, int]
    epsilon: float
    momentum: float
    eps_inside_mode_1: bool


_RELEASES = (
    Release((1, 0, 4), epsilon=1e-6, momentum=0.9, eps_inside_mode_1=False),
    Release((1, 0, 6), epsilon=1e-6, momentum=0.9, eps_inside_mode_1=True),
    Release((1, 0, 7), epsilon=1e-6, momentum=0.99, eps_inside_mode_1=True),
    Release((1, 1, 99), epsilon=1e-5, momentum=0.99, eps_inside_mode_1=True),
    Release((1, 2, 2), epsilon=1e-3, momentum=0.99, eps_inside_mode_1=True),
)


def facts_of(release: str) -> Release:
    """The defaults and the formula of one release.

    >>> facts_of("1.0.4").eps_inside_mode_1, facts_of("1.0.5").eps_inside_mode_1
    (False, True)
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
        mode 2   as mode 0 in training, at inference too

    Args:
        mode, axis, epsilon, momentum: as in Keras 1; None is the default of the release.
        release: the Keras release, "1.0.0" to "1.2.2".
        backend: "tensorflow", "theano" (0.9 and later: stores variance + epsilon) or "theano<0.9".
        axes: names for the axes of the input, such as "b c h w"; without them the pattern fits
            any rank.

    Raises:
        SpecError: a value that Keras 1 could not have run with.

    Example:
        >>> print(batch_normalization(mode=1, axes="b c h w"))
        "b c h [w]", eps=0.001, eps_outside=0.001, scale and bias along w
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
    kept = "c" if axes is None else _axis_name(axes, axis)
    running = None
    if mode == 0:
        decay = facts.momentum if momentum is None else momentum
        running = Running(decay, plus_eps=backend == "theano")
    return spec(
        kept_axis(axis)
        if axes is None
        else bracketed(axes.split(), shared=[name for name in axes.split() if name != kept]),
        eps=epsilon,
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
