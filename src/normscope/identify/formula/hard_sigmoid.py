"""A clip to [0, 1] after a sixth of a normalization, read as a hard sigmoid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normscope.identify.formula.affine_fit import Affine, FirstFit
from normscope.identify.formula.constants import kinds_of
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.roles import Roles
from normscope.identify.surroundings.extras import Extras
from normscope.identify.surroundings.identity_branch import identity_branch, read_as_hard_sigmoid


def as_hard_sigmoid(probe: Probe, first: FirstFit, roles: Roles) -> FirstFit | None:
    """The fit read as one below a hard sigmoid; None if it cannot be."""
    bare, measure, scale = first.extras.activation, first.fit.hypothesis.measure, roles.scale
    if measure is None or scale is None or scale.factor is None or first.extras.residual:
        return None
    kinds = kinds_of(measure, probe.structure.set_size)
    if not any(abs(6 * scale.factor / kind.factor - 1) < 1e-4 for kind in kinds):
        return None
    if bare is None:
        _, y = probe.ask(first.x[0])
        if not (np.min(y) >= 0 and np.max(y) <= 1) or _exceeds_one(probe):
            return None
        bare = identity_branch(y)
    elif bare.name != "clip to [0, 1]":
        return None
    affine = first.fit.affine
    stretched = Affine(6 * affine.scale, 6 * affine.bias - 3, affine.residual)
    activation = read_as_hard_sigmoid(bare)
    fit = replace(first.fit, affine=stretched)
    return FirstFit(fit, Extras(activation), first.x, first.precision)


def _exceeds_one(probe: Probe) -> bool:
    """Whether outliers are not cut off at 1; L2 of 36 elements is a sixth of a mean square too."""
    outliers = np.zeros((probe.structure.num_sets, probe.structure.set_size))
    outliers[:, 0] = 1e3
    _, y = probe.ask(outliers)
    return bool(np.max(y) > 1 + 1e-3)
