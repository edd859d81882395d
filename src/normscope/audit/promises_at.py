"""The promises that rules speak of: broken at a site, broken elsewhere, or not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.promises import MODES, About, Promise, Standing
from normscope.wording import listed


@dataclass(frozen=True)
class Together:
    """Promises about the same thing that stand alike, in some modes and along some axes."""

    promises: tuple[Promise, ...]

    @property
    def modes(self) -> str:
        """In which they are so, in words: "in training and at inference"."""
        said = {"training": "in training", "inference": "at inference"}
        there = {promise.mode for promise in self.promises}
        return listed([said[mode] for mode in MODES if mode in there])

    def only_training(self, site: Site) -> bool:
        """Whether it is the training of a site alone that breaks them, by statistics of the batch.

        Inference applies what was stored, the same to all.
        """
        modes = {promise.mode for promise in self.promises}
        return modes == {"training"} and site.infer is not None and site.infer.pattern is None

    @property
    def axes(self) -> str:
        """Along which, in words: "h and w"."""
        return listed(list(dict.fromkeys(f"{p.wanted.axis}" for p in self.promises)))

    @property
    def asked(self) -> str:
        """How they were declared: `independent="b"`."""
        return listed(list(dict.fromkeys(f"{p.wanted}" for p in self.promises)))

    @property
    def measured(self) -> str:
        """What was measured first, after a colon; "" if nothing was."""
        return next((f": {p.measured}" for p in self.promises if p.measured), "")

    @property
    def evidence(self) -> dict[str, Any]:
        """The facts, as JSON types."""
        return {"promises": [promise.to_dict() for promise in self.promises]}


def broken_at(graph: ModelGraph, site: Site, about: About) -> Together | None:
    """The promises that a site breaks; None if there are none."""
    mine = [p for p in graph.promises if p.about is about and p.standing is Standing.BROKEN]
    if not mine:
        return None
    number = next((n for n, other in enumerate(graph.sites) if other is site), -1)
    there = tuple(promise for promise in mine if number in promise.sites)
    return Together(there) if there else None


def broken_elsewhere(graph: ModelGraph, about: About) -> Iterator[tuple[str, Together]]:
    """Those that are broken first at a place that is none of the sites, by its path."""
    found: dict[str, list[Promise]] = {}
    for promise in graph.promises:
        if promise.about is not about or promise.standing is not Standing.BROKEN:
            continue
        path = "" if promise.through is None else promise.through.path
        if path not in {graph.sites[number].path for number in promise.sites}:
            found.setdefault(path, []).append(promise)
    yield from ((path, Together(tuple(promises))) for path, promises in found.items())


def not_known(graph: ModelGraph, about: About) -> Iterator[tuple[str, Together]]:
    """Those of which nothing is known, by the path of what leaves them open and the reason."""
    found: dict[tuple[str, str], list[Promise]] = {}
    for promise in graph.promises:
        if promise.about is about and promise.standing is Standing.UNKNOWN:
            path = "" if promise.through is None else promise.through.path
            found.setdefault((path, promise.why), []).append(promise)
    yield from ((path, Together(tuple(promises))) for (path, _), promises in found.items())
