"""What a site learns: its scale as it acts, and whether its arrays are as any layer begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.audit.model_graph import Site
from normscope.notation.spec import NormSpec


def spec_with_parameters(site: Site) -> NormSpec | None:
    """The spec that says what is learned at a site; None if no spec does."""
    given = (site.train, site.infer, site.spec)
    return next((spec for spec in given if spec is not None), None)


def acting_scale(site: Site) -> NDArray[Any] | None:
    """The factors that a site multiplies by, in float64; None if it has none, or they are unknown.

    They are the stored ones, or 1 more where the site multiplies by 1 + scale.
    """
    spec, scale = spec_with_parameters(site), site.stored("scale")
    if scale is None or scale.size == 0:
        return None
    return np.asarray(scale, np.float64) + (spec.scale_shift if spec is not None else 0)


def is_initial(site: Site, role: str) -> bool:
    """Whether an array is as a layer begins: a scale of factors 1, a bias of 0; also without any.

    Means begin at 0, variances at 1.
    """
    array = acting_scale(site) if role == "scale" else site.stored(role)
    if array is None:
        return True
    return bool(np.all(array == (1 if role in ("scale", "running_var") else 0)))


def learns(site: Site) -> frozenset[str]:
    """Which of scale and bias a site has."""
    spec = spec_with_parameters(site)
    if spec is None:
        return frozenset({"scale", "bias"} & site.arrays.keys())
    named = {"scale": spec.scale, "bias": spec.bias}
    return frozenset(role for role, along in named.items() if along is not None)


def within_sample(site: Site) -> bool:
    """Whether its statistics sets lie within one sample each; False if that is not known."""
    return site.spec is not None and site.couples_samples(site.spec) is False


def channels_of(site: Site) -> int | None:
    """How many channels its arrays have; None where it has no arrays."""
    for role in ("scale", "running_mean", "running_var", "bias"):
        if role in site.arrays:
            return int(np.size(site.arrays[role]))
    return None
