"""The explanation of a site. Alike sites share one, as a model can have thousands of them."""

from __future__ import annotations

from functools import lru_cache

from normscope.audit.model_graph import Shape, Site
from normscope.errors import NormscopeError
from normscope.explain import Explanation, explain
from normscope.frameworks.declaration import Declaration


def explanation_of(site: Site) -> Explanation | None:
    """What is computed at a site; None where the shape of its input or the spec is not known."""
    if site.input_shape is None or site.computed is None:
        return None
    try:
        return _explained(site.computed, site.input_shape)
    except NormscopeError:
        return None  # sets too small for their ddof: a rule says so


@lru_cache(maxsize=256)
def _explained(declaration: Declaration, shape: Shape) -> Explanation:
    return explain(declaration, shape)
