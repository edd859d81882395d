"""`found_sites`: what is normalized at every site of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from normscope.audit.found.answers import Answer, answers
from normscope.audit.found.in_model import numbers_in_model, specs_in_model
from normscope.audit.found.matching import Matched, Placed, matched
from normscope.audit.found.site import FoundSite, Kind
from normscope.graph.channel_axes import ChannelAxes
from normscope.graph.dropouts import Dropouts
from normscope.graph.extract import parameter_paths
from normscope.graph.neighbours import neighbours
from normscope.graph.operators import Graph
from normscope.graph.origins import Origins
from normscope.graph.residuals import Residuals
from normscope.graph.sites import find_sites

_WORDS = re.compile(r"\w+")


def found_sites(
    graphs: Mapping[bool, Graph], arrays: Sequence[NDArray[Any]] = ()
) -> tuple[FoundSite, ...]:
    """What is normalized at every site of a model, in order; dismissed sites are among them.

    Args:
        graphs: by mode, True is training; of one mode or of both. The layers of their calls are
            asked, so the caller keeps the model as it was (`Live.kept`).
        arrays: those of the inputs, in their order; indices among them are needed where rows are
            chosen by them.
    """
    placed = {mode: _placed(graph, arrays) for mode, graph in graphs.items()}
    pairs = matched(placed)
    told = answers([pair for pair in pairs if not pair.first.site.dismissed])
    return tuple(_found(pair, told.get(pair), frozenset(graphs)) for pair in pairs)


def _placed(graph: Graph, arrays: Sequence[NDArray[Any]]) -> list[Placed]:
    given = {
        value: graph.arrays.from_numpy(array, value.dtype)
        for value, array in zip(graph.inputs, arrays, strict=False)
        if not value.is_float
    }
    sites = find_sites(graph)
    around = neighbours(graph, sites)
    residuals = Residuals(graph, sites, Dropouts(graph))
    origins = Origins(graph, sites, arrays)
    channels = ChannelAxes(graph)
    return [
        Placed(site, graph, one, residuals, origins, channels, given)
        for site, one in zip(sites, around, strict=True)
    ]


def _found(pair: Matched, answer: Answer | None, followed: frozenset[bool]) -> FoundSite:
    first = pair.first
    site = first.site
    missing = followed - pair.by_mode.keys()  # in a mode in which it is not there, it does nothing
    answer = answer or Answer(Kind.UNKNOWN, dismissed=site.dismissed)
    train, infer, differs = specs_in_model(pair, answer)
    parameters = {role: _full_path(pair, name) for role, name in answer.names.items()}
    return FoundSite(
        path=site.path,
        type=site.call.type,
        operator=site.operator,
        source=site.source,
        call=site.call,
        input_shape=site.x.shape,
        dtype=site.x.dtype,
        kind=answer.kind,
        train=None if True in missing else train,
        infer=None if False in missing else infer,
        modes=tuple(pair.by_mode),
        verified=answer.verified,
        max_ulp=answer.max_ulp,
        declared=answer.declared,
        differs=differs,
        words=answer.words,
        dismissed=answer.dismissed,
        neighbours=first.neighbours,
        site=site,
        placed=pair.by_mode,
        arrays={
            role: numbers_in_model(pair, parameters[role], answer.arrays[name])
            for role, name in answer.names.items()
        },
        parameters=parameters,
    )


def _full_path(pair: Matched, name: str) -> str:
    """Where the model holds what a layer calls by this name."""
    paths = {path for one in pair.by_mode.values() for path in parameter_paths(one.site)}
    if name in paths:
        return name
    alike = [path for path in paths if path.endswith(name) and path[-len(name) - 1] in "./"]
    alike = alike or [
        path for path in paths if _WORDS.findall(path)[-1:] == _WORDS.findall(name)[-1:]
    ]
    path = pair.first.site.path
    return alike[0] if len(alike) == 1 else f"{path}.{name}" if path else name
