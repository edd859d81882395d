"""The explanation of a site. Alike sites share one, as a model can have thousands of them."""

from __future__ import annotations

from functools import lru_cache

from normscope.audit.model_graph import Shape, Site
from normscope.explain import Explanation, explain
from normscope.frameworks.declaration import Declaration


def explanation_of(site: Site) -> Explanation | None:
    """What is computed at a site; None where the shape of its input is not known."""
    return None if site.input_shape is None else _explained(site.declaration, site.input_shape)


@lru_cache(maxsize=256)
def _explained(declaration: Declaration, shape: Shape) -> Explanation:
    return explain(declaration, shape)
