"""What a site does that no spec says, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.audit.found.asked import Asked, Shape
from normscope.graph.operators import Node, Role, Value
from normscope.graph.sites import Form, Site
from normscope.graph.statistics_flow import source_of


def words_of(site: Site, notes: str) -> str:
    """In words, by the operators that take the statistics.

    Args:
        site: the site.
        notes: what was found out besides.
    """
    roles = [node.role for node in site.statistics]
    made = {result for node in site.statistics for result in node.results}
    if Role.RUNNING in roles:
        said = "divided by statistics over a window, or of all that came before"
    elif any(_comes_from(node, made) for node in site.statistics):
        said = "statistics that are themselves divided by, or taken of, statistics"
    else:
        said = "divided by a statistic in a way that no spec says"
    return f"{said} ({notes})" if notes else said


def _comes_from(node: Node, made: set[Value]) -> bool:
    source = source_of(node)
    while source is not None and source not in made:
        before = source.node
        live = before.live_operands if before is not None and before.role.elementwise else ()
        source = live[0] if live else None
    return source is not None


def _centres(site: Site) -> bool:
    """Whether something that depends on the input is subtracted; of one operator, it may be."""
    return site.form is Form.COMPOSITE or any(
        node.role is Role.SHIFT and len(node.live_operands) > 1 for node in site.nodes
    )


def sums_to_one(one: Asked, site: Site, shape: Shape) -> bool:
    """Whether the results sum up to the same number, which is not 0, along an axis.

    Of sets of one value, those that are centred or that keep a sign are no such weights.
    """
    rng = np.random.default_rng(7)

    def results(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(one.adapter.call(one.adapter.received(x), one.adapter.modes[0]))

    try:
        x = rng.uniform(0.1, 2.0, shape)
        y = np.stack([results(x), results(rng.uniform(0.1, 2.0, shape))])
        if site.set_size == 1 and (_centres(site) or not np.array_equal(results(-x), y[0])):
            return False
    except Exception:  # it may refuse by any exception
        return False
    for axis in range(1, y.ndim):
        total = y.sum(axis)
        if (
            y.shape[axis] > 1
            and abs(total.mean()) > 1e-3
            and np.allclose(total, total.flat[0], rtol=1e-4)
        ):
            return True
    return False
