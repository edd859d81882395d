"""`find`: what is normalized at every site of a model."""

from __future__ import annotations

from collections.abc import Mapping

from normscope.audit.found.site import FoundSite
from normscope.graph.operators import Graph


def found_sites(graphs: Mapping[bool, Graph]) -> tuple[FoundSite, ...]:
    """What is normalized at every site of a model, in order; dismissed sites are among them.

    Args:
        graphs: by mode, True is training; of one mode or of both. The layers of their calls are
            asked, so the caller keeps the model as it was (`Live.kept`).
    """
    raise NotImplementedError
