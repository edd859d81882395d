"""A site in a graph -> `Probe`: its operators, what makes it like others, and how to run it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from normscope.audit.axes import Axes
from normscope.audit.found.matching import Placed
from normscope.audit.found.site import FoundSite
from normscope.audit.probe import Operator, Probe
from normscope.graph.extract import Extracted
from normscope.graph.operators import Node
from normscope.notation.spec import NormSpec


def probe_of(found: FoundSite, axes: Axes, answers: dict[Hashable, Any] | None = None) -> Probe:
    """A site, to be run again.

    Args:
        found: at one place.
        axes: what the axes of its input are.
        answers: what alike sites of the model were measured to do.
    """

    def extracted(training: bool) -> Extracted:
        placed = found.placed[training]
        return Extracted(placed.graph, placed.site, placed.given)

    spec = found.train or found.infer
    return Probe(
        found.placed[found.modes[0]].graph,
        found.modes,
        extracted,
        found.dtype,
        shape=tuple(found.input_shape),
        operators=tuple(_operator(node) for node in found.placed[found.modes[0]].site.nodes),
        neutral=_neutral(found, spec),
        sample_axes=_kept_apart(found, axes),
        likeness=_likeness(found),
        answers=answers,
    )


def _operator(node: Node) -> Operator:
    takes = dict.fromkeys(value.dtype for value in node.operands if value.is_float)
    return Operator(node.operator, node.role, node.results[0].dtype, tuple(takes), node.source)


def _neutral(found: FoundSite, spec: NormSpec | None) -> dict[str, float]:
    """What makes the learned arrays do nothing, by their paths."""
    shift = 0 if spec is None else spec.scale_shift
    numbers = {"scale": 1.0 - shift, "bias": 0.0}
    return {path: numbers[role] for role, path in found.parameters.items() if role in numbers}


def _kept_apart(found: FoundSite, axes: Axes) -> tuple[int, ...]:
    """The axes of the samples, where no statistics set spans any of them; none if not known."""
    specs = [spec for spec in (found.train, found.infer) if spec is not None]
    if not specs or axes.samples is None:
        return ()
    for spec in specs:
        if spec.pattern is not None:
            shared = {axis.dim for axis in spec.layout(found.input_shape).axes if axis.shared}
            if shared & axes.samples:
                return ()
    return tuple(sorted(axes.samples))


def _likeness(found: FoundSite) -> Hashable:
    """What alike sites have in common: specs, operators, how these hang together, and shapes.

    A site of which there is no spec is like no other: numbers such as an eps may differ in it.
    """
    if found.train is None and found.infer is None:
        return None
    return (
        found.train,
        found.infer,
        found.dtype,
        tuple(found.input_shape),
        tuple((mode, _wiring(placed)) for mode, placed in sorted(found.placed.items())),
    )


def _wiring(placed: Placed) -> tuple[Hashable, ...]:
    """The operators of a site, what makes their operands, and what they do with elements."""
    site = placed.site
    made = {site.x: -1}
    wired: list[Hashable] = []
    for number, node in enumerate(site.nodes):
        takes = tuple((made.get(v), v.shape, v.dtype) for v in node.operands)
        does = node.moves or repr(node.rule)
        wired.append((node.operator, takes, node.results[0].dtype, does))
        made.update(dict.fromkeys(node.results, number))
    return tuple(wired)
