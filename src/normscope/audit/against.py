"""`Against`: the model that an audit compares with, and which of its sites is which.

Sites are paired, each at most once, by the first of these that tells them:

- their paths: equal ones; else equal but for a prefix that most of them have (`module.`);
- their numbers: stored arrays that are no initial ones and that no other site has;
- their order: the k-th of a kind (formula, number of channels), where both models, followed
  operator by operator, have as many of that kind left. A model of another framework is paired so.

What remains has no counterpart: a wrong pair would say more than is known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from normscope.audit.parameters import channels_of

if TYPE_CHECKING:  # a `ModelGraph` holds an `Against`
    from normscope.audit.model_graph import ModelGraph, Site

PATH, NUMBERS, ORDER = "path", "numbers", "order"


@dataclass(frozen=True, eq=False)
class Pair:
    """A site and its counterpart.

    Attributes:
        site: of the model that is audited.
        reference: of the model that it is compared with.
        by: what tells that they are the same: "path", "numbers" or "order".
    """

    site: Site
    reference: Site
    by: str


@dataclass(frozen=True, eq=False)
class Against:
    """The model that an audit compares with.

    Attributes:
        graph: the reference, as rules see it.
        pairs: the sites of both that are the same, in the order of the model that is audited.
    """

    graph: ModelGraph
    pairs: tuple[Pair, ...]

    @cached_property
    def _by_site(self) -> dict[int, Pair]:
        return {id(pair.site): pair for pair in self.pairs}

    def counterpart(self, site: Site) -> Site | None:
        """The site of the reference that is the same as one of the model; None if none is."""
        pair = self._by_site.get(id(site))
        return None if pair is None else pair.reference

    @cached_property
    def unpaired(self) -> tuple[Site, ...]:
        """The sites of the reference that the model has none for."""
        paired = {id(pair.reference) for pair in self.pairs}
        return tuple(site for site in self.graph.sites if id(site) not in paired)


def compared(graph: ModelGraph, reference: ModelGraph) -> Against:
    """The sites of a model and of a reference in pairs where they are the same."""
    left, right = list(graph.sites), list(reference.sites)
    found: list[Pair] = []

    def take(by: str, pairs: Iterator[tuple[Site, Site]]) -> None:
        taken: set[int] = set()
        for one, other in pairs:
            found.append(Pair(one, other, by))
            taken |= {id(one), id(other)}
        left[:] = [site for site in left if id(site) not in taken]
        right[:] = [site for site in right if id(site) not in taken]

    take(PATH, _by_path(left, right))
    take(NUMBERS, _unique(left, right, _numbers))
    if graph.followed and reference.followed:
        for kind in (_kind, _channels, _any_kind):
            take(ORDER, _by_order(left, right, kind))
    place = {id(site): number for number, site in enumerate(graph.sites)}
    return Against(reference, tuple(sorted(found, key=lambda pair: place[id(pair.site)])))


# --- by path --------------------------------------------------------------------------------------

_Path = tuple[str, ...]


def parts_of(path: str) -> _Path:
    """The parts of a path, whatever stands between them.

    >>> parts_of("encoder.layers.0.norm") == parts_of("encoder/layers_0/norm")
    True
    """
    return tuple(part for part in re.split(r"[./\[\]'\"]+|_(?=\d)", path) if part)


def _by_path(left: Sequence[Site], right: Sequence[Site]) -> Iterator[tuple[Site, Site]]:
    ours, theirs = _placed(left), _placed(right)
    same = ours.keys() & theirs.keys()
    prefix, longer = ((), True) if same else _prefix(ours, theirs)
    for (path, number), site in ours.items():
        if not longer and path[: len(prefix)] != prefix:
            continue
        wanted = (*prefix, *path) if longer else path[len(prefix) :]
        other = theirs.get((wanted, number))
        if other is not None and _may_be_same(site, other):
            yield site, other


def _placed(sites: Sequence[Site]) -> dict[tuple[_Path, int], Site]:
    """The sites by their path and, where several have the same, their number there."""
    counts: Counter[_Path] = Counter()
    found = {}
    for site in sites:
        path = parts_of(site.path)
        found[path, counts[path]] = site
        counts[path] += 1
    return found


def _prefix(
    ours: dict[tuple[_Path, int], Site], theirs: dict[tuple[_Path, int], Site]
) -> tuple[_Path, bool]:
    """What stands before the paths of the reference, or (False) of the model, in most of them."""
    counts: Counter[tuple[_Path, bool]] = Counter()
    for (path, number), (other, place) in ((a, b) for a in ours for b in theirs):
        if number or place or not path or not other:
            continue
        if len(other) > len(path) and other[-len(path) :] == path:
            counts[other[: -len(path)], True] += 1
        elif len(path) > len(other) and path[-len(other) :] == other:
            counts[path[: -len(other)], False] += 1
    if not counts:
        return (), True
    best, times = counts.most_common(1)[0]
    return best if 2 * times >= min(len(ours), len(theirs)) else ((), True)


def _may_be_same(site: Site, other: Site) -> bool:
    """Whether the lengths of what they hold allow that one stands for the other."""
    own, others = channels_of(site), channels_of(other)
    return own is None or others is None or own == others


# --- by numbers and by order ----------------------------------------------------------------------


def _numbers(site: Site) -> Hashable:
    """What it holds, where that tells it from others; None where it is as any layer begins."""
    told = []
    for role in ("scale", "bias", "running_mean", "running_var"):
        array = site.stored(role)
        if array is not None and array.size > 1 and np.ptp(array) > 0:
            told.append((role, np.ravel(np.asarray(array, np.float32)).tobytes()))
    return tuple(told) or None


def _unique(
    left: Sequence[Site], right: Sequence[Site], key: Callable[[Site], Hashable]
) -> Iterator[tuple[Site, Site]]:
    ours, theirs = _groups(left, key), _groups(right, key)
    for value, own in ours.items():
        others = theirs.get(value, [])
        if value is not None and len(own) == len(others) == 1:
            yield own[0], others[0]


def _by_order(
    left: Sequence[Site], right: Sequence[Site], key: Callable[[Site], Hashable]
) -> Iterator[tuple[Site, Site]]:
    ours, theirs = _groups(left, key), _groups(right, key)
    for value, own in ours.items():
        others = theirs.get(value, [])
        if len(own) == len(others):
            yield from (pair for pair in zip(own, others, strict=True) if _may_be_same(*pair))


def _groups(sites: Sequence[Site], key: Callable[[Site], Hashable]) -> dict[Hashable, list[Site]]:
    found: dict[Hashable, list[Site]] = {}
    for site in sites:
        found.setdefault(key(site), []).append(site)
    return found


def _kind(site: Site) -> Hashable:
    """What it normalizes, without names and order of axes, and of how many channels."""
    spec: Any = site.spec
    if spec is None:
        return (site.kind, channels_of(site))
    return (spec.center, spec.measure, site.couples_samples(spec), channels_of(site))


def _channels(site: Site) -> Hashable:
    return channels_of(site)


def _any_kind(site: Site) -> Hashable:
    return True
