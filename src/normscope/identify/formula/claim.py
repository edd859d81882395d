"""`Claim`: what is claimed of a mode, put together from what the steps found."""

from __future__ import annotations

from dataclasses import dataclass

from normscope.identify.formula.affine_fit import Affine, FirstFit
from normscope.identify.formula.axes import along_axes, names_of
from normscope.identify.formula.constants import Constants, tolerance_of
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.roles import Roles
from normscope.identify.subject.nan_statistics import median
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras
from normscope.notation.spec import NormSpec
from normscope.reference import reference


@dataclass(frozen=True)
class Claim:
    """What is claimed of one mode, with the numbers that are no part of a spec.

    Attributes:
        scale, bias: the parameters, along the axes that the spec names, in that order.
        factor: a constant by which the result is multiplied.
        rounded: the precision of the statistics, where it is not the layer's own.
    """

    spec: NormSpec
    scale: Floats | None
    bias: Floats | None
    factor: float
    extras: Extras
    rounded: str | None = None

    def output(self, x: Floats) -> Floats:
        """The normalized values: everything but the extras."""
        bare = NormSpec.from_dict({**self.spec.to_dict(), "bias": None})
        y = self.factor * reference(x, bare, scale=self.scale)
        if self.bias is not None and self.spec.bias is not None:
            layout = self.spec.layout(x.shape)
            placed = layout.place(layout.named(self.spec.bias))
            bias = self.bias.reshape(placed.shape).transpose(placed.order).reshape(placed.broadcast)
            y = (y.reshape(layout.known_sizes) + bias).reshape(x.shape)
        return y


def claim_of(
    probe: Probe, first: FirstFit, roles: Roles, base: Affine, constants: Constants
) -> Claim:
    """The claim that fit, roles and constants make together.

    Args:
        probe: the mode.
        first: which mean and measure, and what stands around them.
        roles: what the parameters do.
        base: scale and bias of each element, with the divisor of the constants.
        constants: of the divisor.
    """
    structure = probe.structure
    kind, factor, guard = constants.kind, constants.factor, constants.divisor.guard
    learned = roles.scale is not None and (
        roles.scale.name is not None or roles.scale.axes != () or roles.scale.factor is None
    )
    scale_axes = roles.scale.axes if roles.scale is not None and learned else None
    scale, shift = None, 0
    if roles.scale is not None and scale_axes is not None:
        shift = roles.scale.shift
        scale = along_axes(structure, base.scale, scale_axes) / (kind.factor * factor) - shift
    elif factor != 1.0:
        factor = median(base.scale) / kind.factor
    spec = NormSpec(
        structure.pattern,
        sizes=structure.sizes,
        center=first.fit.hypothesis.center,
        measure=kind.measure,
        ddof=kind.ddof,
        eps=constants.divisor.eps,
        eps_outside=constants.divisor.eps_outside,
        floor=constants.divisor.floor,
        unit_below=None if guard is None else tolerance_of(guard, probe.precision.unit),
        scale=None if scale_axes is None else names_of(structure, scale_axes),
        bias=None if roles.bias is None else names_of(structure, roles.bias.axes),
        scale_shift=shift,
    )
    bias = None if roles.bias is None else along_axes(structure, base.bias, roles.bias.axes)
    return Claim(spec, scale, bias, factor, first.extras, first.rounded)
