"""The numbers of an explanation: sets, sizes, who sees whom, parameters. No prose."""

from __future__ import annotations

from dataclasses import dataclass

from normscope.notation.axis_roles import Role, atomic_label, axis_role
from normscope.notation.axis_words import axis_word
from normscope.notation.layout import Layout
from normscope.notation.shape import Size, product
from normscope.notation.spec import NormSpec


@dataclass(frozen=True)
class AxisFact:
    """One axis of the array. `word`: which elements along it share statistics."""

    label: str
    size: Size
    role: Role
    word: str

    @property
    def independent(self) -> bool:
        """True if no index along the axis sees another."""
        return self.word == "independent"


@dataclass(frozen=True)
class ParameterFact:
    """A learned parameter: the labels of the axes along which it varies, how many values."""

    axes: tuple[str, ...]
    count: Size


@dataclass(frozen=True)
class Facts:
    """The facts of one spec at one shape.

    Attributes:
        axes: the axes of the array, in order.
        set_size: how many values one statistics set holds.
        num_sets: how many statistics sets the array has.
        sets_per_sample: how many of them one sample has; None where a set spans samples, or no
            axis is known to count samples.
        scale, bias: the learned parameters.
    """

    axes: tuple[AxisFact, ...]
    set_size: Size
    num_sets: Size
    sets_per_sample: Size
    scale: ParameterFact | None
    bias: ParameterFact | None

    @property
    def sample_axis(self) -> AxisFact | None:
        """The axis that counts samples, if one is known to."""
        return next((axis for axis in self.axes if axis.role is Role.SAMPLE), None)

    @property
    def sample_independent(self) -> bool | None:
        """True if no sample sees another; None if no axis is known to count samples."""
        return self.sample_axis.independent if self.sample_axis else None


def facts_of(spec: NormSpec, layout: Layout, labels: tuple[str, ...]) -> Facts:
    """The facts of a spec at one shape, with names for the axes.

    >>> from normscope import spec
    >>> s = spec("b c h [w]", scale="w")
    >>> facts = facts_of(s, s.layout((8, 128, 56, 56)), ("b", "c", "h", "w"))
    >>> facts.set_size, facts.num_sets, facts.sets_per_sample, facts.scale.count
    (56, 57344, 7168, 56)
    """
    axes = tuple(
        AxisFact(label, layout.shape[dim], axis_role(layout, dim, label), axis_word(layout, dim))
        for dim, label in enumerate(labels)
    )
    return Facts(
        axes=axes,
        set_size=layout.set_size,
        num_sets=layout.num_sets,
        sets_per_sample=_sets_per_sample(layout, axes),
        scale=_parameter(spec.scale, layout, labels),
        bias=_parameter(spec.bias, layout, labels),
    )


def _sets_per_sample(layout: Layout, axes: tuple[AxisFact, ...]) -> Size:
    samples = next((dim for dim, axis in enumerate(axes) if axis.role is Role.SAMPLE), None)
    if samples is None or not axes[samples].independent:
        return None
    return product([axis.size for axis in layout.axes if not axis.shared and axis.dim != samples])


def _parameter(names: str | None, layout: Layout, labels: tuple[str, ...]) -> ParameterFact | None:
    if names is None:
        return None
    axes = [layout.axes[i] for i in layout.named(names)]
    return ParameterFact(
        tuple(atomic_label(layout, axis, labels) for axis in axes),
        product([axis.size for axis in axes]),
    )
