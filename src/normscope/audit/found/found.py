"""`found_sites`: what is normalized at every site of a model."""

from __future__ import annotations

from collections.abc import Mapping

from normscope.audit.found.answers import Answer, answers
from normscope.audit.found.matching import Matched, Placed, matched
from normscope.audit.found.site import FoundSite, Kind
from normscope.graph.neighbours import neighbours
from normscope.graph.operators import Graph
from normscope.graph.sites import find_sites


def found_sites(graphs: Mapping[bool, Graph]) -> tuple[FoundSite, ...]:
    """What is normalized at every site of a model, in order; dismissed sites are among them.

    Args:
        graphs: by mode, True is training; of one mode or of both. The layers of their calls are
            asked, so the caller keeps the model as it was (`Live.kept`).
    """
    placed = {mode: _placed(graph) for mode, graph in graphs.items()}
    pairs = matched(placed)
    told = answers([pair for pair in pairs if not pair.first.site.dismissed])
    return tuple(_found(pair, told.get(pair)) for pair in pairs)


def _placed(graph: Graph) -> list[Placed]:
    sites = find_sites(graph)
    around = neighbours(graph, sites)
    return [Placed(site, graph, one) for site, one in zip(sites, around, strict=True)]


def _found(pair: Matched, answer: Answer | None) -> FoundSite:
    first = pair.first
    site = first.site
    answer = answer or Answer(Kind.UNKNOWN, dismissed=site.dismissed)
    prefix = f"{site.path}." if site.path else ""
    return FoundSite(
        path=site.path,
        type=site.call.type,
        operator=site.operator,
        source=site.source,
        call=site.call,
        input_shape=site.x.shape,
        dtype=site.x.dtype,
        kind=answer.kind,
        train=answer.train,
        infer=answer.infer,
        modes=tuple(pair.by_mode),
        verified=answer.verified,
        max_ulp=answer.max_ulp,
        declared=answer.declared,
        differs=answer.differs,
        words=answer.words,
        dismissed=answer.dismissed,
        neighbours=first.neighbours,
        site=site,
        arrays={role: answer.arrays[name] for role, name in answer.names.items()},
        parameters={
            role: name if name.startswith(prefix) else prefix + name
            for role, name in answer.names.items()
        },
    )
