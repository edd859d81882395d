"""Parameters that large inputs do not show: a learned epsilon, or the shape of an activation."""

from __future__ import annotations

import numpy as np

from normscope.identify.formula.affine_fit import Affine, FirstFit
from normscope.identify.formula.claim import Claim
from normscope.identify.formula.measured_divisor import divisor_with
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.roles import Roles
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.formula.verify import largest_error, tolerance


def learned_constants(
    probe: Probe, first: FirstFit, base: Affine, claim: Claim, roles: Roles
) -> tuple[str, ...] | Unsolved:
    """A line for each parameter that changes small inputs, though it shows nothing on large ones.

    Args:
        probe: the mode.
        first: which mean and measure.
        base: scale and bias of each element.
        claim: a verified one.
        roles: what the parameters do on large inputs.
    """
    notes = []
    for name in roles.others:
        value = probe.subject.learned[name]
        another = None
        with probe.subject.moved({name: value + 0.3 + np.abs(value)}):
            changed = largest_error(probe, claim) > tolerance(probe.precision.eps)
            if changed and claim.extras.activation is None:
                another = divisor_with(probe, first, base, base.bias)
        if not changed:
            continue
        if claim.extras.activation is not None:
            notes.append(f"the parameter {name} shapes the activation or a small constant")
        elif another is not None and another.scales:
            notes.append(f"the parameter {name} is learned and enters the divisor, as eps does")
        else:
            return Unsolved(f"the parameter {name} changes small inputs in an unknown way", False)
    return tuple(notes)
