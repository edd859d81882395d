"""What the stored arrays of sites tell of their training: is this as it was made, or has it moved?

A scale is made as ones (zeros at the end of a residual block), or drawn at random; a bias is made
as zeros. Training moves both. So a bias that is exactly zero beside a scale whose numbers all
differ is that of a model that was just made. A few models draw both around zero, in many layers;
trained scales are hardly ever below zero.
"""

from __future__ import annotations

import numpy as np

from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import once_per_model

_FEWEST_DRAWN = 4
_SHARE_DRAWN = 0.1
"""Of scales below zero, from which many layers are taken for drawn around zero."""


def has_initial_statistics(site: Site) -> bool:
    """Whether it holds running statistics, and they are exactly mean 0 and variance 1."""
    mean, var = site.stored("running_mean"), site.stored("running_var")
    if mean is None or var is None or mean.size == 0:
        return False
    return not np.any(mean != 0) and not np.any(var != 1)


def moved(site: Site) -> tuple[str, ...]:
    """Which of its scale and bias are not as they were made; those that may be drawn are left out.

    >>> moved(Site("bn", "", "bn", None, None, None, arrays={"bias": np.array([0.0, 0.1])}))
    ('bias',)
    """
    scale, bias = site.stored("scale"), site.stored("bias")
    found = [
        name
        for name, array, initial in (("scale", scale, 1), ("bias", bias, 0))
        if array is not None and np.any(array) and np.any(array != initial)
    ]
    if found == ["scale"] and bias is not None and scale is not None and _may_be_drawn(scale):
        return ()
    return tuple(found)


@once_per_model
def was_drawn(graph: ModelGraph) -> bool:
    """Whether the scales of many layers are as drawn around zero, and none was ever updated."""
    fresh = [site for site in graph.sites if has_initial_statistics(site) and moved(site)]
    scales = [scale for site in fresh if (scale := site.stored("scale")) is not None and scale.size]
    if len(scales) < _FEWEST_DRAWN or any(site.condition.updates for site in graph.sites):
        return False
    values = np.concatenate([np.ravel(scale) for scale in scales])
    return bool(np.mean(values < 0) >= _SHARE_DRAWN)


def _may_be_drawn(scale: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> bool:
    return len(np.unique(scale)) == scale.size


def was_trained(site: Site, graph: ModelGraph) -> bool:
    """Whether its own scale or bias moved, or those of another normalization of the model."""
    return bool(moved(site)) or any(moved(other) for other in graph.sites)


def takes_batch_statistics(site: Site) -> bool:
    """Whether in training mode, as the layer stands, it takes statistics of what it is given."""
    return site.train is not None and site.train.pattern is not None


def moves_statistics(site: Site) -> bool:
    """Whether a call in training mode, as the layer stands, changes running statistics."""
    if not takes_batch_statistics(site):
        return False
    decay = decay_of(site)
    if decay is None:  # a cumulative average has none
        return site.condition.updates is not None and site.stored("running_mean") is not None
    return decay != 1


def decay_of(site: Site) -> float | None:
    """The share of the old statistics that an update keeps; None where nothing says it."""
    if site.condition.decay is not None:
        return site.condition.decay
    return None if site.running is None else site.running.decay
