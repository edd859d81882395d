"""The same site in both modes: by its layer, the number of the call, and its place in there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from normscope.graph.channel_axes import ChannelAxes
from normscope.graph.neighbours import Neighbours
from normscope.graph.operators import Graph, Value
from normscope.graph.origins import Origins
from normscope.graph.residuals import Residuals
from normscope.graph.sites import Site


@dataclass(frozen=True, eq=False)
class Placed:
    """One site in one mode.

    Attributes:
        site: the site.
        graph: of the mode.
        neighbours: what stands around it.
        residuals: the residual additions of that graph.
        origins: where its values come from.
        channels: along which axes of its values channels run.
        given: the native arrays of inputs of the model that hold no real numbers, such as indices.
    """

    site: Site
    graph: Graph
    neighbours: Neighbours
    residuals: Residuals
    origins: Origins
    channels: ChannelAxes
    given: Mapping[Value, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Matched:
    """One site in the modes in which it is there.

    Attributes:
        by_mode: True is training.
    """

    by_mode: Mapping[bool, Placed]

    @property
    def first(self) -> Placed:
        """The site in training, where it is there, else at inference."""
        return next(self.by_mode[mode] for mode in (True, False) if mode in self.by_mode)


_Key = tuple[str, int, bool]


def matched(sites: Mapping[bool, Sequence[Placed]]) -> list[Matched]:
    """Sites of both modes in pairs where they are the same, in the order of training."""
    if len(sites) == 1:
        ((mode, alone),) = sites.items()
        return [Matched({mode: placed}) for placed in alone]
    train, infer = _by_call(sites[True]), _by_call(sites[False])
    found = [
        pair
        for key in dict.fromkeys([*train, *infer])
        for pair in _paired(train.get(key, []), infer.get(key, []))
    ]
    place = {placed: n for mode in (False, True) for n, placed in enumerate(sites[mode])}
    return sorted(found, key=lambda pair: place[pair.first])


def _by_call(sites: Iterable[Placed]) -> dict[_Key, list[Placed]]:
    found: dict[_Key, list[Placed]] = {}
    for placed in sites:
        site = placed.site
        key = site.call.path, site.call.number, bool(site.dismissed)
        found.setdefault(key, []).append(placed)
    return found


def _paired(train: list[Placed], infer: list[Placed]) -> Iterator[Matched]:
    """Those of one call; where one mode has more of them, by the line of the program."""
    if len(train) == len(infer):
        for one, other in zip(train, infer, strict=True):
            yield Matched({True: one, False: other})
        return
    rest = list(infer)
    for one in train:
        lines = {node.source for node in one.site.nodes} - {""}
        same = next((p for p in rest if lines & {n.source for n in p.site.nodes}), None)
        if same is not None:
            rest.remove(same)
        yield Matched({True: one} if same is None else {True: one, False: same})
    for other in rest:
        yield Matched({False: other})
